"""Losses of video inpainting; tensors ``(B, T, C, h, w)`` in [-1, 1], shares in [0, 1]."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST_ERROR = 1e-5
"""Added to squared errors before a logarithm: 50 dB, better than which need not be told apart."""


def composite(found: Tensor, predicted: Tensor, shares: Tensor) -> Tensor:
    """What is shown in the end: ``found·(1 − share) + predicted·share``."""
    return torch.lerp(found, predicted, shares.expand_as(found))


def hole_l1(shown: Tensor, truth: Tensor, shares: Tensor) -> Tensor:
    """Mean absolute error of the composite where there is a hole, per unit of share (STTN Eq. 6)."""
    error = (shown - truth).abs().mean(2, keepdim=True)
    return (error * (shares > 0)).sum() / shares.sum().clamp_min(1.0)


def valid_l1(predicted: Tensor, truth: Tensor, shares: Tensor) -> Tensor:
    """Mean absolute error of the network's own output where there is no hole (STTN Eq. 7)."""
    outside = (shares == 0).to(predicted.dtype)
    error = (predicted - truth).abs().mean(2, keepdim=True)
    return (error * outside).sum() / outside.sum().clamp_min(1.0)


def clip_error(shown: Tensor, truth: Tensor, shares: Tensor) -> Tensor:
    """Mean squared error of each clip's hole ``(B,)``, in units of the range [0, 1]."""
    inside = (shares > 0).to(shown.dtype)
    error = ((shown - truth) / 2).square().mean(2, keepdim=True) * inside
    return error.flatten(1).sum(1) / inside.flatten(1).sum(1).clamp_min(1.0)


def log_error(shown: Tensor, truth: Tensor, shares: Tensor) -> Tensor:
    """Mean over clips of half the natural logarithm of their error: PSNR but for sign and unit."""
    return (clip_error(shown, truth, shares) + SMALLEST_ERROR).log().mean() / 2


def psnr(shown: Tensor, truth: Tensor, shares: Tensor) -> Tensor:
    """PSNR of the hole of each clip ``(B,)`` in dB, 50 at most, so that one clip does not outweigh all."""
    return -10 / math.log(10) * clip_error(shown, truth, shares).clamp_min(1e-5).log()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Half the hinge loss of the discriminator's scores (STTN's code; its Eq. 8 has no half)."""
    return (functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()) / 2


def hinge_generator(fake: Tensor) -> Tensor:
    """What the generator minimises (STTN Eq. 9)."""
    return -fake.mean()
