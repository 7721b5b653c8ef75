"""Completes what no frame of a shot shows, once, on key frames, and lays it in every frame.

The frame that lacks most becomes a key frame and is completed by a `Completer`. Every other frame is
brought into register with it: by the camera's motion, refined by optical flow around the hole whose rest is
carried inward smoothly, so that straight things stay straight; where that does not explain what is seen, by
the neighbour's place carried along the completed flow. The key frame is sampled once, sharply, and takes on
the light of each frame: what it misses beside the hole is carried inward, which closes the seam as gradients
would (Pérez et al., Poisson Image Editing, SIGGRAPH 2003). A key frame serves as long as it shows what is
seen beside the hole. What it does not reach is left for the next, completed around what the first has laid,
so that they agree. (Key frames as in Xu et al., Deep Flow-Guided Video Inpainting, CVPR 2019, section 3.4.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.complete import Completer
from vinpaint_cli.ops.flow import FlowEstimator
from vinpaint_cli.ops.flow.camera import Homography, accumulate, apply_homography, between, fit_homography
from vinpaint_cli.ops.flow.motion import NOTHING_KEPT, Motion, inconsistency
from vinpaint_cli.ops.image import (
    Array,
    Bool,
    Bytes,
    box_around,
    coordinate_grid,
    depth_inside,
    dilate,
    inside,
    luma,
    mean_around,
    membrane,
    sample,
)
from vinpaint_cli.types import Checkpoints

Window = tuple[slice, slice]

CONTEXT = 64
"""Pixels, at 240 lines, around what a key frame lacks that may be copied from, at least."""

WIDER = 0.6
"""The same as part of the greater side of what it lacks."""

AROUND = 32
"""Pixels, at 240 lines, around what a frame lacks on which it is brought into register."""

MARGIN = 4
"""Pixels, at 240 lines, around a hole in which flow is not trusted."""

NEAR = 16
"""Pixels, at 240 lines, beside what is lacking in which registration is judged."""

TOLERANCE = 0.7
"""Pixels by which points of one plane may be off."""

OFF = 1.0
"""Rest in pixels, at 240 lines, that a plane leaves, beyond which the neighbour's place is tried."""

FARTHEST = 3.0
"""The same beyond which a key frame does not serve at all."""

PAUSE = 2
"""Frames in turn that a key frame may fail to serve before it is given up."""

ROUND = 6
"""Pixels, at 240 lines, over which the rest of registration is averaged."""

BESIDE = 6
"""Width in pixels, at 240 lines, of the band beside what is laid in which light is compared."""

STRAY = 0.12
"""Difference in light (of 1) to the usual one at which a pixel there counts e⁻¹: it is another thing."""

MISFIT = 0.06
"""Difference in that band, light apart, at which a key frame does not show that background any more."""

MOST = 0.35
"""Part of what is seen beside the hole that must agree; the rest may be a shadow, or pass by."""

TINT = 0.025
"""Change of colour, light apart, that a key frame may take on (of 1): more is of another thing."""

SOFT = 2.0
"""Pixels, at 240 lines, over which what is laid passes into what was seen."""

SLIVER = 1.5
"""Depth in pixels, at 240 lines, up to which what is left of a frame is filled smoothly."""

SLIVER_PART = 0.03
"""The same as part of what the frame lacked at first."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames that share a background.

    frames: float32 ``(T, h, w, 3)`` in [0, 1]. lacking: bool ``(T, h, w)``, to be completed; values there are
    not read. hidden: bool ``(T, h, w)``, not what the source shows, found or not. motion: completed, of these
    frames. scale: frame height / 240. guide: a coarse picture of each frame, shaped like ``frames``.
    """

    frames: Array
    lacking: Bool
    hidden: Bool
    motion: Motion
    scale: float
    guide: Array | None = None

    def pixels(self, length: float) -> int:
        """A length at 240 lines, in pixels of this shot."""
        return max(1, round(length * max(1.0, self.scale)))


