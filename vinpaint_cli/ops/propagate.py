"""Real pixels carried into holes from other frames: the first stage of every method.

For each hidden pixel several candidates are collected:

* along the chain of completed optical flow, forward and backward in time, frame by frame until a frame
  shows the point (the position stays sub-pixel, the picture is sampled once, so nothing blurs);
* from a few far frames of the shot, brought close by the camera's motion and aligned by optical flow
  against what is known around the hole.

Each source is also sampled in a band around the hole, where the truth is known: what it misses there is
carried inward, corrects exposure, and tells how far the candidate can be trusted (`ops.fusion`).
The chain follows the idea of Xu et al. (Deep Flow-Guided Video Inpainting, CVPR 2019, section 3.3) and
Gao et al. (FGVC, ECCV 2020); the consistency measure is that of `ops.flow.inconsistency`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.camera import Homography, accumulate, apply_homography, between
from vinpaint_cli.ops.flow import DisFlow, FlowEstimator, Motion, estimate_motion, inconsistency
from vinpaint_cli.ops.fusion import Candidate, fuse
from vinpaint_cli.ops.image import (
    Array,
    Bool,
    Bytes,
    coordinate_grid,
    depth_inside,
    dilate,
    luma,
    membrane,
    sample,
    to_levels,
)

Integers = npt.NDArray[np.int32]

SUPPORT = 2
"""Pixels around a hole that are not taken as a source: bicubic sampling there would read the hole."""


@dataclass(frozen=True, slots=True)
class PropagateOptions:
    """What may be tuned.

    ``unit``: frame height in units of 240 lines; lengths in pixels grow with it. ``band``: width of the
    ring around a hole where candidates are checked. ``margin``: pixels around a hole whose flow is not
    trusted. ``context``: pixels around a hole that far frames are aligned on. ``far``: how many far frames
    are tried at most, out of those ``reaches`` frames away in both directions; none is where no more than
    a share of ``enough`` of the hole has a confidence below ``sure`` after the chains. ``fade``: pixels
    over which a candidate fades out at the edge of what its source shows. ``exposure``: largest
    correction of brightness in levels.
    """

    unit: float = 1.0
    band: int = 6
    margin: int = 8
    context: int = 48
    far: int = 4
    reaches: tuple[int, ...] = (4, 8, 16, 32, 64)
    sure: float = 0.9
    enough: float = 0.02
    fade: int = 5
    exposure: float = 24.0

    def pixels(self, length: int) -> int:
        """A length at 240 lines, in pixels of this clip; grows with the square root beyond that."""
        growth: float = max(1.0, self.unit) ** 0.5
        return max(2, round(length * growth))


@dataclass(frozen=True, slots=True)
class Propagation:
    """What propagation found.

    frames: float32 ``(T, h, w, 3)`` RGB in [0, 1], the source with found pixels written into the holes.
    confidence: float32 ``(T, h, w)`` in [0, 1]: 1 outside holes; inside, the share of a pixel that
    propagation answers for; 0 where no frame shows it. motion: completed optical flow.
    """

    frames: Array
    confidence: Array
    motion: Motion


@dataclass(frozen=True, slots=True)
class _Scene:
    """Everything the search for candidates reads.

    ``frames`` are float32 in [0, 1]; they may be filled while they are read, because nothing reads inside
    ``blocked``, the holes grown by `SUPPORT`.
    """

    frames: Array
    holes: Sequence[Bool]
    blocked: Sequence[Bool]
    grey: Sequence[Bytes]
    motion: Motion
    path: Sequence[Homography]
    estimator: FlowEstimator
    options: PropagateOptions

    def targets(self, t: int) -> Bool:
        """The hole of frame t and the band around it."""
        return dilate(self.holes[t], self.options.pixels(self.options.band))


@dataclass(frozen=True, slots=True)
class _Route:
    """Where n target pixels of one frame are seen: source frame (−1 = nowhere), position there, error."""

    rows: Integers
    columns: Integers
    source: Integers
    position: Array
    error: Array


def propagate(
    frames: npt.NDArray[Any],
    holes: Sequence[Bool],
    options: PropagateOptions | None = None,
    estimator: FlowEstimator | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Propagation:
    """Fill what other frames show.

    frames: ``(T, h, w, 3)`` uint8, uint16 or float [0, 1]; what they hold inside the holes is not looked
    at. holes: T × bool ``(h, w)``, True = fill. ``tick`` is called 2·T − 1 times as work advances.
    """
    options = options or PropagateOptions()
    filled = _unit_range(frames)
    scene = _scene(filled, holes, options, estimator or DisFlow(), tick)
    confidence = np.ones(frames.shape[:3], np.float32)
    chains = [_follow(scene, direction) for direction in (1, -1)]
    for t, hole in enumerate(holes):
        if hole.any():
            colour, trust = _fill_frame(scene, t, [chain[t] for chain in chains])
            filled[t][hole] = np.clip(colour / 255, 0, 1)
            confidence[t][hole] = trust
        tick()
    return Propagation(filled, confidence, scene.motion)


def _unit_range(frames: npt.NDArray[Any]) -> Array:
    """A float32 copy in [0, 1], made frame by frame so that nothing larger is held."""
    unit = np.empty(frames.shape, np.float32)
    for target, frame in zip(unit, frames, strict=True):
        np.divide(to_levels(frame), 255, out=target)
    return unit


def _scene(
    frames: Array,
    holes: Sequence[Bool],
    options: PropagateOptions,
    estimator: FlowEstimator,
    tick: Callable[[], None],
) -> _Scene:
    grey = [_neutral_grey(frame, hole) for frame, hole in zip(frames, holes, strict=True)]
    margin = options.pixels(options.margin)
    motion = estimate_motion(grey.__getitem__, holes, estimator, margin=margin, tick=tick)
    blocked = [dilate(hole, SUPPORT) for hole in holes]
    return _Scene(frames, holes, blocked, grey, motion, accumulate(motion.camera), estimator, options)


def _neutral_grey(frame: Array, hole: Bool) -> Bytes:
    """Grey picture with the hole smoothed over, so that its content and edge pull no flow."""
    grey = luma(to_levels(frame))
    if not hole.any():
        return grey
    smooth = membrane(grey[..., None].astype(np.float32), (~hole).astype(np.float32))
    return np.clip(np.rint(smooth[..., 0]), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- the chain of neighbours


def _follow(scene: _Scene, direction: int) -> list[_Route]:
    """Routes of every frame, looking ``direction`` (+1 later, −1 earlier) in time."""
    count = len(scene.holes)
    order = range(count - 1, -1, -1) if direction > 0 else range(count)
    shape = scene.holes[0].shape
    routes: dict[int, _Route] = {}
    seen: tuple[Integers, Array, Array] | None = None
    for t in order:
        rows, columns = (a.astype(np.int32) for a in np.nonzero(scene.targets(t)))
        route = _step(scene, t, direction, rows, columns, seen)
        routes[t] = route
        seen = _dense(route, shape)
    return [routes[t] for t in range(count)]


def _dense(route: _Route, shape: tuple[int, ...]) -> tuple[Integers, Array, Array]:
    """A route as maps over the whole picture, for the next frame to look up."""
    source = np.full(shape, -1, np.int32)
    position = np.zeros((*shape, 2), np.float32)
    error = np.zeros(shape, np.float32)
    at = route.rows, route.columns
    source[at], position[at], error[at] = route.source, route.position, route.error
    return source, position, error


def _step(
    scene: _Scene,
    t: int,
    direction: int,
    rows: Integers,
    columns: Integers,
    seen: tuple[Integers, Array, Array] | None,
) -> _Route:
    n = len(rows)
    nowhere = np.full(n, -1, np.int32)
    if seen is None or n == 0:
        return _Route(rows, columns, nowhere, np.zeros((n, 2), np.float32), np.zeros(n, np.float32))
    ahead, back = scene.motion.step(t, direction)
    here = np.stack([columns, rows], -1).astype(np.float32)
    there = here + ahead[rows, columns]
    error = inconsistency(ahead, back)[rows, columns]
    inside, shown, nearest = _look(scene.blocked[t + direction], there)
    ny, nx = nearest
    carried = inside & ~shown & (seen[0][ny, nx] >= 0)
    offset = there - np.stack([nx, ny], -1).astype(np.float32)
    return _Route(
        rows,
        columns,
        np.where(inside & shown, t + direction, np.where(carried, seen[0][ny, nx], nowhere)).astype(np.int32),
        np.where(shown[:, None], there, seen[1][ny, nx] + offset).astype(np.float32),
        np.where(shown, error, error + seen[2][ny, nx]).astype(np.float32),
    )


def _look(hole: Bool, positions: Array) -> tuple[Bool, Bool, tuple[Integers, Integers]]:
    """Which ``positions`` lie inside the picture, which on known pixels only, and the nearest pixel."""
    height, width = hole.shape
    x, y = positions[:, 0], positions[:, 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x0 = np.clip(np.floor(x), 0, max(width - 2, 0)).astype(np.int32)
    y0 = np.clip(np.floor(y), 0, max(height - 2, 0)).astype(np.int32)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    hidden = hole[y0, x0] | hole[y1, x0] | hole[y0, x1] | hole[y1, x1]
    nx = np.clip(np.rint(x), 0, width - 1).astype(np.int32)
    ny = np.clip(np.rint(y), 0, height - 1).astype(np.int32)
    return inside, inside & ~hidden, (ny, nx)


# ---------------------------------------------------------------- candidates of one frame


def _fill_frame(scene: _Scene, t: int, routes: Sequence[_Route]) -> tuple[Array, Array]:
    """``(colour (n, 3) in 0…255, confidence (n,))`` of the n pixels of the hole of frame t."""
    ring = _Ring(scene, t)
    depth = depth_inside(scene.holes[t])[scene.holes[t]] / max(1.0, scene.options.unit)
    candidates = [_from_route(scene, t, ring, route) for route in routes]
    colour, confidence = fuse(candidates, depth)
    if float((confidence < scene.options.sure).mean()) <= scene.options.enough:
        return colour, confidence
    candidates += [_from_far(scene, t, ring, s) for s in _far_frames(scene, t)]
    return fuse(candidates, depth)


class _Ring:
    """The targets of one frame: n pixels of the hole and the band around it, where the truth is known."""

    def __init__(self, scene: _Scene, t: int) -> None:
        targets = scene.targets(t)
        self.rows, self.columns = np.nonzero(targets)
        self.hidden: Bool = scene.holes[t][self.rows, self.columns]
        self.truth = to_levels(scene.frames[t][self.rows, self.columns])
        self.exposure = scene.options.exposure
        self.fade = scene.options.pixels(scene.options.fade)
        y0, x0 = int(self.rows.min()), int(self.columns.min())
        self._shape = int(self.rows.max()) + 1 - y0, int(self.columns.max()) + 1 - x0
        self._at = self.rows - y0, self.columns - x0

    def ramp(self, usable: Bool) -> Array:
        """Fades a candidate out towards the edge of where it is usable, so that none begins with a seam.

        ``usable (n,)`` at the targets; ``(m,)`` in (0, 1] at the hidden ones, 1 away from the edge.
        """
        present = np.ones(self._shape, np.uint8)
        present[self._at] = usable
        import cv2

        distance = np.asarray(cv2.distanceTransform(present, cv2.DIST_L2, 3), np.float32)
        return np.clip(distance[self._at][self.hidden] / self.fade, 0.02, 1)

    def judge(self, colour: Array, usable: Bool) -> tuple[Array, Array]:
        """What a source misses in the band, carried into the hole.

        ``colour (n, 3)`` at the targets and whether it is ``usable (n,)``. Returns, for the hidden
        pixels only, the colour correction ``(m, 3)`` and the size of the error ``(m,)``, in levels.
        """
        checked = usable & ~self.hidden
        if int(checked.sum()) < 10:
            m = int(self.hidden.sum())
            return np.zeros((m, 3), np.float32), np.full(m, 60, np.float32)
        missing = self.truth - colour
        size = np.sqrt((missing**2).mean(-1, keepdims=True))
        evidence = np.concatenate([np.clip(missing, -self.exposure, self.exposure), size], -1)
        values = np.zeros((*self._shape, 4), np.float32)
        weights = np.zeros(self._shape, np.float32)
        values[self._at] = evidence
        weights[self._at] = checked
        inward = membrane(values, weights)[self._at][self.hidden]
        return inward[:, :3], inward[:, 3]


def _from_route(scene: _Scene, t: int, ring: _Ring, route: _Route) -> Candidate:
    usable = route.source >= 0
    colour = np.zeros((len(usable), 3), np.float32)
    for source in np.unique(route.source[usable]):
        here = route.source == source
        colour[here] = bicubic_levels(scene.frames[source], route.position[here])
    correction, seam = ring.judge(colour, usable)
    hidden = ring.hidden
    return Candidate(
        colour[hidden] + correction,
        usable[hidden],
        ring.ramp(usable),
        seam,
        route.error[hidden],
        np.abs(route.source[hidden] - t).astype(np.float32),
        chained=True,
    )


def bicubic_levels(frame: Array, positions: Array) -> Array:
    """Bicubic samples of one frame in [0, 1] at ``positions (n, 2)``, in 0…255 ``(n, 3)``."""
    return sample(frame, positions, order=3) * np.float32(255)


# ---------------------------------------------------------------- far frames through the camera's motion


def _far_frames(scene: _Scene, t: int) -> list[int]:
    """Frames worth trying: those that, by camera motion, show most of the hole, and what others do not."""
    count = len(scene.holes)
    offsets = {s for reach in scene.options.reaches for s in (t - reach, t + reach)}
    sources = sorted(s for s in offsets if 0 <= s < count)
    points = np.argwhere(scene.holes[t])[:, ::-1].astype(np.float32)
    points = points[:: max(1, len(points) // 500)]
    shows = {
        s: _look(scene.blocked[s], apply_homography(between(scene.path, t, s), points))[1] for s in sources
    }
    chosen: list[int] = []
    gain = np.ones(len(points), np.float32)
    while len(chosen) < scene.options.far and shows:
        worth = {
            s: float((gain * seen).mean()) * (1 - 0.05 * np.log2(abs(s - t))) for s, seen in shows.items()
        }
        best = max(worth, key=lambda s: worth[s])
        if worth[best] < 0.02:
            break
        gain = np.where(shows.pop(best), gain * 0.4, gain)
        chosen.append(best)
    return chosen


def _from_far(scene: _Scene, t: int, ring: _Ring, source: int) -> Candidate:
    options = scene.options
    x0, y0, x1, y1 = _around(scene.holes[t], options.pixels(options.context))
    window = slice(y0, y1), slice(x0, x1)
    grid = coordinate_grid(y1 - y0, x1 - x0, x0, y0)
    camera = between(scene.path, t, source)
    residual, error = _align(scene, t, source, window, apply_homography(camera, grid))
    at = ring.rows - y0, ring.columns - x0
    positions = apply_homography(camera, (grid + residual)[at])
    _, usable, _ = _look(scene.blocked[source], positions)
    colour = bicubic_levels(scene.frames[source], positions)
    correction, seam = ring.judge(colour, usable)
    hidden = ring.hidden
    return Candidate(
        colour[hidden] + correction,
        usable[hidden],
        ring.ramp(usable),
        seam,
        error[at][hidden],
        np.full(int(hidden.sum()), abs(source - t), np.float32),
        chained=False,
    )


def _around(hole: Bool, context: int) -> tuple[int, int, int, int]:
    """``x0 y0 x1 y1`` of the hole grown by ``context``, inside the picture."""
    rows, columns = np.nonzero(hole)
    return (
        max(int(columns.min()) - context, 0),
        max(int(rows.min()) - context, 0),
        min(int(columns.max()) + 1 + context, hole.shape[1]),
        min(int(rows.max()) + 1 + context, hole.shape[0]),
    )


def _align(
    scene: _Scene, t: int, source: int, window: tuple[slice, slice], positions: Array
) -> tuple[Array, Array]:
    """What the camera's motion leaves between frame t and a far one: ``(flow (h, w, 2), error (h, w))``."""
    margin = scene.options.pixels(scene.options.margin)
    here = np.ascontiguousarray(scene.grey[t][window])
    height, width = scene.holes[source].shape
    x, y = positions[..., 0], positions[..., 1]
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    covered = dilate(scene.holes[source], margin)
    absent = outside | (sample(covered.astype(np.float32), positions, order=0, outside="zero") > 0)
    there = np.where(absent, here, np.rint(sample(scene.grey[source], positions))).astype(np.uint8)
    ahead, back = scene.estimator(here, there), scene.estimator(there, here)
    error = inconsistency(ahead, back)
    hidden = absent | dilate(scene.holes[t], margin)[window]
    weights = np.where(hidden, 0, np.where(error < 1, 1, 0.02)).astype(np.float32)
    smooth = membrane(ahead, weights)
    residual = np.where(hidden[..., None], smooth, ahead)
    doubt = membrane(np.minimum(error, 20)[..., None], (~hidden).astype(np.float32))
    return residual.astype(np.float32), doubt[..., 0]
