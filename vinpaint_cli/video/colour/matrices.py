"""Colour models: which matrix and range a clip uses, and how displayed and coded pictures are turned.

Source: ITU-T H.273 for the code points, ITU-R BT.601, BT.709 and BT.2020 for the luma coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vinpaint_cli.types import Box, ColorInfo
from vinpaint_cli.video.colour.layouts import Layout

if TYPE_CHECKING:
    import numpy.typing as npt

    Matrix: TypeAlias = npt.NDArray[np.float64]

UNSPECIFIED = 2
_KR_KB = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_YCGCO = 8


def effective_matrix(color: ColorInfo, width: int, height: int) -> int:
    """H.273 matrix to convert with; an unspecified one is BT.601 for SD, BT.709 above (one rule for all).

    SD is what standard definition was: narrower than 1280 and at most 576 rows (coded size, PAL
    included). Matrices that are not linear in RGB (ICtCp …) count as unspecified.
    """
    if color.matrix in _KR_KB or color.matrix == _YCGCO:
        return color.matrix
    return 6 if width < 1280 and height <= 576 else 1


def effective_range(color: ColorInfo, layout: Layout) -> bool:
    """Whether samples span the full range: the tag where there is one, else by the format.

    Untagged ``yuvj``, RGB and gray are full, other YUV is limited. RGB is always full.
    """
    if layout.model == "rgb" or layout.name.startswith("yuvj"):
        return True
    if color.full_range is not None:
        return color.full_range
    return layout.model == "gray"


def rgb_to_ycc(matrix: int) -> Matrix:
    """3×3 from R, G, B in [0, 1] to Y in [0, 1] and Cb, Cr in [−½, ½]."""
    if matrix == _YCGCO:
        return np.array([[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]])
    kr, kb = _KR_KB[matrix]
    luma = np.array([kr, 1.0 - kr - kb, kb])
    blue = (np.array([0.0, 0.0, 1.0]) - luma) / (2.0 * (1.0 - kb))
    red = (np.array([1.0, 0.0, 0.0]) - luma) / (2.0 * (1.0 - kr))
    return np.stack([luma, blue, red])


def quantisation(layout: Layout, full: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """``((offset, span) of luma, (offset, span) of chroma)`` in sample values.

    sample = offset + span · value, with value in [0, 1] for luma and [−½, ½] for chroma.
    """
    unit = float(1 << (layout.depth - 8))
    middle = 128.0 * unit
    if full:
        return (0.0, float(layout.peak)), (middle, float(layout.peak))
    return (16.0 * unit, 219.0 * unit), (middle, 224.0 * unit)


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a coded picture becomes the displayed one: mirrored left–right first, then turned clockwise."""

    rotation: int = 0
    mirrored: bool = False

    @property
    def sideways(self) -> bool:
        """Whether width and height change places."""
        return self.rotation % 180 == 90

    def display(self, coded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Displayed view of a coded picture ``(h, w, …)``."""
        picture = coded[:, ::-1] if self.mirrored else coded
        return np.rot90(picture, -self.rotation // 90)

    def code(self, displayed: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Coded view of a displayed picture ``(h, w, …)``: the inverse of :meth:`display`."""
        picture = np.rot90(displayed, self.rotation // 90)
        return picture[:, ::-1] if self.mirrored else picture

    def displayed_size(self, width: int, height: int) -> tuple[int, int]:
        """Displayed ``(width, height)`` of a coded size."""
        return (height, width) if self.sideways else (width, height)

    def coded_box(self, box: Box, width: int, height: int) -> Box:
        """Coded box of a displayed one; ``width`` and ``height`` are the coded picture's."""
        x0, y0, x1, y1 = {
            0: (box.x0, box.y0, box.x1, box.y1),
            90: (box.y0, height - box.x1, box.y1, height - box.x0),
            180: (width - box.x1, height - box.y1, width - box.x0, height - box.y0),
            270: (width - box.y1, box.x0, width - box.y0, box.x1),
        }[self.rotation]
        return Box(width - x1, y0, width - x0, y1) if self.mirrored else Box(x0, y0, x1, y1)


def orientation_of(matrix: Sequence[int] | None) -> Orientation:
    """Nearest quarter turn (and mirroring) of a container's 3×3 display matrix of 16.16 fixed point.

    The first row is where the coded x axis points when displayed, the second row the y axis.
    """
    if matrix is None:
        return Orientation()
    a, b, _, c, d, *_ = matrix
    mirrored = a * d - b * c < 0
    if abs(c) > abs(d):
        return Orientation(90 if c < 0 else 270, mirrored)
    return Orientation(0 if d >= 0 else 180, mirrored)
