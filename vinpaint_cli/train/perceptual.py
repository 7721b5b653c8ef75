"""Losses on features of a network that knows pictures: VGG-16, or EfficientNet-Lite0 of an extra."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import torch
from torch import Tensor, nn

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.metrics.perceptual import MEAN, SPREAD, Features, load_lite_features
from vinpaint_cli.metrics.perceptual import NAME as LITE
from vinpaint_cli.train.config import TrainConfig

VGG = "vgg16"

STAGES = 3
"""Features are taken after the last ReLU of so many of VGG-16's stages."""


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
    """The same of their Gram matrices (Liu et al., ECCV 2018, Eq. 5)."""
    return perceptual([_gram(x) for x in shown], [_gram(x) for x in truth])


def _gram(x: Tensor) -> Tensor:
    flat = x.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()
