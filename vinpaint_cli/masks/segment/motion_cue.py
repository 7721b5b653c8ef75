"""The motion cue: which pixels of a picture move with an object and not with the camera.

For each neighbouring frame the camera's motion is a homography fitted to optical flow. A pixel counts for the
object when it is found where the object's motion, or its own flow, takes it and not where the camera's motion
takes it. Colour errors are compared, so that flow which bleeds into flat areas does not count; and the
backward flow must differ from the camera's too, so that background about to be covered is not taken for the
object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.masks.segment.working_image import to_lab
from vinpaint_cli.ops.flow import open_flow
from vinpaint_cli.ops.flow.camera import apply_homography, fit_homography
from vinpaint_cli.ops.flow.motion import inconsistency
from vinpaint_cli.ops.image import Array, Bool, coordinate_grid, sample

if TYPE_CHECKING:
    from vinpaint_cli.types import Picture

_MOST = 2.5
_ENOUGH = 1.5
_UNKNOWN = np.float32(99)


@dataclass(frozen=True, slots=True)
class MotionCue:
    """Which pixels move like the object, from several neighbouring frames.

    ``log_odds (h, w)`` within ±2.5: positive where a pixel moves with the object, negative where it moves
    with the camera, 0 where colours cannot tell. ``moves (h, w)``: the same from flow alone, with blurred
    outlines.
    """

    log_odds: Array
    moves: Bool


@dataclass(frozen=True, slots=True)
class _NeighbourMotion:
    """One neighbour: colour errors ``(h, w)`` under either motion, and the object's displacement."""

    still: Array
    moved: Array
    moves: Bool
    pixels: float


def find_motion_cue(
    rgb: Picture, neighbours: Sequence[Picture], core: Bool, least_share: float
) -> MotionCue | None:
    """The motion cue of the object under ``core (h, w)``; None when it moves with the camera.

    ``rgb`` and ``neighbours`` (nearest first) are 8-bit ``(h, w, 3)``, downscaled. At least ``least_share``
    of the core must move.
    """
    pairs = [_compare(rgb, other, core, least_share) for other in neighbours]
    moving = _telling([pair for pair in pairs if pair is not None])
    if not moving:
        return None
    still = np.min([pair.still for pair in moving], axis=0)
    moved = np.min([pair.moved for pair in moving], axis=0)
    log_odds = np.where(still < _UNKNOWN, np.clip(still - moved, -_MOST, _MOST), 0)
    moves = np.mean([pair.moves for pair in moving], axis=0) >= 0.5
    return MotionCue(log_odds.astype(np.float32), moves)


def _telling(pairs: list[_NeighbourMotion]) -> list[_NeighbourMotion]:
    """The pairs in which the object moves enough to be seen, and not so far that flow fails.

    The nearest pair that moves enough sets the scale.
    """
    if not pairs:
        return []
    enough = [pair.pixels for pair in pairs if pair.pixels >= _ENOUGH]
    usual = enough[0] if enough else max(pair.pixels for pair in pairs)
    return [pair for pair in pairs if 0.5 * usual <= pair.pixels <= 1.6 * usual]


def _compare(rgb: Picture, other: Picture, core: Bool, least_share: float) -> _NeighbourMotion | None:
    """Errors of one neighbour, or None when the core moves with the camera."""
    import cv2

    first, second = (np.asarray(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), np.uint8) for one in (rgb, other))
    estimate = open_flow()
    flow, back = estimate(first, second), estimate(second, first)
    grid = coordinate_grid(*first.shape)
    camera = fit_homography(flow, inconsistency(flow, back) < 1)
    still_at = apply_homography(camera, grid)
    own = flow - (still_at - grid)
    length = _length(own)
    noise = 1.48 * float(np.median(length)) + 0.1
    moving = core & (length > max(3 * noise, 0.6))
    if moving.sum() <= least_share * core.sum():
        return None
    motion, pixels = np.median(own[moving], axis=0), float(np.median(length[moving]))
    inverse = np.asarray(np.linalg.inv(camera), np.float64)
    back_own = _length(back - (apply_homography(inverse, grid) - grid))
    return _errors(
        (to_lab(rgb), to_lab(other)), (still_at, still_at + motion, grid + flow), length, back_own, pixels
    )


def _errors(
    labs: tuple[Array, Array],
    places: tuple[Array, Array, Array],
    length: Array,
    back_length: Array,
    pixels: float,
) -> _NeighbourMotion:
    """Colour errors at the places a pixel may have moved to: with the camera, the object, or its own flow."""
    still, together, alone = (_error(*labs, place) for place in places)
    least = 0.35 * pixels
    usual = np.median(alone) + 1
    goes = [sample(back_length, place) > least for place in places[1:]]
    # Background that the object is about to cover is found nowhere: that says nothing for the object.
    settled = still + 0.6 * usual * np.clip(3 - still / (2 * usual), 0, 1)
    moved = np.minimum(
        np.where(goes[0], together, settled), np.where(goes[1] & (length > least), alone, _UNKNOWN)
    )
    height, width = length.shape
    lost = (places[0] < 0).any(-1) | (places[0] > (width - 1, height - 1)).any(-1)
    still = np.where(lost, _UNKNOWN, still / usual)
    return _NeighbourMotion(
        still.astype(np.float32), (moved / usual).astype(np.float32), length > 0.4 * pixels, pixels
    )


def _error(lab: Array, other: Array, place: Array) -> Array:
    """Colour difference ``(h, w)`` to the other image at ``place (h, w, 2)``, slightly blurred."""
    import cv2

    difference = np.sqrt(np.square(lab - sample(other, place)).sum(-1))
    return np.asarray(cv2.GaussianBlur(np.minimum(difference, 40), (0, 0), 1.0), np.float32)


def _length(flow: Array) -> Array:
    return np.asarray(np.hypot(flow[..., 0], flow[..., 1]), np.float32)
