"""Clips cut to the size that is trained on, turned, and put together as batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.train.pack import Bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """uint8 tensors: ``truth`` and ``found`` ``(B, T, 3, h, w)``, ``residual`` ``(B, T, 1, h, w)``.

    ``found`` is the truth outside holes, arbitrary where the share is 255 and what propagation found in
    between.
    """

    truth: Tensor
    found: Tensor
    residual: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        parts = (part.to(device, non_blocking=True) for part in (self.truth, self.found, self.residual))
        return Batch(*parts)


def collate(clips: Sequence[tuple[Bytes, Bytes, Bytes]]) -> Batch:
    """Clips of one shape, channels last, as one batch, channels first."""
    truth, found, residual = (torch.from_numpy(np.stack(parts)) for parts in zip(*clips, strict=True))
    return Batch(
        truth.permute(0, 1, 4, 2, 3).contiguous(),
        found.permute(0, 1, 4, 2, 3).contiguous(),
        residual[:, :, None],
    )


def crop(
    rng: np.random.Generator,
    truth: Bytes,
    found: Bytes,
    residual: Bytes,
    size: tuple[int, int],
    hidden: float = 0.5,
) -> tuple[Bytes, Bytes, Bytes]:
    """Scale down at random and cut to ``size``, so that something is left to fill.

    ``hidden``: see :func:`shrink_residual`.
    """
    width, height = size
    h, w = truth.shape[1:3]
    least = max(width / w, height / h)
    scale = float(np.exp(rng.uniform(np.log(least), 0.0))) if least < 1 else least
    new = max(height, round(h * scale)), max(width, round(w * scale))
    if new != (h, w):
        truth, found, residual = (
            _scaled(truth, new),
            _scaled(found, new),
            shrink_residual(residual, new, hidden),
        )
    spots = [
        (int(rng.integers(new[0] - height + 1)), int(rng.integers(new[1] - width + 1))) for _ in range(4)
    ]
    fullest = max(int((residual[:, y : y + height, x : x + width] > 8).sum()) for y, x in spots)
    y, x = next(s for s in spots if _open(residual, s, size) * 3 >= fullest)
    part = slice(None), slice(y, y + height), slice(x, x + width)
    return truth[part], found[part], residual[part]


def shrink_residual(residual: Bytes, size: tuple[int, int], hidden: float = 0.5) -> Bytes:
    """``(T, h, w)`` → another ``(height, width)``; what a hidden pixel contributes to stays hidden.

    A pixel is hidden from a share of ``hidden`` (in [0, 1]) on. As the adapters of networks do it, so that
    training sees the borders that they make.
    """
    mean = _scaled(residual[..., None], size)[..., 0]
    least = round(hidden * 255 + 0.5)
    there = torch.from_numpy((residual >= least).astype(np.float32))[:, None]
    touched = functional.interpolate(there, size=size, mode="bilinear", antialias=True)[:, 0] > 0
    return np.where(touched.numpy(), np.maximum(mean, least), mean).astype(np.uint8)


def _open(residual: Bytes, spot: tuple[int, int], size: tuple[int, int]) -> int:
    y, x = spot
    return int((residual[:, y : y + size[1], x : x + size[0]] > 8).sum())


def _scaled(pictures: Bytes, size: tuple[int, int]) -> Bytes:
    """``(T, h, w, C)`` at another ``(height, width)``, antialiased."""
    planes = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
    small = functional.interpolate(planes, size=size, mode="bilinear", antialias=True)
    return np.ascontiguousarray(small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy())


def fit(rng: np.random.Generator, frames: Bytes, size: tuple[int, int]) -> Bytes:
    """A random part of frames ``(T, H, W, 3)`` of the shape of ``size``, scaled to it."""
    width, height = size
    h, w = frames.shape[1:3]
    zoom = min(h / height, w / width) * rng.uniform(0.6, 1.0)
    rows, columns = max(1, int(height * zoom)), max(1, int(width * zoom))
    y, x = int(rng.integers(h - rows + 1)), int(rng.integers(w - columns + 1))
    return _scaled(frames[:, y : y + rows, x : x + columns], (height, width))


def turned(rng: np.random.Generator, *parts: Bytes) -> tuple[Bytes, Bytes, Bytes]:
    """Mirrored left to right and played backwards, each half of the time."""
    mirrored, backwards = rng.random(2) < 0.5
    ways = [part[:, :, ::-1] if mirrored else part for part in parts]
    ways = [part[::-1] if backwards else part for part in ways]
    first, second, third = (np.ascontiguousarray(part) for part in ways)
    return first, second, third
