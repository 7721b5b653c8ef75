"""How the network that internal learning starts from is trained: on many clips, before it sees its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods.internal.net import MULTIPLE, InternalConfig, InternalNet
from vinpaint_cli.train import losses
from vinpaint_cli.train.config import TrainConfig, weights_of
from vinpaint_cli.train.cut import Batch
from vinpaint_cli.train.perceptual import clip_loss, features_of
from vinpaint_cli.train.recipe import Stage
from vinpaint_cli.train.steps import Numbers, autocast, judged, move, unpack


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


class InternalRecipe:
    """The generator and what a step does with it (a ``Recipe``). Frames are looked at one by one."""

    name = "internal"
    stages = (Stage("all"),)

    def __init__(self, config: TrainConfig, device: torch.device, compiled: bool = False) -> None:
        self.config, self.device = config, device
        self.weights = weights_of(InternalLosses, config)
        self.features, self.notes = features_of(config, self.weights.perceptual, device)
        if any(side % MULTIPLE for side in config.data.size):
            raise UsageError(f"--size {config.data.size} must be multiples of {MULTIPLE} for this network")
        try:
            self.generator = self.build(config.network).to(device).to(memory_format=torch.channels_last)
        except ValueError as exc:
            raise UsageError(f"the network of this configuration cannot be built: {exc}") from exc
        settings = config.train
        self._optimiser = Adam(
            self.generator.parameters(), settings.rate, settings.betas, weight_decay=settings.decay
        )
        self._fill: Any = torch.compile(self.generator) if compiled else self.generator

    @staticmethod
    def build(network: Mapping[str, Any]) -> InternalNet:
        """A new generator of a configuration; ValueError when it means nothing."""
        return InternalNet(InternalConfig.from_dict(network))

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Everything with weights."""
        return {"generator": self.generator}

    @property
    def optimisers(self) -> Mapping[str, Adam]:
        """The one."""
        return {"generator": self._optimiser}

    @property
    def network_config(self) -> dict[str, Any]:
        """What rebuilds the generator."""
        return self.generator.config.to_dict()

    def step(self, batch: Batch, number: int, stage: str = "all") -> Numbers:
        """Move the weights once; returns what the log shows."""
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
        total = torch.stack([parts[name] * getattr(self.weights, name) for name in parts]).sum()
        norm = move(total, self.generator.parameters(), [self._optimiser], self.config.train.clip)
        told = {name: float(loss.detach()) for name, loss in parts.items()}
        gain = losses.psnr(pictures[-1].detach(), truth, residual).mean()
        return {"loss": float(total.detach()), **told, "psnr": float(gain), "norm": norm}

    def _pictures(self, fill: Any, network: InternalNet, found: Tensor, residual: Tensor) -> list[Tensor]:
        """Pictures ``(B, T, 3, h, w)`` of the stages."""
        frames, flat = found.flatten(0, 1), residual.flatten(0, 1)
        with autocast(self.config, self.device):
            stages = fill(frames, flat, network.start(frames, flat))
        return [picture.float().view_as(found) for picture in stages]

    @torch.no_grad()
    def show(self, network: nn.Module, batch: Batch) -> tuple[Numbers, Tensor]:
        """Judge a network on a batch; see :func:`vinpaint_cli.train.steps.judged`."""
        assert isinstance(network, InternalNet)
        truth, found, residual = unpack(batch)
        return judged(truth, found, residual, self._pictures(network, network, found, residual)[-1])
