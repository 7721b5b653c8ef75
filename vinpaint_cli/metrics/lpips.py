"""Learned perceptual distance (LPIPS, Zhang et al., CVPR 2018) on the features of VGG-16."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of 3×3 convolutions of VGG-16's five stages; each but the first begins with pooling."""

MEAN = (-0.030, -0.088, -0.188)
SPREAD = (0.458, 0.448, 0.450)
"""What pictures in [-1, 1] are shifted and divided by, per channel (ImageNet's figures for that range)."""


class Lpips:
    """Distance of two pictures; 0 for equal ones.

    backbone: state dict of torchvision's VGG-16. linear: one weight per channel of each of the five stages,
    under the names ``lin0`` … ``lin4``. Raises KeyError, RuntimeError when these are of another network.
    """

    name = "lpips"

    def __init__(self, backbone: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
        self._stages = list(vgg_stages(backbone))
        self._linear = [
            linear[f"lin{place}"].float().reshape(1, channels, 1, 1)
            for place, (channels, _) in enumerate(STAGES)
        ]

    def __call__(self, result: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
        """Distance of two pictures ``(h, w, 3)`` RGB in 0…255, at least 16 pixels a side."""
        pair = torch.from_numpy(np.stack([result, truth]).astype(np.float32)).permute(0, 3, 1, 2)
        shift, spread = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, SPREAD))
        x = (pair / 127.5 - 1 - shift) / spread
        distance = 0.0
        with torch.no_grad():
            for stage, weights in zip(self._stages, self._linear, strict=True):
                x = stage(x)
                unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
                distance += float(((unit[:1] - unit[1:]).square() * weights).sum(1).mean())
        return distance


def vgg_stages(
    backbone: Mapping[str, Tensor], stages: Sequence[tuple[int, int]] = STAGES
) -> Iterator[nn.Sequential]:
    """A VGG, by default VGG-16, cut after the last ReLU of each stage.

    ``stages`` as in ``STAGES``; ``features.N`` counts convolutions, ReLUs and pools.
    """
    place, before = 0, 3
    for channels, count in stages:
        layers: list[nn.Module] = []
        if place:
            layers.append(nn.MaxPool2d(2))
            place += 1
        for _ in range(count):
            layer = nn.Conv2d(before, channels, 3, padding=1, device="meta")
            weights = {name: backbone[f"features.{place}.{name}"].float() for name in ("weight", "bias")}
            layer.load_state_dict(weights, assign=True)
            layers += [layer, nn.ReLU()]
            place, before = place + 2, channels
        yield nn.Sequential(*layers)
