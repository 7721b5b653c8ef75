"""Training recipe of CombCN: its 3-D network alone first, then both together (paper, section "Training")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vinpaint_cli.methods.combcn.net import CombCN, CombCNConfig, half_size
from vinpaint_cli.train import losses
from vinpaint_cli.train.config import TrainConfig, weights_of
from vinpaint_cli.train.draw import Batch
from vinpaint_cli.train.losses import clip_loss, features_of
from vinpaint_cli.train.recipes.base import Numbers, Recipe, Stage, composite, score, split, unpack

VOLUME, JOINT = "volume", "joint"
MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class CombCNLosses:
    """Weights of the losses.

    ``volume`` and ``frames``: L1 in the hole of what the 3-D network and both give (the paper's 1 and α = 1);
    ``error``: logarithm of the result's squared error, which is what PSNR measures; ``perceptual``:
    difference of features of the network ``train.features`` (neither is in the paper).
    """

    volume: float = 1.0
    frames: float = 1.0
    error: float = 0.0
    perceptual: float = 0.0


class CombCNRecipe(Recipe):
    """Trains the 3-D network, then both."""

    name = "combcn"
    generator: CombCN

    def __init__(self, config: TrainConfig, device: torch.device, compiled: bool = False) -> None:
        super().__init__(config, device, compiled)
        self.weights = weights_of(CombCNLosses, config)
        self.features, self.notes = features_of(config, self.weights.perceptual, device)
        self._check_multiple(MULTIPLE, "CombCN")
        self.generator = self._built()
        self._check_hidden(self.generator.config.blend_head)
        self._networks = {
            name: part
            for name, part in ((VOLUME, self.generator.volume), ("frames", self.generator.frames))
            if part is not None
        }
        self._optimisers = {name: self._adam(part) for name, part in self._networks.items()}
        self.stages = split(_stages(self.generator.config.parts), config.train.stages)
        self._fill: Any = torch.compile(self.generator) if compiled else self.generator

    @staticmethod
    def build(network: Mapping[str, Any]) -> CombCN:
        """A new generator of a configuration; ValueError when it means nothing."""
        return CombCN(CombCNConfig.from_dict(network))

    def step(self, batch: Batch, number: int, stage: str = JOINT) -> Numbers:
        """Move the weights once; see `Recipe.step`."""
        truth, found, residual = unpack(batch)
        self.generator.train()
        parts = (
            self._volume(truth, found, residual) if stage == VOLUME else self._joint(truth, found, residual)
        )
        networks = {VOLUME: self._networks[VOLUME]} if stage == VOLUME else self._networks
        return self._move_by_parts(parts, self.weights, networks)

    def _volume(self, truth: Tensor, found: Tensor, residual: Tensor) -> dict[str, Tensor]:
        with self._precision():
            prepared = self.generator.prepare(found.flatten(0, 1), residual.flatten(0, 1))
            structure = self.generator.structure(prepared.view(*truth.shape[:2], *prepared.shape[1:]))
        return {"volume": losses.hole_l1(structure.float(), *half_size(truth, residual))}

    def _joint(self, truth: Tensor, found: Tensor, residual: Tensor) -> dict[str, Tensor]:
        with self._precision():
            filled, structure = self._fill(found, residual)
        shown = composite(found, filled.float(), residual, self.generator.config.blend_head)
        parts = {"frames": losses.hole_l1(shown, truth, residual)}
        if structure is not None:
            parts["volume"] = losses.hole_l1(structure.float(), *half_size(truth, residual))
        if self.weights.error > 0:
            parts["error"] = losses.log_error(shown, truth, residual)
        if self.features is not None:
            parts["perceptual"] = clip_loss(self.features, shown, truth)
        return parts

    @torch.no_grad()
    def show(self, network: nn.Module, batch: Batch) -> tuple[Numbers, Tensor]:
        """Score a network on a batch, see `Recipe.show`; ``volume`` is the PSNR of the 3DCN at half size."""
        truth, found, residual = unpack(batch)
        with self._precision():
            filled, structure = network(found, residual)
        blend_head = self.generator.config.blend_head
        numbers, picture = score(truth, found, residual, filled.float(), blend_head)
        if structure is not None:
            numbers["volume"] = float(losses.psnr(structure.float(), *half_size(truth, residual)).mean())
        return numbers, picture


def _stages(parts: str) -> tuple[Stage, ...]:
    if parts == "both":
        return Stage(VOLUME, 0.4), Stage(JOINT)
    return (Stage(VOLUME if parts == "volume" else JOINT),)
