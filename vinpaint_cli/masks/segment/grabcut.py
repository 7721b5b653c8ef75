"""The segmenter `grabcut`: an iterated graph cut on colour, edges and motion; it needs no weights.

As in GrabCut (Rother et al., SIGGRAPH 2004), colour models of object and background are built from the last
mask and the graph cut is repeated, a few times. The unary terms add a motion cue and the distance from the
prompts.

The motion cue tells which pixels move with the object and not with the camera. For each neighbour the
camera's motion is a homography fitted to optical flow. A pixel counts for the object when it is found where
the object's motion, or its own flow, takes it and not where the camera's motion takes it. Colour errors are
compared, so that flow which bleeds into flat areas does not count; and the backward flow must differ from the
camera's too, so that background about to be covered is not taken for the object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.segment import check_prompts, enforce_points
from vinpaint_cli.masks.segment.working_image import (
    Pixel,
    Point,
    WorkingImage,
    bounds,
    discs,
    parts,
    sharpen,
    to_lab,
)
from vinpaint_cli.metrics.davis import region_similarity
from vinpaint_cli.ops.flow import open_flow
from vinpaint_cli.ops.flow.camera import apply_homography, fit_homography
from vinpaint_cli.ops.flow.motion import inconsistency
from vinpaint_cli.ops.graph_cut import geodesic_distance, graph_cut
from vinpaint_cli.ops.image import Array, Bool, coordinate_grid, dilate, sample
from vinpaint_cli.types import Box, Candidate

if TYPE_CHECKING:
    from vinpaint_cli.types import Picture, Plane


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


_COLOUR = 1.5
_SURE = 50.0
_RADII = (0.05, 0.1, 0.2, 0.35)
_ON, _ON_FADES = 6.0, 20.0
_OFF, _OFF_FADES = 8.0, 40.0
_LEAK_MOVING, _LEAK_STILL = 0.45, 0.5


class GrabCutSegmenter:
    """See `Segmenter`; deterministic, on one CPU core, with memory bounded for any frame size."""

    name = "grabcut"

    def __init__(self, weights: str | None = None, device: str = "auto") -> None:
        """Raises UsageError when weights are given; runs on the CPU for every ``device``."""
        if weights is not None:
            raise UsageError("segmenter 'grabcut' takes no weights; leave --segmenter-weights out")

    def segment(
        self,
        rgb: Picture,
        points: Sequence[Point],
        labels: Sequence[bool],
        box: Box | None,
        neighbours: Sequence[Picture] = (),
    ) -> Sequence[Candidate]:
        """See `Segmenter`.

        Neighbours are frames of the same shot, nearest first; those in which the object has moved a little
        are used. Without neighbours, or where nothing moves, colour decides. The confidence is the overlap
        with what prompts a little beside these give. Raises UsageError and MaskError as `check_prompts` does.
        """
        height, width = rgb.shape[:2]
        check_prompts((width, height), points, labels, box)
        image = WorkingImage.of(rgb)
        prompts = _Prompts.of(image, points, labels, box)
        small = [image.shrink(other) for other in neighbours]
        mask = _segment(image, prompts, small)
        agreement = [region_similarity(_segment(image, near, small), mask) for near in prompts.beside(image)]
        import cv2

        large = np.asarray(cv2.resize(mask.astype(np.float32), (width, height)), np.float32)
        return [Candidate(enforce_points(sharpen(rgb, large), points, labels), float(np.mean(agreement)))]

    def refine(self, rgb: Picture, prior: Plane) -> Plane:
        """See `Segmenter`; only a narrow band around the prior's outline is decided again."""
        return sharpen(rgb, prior)


