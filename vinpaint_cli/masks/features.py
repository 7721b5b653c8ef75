"""What a pixel looks like: colour at four scales, edges, contrast and texture, as plain figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.masks.passes import Bytes, grown, shrunk

if TYPE_CHECKING:
    import numpy.typing as npt

    from vinpaint_cli.types import Plane

    Planes = npt.NDArray[np.float32]

LOOKS, TEXTURE = 39, 16
"""Figures per pixel that `describe` gives; the last of them are texture."""

_SCALE = np.array((1 / 40, 1 / 25, 1 / 25), np.float32)
_RING = ((0, 2), (2, 2), (2, 0), (2, -2), (0, -2), (-2, -2), (-2, 0), (-2, 2))
_ORIENTATIONS = 4
_STEP = np.float32(12)


def describe(rgb: Bytes) -> Planes:
    """Looks of every pixel of ``rgb`` uint8 ``(h, w, 3)``: float32 ``(h, w, LOOKS)``, of about unit size.

    Lab colour, the same blurred over 1.5, 4 and 9 pixels, its deviation over 4; the strength of edges in
    four directions over 1.5 and 5; how the ring of pixels two away differs in light, signed over 2.5 and
    absolute over 5 (a soft local binary pattern). Wide blurs are taken of smaller pictures.
    """
    import cv2

    lab = np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    lab *= _SCALE
    light = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (0, 0), 0.8).astype(np.float32)
    ring, edges = _ring(light), _edges(np.ascontiguousarray(lab[..., 0]))
    middle = blurred(np.dstack([lab, lab * lab]), 4)
    spread = np.sqrt(np.maximum(middle[..., 3:] - middle[..., :3] ** 2, 0))
    parts = [lab, _blur(lab, 1.5), middle[..., :3], blurred(lab, 9)]
    parts += [3 * _blur(edges, 1.5), 3 * blurred(edges, 5), 2 * spread]
    parts += [2 * _blur(ring, 2.5), 2 * blurred(np.abs(ring), 5)]
    return np.asarray(cv2.merge(parts), np.float32)


def blurred(planes: Planes, radius: float) -> Planes:
    """Wide Gaussian blur of float32 ``(h, w, c)``, on a picture smaller by 2, or by 4 from 8 pixels on."""
    height, width = planes.shape[:2]
    factor = 4 if radius >= 8 else 2
    small = max(1, width // factor), max(1, height // factor)
    parts = [
        grown(_blur(shrunk(planes[..., at : at + 4], small), radius / factor), (width, height)).reshape(
            height, width, -1
        )
        for at in range(0, planes.shape[2], 4)
    ]
    return np.concatenate(parts, axis=-1)


def _blur(planes: Planes, radius: float) -> Planes:
    import cv2

    return np.asarray(cv2.GaussianBlur(planes, (0, 0), radius), np.float32).reshape(planes.shape)


def _edges(light: Plane) -> Planes:
    """Strength of edges along each of four directions ``(h, w, 4)``."""
    import cv2

    right, down = (cv2.Sobel(light, cv2.CV_32F, *way, ksize=3) / 2 for way in ((1, 0), (0, 1)))
    strength = np.sqrt(right * right + down * down) + np.float32(1e-6)
    angles = [math.pi * place / _ORIENTATIONS for place in range(_ORIENTATIONS)]
    along = [right * math.cos(angle) + down * math.sin(angle) for angle in angles]
    squares = [(step / strength) ** 2 for step in along]
    return np.dstack([strength * square * square for square in squares]).astype(np.float32, copy=False)


def _ring(light: Plane) -> Planes:
    """How much lighter each pixel of the ring is, squashed to -1…1: ``(h, w, 8)``."""
    height, width = light.shape
    wide = np.pad(light, 2, mode="edge")
    near = [wide[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width] for dy, dx in _RING]
    return np.dstack([np.tanh((other - light) / _STEP) for other in near]).astype(np.float32)
