"""LaMa (Suvorov et al., Resolution-robust Large Mask Inpainting with Fourier Convolutions, WACV 2022).

The network is the one of OpenCV's model zoo and runs in OpenCV's dnn. It takes ``image (1, 3, 512, 512)`` RGB
in [0, 1] and ``mask (1, 1, 512, 512)``, 1 = fill, and gives a picture ``(1, 3, 512, 512)`` in [0, 255].
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.plan.windows import plan_tiles
from vinpaint_cli.types import Box
from vinpaint_cli.weights.store import resolve

if TYPE_CHECKING:
    import cv2

    from vinpaint_cli.ops.image import Array, Bool

WEIGHTS = "lama"

SIDE = 512
"""Pixels a side of what the network sees."""

MARGIN = 32
"""Pixels it sees around what it fills, at least; more where less is to be filled."""


class LamaCompleter:
    """A LaMa network as a `Completer`; it needs no guide.

    It sees pictures at their own scale, in tiles. A hole too large for one is filled tile by tile, that of
    which most is known first, so that each goes on from what the others have filled.
    """

    def __init__(self, network: cv2.dnn.Net) -> None:
        self._network = network

    def __call__(self, picture: Array, hole: Bool, guide: Array | None) -> Array:
        """The picture with its hole filled."""
        if not hole.any():
            return picture
        result, left = np.where(hole[..., None], np.float32(0), picture), hole.copy()
        tiles = [(tile, _around(tile, hole.shape)) for tile in _tiles(hole)]
        while tiles:
            tile, seen = min(tiles, key=lambda pair: float(left[pair[1]].mean()))
            tiles.remove((tile, seen))
            filled = result.copy()
            filled[seen] = self._fill(result[seen], left[seen])
            result[tile][left[tile]] = filled[tile][left[tile]]
            left[tile] = False
        return result

    def _fill(self, picture: Array, hole: Bool) -> Array:
        """What the network sees in the place of a picture ``(h, w, 3)`` of at most `SIDE` a side."""
        height, width = hole.shape
        beyond = (0, SIDE - height), (0, SIDE - width)
        image = np.pad(picture, (*beyond, (0, 0)), "symmetric").transpose(2, 0, 1)[None]
        mask = np.pad(hole, beyond, "symmetric").astype(np.float32)[None, None]
        self._network.setInput(np.ascontiguousarray(image), "image")
        self._network.setInput(mask, "mask")
        levels = self._network.forward()[0].transpose(1, 2, 0)[:height, :width]
        return np.asarray(np.clip(levels * np.float32(1 / 255), 0, 1), np.float32)


def open_lama(weights: str | Path = WEIGHTS) -> LamaCompleter:
    """LaMa with weights of the store, which are never fetched here, or of a file; raises WeightsError."""
    import cv2

    path = resolve(weights)
    try:
        return LamaCompleter(cv2.dnn.readNetFromONNX(str(path)))
    except cv2.error as exc:
        raise WeightsError(
            f"OpenCV {cv2.__version__} cannot read {path} ({exc.err}); install opencv-python-headless>=5"
        ) from exc


def _tiles(hole: Bool) -> list[tuple[slice, slice]]:
    """Rows and columns of the pieces of a hole that are filled one by one."""
    rows, columns = np.nonzero(hole)
    box = Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    boxes = [tile.box for tile in plan_tiles(box, SIDE - 2 * MARGIN, 0)]
    pieces = [(slice(one.y0, one.y1), slice(one.x0, one.x1)) for one in boxes]
    return [piece for piece in pieces if hole[piece].any()]


def _around(tile: tuple[slice, slice], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns seen to fill a tile, which is in their middle as far as the picture allows."""
    rows, columns = (
        slice(start, start + min(SIDE, length))
        for part, length in zip(tile, shape, strict=True)
        for start in [max(0, min((part.start + part.stop - SIDE) // 2, length - SIDE))]
    )
    return rows, columns
