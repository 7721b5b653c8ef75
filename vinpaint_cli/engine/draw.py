"""How a hole, and what a person pointed at, are drawn over a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageDraw

from vinpaint_cli.masks.prompts import Prompt

if TYPE_CHECKING:
    import numpy.typing as npt

    from vinpaint_cli.types import Hole

    Bytes = npt.NDArray[np.uint8]

_TINT, _TINT_SHARE = (255, 0, 128), 0.5
_LINE, _HALO = (255, 255, 255), (120, 0, 60)
_YES, _NO = (60, 220, 90), (255, 60, 50)
_DOT = 7


def draw_tile(picture: Bytes, hole: Hole, size: tuple[int, int]) -> Bytes:
    """A small picture of a frame with its hole tinted and outlined.

    picture: uint8 ``(H, W, 3)``. hole: bool ``(H, W)``. size: ``(width, height)`` of the result.
    """
    import cv2

    shrinks = size[0] < picture.shape[1]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    share = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    # A hole thinner than a pixel of the tile must still be seen.
    marked = (share >= 0.5) | ((share > 0) & (cv2.blur(share, (3, 3)) < 0.5))
    return tint(np.asarray(small, np.uint8), marked)


def draw_prompt(
    draw: ImageDraw.ImageDraw, prompt: Prompt, corner: tuple[int, int], scale: tuple[float, float]
) -> None:
    """Dots where a person pointed, green on the object and red beside it, and the box around it.

    corner: of the drawn frame in the picture; scale: drawn pixels per pixel of the clip, along x and y.
    """

    def at(x: float, y: float) -> tuple[float, float]:
        return corner[0] + x * scale[0], corner[1] + y * scale[1]

    if prompt.box is not None:
        draw.rectangle([at(prompt.box.x0, prompt.box.y0), at(prompt.box.x1, prompt.box.y1)], None, _YES, 2)
    for (x, y), label in zip(prompt.points, prompt.labels, strict=True):
        draw.circle(at(x + 0.5, y + 0.5), _DOT, _YES if label else _NO, _LINE, 2)


def tint(picture: Bytes, marked: Hole) -> Bytes:
    """A copy of a picture, uint8 ``(h, w, 3)``, tinted and outlined where ``marked`` ``(h, w)`` is True."""
    import cv2

    drawn: Bytes = np.array(picture, np.uint8, order="C")
    # Without its own colours a hole looks the same over a blue shirt and over green leaves.
    grey = picture[marked].mean(axis=-1, keepdims=True)
    drawn[marked] = (grey + _TINT_SHARE * (np.array(_TINT) - grey)).round().astype(np.uint8)
    outlines, _ = cv2.findContours(marked.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, outlines, -1, _HALO, 3)
    cv2.drawContours(drawn, outlines, -1, _LINE, 1)
    return drawn
