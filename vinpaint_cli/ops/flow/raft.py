"""RAFT (Teed and Deng, ECCV 2020), the network and its weights as torchvision has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.weights.state import load_checkpoint, load_into
from vinpaint_cli.weights.store import resolve

if TYPE_CHECKING:
    from vinpaint_cli.ops.image import Array, Bytes

IS_NETWORK = True
WEIGHTS = "raft-large"
STEP = 8
"""The network sees sides that are multiples of this."""
SMALLEST = 128
"""Least side that its pyramid of correlations takes."""
MOST_PIXELS = 600_000
"""Larger pictures are looked at smaller: memory grows with the square of their pixels, here to about 1 GB."""


class RaftFlow:
    """A RAFT network as a `FlowEstimator`."""

    def __init__(self, network: nn.Module, device: str = "cpu") -> None:
        """``network``: in evaluation mode and on ``device``."""
        self._network, self._device = network, device

    @torch.inference_mode()
    def __call__(self, first: Bytes, second: Bytes) -> Array:
        """Flow from ``first`` to ``second``."""
        height, width = first.shape
        scale = min(1.0, (MOST_PIXELS / (height * width)) ** 0.5)
        size = _network_side(height, scale), _network_side(width, scale)
        pair = [self._seen(picture, size) for picture in (first, second)]
        flow: Tensor = self._network(*pair)[-1]
        flow = functional.interpolate(flow, (height, width), mode="bilinear", align_corners=False)[0]
        to_pixels = torch.tensor([width / size[1], height / size[0]], device=self._device)
        return np.asarray((flow.permute(1, 2, 0) * to_pixels).float().cpu().numpy(), np.float32)

    def _seen(self, picture: Bytes, size: tuple[int, int]) -> Tensor:
        """Grey ``(h, w)`` as the network sees it: ``(1, 3, *size)`` in [-1, 1]."""
        levels = torch.from_numpy(np.ascontiguousarray(picture)).to(self._device).float()
        unit = (levels / 127.5 - 1)[None, None]
        return functional.interpolate(unit, size, mode="bilinear", antialias=True).expand(1, 3, *size)


def open_raft(device: str = "cpu", weights: str | Path = WEIGHTS) -> RaftFlow:
    """RAFT with weights of the store, which are never fetched here, or of a file; raises WeightsError."""
    from torchvision.models.optical_flow import raft_large

    path = resolve(weights)
    network = raft_large(weights=None, progress=False)
    load_into(network, load_checkpoint(path), path)
    return RaftFlow(network.eval().to(device), device)


def _network_side(side: int, scale: float) -> int:
    return max(SMALLEST, STEP * round(side * scale / STEP))
