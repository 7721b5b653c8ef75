"""Holes on tensors: masking hidden pixels, compositing, and smooth fills of hidden pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

HIDDEN = 0.5
"""Residual from which on a pixel is hidden: a network does not see it."""


def mask_hidden(frames: Tensor, residual: Tensor, instead: float = 0.0) -> Tensor:
    """Frames ``(…, C, h, w)`` with ``instead`` where pixels are hidden; residual ``(…, 1, h, w)``."""
    return torch.where(residual >= HIDDEN, instead, frames)


def composite(frames: Tensor, filled: Tensor, residual: Tensor) -> Tensor:
    """``frames·(1 − residual) + filled·residual``, nothing of hidden pixels; shapes as `mask_hidden`."""
    filled = filled.to(frames.dtype)  # mixed precision may have made halves of it
    mixed = torch.lerp(mask_hidden(frames, residual), filled, residual.expand_as(filled))
    return torch.where(residual >= HIDDEN, filled, mixed)


def smooth_start(frames: Tensor, residual: Tensor) -> Tensor:
    """Smooth fill ``(N, C, h, w)`` of hidden pixels, from which networks start; residual in [0, 1], 1 = fill.

    A pixel counts as known as far as it is known better than by half.
    """
    return smooth_fill(mask_hidden(frames, residual), (1 - 2 * residual).clamp_min(0))


SWEEPS = 6
"""Relaxation steps per level of the pyramid; more are not visibly smoother."""


def smooth_fill(pictures: Tensor, known: Tensor, sweeps: int = SWEEPS) -> Tensor:
    """Interpolate smoothly where little is known: an approximate solution of Laplace's equation.

    pictures: ``(N, C, h, w)``, finite everywhere, of no influence where ``known`` is 0; known:
    ``(N, 1, h, w)`` in [0, 1], 1 = keep, 0 = interpolate. Weighted means are pulled down a pyramid, pushed
    up bilinearly and relaxed level by level, as ``ops.image.membrane`` does on arrays. A picture of which
    nothing is known becomes 0. Returns ``(N, C, h, w)``.
    """
    height, width = pictures.shape[-2:]
    if max(height, width) <= 2:
        total = (pictures * known).sum((2, 3), keepdim=True)
        return (total / known.sum((2, 3), keepdim=True).clamp_min(1e-6)).expand_as(pictures)
    coarse = smooth_fill(*_pull(pictures, known), sweeps)
    larger = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    larger = larger[..., :height, :width]
    return _relax(torch.lerp(larger, pictures, known.expand_as(pictures)), pictures, known, sweeps)


def _pull(pictures: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """One level down: weighted 2×2 means ``(N, C, ⌈h/2⌉, ⌈w/2⌉)`` and how well each is supported."""
    height, width = pictures.shape[-2:]
    even = (0, width % 2, 0, height % 2)
    support = functional.avg_pool2d(functional.pad(known, even), 2)
    means = functional.avg_pool2d(functional.pad(pictures * known, even), 2)
    return means / support.clamp_min(1e-6), (support * 4).clamp_max(1.0)


def _relax(guess: Tensor, pictures: Tensor, known: Tensor, sweeps: int) -> Tensor:
    """Jacobi steps towards the mean of the four neighbours, as far as a pixel is not known."""
    pinned, loose = pictures * known, (1 - known) / 4
    for _ in range(sweeps):
        padded = functional.pad(guess, (1, 1, 1, 1), mode="replicate")
        sideways = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
        guess = pinned + loose * (padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + sideways)
    return guess
