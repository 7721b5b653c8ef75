"""A small network as one that was fitted at two scales, with weights that make a visible picture."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from vinpaint_cli.methods.internal.net import InternalConfig, Pyramid
from vinpaint_cli.weights.state import save_checkpoint

CONFIG = InternalConfig("base", 8, prefill=True)
FACTORS = (0.5, 1.0)


def network(config: InternalConfig = CONFIG, factors: tuple[float, ...] = FACTORS) -> Pyramid:
    net = Pyramid(config, factors).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(7)
    for parameter in net.parameters():
        spread = math.sqrt(3 / parameter[0].numel()) if parameter.dim() > 1 else 0.05
        parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * spread)
    return net


def write_weights(folder: Path) -> Path:
    path = folder / "small_internal.safetensors"
    made = network()
    save_checkpoint(path, made, {"config": made.to_dict()})
    return path