@dataclass(frozen=True, slots=True)
class _Prompts:
    """Prompts in pixels of a working image: ``on`` and ``off`` the object, and ``box`` ``(x0, y0, x1, y1)``.

    ``given``: log-odds ``(h, w)`` that follow from the pixels.
    """

    on: Sequence[Pixel]
    off: Sequence[Pixel]
    given: Array
    box: tuple[float, float, float, float] | None

    @classmethod
    def of(
        cls, image: WorkingImage, points: Sequence[Point], labels: Sequence[bool], box: Box | None
    ) -> _Prompts:
        pixels = image.pixels(points)
        on = [pixel for pixel, label in zip(pixels, labels, strict=True) if label]
        off = [pixel for pixel, label in zip(pixels, labels, strict=True) if not label]
        given = _point_log_odds(image, on, off)
        across, down = image.scale
        place = None
        if box is not None:
            place = box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down
        return cls(on, off, given, place)

    def beside(self, image: WorkingImage) -> Iterator[_Prompts]:
        """The prompts with points moved by a few pixels, and the box 5 % larger and smaller."""
        rows, columns = image.shape
        for down, across, wider in ((0, 4, 0.05), (0, -4, -0.05), (4, 0, 0.1), (-4, 0, 0.0)):
            on = [(min(max(y + down, 0), rows - 1), min(max(x + across, 0), columns - 1)) for y, x in self.on]
            box = self.box
            if box is not None:
                width, height = (box[2] - box[0]) * wider / 2, (box[3] - box[1]) * wider / 2
                box = box[0] - width, box[1] - height, box[2] + width, box[3] + height
            yield _Prompts(on, self.off, _point_log_odds(image, on, self.off), box)


@dataclass(frozen=True, slots=True)
class _Unary:
    """Unary terms without colour, and where colours are learnt, all ``(h, w)``.

    The object lies within ``allowed``; ``prior`` and ``motion`` are log-odds by place and by motion. The
    background's colours are taken from ``around``; ``leak`` is the share of a mask assumed to be background.
    """

    allowed: Bool
    prior: Array
    around: Bool
    motion: Array
    leak: float


def _segment(image: WorkingImage, prompts: _Prompts, neighbours: Sequence[Picture]) -> Bool:
    """Mask ``(h, w)`` of the object on a working image."""
    if prompts.box is not None:
        return _by_box(image, prompts, neighbours)
    cue = find_motion_cue(image.rgb, neighbours, discs(image.shape, prompts.on, 5), 0.5 / len(prompts.on))
    if cue is not None:
        return parts(_iterate(image, _by_motion(image, prompts, cue), prompts), prompts.on)
    return _by_outline(image, prompts)


def _by_box(image: WorkingImage, prompts: _Prompts, neighbours: Sequence[Picture]) -> Bool:
    """The object in a box: assumed to touch its sides and fill its middle."""
    assert prompts.box is not None
    inside, off_centre = _box_places(image, prompts.box)
    cue = find_motion_cue(image.rgb, neighbours, inside & (off_centre < 0.7), 0.06)
    prior = np.where(inside, 1.5 * (0.8 - off_centre), -6).astype(np.float32)
    around = ~inside & (off_centre < 1.6)
    motion = np.zeros_like(prior)
    if cue is not None:
        motion = cue.log_odds
        prior += _nearness(cue.moves & inside)
    else:
        prior *= 0.5
    leak = _LEAK_STILL if cue is None else _LEAK_MOVING
    mask = _iterate(image, _Unary(inside, prior, around, motion, leak), prompts)
    return parts(mask, prompts.on, least=0.05)


