"""A small STTN with random weights that vary enough to make a visible picture."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from vinpaint_cli.methods.sttn.net import STTN, STTNConfig
from vinpaint_cli.weights.state import save_checkpoint

CONFIG = STTNConfig(channels=8, blocks=2, patches=((12, 8), (4, 4)), size=(48, 32))


def network(config: STTNConfig = CONFIG) -> STTN:
    net = STTN(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(7)
    for parameter in net.parameters():
        spread = math.sqrt(3 / parameter[0].numel()) if parameter.dim() > 1 else 0.05
        parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * spread)
    return net


def write_weights(folder: Path) -> Path:
    path = folder / "small_sttn.safetensors"
    save_checkpoint(path, network(), {"config": CONFIG.to_dict()})
    return path
