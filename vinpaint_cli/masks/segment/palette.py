"""Which colours are the object's and which the background's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.image import Array, Bool

if TYPE_CHECKING:
    from vinpaint_cli.types import Picture

_CELL = np.array((10, 8, 8), np.float32)
_SMOOTH = 6.0
_RARE = 4e-3


def to_lab(rgb: Picture) -> Array:
    """CIELAB ``(h, w, 3)`` float32 of 8- or 16-bit RGB; lightness in 0…100."""
    import cv2

    peak = np.float32(255 if rgb.dtype == np.uint8 else 65535)
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / peak, cv2.COLOR_RGB2LAB), np.float32)


class Palette:
    """The colours of one picture: each pixel's cell of a grid over CIELAB, and how alike cells are.

    No clustering and no chance: the same picture always has the same palette.
    """

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

    def ratio(self, inside: Array | Bool, outside: Array | Bool, leak: float, most: float = 3.0) -> Array:
        """Log-ratio ``(h, w)`` of each pixel's colour being the object's, within ±``most``.

        ``inside`` and ``outside`` ``(h, w)`` weigh the pixels the colours are learnt from. ``leak`` is the
        share of the inside that is taken to be background after all: so much of the outside's colours
        is taken away from the inside's.
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
    """Shares ``(k, k)``, columns summing to one, in which a cell's colour is seen in the others."""
    squared = np.square(means[:, None] - means[None]).sum(-1)
    near = np.exp(squared / (-2 * _SMOOTH**2))
    return np.asarray(near / near.sum(0), np.float64)