def _box_places(image: WorkingImage, box: tuple[float, float, float, float]) -> tuple[Bool, Array]:
    """Mask ``(h, w)`` of a box, at least one pixel, and the distance from its centre, 1 at its sides."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32) + np.float32(0.5)
    x0, y0, x1, y1 = box
    across = np.abs(x - (x0 + x1) / 2) * 2 / max(x1 - x0, 1)
    down = np.abs(y - (y0 + y1) / 2) * 2 / max(y1 - y0, 1)
    off_centre = np.maximum(across, down)
    return (x >= x0) & (x < x1) & (y >= y0) & (y < y1) | (off_centre < 0.5), off_centre


def _by_motion(image: WorkingImage, prompts: _Prompts, cue: MotionCue) -> _Unary:
    """Terms for points on something that moves: the connected region that moves with them."""
    moves = parts(cue.moves, prompts.on) | discs(image.shape, prompts.on, 5)
    return _Unary(dilate(moves, 24), _nearness(moves), ~dilate(moves, 6), cue.log_odds, _LEAK_MOVING)


def _nearness(moves: Bool) -> Array:
    """Log-odds ``(h, w)``: 0.5 on what moves with the object, falling with the distance from it."""
    import cv2

    away = np.asarray(cv2.distanceTransform((~moves).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    return np.where(moves, 0.5, np.maximum(-0.5 - away / 3, -4)).astype(np.float32)


def _by_outline(image: WorkingImage, prompts: _Prompts) -> Bool:
    """The object under points when nothing moves: of several sizes the one of the most distinct outline."""
    import cv2

    clicked = np.zeros(image.shape, np.uint8)
    spots = np.array([(x, y) for y, x in prompts.on], np.int32)
    cv2.fillConvexPoly(clicked, cv2.convexHull(spots), 1)
    clicked[tuple(np.transpose(prompts.on))] = 1
    away = np.asarray(cv2.distanceTransform(1 - clicked, cv2.DIST_L2, 5), np.float32)
    best, strongest = discs(image.shape, prompts.on, 2), -1.0
    for share in _RADII:
        radius = share * max(image.shape)
        allowed = away < radius
        around = ~allowed & (away < 1.7 * radius)
        prior = (0.35 - 0.7 * away / radius).astype(np.float32)
        field = _Unary(allowed, prior, around, np.zeros(image.shape, np.float32), _LEAK_STILL)
        mask = parts(_iterate(image, field, prompts), prompts.on)
        if (contrast := _outline_contrast(image, mask)) > strongest:
            best, strongest = mask, contrast
    return best


def _outline_contrast(image: WorkingImage, mask: Bool) -> float:
    """Mean colour difference across the outline, in CIELAB."""
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    lab = image.lab
    steps = np.concatenate(
        [
            np.sqrt(np.square(lab[:, 1:] - lab[:, :-1])[across].sum(-1)),
            np.sqrt(np.square(lab[1:] - lab[:-1])[down].sum(-1)),
        ]
    )
    return float(np.minimum(steps, 15).mean()) if len(steps) else 0.0


def _iterate(image: WorkingImage, field: _Unary, prompts: _Prompts, rounds: int = 4) -> Bool:
    """Alternate graph cuts and colour models ``rounds`` times; mask ``(h, w)``."""
    frame = bounds(field.allowed)
    rows, columns = frame.slices()
    edges, allowed = image.edges.crop(frame), field.allowed[rows, columns]
    base = field.prior + field.motion + prompts.given
    share = graph_cut(np.where(allowed, base[rows, columns], -_SURE), edges, 60)
    mask = np.zeros(image.shape, np.bool_)
    for turn in range(rounds):
        mask[rows, columns] = (share > 0.5) & allowed
        log_odds = base + _COLOUR * _colours(image, field, prompts, mask)
        last = turn == rounds - 1
        share = graph_cut(
            np.where(allowed, log_odds[rows, columns], -_SURE), edges, 120 if last else 60, share
        )
    mask[rows, columns] = (share > 0.5) & allowed
    return mask


def _colours(image: WorkingImage, field: _Unary, prompts: _Prompts, mask: Bool) -> Array:
    """Log-odds ``(h, w)`` of each pixel's colour, from the colours inside a mask and those around it."""
    import cv2

    if prompts.on:
        mask = parts(mask, prompts.on) | discs(image.shape, prompts.on, 2)
    if mask.sum() < 9:
        mask = field.allowed
    away = np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    moved = np.maximum(field.motion, 0)
    inside = np.where(mask, 0.1 + moved if moved.any() else 1, 0)
    outside = np.where(mask, 0, np.where(field.around, 2, 0.3) * (0.1 + np.exp(-away / 30)))
    return image.colours.log_odds(inside.astype(np.float32), outside.astype(np.float32), field.leak)


def _point_log_odds(image: WorkingImage, on: Sequence[Pixel], off: Sequence[Pixel]) -> Array:
    """Log-odds ``(h, w)`` from points, fading with the geodesic distance over colours."""
    near, far = _distance_from(image, on), _distance_from(image, off)
    given = _ON * np.exp(-near / _ON_FADES) - _OFF * np.exp(-far / _OFF_FADES) * (far < near)
    given[discs(image.shape, on, 2)] = _SURE
    given[discs(image.shape, off, 2)] = -_SURE
    for pixel in on:
        given[pixel] = _SURE
    return np.asarray(given, np.float32)


def _distance_from(image: WorkingImage, pixels: Sequence[Pixel]) -> Array:
    """Geodesic distance ``(h, w)`` over colours from the nearest of some pixels; 1e6 without any."""
    sources = np.zeros(image.shape, np.bool_)
    for pixel in pixels:
        sources[pixel] = True
    return geodesic_distance(image.lab, sources) if pixels else np.full(image.shape, 1e6, np.float32)
