"""Image arithmetic on arrays: sampling, dilation, and the membrane (smooth interpolation).

Arrays are channels-last. cv2 is imported inside the functions, so this room loads without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.integer[Any]]

_COLUMNS = 1024


def coordinate_grid(height: int, width: int, x0: int = 0, y0: int = 0) -> Array:
    """Pixel positions ``(h, w, 2)`` float32, ``[..., 0]`` = x + x0, ``[..., 1]`` = y + y0."""
    y, x = np.mgrid[y0 : y0 + height, x0 : x0 + width].astype(np.float32)
    return np.dstack([x, y])


def pixel_positions(rows: Integers, columns: Integers) -> Array:
    """Positions ``(n, 2)`` (x, y) float32 of n pixels."""
    return np.stack([columns, rows], -1).astype(np.float32)


def inside(positions: Array, height: int, width: int) -> Bool:
    """Which of ``positions (…, 2)`` (x, y in pixels) lie in a picture, on its outermost pixels at most."""
    return np.asarray(((positions >= 0) & (positions <= (width - 1, height - 1))).all(-1))


def sample(picture: npt.NDArray[Any], positions: Array, *, order: int = 1, outside: str = "edge") -> Array:
    """Values of ``picture (h, w[, c])`` at ``positions (…, 2)`` (x, y in pixels).

    ``order`` is 0 (nearest), 1 (bilinear) or 3 (bicubic); ``outside`` is ``edge`` (repeat the border)
    or ``zero``. Returns float32 of shape ``positions.shape[:-1] (+ channels)``.
    """
    import cv2

    flag = {0: cv2.INTER_NEAREST, 1: cv2.INTER_LINEAR, 3: cv2.INTER_CUBIC}[order]
    border = cv2.BORDER_REPLICATE if outside == "edge" else cv2.BORDER_CONSTANT
    source = picture.astype(np.float32, copy=False)
    if positions.ndim == 3:
        return np.asarray(
            cv2.remap(source, positions[..., 0], positions[..., 1], flag, borderMode=border), np.float32
        )
    count = len(positions)
    if not count:
        return np.zeros((0, *source.shape[2:]), np.float32)
    # As a sheet, because remap is many times slower on a single column, and bounded in rows.
    sheet = np.zeros((-(-count // _COLUMNS), _COLUMNS, 2), np.float32)
    sheet.reshape(-1, 2)[:count] = positions
    values = np.asarray(cv2.remap(source, sheet[..., 0], sheet[..., 1], flag, borderMode=border), np.float32)
    return values.reshape(-1, *source.shape[2:])[:count]


def dilate(mask: Bool, radius: int) -> Bool:
    """``mask (h, w)`` dilated by a disc of ``radius`` pixels."""
    import cv2

    if radius <= 0:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc), np.uint8).astype(bool)


def box_around(hole: Bool, context: int) -> tuple[slice, slice]:
    """Rows and columns of the hole dilated by ``context`` pixels, inside the image; the hole is not empty."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    height, width = hole.shape
    return (
        slice(max(int(rows[0]) - context, 0), min(int(rows[-1]) + 1 + context, height)),
        slice(max(int(columns[0]) - context, 0), min(int(columns[-1]) + 1 + context, width)),
    )


def dilate_exact(mask: Bool, radius: float) -> Bool:
    """``mask (h, w)`` with all pixels at most ``radius`` pixels away, exactly; a new one.

    For large radii faster than `dilate`, whose disc is OpenCV's.
    """
    import cv2

    result = mask.copy()
    if radius > 0 and mask.any():
        part = box_around(mask, math.ceil(radius))
        apart = cv2.distanceTransform((~mask[part]).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        result[part] = apart <= radius + 1e-3
    return result


def dilate_by_thickness(mask: Bool, radius: int) -> Bool:
    """``mask (h, w)`` dilated by ``radius`` pixels, its thin parts by less; a new one.

    A part grows by at most half its thickness, in steps of two, but by a third of ``radius`` at least.
    """
    import cv2

    result = dilate_exact(mask, max(1.0, radius / 3))
    if not mask.any() or mask.all():
        return result
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    for reach in (radius / 2, radius):
        result |= dilate_exact(np.asarray(depth > reach), 2 * reach)
    return result


def mean_around(values: Array, weight: Array, radius: int) -> Array:
    """Mean of ``values (h, w[, c])`` over squares of 2 · radius + 1 pixels, by ``weight (h, w)``.

    0 where there is no weight.
    """
    import cv2

    side = (2 * radius + 1,) * 2
    shape = values.shape[:2] + (1,) * (values.ndim - 2)
    total = np.asarray(cv2.blur(values * weight.reshape(shape), side), np.float32).reshape(values.shape)
    return np.asarray(total / np.maximum(cv2.blur(weight, side), 1e-3).reshape(shape), np.float32)


def depth_inside(hole: Bool) -> Array:
    """Distance in pixels from each hole pixel to the nearest known one or the picture's edge ``(h, w)``.

    0 outside the hole. The edge counts, so that a picture that is all hole is not infinitely deep.
    """
    import cv2

    framed = np.pad(hole.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, 3), np.float32)[1:-1, 1:-1]


