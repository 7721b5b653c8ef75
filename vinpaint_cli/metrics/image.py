"""How far one picture is from another: PSNR, SSIM, L1 and sharpness, of all pixels or of a hole.

Pictures are ``(h, w, 3)`` in 0…255, of any real type; sums are taken in float64. Holes are bool ``(h, w)``,
True = counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Picture = npt.NDArray[Any]

PEAK = 255.0

PSNR_CAP = 100.0
"""What two equal pictures score, in dB; without a cap a mean over frames would be infinite."""

PAPER_WINDOW = 65
"""Side of the SSIM window of STTN, FuseFormer, E2FGVI and ProPainter, in pixels."""

LOCAL_WINDOW = 7
"""Side of the SSIM window for a hole alone: larger ones would mostly measure what surrounds it."""

SHARP_MARGIN = 2
"""Pixels at the edge of a hole whose sharpness does not count: a seam is no detail."""
SHARP_LEAST = 25
"""Pixels that must be left of a hole."""


def psnr(result: Picture, truth: Picture, hole: Bool | None = None) -> float:
    """Peak signal-to-noise ratio in dB, at most 100: ``20·log10(255 / √MSE)``.

    The mean square is over all channels of all pixels, or of those of ``hole``. Raises ValueError for
    pictures of different shape or a hole without pixels.
    """
    error = float((_difference(result, truth, hole) ** 2).mean())
    if error <= 0:
        return PSNR_CAP
    return min(PSNR_CAP, float(10 * np.log10(PEAK**2 / error)))


def l1(result: Picture, truth: Picture, hole: Bool | None = None) -> float:
    """Mean absolute difference in levels of 0…255; shapes and errors as `psnr`."""
    return float(np.abs(_difference(result, truth, hole)).mean())


def ssim(result: Picture, truth: Picture, window: int = PAPER_WINDOW) -> float:
    """Structural similarity of whole pictures with a uniform window, as the papers measure it.

    The map is averaged over the places where the window lies wholly inside. Raises ValueError for a window
    that is even or larger than the picture. Source: Wang et al., 2004; sample covariances as scikit-image.
    """
    edge = window // 2
    values = ssim_map(result, truth, window)
    height, width = values.shape[:2]
    return float(values[edge : height - edge, edge : width - edge].mean())


def ssim_hole(result: Picture, truth: Picture, hole: Bool, window: int = LOCAL_WINDOW) -> float:
    """Structural similarity at the pixels of a hole, whose windows may reach out of it.

    Raises ValueError as `ssim`, and for a hole without pixels.
    """
    if not hole.any():
        raise ValueError("the hole has no pixel, so it has no similarity")
    return float(ssim_map(result, truth, window)[hole].mean())


def ssim_map(result: Picture, truth: Picture, window: int) -> Array:
    """Structural similarity around each pixel, float64 ``(h, w, 3)``; pictures are mirrored at the border.

    Constants K₁ = 0.01, K₂ = 0.03, range 255. Raises ValueError for a window that does not fit.
    """
    if window % 2 == 0 or not 3 <= window <= min(truth.shape[:2]):
        raise ValueError(f"window {window} must be odd, at least 3 and fit into {truth.shape[:2]}")
    x, y = _checked(result, truth)
    mean_x, mean_y = _mean(x, window), _mean(y, window)
    unbias = window**2 / (window**2 - 1)
    variance_x = unbias * (_mean(x * x, window) - mean_x * mean_x)
    variance_y = unbias * (_mean(y * y, window) - mean_y * mean_y)
    covariance = unbias * (_mean(x * y, window) - mean_x * mean_y)
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return np.asarray(above / below, np.float64)


def sharpness(result: Picture, truth: Picture, hole: Bool) -> float:
    """Mean |Laplacian| of grey in the hole without its edge, over that of the truth there.

    1 is as sharp as the truth, 0.3 a smear, above 1.3 noise. NaN when too little of the hole is left (it is
    eroded by 5×5 pixels) or the truth is flat.
    """
    import cv2

    side = 2 * SHARP_MARGIN + 1
    inner = cv2.erode(hole.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    if np.count_nonzero(inner) < SHARP_LEAST:
        return float("nan")
    found, wanted = (_detail(picture)[inner].mean(dtype=np.float64) for picture in (result, truth))
    return float(found / wanted) if wanted > 0 else float("nan")


def largest_window(height: int, width: int, window: int = PAPER_WINDOW) -> int:
    """``window``, or the largest odd one that a smaller picture has room for."""
    side = min(height, width, window)
    return side if side % 2 else side - 1


def _detail(picture: Picture) -> npt.NDArray[np.float32]:
    """Absolute Laplacian (4 neighbours) of the luma, float32 ``(h, w)``."""
    import cv2

    grey = cv2.cvtColor(np.asarray(picture, np.float32), cv2.COLOR_RGB2GRAY)
    return np.abs(np.asarray(cv2.Laplacian(grey, cv2.CV_32F), np.float32))


def _checked(result: Picture, truth: Picture) -> tuple[Array, Array]:
    if result.shape != truth.shape or truth.ndim != 3:
        raise ValueError(f"pictures of shape {result.shape} and {truth.shape} cannot be compared")
    return result.astype(np.float64), truth.astype(np.float64)


def _difference(result: Picture, truth: Picture, hole: Bool | None) -> Array:
    if hole is not None:
        if not hole.any():
            raise ValueError("the hole has no pixel, so it has no error")
        result, truth = result[hole][None], truth[hole][None]
    x, y = _checked(result, truth)
    return x - y


def _mean(values: Array, window: int) -> Array:
    """Mean over the window around each pixel."""
    import cv2

    return np.asarray(cv2.blur(values, (window, window), borderType=cv2.BORDER_REFLECT), np.float64)
