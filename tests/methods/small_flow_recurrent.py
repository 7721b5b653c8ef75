"""Small frame-recurrent networks with random weights that vary enough to make a visible picture."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from vinpaint_cli.methods.flow_recurrent.net import FlowRecurrent, FlowRecurrentConfig
from vinpaint_cli.weights.state import save_checkpoint

CONFIG = FlowRecurrentConfig(
    width=4, blocks=1, inpainter=(4, 8, 8), completer=(4, 8, 8), blender=(4, 4, 4), align=True
)


def network(config: FlowRecurrentConfig = CONFIG) -> FlowRecurrent:
    net = FlowRecurrent(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(7)
    for parameter in net.parameters():
        spread = math.sqrt(3 / parameter[0].numel()) if parameter.dim() > 1 else 0.05
        parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * spread)
    return net


def write_weights(folder: Path) -> Path:
    path = folder / "small_flow_recurrent.safetensors"
    save_checkpoint(path, network(), {"config": CONFIG.to_dict()})
    return path
