"""Losses of video inpainting: L1, squared error, adversarial, temporal, and perceptual on features.

Tensors are ``(B, T, C, h, w)`` in [-1, 1] and the residual in [0, 1] unless said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.metrics.perceptual import MEAN, SPREAD, Features, load_lite_features
from vinpaint_cli.metrics.perceptual import NAME as LITE
from vinpaint_cli.nets.flow import chain, lands_inside, warp
from vinpaint_cli.nets.holes import HIDDEN
from vinpaint_cli.train.config import TrainConfig

VGG = "vgg16"

STAGES = 3
"""Features are taken after the last ReLU of so many of VGG-16's stages."""

SMALLEST_ERROR = 1e-5
"""Added to squared errors before a logarithm: 50 dB, better than which need not be told apart."""


def composite(found: Tensor, predicted: Tensor, residual: Tensor) -> Tensor:
    """The composite: ``found·(1 − residual) + predicted·residual``."""
    return torch.lerp(found, predicted, residual.expand_as(found))


def hole_l1(shown: Tensor, truth: Tensor, residual: Tensor) -> Tensor:
    """Mean absolute error of the composite where there is a hole, per unit of residual (STTN Eq. 6)."""
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
    """Hinge loss of the generator (STTN Eq. 9)."""
    return -fake.mean()


def short_term(outputs: Tensor, residual: Tensor, back: Tensor) -> Tensor:
    """L_s: L1 in the hole between a frame and the previous one warped to it (which gets no gradient)."""
    before = outputs[:, :-1].detach()
    hole = (residual[:, 1:] >= HIDDEN).to(outputs.dtype)
    there = warp(before.flatten(0, 1), back.flatten(0, 1)).view_as(before)
    inside = lands_inside(back.flatten(0, 1)).view_as(hole)
    return masked_l1(outputs[:, 1:], there, hole * inside)


def reverse_term(outputs: Tensor, residual: Tensor, ahead: Tensor) -> Tensor:
    """L_r: L1 between a frame warped to the previous one and that (which gets no gradient)."""
    here = outputs[:, 1:].flatten(0, 1)
    flow = ahead.flatten(0, 1)
    hole = (residual[:, 1:] >= HIDDEN).to(outputs.dtype).flatten(0, 1)
    return masked_l1(outputs[:, :-1].detach().flatten(0, 1), warp(here, flow), _brought(hole, flow))


def long_term(outputs: Tensor, residual: Tensor, back: Tensor, ahead: Tensor) -> Tensor:
    """L_l: L1 between each frame warped to the first and to the last, and those (which get no gradient).

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


class VggFeatures:
    """The first stages of VGG-16, frozen. ``backbone``: state dict of torchvision's."""

    def __init__(self, backbone: Mapping[str, Tensor], device: torch.device) -> None:
        from vinpaint_cli.metrics.lpips import vgg_stages

        stages = islice(vgg_stages(backbone), STAGES)
        self._stages = nn.ModuleList(stages).to(device).requires_grad_(False)

    def __call__(self, pictures: Tensor) -> list[Tensor]:
        """``(N, 3, h, w)`` in [0, 1] → features ``(N, C, h, w)``, coarser from stage to stage."""
        mean, spread = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, SPREAD))
        x = (pictures - mean) / spread
        found = []
        for stage in self._stages:
            x = stage(x)
            found.append(x)
        return found


def open_features(name: str, device: torch.device) -> tuple[Features | None, tuple[str, ...]]:
    """A network by name, or None and a line that says why there is none; UsageError for another name."""
    if name not in (VGG, LITE):
        raise UsageError(f"train.features {name!r} is not known; choose {VGG} or {LITE}")
    try:
        return (_vgg(device) if name == VGG else load_lite_features(device)), ()
    except WeightsError as exc:
        return None, (f"perceptual losses are left out: {exc}",)


def features_of(
    config: TrainConfig, weight: float, device: torch.device
) -> tuple[Features | None, tuple[str, ...]]:
    """The network a configuration names, where its loss has a weight; see `open_features`."""
    return open_features(config.train.features, device) if weight > 0 else (None, ())


def _vgg(device: torch.device) -> Features:
    from vinpaint_cli.weights.state import load_checkpoint
    from vinpaint_cli.weights.store import resolve

    return VggFeatures(load_checkpoint(resolve(VGG)).tensors, device)


def clip_loss(features: Features, shown: Tensor, truth: Tensor) -> Tensor:
    """`perceptual` of clips ``(B, T, 3, h, w)`` in [-1, 1]."""
    fake, real = (features((clip.flatten(0, 1) + 1) / 2) for clip in (shown, truth))
    return perceptual(fake, real)


def perceptual(shown: list[Tensor], truth: list[Tensor]) -> Tensor:
    """Mean over stages of the mean absolute difference of features."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(shown, truth, strict=True)]).mean()


def style(shown: list[Tensor], truth: list[Tensor]) -> Tensor:
    """Style loss: `perceptual` of the Gram matrices of features (Liu et al., ECCV 2018, Eq. 5)."""
    return perceptual([_gram(x) for x in shown], [_gram(x) for x in truth])


def _gram(x: Tensor) -> Tensor:
    flat = x.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()
