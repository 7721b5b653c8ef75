"""Training recipe of the network that fits of `internal` start from: on many clips instead of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vinpaint_cli.methods.internal.net import MULTIPLE, InternalConfig, InternalNet
from vinpaint_cli.train import losses
from vinpaint_cli.train.config import TrainConfig, weights_of
from vinpaint_cli.train.draw import Batch
from vinpaint_cli.train.losses import clip_loss, features_of
from vinpaint_cli.train.recipes.base import Numbers, Recipe, score, unpack


@dataclass(frozen=True, slots=True)
class InternalLosses:
    """Weights of the losses.

    ``coarse`` and ``fine``: L1 in the hole of what each stage shows (the paper's weights are 1); ``error``:
    logarithm of the result's squared error, which is what PSNR measures; ``perceptual``: difference
    of features of the network ``train.features`` (neither is in the paper).
    """

    coarse: float = 1.0
    fine: float = 1.0
    error: float = 0.0
    perceptual: float = 0.0


class InternalRecipe(Recipe):
    """Trains all stages of the network together, on single frames."""

    name = "internal"
    generator: InternalNet

    def __init__(self, config: TrainConfig, device: torch.device, compiled: bool = False) -> None:
        super().__init__(config, device, compiled)
        self.weights = weights_of(InternalLosses, config)
        self.features, self.notes = features_of(config, self.weights.perceptual, device)
        self._check_multiple(MULTIPLE, "this network")
        self.generator = self._built().to(memory_format=torch.channels_last)
        self._optimisers = {"generator": self._adam(self.generator)}
        self._fill: Any = torch.compile(self.generator) if compiled else self.generator

    @staticmethod
    def build(network: Mapping[str, Any]) -> InternalNet:
        """A new generator of a configuration; ValueError when it means nothing."""
        return InternalNet(InternalConfig.from_dict(network))

    def step(self, batch: Batch, number: int, stage: str = "all") -> Numbers:
        """Move the weights once; see `Recipe.step`."""
        truth, found, residual = unpack(batch)
        pictures = [
            losses.composite(found, picture, residual)
            for picture in self._pictures(self._fill, self.generator, found, residual)
        ]
        named = zip(("coarse", "fine"), pictures, strict=False)
        parts = {name: losses.hole_l1(picture, truth, residual) for name, picture in named}
        if self.weights.error > 0:
            parts["error"] = losses.log_error(pictures[-1], truth, residual)
        if self.features is not None:
            parts["perceptual"] = clip_loss(self.features, pictures[-1], truth)
        numbers = self._move_by_parts(parts, self.weights, {"generator": self.generator})
        norm = numbers.pop("norm")
        gain = losses.psnr(pictures[-1].detach(), truth, residual).mean()
        return {**numbers, "psnr": float(gain), "norm": norm}

    def _pictures(self, fill: Any, network: InternalNet, found: Tensor, residual: Tensor) -> list[Tensor]:
        """Pictures ``(B, T, 3, h, w)`` of the stages."""
        frames, flat = found.flatten(0, 1), residual.flatten(0, 1)
        with self._precision():
            stages = fill(frames, flat, network.start(frames, flat))
        return [picture.float().view_as(found) for picture in stages]

    @torch.no_grad()
    def show(self, network: nn.Module, batch: Batch) -> tuple[Numbers, Tensor]:
        """Score a network on a batch; see `Recipe.show`."""
        assert isinstance(network, InternalNet)
        truth, found, residual = unpack(batch)
        return score(truth, found, residual, self._pictures(network, network, found, residual)[-1])
