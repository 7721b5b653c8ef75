"""Motion of a clip: flow between neighbouring frames, its consistency, and its completion inside holes.

Flow convention: ``flow[y, x] = (dx, dy)`` in pixels takes a point of the first picture to the second, so
``warp(B, flow)(x) = B(x + flow(x))`` looks like the first picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.flow import FlowEstimator
from vinpaint_cli.ops.flow.camera import Homography, apply_homography, fit_homography
from vinpaint_cli.ops.image import (
    Array,
    Bool,
    Bytes,
    Integers,
    coordinate_grid,
    dilate,
    membrane,
    pixel_positions,
    sample,
)
from vinpaint_cli.ops.parallel import for_each
from vinpaint_cli.types import Checkpoints

Half = npt.NDArray[np.float16]

NOTHING_KEPT = Checkpoints()


@dataclass(frozen=True, slots=True)
class Motion:
    """Optical flow and camera motion of a clip of T frames.

    ``forward[t]``: frame t → t+1, ``backward[t]``: frame t+1 → t, each ``(h, w, 2)`` float16 pixels,
    completed inside the holes; ``camera[t]``: homography t → t+1. Each has T−1 entries.
    """

    forward: tuple[Half, ...]
    backward: tuple[Half, ...]
    camera: tuple[Homography, ...]

    def step(self, t: int, direction: int) -> tuple[Array, Array]:
        """Flow from frame t to its neighbour ``t + direction`` (±1), and the flow back; float32."""
        pair = t if direction > 0 else t - 1
        ahead, back = self.forward[pair], self.backward[pair]
        if direction < 0:
            ahead, back = back, ahead
        return ahead.astype(np.float32), back.astype(np.float32)

    def part(self, start: int, stop: int) -> Motion:
        """Motion of the frames ``[start, stop)``."""
        pairs = slice(start, max(start, stop - 1))
        return Motion(self.forward[pairs], self.backward[pairs], self.camera[pairs])


def inconsistency(flow: Array, opposite: Array) -> Array:
    """Forward–backward error relative to what the motion allows; at most 1 means consistent ``(h, w)``.

    ``|f(x) + b(x + f(x))|² / (0.01·(|f|² + |b|²) + 0.5)`` (Sundaram et al., ECCV 2010).
    """
    height, width = flow.shape[:2]
    return _apart(flow, sample(opposite, coordinate_grid(height, width) + flow))


def inconsistency_at(flow: Array, opposite: Array, rows: Integers, columns: Integers) -> Array:
    """:func:`inconsistency` of n pixels alone ``(n,)``; flows ``(h, w, 2)``, rows and columns ``(n,)``."""
    here = flow[rows, columns]
    positions = pixel_positions(rows, columns) + here
    return _apart(here, sample(opposite, positions))


def _apart(flow: Array, back: Array) -> Array:
    allowed = np.float32(0.01) * (_squared_length(flow) + _squared_length(back)) + np.float32(0.5)
    return np.asarray(_squared_length(flow + back) / allowed, np.float32)


def _squared_length(flow: Array) -> Array:
    x, y = flow[..., 0], flow[..., 1]  # written out: a sum over a last axis of two is slow
    return np.asarray(x * x + y * y, np.float32)


def complete(flow: Array, hidden: Bool, reliable: Bool, guide: Homography) -> Array:
    """Flow inside ``hidden``: the camera's motion plus a membrane over what differs from it around.

    Unreliable flow outside (occlusions) counts for less. Shapes ``(h, w, 2)`` and ``(h, w)``.
    """
    if not hidden.any():
        return flow
    grid = coordinate_grid(*hidden.shape)
    camera = apply_homography(guide, grid) - grid
    weights = np.where(hidden, 0, np.where(reliable, 1, 0.05)).astype(np.float32)
    completed = camera + membrane(flow - camera, weights)
    return np.where(hidden[..., None], completed, flow).astype(np.float32)


def estimate_motion(
    grey: Callable[[int], Bytes],
    holes: Sequence[Bool],
    estimator: FlowEstimator,
    *,
    margin: int = 8,
    threads: int = 1,
    tick: Callable[[], None] = lambda: None,
    checkpoints: Checkpoints = NOTHING_KEPT,
) -> Motion:
    """Motion of a clip whose frame t looks like ``grey(t)`` with something neutral in its hole.

    ``margin`` pixels around a hole are not trusted either: the estimator's patches reach into it. As many
    pairs of frames as there are ``threads`` are worked on at once; ``tick`` is called once per pair.
    """
    forward: list[Half] = []
    backward: list[Half] = []
    camera: list[Homography] = []

    def work(t: int) -> tuple[Half, Half, Homography]:
        if (kept := checkpoints.get(f"flow {t}")) is not None:
            return kept[0], kept[1], kept[2]
        hidden = dilate(holes[t], margin), dilate(holes[t + 1], margin)
        ahead, back, homography = _pair(grey(t), grey(t + 1), hidden, estimator)
        return _packed(ahead), _packed(back), homography

    def done(t: int, found: tuple[Half, Half, Homography]) -> None:
        forward.append(found[0])
        backward.append(found[1])
        camera.append(found[2])
        checkpoints.put(f"flow {t}", lambda: found)
        tick()

    for_each(range(len(holes) - 1), work, done, threads)
    return Motion(tuple(forward), tuple(backward), tuple(camera))


def _packed(flow: Array) -> Half:
    """Flow as float16, whose range is larger than any flow inside a picture."""
    return np.clip(flow, -30_000, 30_000).astype(np.float16)


def _pair(
    first: Bytes, second: Bytes, hidden: tuple[Bool, Bool], estimator: FlowEstimator
) -> tuple[Array, Array, Homography]:
    ahead, back = estimator(first, second), estimator(second, first)
    grid = coordinate_grid(*first.shape)
    lost_ahead = hidden[0] | _lands_in(hidden[1], grid + ahead)
    lost_back = hidden[1] | _lands_in(hidden[0], grid + back)
    good_ahead = inconsistency(ahead, back) < 1
    good_back = inconsistency(back, ahead) < 1
    guide = fit_homography(ahead, good_ahead & ~lost_ahead)
    inverse = np.linalg.inv(guide)
    return (
        complete(ahead, lost_ahead, good_ahead, guide),
        complete(back, lost_back, good_back, inverse / inverse[2, 2]),
        guide,
    )


def _lands_in(hole: Bool, positions: Array) -> Bool:
    if not hole.any():
        return np.zeros_like(hole)
    return np.asarray(sample(hole.astype(np.float32), positions, order=0, outside="zero") > 0, np.bool_)
