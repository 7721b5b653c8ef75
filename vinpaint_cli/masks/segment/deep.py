"""What a picture shows, as a network trained on ImageNet sees it: tells things apart whose colours are alike.

Features of EfficientNet-Lite0 at three strides are joined at 1/8 of the picture's size. Whether a place is of
the object is then decided by a linear discriminant between the places inside and outside a mask.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.ops.image import Array, Bool, Bytes

if TYPE_CHECKING:
    from vinpaint_cli.metrics.perceptual import Features

_DIMENSIONS = 32
_SHARES = (0.5, 1.0, 1.5)
"""Weights of the features after the blocks of `perceptual.BLOCKS`: later ones tell things, not edges."""
_SHRINKAGE, _LEAST = 0.1, 0.05
_MOST = 3.0
_SMALLEST = 32


class DeepFeatures:
    """Features ``(h, w, 32)`` of one picture, at about 1/8 of its size."""

    def __init__(self, features: Array) -> None:
        self._features = features

    @classmethod
    def of(cls, rgb: Bytes) -> DeepFeatures | None:
        """Features of a picture uint8 ``(H, W, 3)``.

        None for one with a side under 32 pixels, and where the network is not installed.
        """
        network = _network() if min(rgb.shape[:2]) >= _SMALLEST else None
        return None if network is None else cls(_principal(_joined(network, rgb)))

    def log_odds(self, inside: Array | Bool, outside: Array | Bool) -> Array:
        """Log-odds ``(H, W)``, within ±3, that a place looks like the inside of a mask, not the outside.

        ``inside`` and ``outside`` ``(H, W)`` weigh the pixels that are compared.
        """
        import cv2

        height, width, count = self._features.shape
        weights = [
            np.asarray(cv2.resize(plane.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA))
            for plane in (inside, outside)
        ]
        if min(float(plane.sum()) for plane in weights) < 1e-3:
            return np.zeros(inside.shape, np.float32)
        places = self._features.reshape(-1, count)
        means, spread = [], np.zeros((count, count), np.float32)
        for plane in weights:
            share = plane.reshape(-1, 1) / plane.sum()
            mean = (share * places).sum(0)
            means.append(mean)
            spread += ((places - mean) * share).T @ (places - mean) / 2
        spread += np.eye(count, dtype=np.float32) * (_SHRINKAGE * np.trace(spread) / count + _LEAST)
        normal = np.linalg.solve(spread, means[0] - means[1])
        found = (places - (means[0] + means[1]) / 2) @ normal
        found = np.clip(found, -_MOST, _MOST).reshape(height, width).astype(np.float32)
        return np.asarray(cv2.resize(found, inside.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


@cache
def _network() -> Features | None:
    from vinpaint_cli.metrics.perceptual import load_lite_features

    try:
        return load_lite_features()
    except WeightsError:
        return None


def _joined(network: Features, rgb: Bytes) -> Array:
    """The network's features, each block of about the same variance: ``(h, w, 176)``."""
    import torch
    from torch.nn.functional import adaptive_avg_pool2d, interpolate

    from vinpaint_cli.masks.track.appearance import one_thread

    picture = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
    with one_thread(), torch.inference_mode():
        fine, middle, coarse = network(picture)
        size = (int(middle.shape[2]), int(middle.shape[3]))
        blocks = adaptive_avg_pool2d(fine, size), middle, interpolate(coarse, size=size, mode="bilinear")
        parts = []
        for block, share in zip(blocks, _SHARES, strict=True):
            centred = block - block.mean((2, 3), keepdim=True)
            parts.append(share * centred / (centred.square().mean().sqrt() + 1e-6))
        return np.ascontiguousarray(torch.cat(parts, 1)[0].permute(1, 2, 0).numpy())


def _principal(features: Array) -> Array:
    """The first 32 principal components of features ``(h, w, c)``, together of unit variance."""
    height, width, count = features.shape
    _, _, axes = np.linalg.svd(features.reshape(-1, count), full_matrices=False)
    kept = features @ axes[:_DIMENSIONS].T
    return np.asarray(kept / (kept.std() + 1e-6), np.float32).reshape(height, width, -1)