@dataclass(frozen=True, slots=True)
class _Key:
    """A completed window of frame ``frame``: picture ``(h, w, 3)`` and grey; ``known``, bool, before that.

    corner: where its first pixel lies in the frame, (x, y).
    """

    frame: int
    corner: Array
    picture: Array
    grey: Bytes
    known: Bool


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a window of frame ``frame`` lies in a key: positions ``(h, w, 2)`` (x, y).

    plane: homography from the frame to the key's. off: pixels by which what is seen beside the hole lies
    elsewhere.
    """

    frame: int
    window: Window
    positions: Array
    plane: Homography
    off: float


@dataclass(frozen=True, slots=True)
class _Flow:
    """Flow ``(h, w, 2)`` from a window to the key seen from it; where it is reliable, bool."""

    ahead: Array
    reliable: Bool


def complete_background(
    shot: Shot, estimator: FlowEstimator, completer: Completer, checkpoints: Checkpoints = NOTHING_KEPT
) -> None:
    """Fill what the frames lack, in place; the same frames give the same result."""
    path = accumulate(shot.motion.camera)
    left = shot.lacking.copy()
    while (frame := _next_key(shot, left)) is not None:
        key = _complete(shot, left, frame, completer, checkpoints)
        for direction in (1, -1):
            _carry(shot, left, key, path, direction, estimator, checkpoints)
    for picture, rest in zip(shot.frames, left, strict=True):
        if rest.any():
            box = box_around(rest, shot.pixels(BESIDE))
            smooth = membrane(picture[box], (~rest[box]).astype(np.float32))
            picture[box][rest[box]] = np.clip(smooth, 0, 1)[rest[box]]


def _next_key(shot: Shot, left: Bool) -> int | None:
    """The frame of which most is left, rather in the middle of the shot; None where slivers are left."""
    best, most = None, 0.0
    for t, (rest, lacking) in enumerate(zip(left, shot.lacking, strict=True)):
        count = int(np.count_nonzero(rest))
        worth = count * (1 - 0.1 * abs(2 * t + 1 - len(left)) / len(left))
        if worth > most and not _is_sliver(shot, rest, count, int(np.count_nonzero(lacking))):
            best, most = t, worth
    return best


def _is_sliver(shot: Shot, rest: Bool, count: int, lacked: int) -> bool:
    small = count < SLIVER_PART * lacked
    return small or bool(depth_inside(rest).max() < SLIVER * max(1.0, shot.scale))


def _complete(shot: Shot, left: Bool, frame: int, completer: Completer, checkpoints: Checkpoints) -> _Key:
    """Complete a frame; nothing is left of it."""
    rest = left[frame]
    rows, columns = np.nonzero(rest)
    extent = WIDER * max(int(np.ptp(rows)), int(np.ptp(columns)))
    box = box_around(rest, max(shot.pixels(CONTEXT), round(extent)))
    picture = np.ascontiguousarray(shot.frames[frame][box])
    guide = None if shot.guide is None else np.ascontiguousarray(shot.guide[frame][box])
    hole = rest[box].copy()
    kept = checkpoints.get(f"key {frame}")
    done = completer(picture, hole, guide) if kept is None else kept[0]
    checkpoints.put(f"key {frame}", lambda: [done])
    shot.frames[frame][box] = done
    rest[:] = False
    corner = np.array([box[1].start, box[0].start], np.float32)
    return _Key(frame, corner, done, luma(done * np.float32(255)), ~hole)


def _carry(
    shot: Shot,
    left: Bool,
    key: _Key,
    path: list[Homography],
    direction: int,
    estimator: FlowEstimator,
    checkpoints: Checkpoints,
) -> None:
    """Lay a key frame in those after it, or before it, as long as it serves."""
    height, width = key.known.shape
    x, y = (int(value) for value in key.corner)
    window = slice(y, y + height), slice(x, x + width)
    place = _Place(key.frame, window, coordinate_grid(height, width), np.eye(3), 0.0)
    order = range(key.frame + 1, len(left)) if direction > 0 else range(key.frame - 1, -1, -1)
    pause = 0
    for t in order:
        if not shot.lacking[t].any():
            continue
        guess = place.plane @ between(path, t, place.frame)
        name = f"place {key.frame} {t}"
        if (kept := checkpoints.get(name)) is not None:
            found, serves = _placed_again(shot, left[t], t, kept)
        else:
            found = _register(shot, key, t, guess / guess[2, 2], place, estimator)
            serves = found is None or _lay(shot, left[t], key, found)
            checkpoints.put(name, partial(_placing, shot, left[t], found, serves))
        pause = 0 if found else pause + 1
        if pause > PAUSE or not serves:
            return
        place = found or place


def _placing(shot: Shot, left: Bool, place: _Place | None, serves: bool) -> list[npt.NDArray[Any]]:
    """What is to be kept of a frame in which a key frame was laid, for `_placed_again`."""
    if place is None:
        return [np.array([])]
    laid = shot.frames[place.frame][place.window].copy(), left[place.window].copy()
    return [np.array([place.off, serves]), place.positions, place.plane, *laid]


def _placed_again(shot: Shot, left: Bool, t: int, kept: list[npt.NDArray[Any]]) -> tuple[_Place | None, bool]:
    """Lay again in frame t what an earlier run has laid there; where it was, and whether the key served."""
    if not kept[0].size:
        return None, True
    window = box_around(shot.lacking[t], shot.pixels(AROUND))
    shot.frames[t][window], left[window] = kept[3:]
    return _Place(t, window, kept[1], kept[2], float(kept[0][0])), bool(kept[0][1])


def _register(
    shot: Shot, key: _Key, t: int, guess: Homography, before: _Place, estimator: FlowEstimator
) -> _Place | None:
    """Where frame t lies in a key; None where that does not reach it, or it is another thing.

    guess: homography from frame t to the key's; before: the place of a frame near by.
    """
    window = box_around(shot.lacking[t], shot.pixels(AROUND))
    x, y = window[1].start, window[0].start
    here = coordinate_grid(window[0].stop - y, window[1].stop - x, x, y)
    there = apply_homography(guess, here) - key.corner
    if not (inside(there, *key.known.shape) & shot.lacking[t][window]).any():
        return None
    found: _Place | None = None
    if flow := _flow_to(shot, key, t, window, there, estimator):
        plane = fit_homography(flow.ahead, flow.reliable, tolerance=TOLERANCE)
        moved = apply_homography(plane, here - here[0, 0]) + here[0, 0]
        rest, off = _rest(shot, t, window, flow.ahead - (moved - here), flow.reliable)
        positions = apply_homography(guess, moved + rest) - key.corner
        shift = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)
        found = _Place(t, window, positions, guess @ shift @ plane @ np.linalg.inv(shift), off)
    if (found is None or found.off > shot.pixels(OFF)) and abs(t - before.frame) == 1:
        there = _carried(shot, t, window, here, before)
        if flow := _flow_to(shot, key, t, window, there, estimator):
            rest, off = _rest(shot, t, window, flow.ahead, flow.reliable)
            if found is None or off < found.off:
                positions = sample(there, here - here[0, 0] + rest)
                found = _Place(t, window, positions, guess, off)
    return found if found and found.off <= shot.pixels(FARTHEST) else None


def _carried(shot: Shot, t: int, window: Window, here: Array, before: _Place) -> Array:
    """Positions in the key ``(h, w, 2)`` that the neighbour has, by the flow to it; far outside elsewhere."""
    flow, _ = shot.motion.step(t, before.frame - t)
    corner = np.array([before.window[1].start, before.window[0].start], np.float32)
    at = here + flow[window] - corner
    reached = inside(at, *before.positions.shape[:2])
    return np.where(reached[..., None], sample(before.positions, at), np.float32(-1e4))


def _flow_to(
    shot: Shot, key: _Key, t: int, window: Window, there: Array, estimator: FlowEstimator
) -> _Flow | None:
    """Flow from a window of frame t to the key seen at ``there (h, w, 2)``; None where they share nothing."""
    reached = inside(there, *key.known.shape)
    shown = sample(key.known.astype(np.float32), there, order=0, outside="zero") > 0
    usable = reached & shown & ~dilate(shot.hidden[t][window], shot.pixels(MARGIN))
    if np.count_nonzero(usable) < 100:
        return None
    own = luma(shot.frames[t][window] * np.float32(255))
    keys = np.rint(sample(key.grey, there)).astype(np.uint8)
    own = np.where(shot.lacking[t][window], keys, own).astype(np.uint8)
    keys = np.where(reached, keys, own).astype(np.uint8)
    ahead, back = estimator(own, keys), estimator(keys, own)
    return _Flow(ahead, usable & (inconsistency(ahead, back) < 1))


def _rest(shot: Shot, t: int, window: Window, rest: Array, reliable: Bool) -> tuple[Array, float]:
    """What registration leaves ``(h, w, 2)``, carried inward, and its usual length beside what is lacking."""
    import cv2

    length = np.sqrt((rest**2).sum(-1))
    beside = reliable & dilate(shot.lacking[t][window], shot.pixels(NEAR))
    if np.count_nonzero(beside) < 30:
        beside = reliable
    if not beside.any():
        return np.zeros_like(rest), np.inf
    weight = (reliable & (length < shot.pixels(4))).astype(np.float32)
    side = 2 * shot.pixels(ROUND) + 1
    inward = cv2.blur(membrane(rest, weight), (side, side)) if weight.any() else np.zeros_like(rest)
    return np.asarray(inward, np.float32), float(np.quantile(length[beside], MOST))


def _lay(shot: Shot, left: Bool, key: _Key, place: _Place) -> bool:
    """Lay a key frame in what is ``left (h, w)`` of a frame; False where it does not show what is beside."""
    rest, frame = left[place.window], shot.frames[place.frame][place.window]
    usable = inside(place.positions, *key.known.shape)
    laid = rest & usable
    if not laid.any():
        return True
    colour = sample(key.picture, place.positions, order=3)
    beside = usable & ~rest & dilate(laid, shot.pixels(BESIDE))
    light = _light(shot, frame - colour, beside)
    if _misfit(shot, frame - colour - light, beside) > MISFIT:
        return False
    colour = np.clip(colour + light, 0, 1)
    seen = usable & ~rest & shot.hidden[place.frame][place.window]
    part = np.where(laid, 1, _softness(shot, laid) * seen).astype(np.float32)
    frame += part[..., None] * (colour - frame)
    rest &= ~laid
    return True


def _softness(shot: Shot, laid: Bool) -> Array:
    """How far what is laid reaches beyond its edge ``(h, w)``."""
    import cv2

    away = np.asarray(cv2.distanceTransform((~laid).astype(np.uint8), cv2.DIST_L2, 3), np.float32)
    return np.asarray(np.clip(1 - away / (SOFT * max(1.0, shot.scale) + 1), 0, 1), np.float32)


def _light(shot: Shot, apart: Array, beside: Bool) -> Array:
    """What to add ``(h, w, 3)`` so that no edge is seen: differences ``beside``, carried inward."""
    known = beside.astype(np.float32)
    if not beside.any():
        return np.zeros_like(apart)
    mean = mean_around(apart, known, shot.pixels(4))
    usual = np.median(mean[beside], axis=0)
    known *= np.exp(-((np.abs(mean - usual).max(-1) / STRAY) ** 2)) * (np.abs(mean).max(-1) < 3 * STRAY)
    if known.max() <= 0.05:
        return np.zeros_like(apart)
    inward = membrane(mean, known)
    brighter = inward.mean(-1, keepdims=True)
    return np.asarray(brighter + np.clip(inward - brighter, -TINT, TINT), np.float32)


def _misfit(shot: Shot, apart: Array, beside: Bool) -> float:
    if not beside.any():
        return 0.0
    mean = mean_around(apart, beside.astype(np.float32), shot.pixels(3))
    return float(np.quantile(np.abs(mean[beside]).mean(-1), MOST))
