"""Learned perceptual distance (LPIPS, Zhang et al., CVPR 2018) on the features of VGG-16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

LAYERS = (4, 9, 16, 23, 30)
"""Where the five stages of torchvision's ``vgg16().features`` end: after relu1_2, 2_2, 3_3, 4_3 and 5_3."""

CHANNELS = (64, 128, 256, 512, 512)
MEAN = (-0.030, -0.088, -0.188)
SPREAD = (0.458, 0.448, 0.450)
"""What pictures in [-1, 1] are shifted and divided by, per channel (ImageNet's figures for that range)."""


class Lpips:
    """Distance of two pictures; 0 for equal ones.

    backbone: state dict of torchvision's VGG-16. linear: five tensors of `CHANNELS` weights under the names
    ``lin0`` … ``lin4``. Raises KeyError, RuntimeError when these are of another network.
    """

    name = "lpips"

    def __init__(self, backbone: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
        from torchvision.models import vgg16

        with torch.device("meta"):
            features = vgg16(weights=None).features
        wanted = {name: backbone[f"features.{name}"].float() for name in features.state_dict()}
        features.load_state_dict(wanted, assign=True)
        stages = zip((0, *LAYERS), LAYERS, strict=False)
        self._stages = [nn.Sequential(*list(features)[start:stop]).eval() for start, stop in stages]
        self._linear = [
            linear[f"lin{place}"].float().reshape(1, count, 1, 1) for place, count in enumerate(CHANNELS)
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
