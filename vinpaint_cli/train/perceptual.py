"""Losses on features of VGG-16, where that network is in the store."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import torch
from torch import Tensor, nn

from vinpaint_cli.errors import WeightsError

STAGES = 3
"""Features are taken after the last ReLU of so many of VGG-16's stages."""

MEAN = (0.485, 0.456, 0.406)
SPREAD = (0.229, 0.224, 0.225)
"""What pictures in [0, 1] are shifted and divided by, per channel."""


class Features:
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


def open_features(device: torch.device) -> Features | None:
    """VGG-16 as the store has it, else None."""
    from vinpaint_cli.weights.state import load_checkpoint
    from vinpaint_cli.weights.store import resolve

    try:
        return Features(load_checkpoint(resolve("vgg16")).tensors, device)
    except WeightsError:
        return None


def perceptual(shown: list[Tensor], truth: list[Tensor]) -> Tensor:
    """Mean over stages of the mean absolute difference of features."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(shown, truth, strict=True)]).mean()


def style(shown: list[Tensor], truth: list[Tensor]) -> Tensor:
    """The same of their Gram matrices (Liu et al., ECCV 2018, Eq. 5)."""
    return perceptual([_gram(x) for x in shown], [_gram(x) for x in truth])


def _gram(x: Tensor) -> Tensor:
    flat = x.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()
