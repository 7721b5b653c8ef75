"""A picture as it is segmented: small, with its colours and edges worked out, and marks made on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from vinpaint_cli.masks.segment.palette import Palette, to_lab
from vinpaint_cli.ops.graph_cut import Edges, cut, edges_of
from vinpaint_cli.ops.image import Array, Bool
from vinpaint_cli.types import Box

if TYPE_CHECKING:
    from vinpaint_cli.types import Picture, Plane

LONG_SIDE = 432
_EDGE = 4.0

Point = tuple[float, float]
Pixel = tuple[int, int]


@dataclass(frozen=True, slots=True)
class View:
    """A picture as it is worked on: at most 432 pixels long; ``lab`` is CIELAB, a little blurred."""

    rgb: Picture
    lab: Array
    palette: Palette
    edges: Edges
    scale: tuple[float, float]

    @classmethod
    def of(cls, rgb: Picture) -> View:
        """View of a picture ``(H, W, 3)`` of 8 or 16 bits."""
        import cv2

        height, width = rgb.shape[:2]
        share = min(1.0, LONG_SIDE / max(height, width))
        size = max(1, round(width * share)), max(1, round(height * share))
        small = shrunk(rgb, size)
        lab = np.asarray(cv2.GaussianBlur(to_lab(small), (0, 0), 0.7), np.float32)
        return cls(small, lab, Palette(lab), edges_of(lab, _EDGE), (size[0] / width, size[1] / height))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.lab.shape[0], self.lab.shape[1]

    def shrink(self, rgb: Picture) -> Picture:
        """Another picture of the clip at the same size."""
        return shrunk(rgb, (self.shape[1], self.shape[0]))

    def pixels(self, points: Sequence[Point]) -> Sequence[Pixel]:
        """Row and column of each point."""
        rows, columns = self.shape
        return [
            (min(rows - 1, int(y * self.scale[1])), min(columns - 1, int(x * self.scale[0])))
            for x, y in points
        ]


def discs(shape: tuple[int, int], pixels: Sequence[Pixel], radius: int) -> Bool:
    """Discs of ``radius`` around pixels (row, column), bool of ``shape`` ``(h, w)``."""
    import cv2

    drawn = np.zeros(shape, np.uint8)
    for row, column in pixels:
        cv2.circle(drawn, (column, row), radius, 1, -1)
    return np.asarray(drawn > 0, np.bool_)


def parts(mask: Bool, on: Sequence[Pixel], least: float | None = None) -> Bool:
    """Connected parts that hold a point of ``on``, or, with ``least``, that share of the largest part."""
    import cv2

    _, labels, sizes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = sizes[:, cv2.CC_STAT_AREA].astype(np.float64)
    areas[0] = 0
    kept = np.zeros(len(areas), np.bool_) if least is None else areas >= least * max(areas.max(), 1)
    kept[[labels[pixel] for pixel in on]] = True
    kept[0] = False
    return np.asarray(kept[labels], np.bool_)


def bounds(allowed: Bool) -> Box:
    """Smallest box around what is allowed, and two pixels more where there are any."""
    rows, columns = np.flatnonzero(allowed.any(1)), np.flatnonzero(allowed.any(0))
    height, width = allowed.shape
    return Box(
        max(0, int(columns[0]) - 2),
        max(0, int(rows[0]) - 2),
        min(width, int(columns[-1]) + 3),
        min(height, int(rows[-1]) + 3),
    )


def shrunk(rgb: Picture, size: tuple[int, int]) -> Picture:
    """8-bit picture of ``(width, height)``."""
    import cv2

    small = rgb if rgb.shape[1::-1] == size else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    if small.dtype == np.uint8:
        return np.ascontiguousarray(small, np.uint8)
    return np.rint(np.asarray(small, np.float32) / 257).astype(np.uint8)


_PIXELS = 160_000
_SURE = 20.0


def sharpen(rgb: Picture, prior: Plane) -> Plane:
    """Probability ``(H, W)`` in [0, 1], decided anew within about 1.5 % of the frame's height of the outline.

    ``rgb (H, W, 3)`` 8 or 16 bit; ``prior (H, W)`` in [0, 1], such as a mask carried along flow. What is far
    from its outline stays as it is, and an empty or full prior stays so altogether. Work is on the part
    of the frame that holds the object, at most 160 000 pixels of it.
    """
    hole = prior > 0.5
    found = hole.astype(np.float32)
    if not hole.any() or hole.all():
        return found
    radius = max(2, round(0.012 * hole.shape[0]))
    frame = _frame(hole, 5 * radius)
    part = frame.slices()
    found[part] = _decide(rgb[part], prior[part], radius)
    return found


def _decide(rgb: Picture, prior: Array, radius: int) -> Array:
    """The part of a frame around the object, at a bounded size and back."""
    import cv2

    height, width = prior.shape
    scale = min(1.0, (_PIXELS / (height * width)) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size != (width, height):
        rgb = cast("Picture", cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
        prior = np.asarray(cv2.resize(prior, size, interpolation=cv2.INTER_AREA), np.float32)
    share = _cut_band(to_lab(rgb), prior, max(2, round(radius * scale)))
    if size != (width, height):
        share = np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return share


def _cut_band(lab: Array, prior: Array, radius: int) -> Array:
    """Cut within ``radius`` pixels of the outline by the colours on either side of it."""
    hole = prior > 0.5
    depth = _depth(hole)
    near = np.abs(depth) < 5 * radius
    palette = Palette(lab)
    sure_in, sure_out = near & (depth > 0.5 * radius), near & (depth < -0.5 * radius)
    if not sure_in.any():
        sure_in = hole
    colour = palette.ratio(sure_in, sure_out, 0.2)
    evidence = 1.2 * colour + 2.0 * np.clip(depth / radius, -1, 1)
    evidence = np.where(np.abs(depth) <= radius, evidence, np.where(hole, _SURE, -_SURE))
    return cut(evidence.astype(np.float32), edges_of(lab, 4.0), 40, hole.astype(np.float32))


def _depth(hole: Bool) -> Array:
    """Signed distance ``(h, w)`` from the outline in pixels, positive inside."""
    import cv2

    inside = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(inside - outside, np.float32)


def _frame(hole: Bool, margin: int) -> Box:
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    height, width = hole.shape
    return Box(
        max(0, int(columns[0]) - margin),
        max(0, int(rows[0]) - margin),
        min(width, int(columns[-1]) + 1 + margin),
        min(height, int(rows[-1]) + 1 + margin),
    )
