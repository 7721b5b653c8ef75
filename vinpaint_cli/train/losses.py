"""Losses of video inpainting; tensors ``(B, T, C, h, w)`` in [-1, 1], shares in [0, 1]."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.nets.flow import chain, lands_inside, warp
from vinpaint_cli.nets.holes import HIDDEN

SMALLEST_ERROR = 1e-5
"""Added to squared errors before a logarithm: 50 dB, better than which need not be told apart."""


def composite(found: Tensor, predicted: Tensor, residual: Tensor) -> Tensor:
    """What is shown in the end: ``found·(1 − share) + predicted·share``."""
    return torch.lerp(found, predicted, residual.expand_as(found))


def hole_l1(shown: Tensor, truth: Tensor, residual: Tensor) -> Tensor:
    """Mean absolute error of the composite where there is a hole, per unit of share (STTN Eq. 6)."""
    error = (shown - truth).abs().mean(2, keepdim=True)
    return (error * (residual > 0)).sum() / residual.sum().clamp_min(1.0)


def valid_l1(predicted: Tensor, truth: Tensor, residual: Tensor) -> Tensor:
    """Mean absolute error of the network's own output where there is no hole (STTN Eq. 7)."""
    outside = (residual == 0).to(predicted.dtype)
    error = (predicted - truth).abs().mean(2, keepdim=True)
    return (error * outside).sum() / outside.sum().clamp_min(1.0)


def clip_error(shown: Tensor, truth: Tensor, residual: Tensor) -> Tensor:
    """Mean squared error of each clip's hole ``(B,)``, in units of the range [0, 1]."""
    inside = (residual > 0).to(shown.dtype)
    error = ((shown - truth) / 2).square().mean(2, keepdim=True) * inside
    return error.flatten(1).sum(1) / inside.flatten(1).sum(1).clamp_min(1.0)


def log_error(shown: Tensor, truth: Tensor, residual: Tensor) -> Tensor:
    """Mean over clips of half the natural logarithm of their error: PSNR but for sign and unit."""
    return (clip_error(shown, truth, residual) + SMALLEST_ERROR).log().mean() / 2


def psnr(shown: Tensor, truth: Tensor, residual: Tensor) -> Tensor:
    """PSNR of the hole of each clip ``(B,)`` in dB, 50 at most, so that one clip does not outweigh all."""
    return -10 / math.log(10) * clip_error(shown, truth, residual).clamp_min(1e-5).log()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Half the hinge loss of the discriminator's scores (STTN's code; its Eq. 8 has no half)."""
    return (functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()) / 2


def hinge_generator(fake: Tensor) -> Tensor:
    """What the generator minimises (STTN Eq. 9)."""
    return -fake.mean()


def short_term(outputs: Tensor, residual: Tensor, back: Tensor) -> Tensor:
    """L_s: each frame's hole against the frame before, brought here; that one gets no gradient."""
    before = outputs[:, :-1].detach()
    hole = (residual[:, 1:] >= HIDDEN).to(outputs.dtype)
    there = warp(before.flatten(0, 1), back.flatten(0, 1)).view_as(before)
    inside = lands_inside(back.flatten(0, 1)).view_as(hole)
    return masked_l1(outputs[:, 1:], there, hole * inside)


def reverse_term(outputs: Tensor, residual: Tensor, ahead: Tensor) -> Tensor:
    """L_r: each frame, brought to the one before, against that one (which gets no gradient)."""
    here = outputs[:, 1:].flatten(0, 1)
    flow = ahead.flatten(0, 1)
    hole = (residual[:, 1:] >= HIDDEN).to(outputs.dtype).flatten(0, 1)
    return masked_l1(outputs[:, :-1].detach().flatten(0, 1), warp(here, flow), _brought(hole, flow))


def long_term(outputs: Tensor, residual: Tensor, back: Tensor, ahead: Tensor) -> Tensor:
    """L_l: every frame, brought to the first and to the last, against those (which get no gradient).

    Flow over many frames is chained from that of neighbours, without gradient.
    """
    frames = outputs.shape[1]
    hole = (residual >= HIDDEN).to(outputs.dtype)
    terms = []
    for anchor, flows in ((0, _chained(ahead)), (frames - 1, _chained(back.flip(1)))):
        order = range(1, frames) if anchor == 0 else range(frames - 2, -1, -1)
        for t, flow in zip(order, flows, strict=True):
            there = warp(outputs[:, t], flow)
            terms.append(masked_l1(outputs[:, anchor].detach(), there, _brought(hole[:, t], flow)))
    return torch.stack(terms).mean() * 2  # two anchors: the sum of both means


def masked_l1(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference ``(…, C, h, w)`` where the mask ``(…, 1, h, w)`` is 1; 0 where it never is."""
    error = (first - second).abs().mean(-3, keepdim=True)
    return (error * mask).sum() / mask.sum().clamp_min(1.0)


def roughness(picture: Tensor, residual: Tensor) -> Tensor:
    """Mean absolute difference of neighbours where at least one of the two is hidden (TV of PConv)."""
    hole = (residual >= HIDDEN).to(picture.dtype)
    across = hole[..., 1:].maximum(hole[..., :-1])
    down = hole[..., 1:, :].maximum(hole[..., :-1, :])
    return masked_l1(picture[..., 1:], picture[..., :-1], across) + masked_l1(
        picture[..., 1:, :], picture[..., :-1, :], down
    )


def _brought(hole: Tensor, flow: Tensor) -> Tensor:
    """Where the flow ends in a hole ``(N, 1, h, w)``, inside the picture."""
    return warp(hole, flow, "nearest") * lands_inside(flow)


def _chained(flows: Tensor) -> list[Tensor]:
    """Flow over 1, 2, … frames from that over one, ``(B, T, 2, h, w)``."""
    chained = [flows[:, 0].detach()]
    for t in range(1, flows.shape[1]):
        chained.append(chain(chained[-1], flows[:, t].detach()))
    return chained
