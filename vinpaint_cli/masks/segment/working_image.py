"""The downscaled image that `grabcut` segments, its colour histogram, and the refinement of outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from vinpaint_cli.masks.segment.deep import DeepFeatures
from vinpaint_cli.ops.graph_cut import EdgeWeights, edge_weights, graph_cut
from vinpaint_cli.ops.image import Array, Bool, box_around, eight_bits
from vinpaint_cli.types import Box

if TYPE_CHECKING:
    from vinpaint_cli.types import Picture, Plane

LONG_SIDE = 432
_EDGE = 4.0

Point = tuple[float, float]
Pixel = tuple[int, int]


@dataclass(frozen=True, slots=True)
class WorkingImage:
    """An image downscaled to at most 432 pixels on its long side, with what the segmentation needs of it.

    ``rgb`` is uint8 ``(h, w, 3)``, ``lab`` its CIELAB, slightly blurred, ``scale`` the horizontal and
    vertical factor.
    """

    rgb: Picture
    lab: Array
    colours: ColourHistogram
    edges: EdgeWeights
    scale: tuple[float, float]
    deep: DeepFeatures | None = None

    @classmethod
    def of(cls, rgb: Picture) -> WorkingImage:
        """WorkingImage from a picture ``(H, W, 3)`` of 8 or 16 bits."""
        import cv2

        height, width = rgb.shape[:2]
        share = min(1.0, LONG_SIDE / max(height, width))
        size = max(1, round(width * share)), max(1, round(height * share))
        small = to_small(rgb, size)
        lab = np.asarray(cv2.GaussianBlur(to_lab(small), (0, 0), 0.7), np.float32)
        scale = size[0] / width, size[1] / height
        return cls(
            small,
            lab,
            ColourHistogram(lab),
            edge_weights(lab, _EDGE),
            scale,
            DeepFeatures.of(np.asarray(small, np.uint8)),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.lab.shape[0], self.lab.shape[1]

    def shrink(self, rgb: Picture) -> Picture:
        """Another frame of the clip at the same size, uint8 ``(h, w, 3)``."""
        return to_small(rgb, (self.shape[1], self.shape[0]))

    def enlarge(self, mask: Bool, rgb: Picture) -> Plane:
        """A mask ``(h, w)`` at the size of the frame ``rgb``, float32 ``(H, W)`` in [0, 1]."""
        import cv2

        return np.asarray(cv2.resize(mask.astype(np.float32), rgb.shape[1::-1]), np.float32)

    def pixels(self, points: Sequence[Point]) -> Sequence[Pixel]:
        """Row and column in this image of each point ``(x, y)`` of the frame."""
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
    """Connected parts with a pixel of ``on``, and with ``least`` those of that share of the largest."""
    import cv2

    _, labels, sizes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = sizes[:, cv2.CC_STAT_AREA].astype(np.float64)
    areas[0] = 0
    kept = np.zeros(len(areas), np.bool_) if least is None else areas >= least * max(areas.max(), 1)
    kept[[labels[pixel] for pixel in on]] = True
    kept[0] = False
    return np.asarray(kept[labels], np.bool_)


def bounds(mask: Bool, margin: int = 2) -> Box:
    """Bounding box of a mask ``(h, w)`` that is not empty, ``margin`` pixels wider but inside the image."""
    rows, columns = box_around(mask, margin)
    return Box(columns.start, rows.start, columns.stop, rows.stop)


def to_small(rgb: Picture, size: tuple[int, int]) -> Picture:
    """A picture resized to ``(width, height)``, uint8."""
    import cv2

    small = rgb if rgb.shape[1::-1] == size else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(eight_bits(np.asarray(small)))


_PIXELS = 160_000
_SURE = 20.0


def sharpen(rgb: Picture, prior: Plane) -> Plane:
    """Refine a soft mask near its outline: probability float32 ``(H, W)`` in [0, 1].

    ``rgb (H, W, 3)`` 8 or 16 bit; ``prior (H, W)`` in [0, 1], such as a mask carried along flow. Pixels
    within about 1.2 % of the frame's height of the outline are decided anew by a graph cut, others stay as
    they are, as does an empty or full prior. Computed around the object, on at most 160 000 pixels.
    """
    hole = prior > 0.5
    found = hole.astype(np.float32)
    if not hole.any() or hole.all():
        return found
    radius = max(2, round(0.012 * hole.shape[0]))
    part = box_around(hole, 5 * radius)
    found[part] = _decide(rgb[part], prior[part], radius)
    return found


def _decide(rgb: Picture, prior: Array, radius: int) -> Array:
    """Refine the part of a frame around the object, at a bounded size."""
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
    """Graph cut within ``radius`` pixels of the outline, by the colours on either side of it."""
    hole = prior > 0.5
    depth = _depth(hole)
    near = np.abs(depth) < 5 * radius
    colours = ColourHistogram(lab)
    sure_in, sure_out = near & (depth > 0.5 * radius), near & (depth < -0.5 * radius)
    if not sure_in.any():
        sure_in = hole
    colour = colours.log_odds(sure_in, sure_out, 0.2)
    log_odds = 1.2 * colour + 2.0 * np.clip(depth / radius, -1, 1)
    log_odds = np.where(np.abs(depth) <= radius, log_odds, np.where(hole, _SURE, -_SURE))
    return graph_cut(log_odds.astype(np.float32), edge_weights(lab, 4.0), 40, hole.astype(np.float32))


def _depth(hole: Bool) -> Array:
    """Signed distance ``(h, w)`` from the outline in pixels, positive inside."""
    import cv2

    inside = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(inside - outside, np.float32)


_CELL = np.array((10, 8, 8), np.float32)
_SMOOTH = 6.0
_RARE = 4e-3


def to_lab(rgb: Picture) -> Array:
    """CIELAB ``(h, w, 3)`` float32 of 8- or 16-bit RGB; lightness in 0…100."""
    import cv2

    peak = np.float32(255 if rgb.dtype == np.uint8 else 65535)
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / peak, cv2.COLOR_RGB2LAB), np.float32)


class ColourHistogram:
    """Histogram over a grid in CIELAB, smoothed between similar colours; deterministic, no clustering."""

    def __init__(self, lab: Array) -> None:
        cells = np.floor(lab / _CELL).astype(np.int64)
        cells -= cells.min((0, 1))
        size = cells.max((0, 1)) + 1
        keys = (cells[..., 0] * size[1] + cells[..., 1]) * size[2] + cells[..., 2]
        used = np.bincount(keys.ravel(), minlength=int(size.prod())) > 0
        self._cell = (np.cumsum(used) - 1)[keys].ravel()
        self._shape = lab.shape[:2]
        self._spread = _likeness(self._means(lab))

    def _means(self, lab: Array) -> npt.NDArray[np.float64]:
        count = np.bincount(self._cell)
        planes = [np.bincount(self._cell, plane.ravel()) / count for plane in np.moveaxis(lab, -1, 0)]
        return np.stack(planes, -1)

    def log_odds(self, inside: Array | Bool, outside: Array | Bool, leak: float, most: float = 3.0) -> Array:
        """Log-odds ``(h, w)``, within ±``most``, that a pixel's colour is the object's.

        ``inside`` and ``outside`` ``(h, w)`` weigh the pixels from which the two histograms are built.
        ``leak`` is the share of the inside that is assumed to be background: so much of the outside's
        histogram is subtracted from the inside's.
        """
        of_object, of_rest = self._density(inside), self._density(outside)
        of_object = np.maximum(of_object - leak * of_rest, 0)
        of_object /= of_object.sum() + 1e-9
        ratio = np.log((of_object + _RARE) / (of_rest + _RARE))
        lookup = np.clip(ratio, -most, most).astype(np.float32)
        return np.asarray(lookup[self._cell].reshape(self._shape), np.float32)

    def _density(self, weights: Array | Bool) -> npt.NDArray[np.float64]:
        counts = np.bincount(self._cell, weights.ravel().astype(np.float64), len(self._spread))
        return np.asarray(self._spread @ (counts / (counts.sum() + 1e-9)), np.float64)


def _likeness(means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Smoothing kernel ``(k, k)`` between cells, columns summing to one, by their distance in CIELAB."""
    squared = np.square(means[:, None] - means[None]).sum(-1)
    near = np.exp(squared / (-2 * _SMOOTH**2))
    return np.asarray(near / near.sum(0), np.float64)