def luma(rgb: Array) -> Bytes:
    """8-bit grey of ``rgb (h, w, 3)`` in 0…255, Rec. 601 weights: what flow is estimated on."""
    grey = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def to_levels(picture: npt.NDArray[Any]) -> Array:
    """``(…)`` uint8, uint16 or float [0, 1] → float32 in 0…255."""
    if picture.dtype == np.uint8:
        return picture.astype(np.float32)
    if picture.dtype == np.uint16:
        return picture.astype(np.float32) * np.float32(1 / 257)
    return picture.astype(np.float32) * np.float32(255)


def eight_bits(picture: npt.NDArray[Any]) -> Bytes:
    """A picture ``(h, w, 3)`` of uint8 or uint16 as uint8; itself if it has eight bits."""
    return picture if picture.dtype == np.uint8 else np.asarray((picture + np.uint32(128)) // 257, np.uint8)


def shrunk(picture: Array, hole: Bool, step: int) -> tuple[Array, Array]:
    """A picture ``(h, w, c)`` downscaled by ``step``: means of the known pixels.

    Returns ``(H, W, c)``, 0 where all is hidden, and ``(H, W)``: 1 there, else 0.
    """
    import cv2

    size = max(1, hole.shape[1] // step), max(1, hole.shape[0] // step)
    known = (~hole).astype(np.float32)
    support = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA), np.float32)
    sums = cv2.resize(picture * known[..., None], size, interpolation=cv2.INTER_AREA)
    means = sums.reshape(*support.shape, -1) / np.maximum(support, 1e-3)[..., None]
    return np.asarray(means, np.float32), (support < 1e-3).astype(np.float32)


def enlarged(picture: Array, shape: tuple[int, ...]) -> Array:
    """A picture ``(H, W, c)`` resized bilinearly to ``shape``, whose first two values are ``(h, w)``."""
    import cv2

    return np.asarray(cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def membrane(values: Array, weights: Array, sweeps: int = 6) -> Array:
    """Interpolate smoothly where ``weights`` are small: an approximate solution of Laplace's equation.

    ``values (h, w, c)``; ``weights (h, w)`` in [0, 1], 1 = keep, 0 = interpolate. Weighted averages are
    pulled down a pyramid, pushed up bilinearly, and relaxed with ``sweeps`` Jacobi steps per level, so a
    hole of any size costs about as much as the picture. Returns float32 ``(h, w, c)``.
    """
    if float(weights.min()) >= 0.999:
        return values.astype(np.float32, copy=False)
    height, width = weights.shape
    if max(height, width) <= 2:
        mean = (values * weights[..., None]).sum((0, 1)) / max(float(weights.sum()), 1e-6)
        return _mix(values, np.asarray(np.broadcast_to(mean, values.shape), np.float32), weights)
    coarse = _push(*_pull(values, weights), (height, width), sweeps)
    return _relax(_mix(values, coarse, weights), values, weights, sweeps)


def joined(pictures: Sequence[Bytes], axis: int, gap: int = 4) -> Bytes:
    """Pictures uint8 RGB beside each other (axis 1) or below each other (axis 0), white pixels between them.

    Heights must agree beside each other, widths below each other.
    """
    height, width = pictures[0].shape[:2]
    white = np.full((height, gap, 3) if axis else (gap, width, 3), 255, np.uint8)
    return np.concatenate([piece for picture in pictures for piece in (picture, white)][:-1], axis)


def _mix(values: Array, other: Array, weights: Array) -> Array:
    keep = np.repeat(weights[..., None], values.shape[-1], axis=-1)
    return np.asarray(other + keep * (values - other), np.float32)


def _pull(values: Array, weights: Array) -> tuple[Array, Array]:
    """One pyramid level down: weighted 2×2 means and the weight of each."""
    import cv2

    height, width = weights.shape
    stack = np.zeros((height + height % 2, width + width % 2, values.shape[-1] + 1), np.float32)
    inside = stack[:height, :width]
    np.multiply(values, weights[..., None], out=inside[..., :-1])
    inside[..., -1] = weights
    half = cv2.resize(stack, (stack.shape[1] // 2, stack.shape[0] // 2), interpolation=cv2.INTER_AREA)
    support = np.asarray(half[..., -1], np.float32)
    means = half[..., :-1] / np.maximum(support, 1e-6)[..., None]
    return np.asarray(means, np.float32), np.minimum(1, support * 4)


def _push(means: Array, support: Array, shape: tuple[int, int], sweeps: int) -> Array:
    """Solve the coarser level and bring it up to ``shape``."""
    import cv2

    solved = membrane(means, support, sweeps)
    rows, columns = support.shape
    up = cv2.resize(solved, (columns * 2, rows * 2), interpolation=cv2.INTER_LINEAR)
    return np.asarray(up, np.float32).reshape(rows * 2, columns * 2, -1)[: shape[0], : shape[1]]


def _relax(guess: Array, values: Array, weights: Array, sweeps: int) -> Array:
    """Jacobi steps inside the bounding box of what is not kept."""
    import cv2

    box = box_around(weights < 0.999, 1)
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
    part = np.ascontiguousarray(guess[box])
    around = np.empty_like(part)
    loose = np.repeat(1 - weights[box][..., None], part.shape[-1], axis=-1)
    pinned = values[box] * (1 - loose)
    for _ in range(sweeps):
        cv2.filter2D(part, -1, cross, dst=around, borderType=cv2.BORDER_REFLECT_101)
        np.multiply(around, loose, out=part)
        part += pinned
    guess[box] = part
    return guess
