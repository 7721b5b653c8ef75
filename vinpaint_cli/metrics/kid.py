"""Kernel inception distance (KID) of filled holes: whether they look like the truth, equal or not.

Crops centred on pixels of the holes are described by means and standard deviations of features; filled and
true ones are compared as two sets by the unbiased polynomial MMD² of Bińkowski et al. (Demystifying MMD GANs,
ICLR 2018), on features of EfficientNet-Lite0 instead of Inception. 0 for the truth; a smear is far from it,
and a plausible picture that differs from the truth is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vinpaint_cli.metrics.perceptual import Features

Array = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

CROP = 64
"""Side of a crop in pixels; smaller frames are described whole."""
CROPS = 200
"""Crops of one clip: a few hundred are needed."""
LEAST = 50
"""Pixels below which a hole is not measured: all crops would be one."""
TOGETHER = 2000
"""Crops of several clips that are compared at most, evenly chosen, so that memory stays bounded."""
BATCH = 50


@dataclass(frozen=True, slots=True)
class Described:
    """Descriptors of the same crops of a filled clip and of the truth, each float32 ``(n, d)``."""

    filled: Array
    truth: Array


def places(where: Bool, count: int = CROPS, seed: int = 0) -> npt.NDArray[np.intp]:
    """Frame, row and column of ``count`` random pixels of ``where`` ``(T, h, w)``: int ``(count, 3)``.

    The same for a seed. Pixels repeat when there are fewer; below `LEAST` of them there is no place at all.
    """
    pixels = np.flatnonzero(where)
    if len(pixels) < LEAST:
        return np.empty((0, 3), np.intp)
    chosen = np.random.default_rng(seed).choice(pixels, count, replace=len(pixels) < count)
    return np.stack(np.unravel_index(chosen, where.shape), 1)


def describe(features: Features, frames: Bytes, chosen: npt.NDArray[np.intp]) -> Array:
    """Descriptors ``(n, d)`` of the crops of ``frames`` ``(T, h, w, 3)`` around places ``(n, 3)``.

    A crop that would leave the frame is moved inside.
    """
    rows = []
    with torch.no_grad():
        for start in range(0, len(chosen), BATCH):
            crops = _crops(frames, chosen[start : start + BATCH])
            found = features(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255)
            rows.append(torch.cat([torch.cat(_moments(x), 1) for x in found], 1).numpy())
    return np.concatenate(rows) if rows else np.empty((0, 1), np.float32)


def kid(parts: Sequence[Described]) -> float | None:
    """KID of the crops of one clip or of several together; None without any."""
    filled, truth = (
        np.concatenate([rows for rows in side if len(rows)] or [np.empty((0, 1), np.float32)])
        for side in ([part.filled for part in parts], [part.truth for part in parts])
    )
    step = -(-len(truth) // TOGETHER) or 1
    return mmd(filled[::step], truth[::step]) if len(truth) > 1 else None


def mmd(first: Array, second: Array) -> float:
    """Unbiased squared maximum mean discrepancy of two sets ``(n, d)``, n > 1, kernel ``(x·y/d + 1)³``.

    Row i of both belongs to the same place, so pairs (i, i) are left out (Gretton et al., JMLR 2012, Lemma 6,
    the estimator for n = m): equal sets are at distance 0 exactly.
    """
    x, y = first.astype(np.float64), second.astype(np.float64)

    def similarity(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
        kernel = (a @ b.T / a.shape[1] + 1) ** 3
        return float(kernel.sum() - np.trace(kernel)) / (len(a) * (len(a) - 1))

    return similarity(x, x) + similarity(y, y) - 2 * similarity(x, y)


def _crops(frames: Bytes, chosen: npt.NDArray[np.intp]) -> Bytes:
    """``(n, s, s, 3)``, or as much of that as a frame holds."""
    sides = [min(CROP, side) for side in frames.shape[1:3]]
    crops = []
    for t, *centre in chosen:
        y, x = (
            int(np.clip(at - side // 2, 0, whole - side))
            for at, side, whole in zip(centre, sides, frames.shape[1:3], strict=True)
        )
        crops.append(frames[t, y : y + sides[0], x : x + sides[1]])
    return np.stack(crops)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel ``(N, C)``."""
    return x.mean((2, 3)), x.std((2, 3), correction=0)
