"""Candidate colours for the hidden pixels of one frame, checked against known pixels around the hole."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.flow.camera import apply_homography, between
from vinpaint_cli.ops.flow.motion import inconsistency
from vinpaint_cli.ops.image import (
    Array,
    Bool,
    box_around,
    coordinate_grid,
    dilate,
    membrane,
    sample,
    to_levels,
)
from vinpaint_cli.ops.propagate.fusion import Candidate, Kind
from vinpaint_cli.ops.propagate.scene import Scene, bicubic_levels, visible_at
from vinpaint_cli.ops.propagate.trace import Route

UNCHECKED = 120.0
"""Error in levels that a source is credited with when nothing around the hole can check it."""


class Ring:
    """The targets of one frame: n pixels of the hole and the band around it, where the truth is known."""

    def __init__(self, scene: Scene, t: int) -> None:
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
        import cv2

        present = np.ones(self._shape, np.uint8)
        present[self._at] = usable
        distance = np.asarray(cv2.distanceTransform(present, cv2.DIST_L2, 3), np.float32)
        return np.clip(distance[self._at][self.hidden] / self.fade, 0.02, 1)

    def judge(self, colour: Array, usable: Bool) -> tuple[Array, Array]:
        """Colour correction and error of a source, measured in the band around the hole and carried inward.

        ``colour (n, 3)`` at the targets and whether it is ``usable (n,)``. Returns, for the hidden
        pixels only, the colour correction ``(m, 3)`` and the size of the error ``(m,)``, in levels.
        """
        checked = usable & ~self.hidden
        if int(checked.sum()) < 10:
            m = int(self.hidden.sum())
            return np.zeros((m, 3), np.float32), np.full(m, UNCHECKED, np.float32)
        missing = self.truth - colour
        size = np.sqrt((missing**2).mean(-1, keepdims=True))
        evidence = np.concatenate([np.clip(missing, -self.exposure, self.exposure), size], -1)
        values = np.zeros((*self._shape, 4), np.float32)
        weights = np.zeros(self._shape, np.float32)
        values[self._at] = evidence
        weights[self._at] = checked
        inward = membrane(values, weights)[self._at][self.hidden]
        return inward[:, :3], inward[:, 3]


def from_route(scene: Scene, t: int, ring: Ring, route: Route, kind: Kind) -> Candidate:
    """Candidate made of the colours at the positions to which a route of the given kind leads."""
    usable = route.source >= 0
    colour = np.zeros((len(usable), 3), np.float32)
    for source in np.unique(route.source[usable]):
        here = route.source == source
        colour[here] = bicubic_levels(scene.frames[source], route.position[here])
    return _judged(ring, colour, usable, route.error, np.abs(route.source - t), kind)


def _judged(
    ring: Ring, colour: Array, usable: Bool, error: Array, distance: npt.NDArray[Any], kind: Kind
) -> Candidate:
    """The candidate at the hidden targets of a ring, corrected and rated by the known ones."""
    correction, seam = ring.judge(colour, usable)
    hidden = ring.hidden
    return Candidate(
        colour[hidden] + correction,
        usable[hidden],
        ring.ramp(usable),
        seam,
        error[hidden],
        distance[hidden].astype(np.float32),
        kind,
    )


def far_frames(scene: Scene, t: int) -> list[int]:
    """Distant frames that, by camera motion, show most of the hole, and parts that no nearer one shows."""
    count = len(scene.holes)
    offsets = {s for reach in scene.options.reaches for s in (t - reach, t + reach)}
    sources = sorted(s for s in offsets if 0 <= s < count)
    points = np.argwhere(scene.holes[t])[:, ::-1].astype(np.float32)
    points = points[:: max(1, len(points) // 500)]
    shows = {
        s: visible_at(scene.blocked[s], apply_homography(between(scene.path, t, s), points))[1]
        for s in sources
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


def from_far(scene: Scene, t: int, ring: Ring, source: int) -> Candidate:
    """Candidate from a distant frame, aligned by camera motion and then by optical flow around the hole."""
    options = scene.options
    window = box_around(scene.holes[t], options.pixels(options.context))
    y0, x0 = (edges.start for edges in window)
    grid = coordinate_grid(window[0].stop - y0, window[1].stop - x0, x0, y0)
    camera = between(scene.path, t, source)
    residual, error = _align(scene, t, source, window, apply_homography(camera, grid))
    at = ring.rows - y0, ring.columns - x0
    positions = apply_homography(camera, (grid + residual)[at])
    _, usable, _ = visible_at(scene.blocked[source], positions)
    colour = bicubic_levels(scene.frames[source], positions)
    return _judged(ring, colour, usable, error[at], np.full(len(usable), abs(source - t)), "far")


def _align(
    scene: Scene, t: int, source: int, window: tuple[slice, slice], positions: Array
) -> tuple[Array, Array]:
    """Flow left after aligning a far frame by camera motion: ``(flow (h, w, 2), error (h, w))``."""
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
