"""What a recipe brings to the training loop, and what the steps of all recipes have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from vinpaint_cli.errors import UsageError
from vinpaint_cli.nets.conditioning import NOT_FOUND
from vinpaint_cli.nets.holes import HIDDEN, mask_hidden, smooth_start
from vinpaint_cli.train import losses
from vinpaint_cli.train.config import TrainConfig
from vinpaint_cli.train.draw import Batch

Numbers = dict[str, float]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run: it ends when a share ``until`` of the run is over, and has a rate of its own.

    ``rate``: factor of the configured learning rate, whose warm-up and cosine begin anew with the stage.
    """

    name: str
    until: float = 1.0
    rate: float = 1.0


class Recipe(ABC):
    """How a method's network is trained.

    A subclass makes ``generator``, the network that is averaged, scored and exported, and ``_optimisers`` in
    its constructor, which raises UsageError for a configuration that cannot be trained. ``stages``: one or
    more, in order, the last ends at 1. ``notes``: what a person should be told before the first step.
    """

    name: ClassVar[str]
    stages: tuple[Stage, ...] = (Stage("all"),)
    notes: tuple[str, ...] = ()
    generator: nn.Module
    _optimisers: dict[str, Adam]

    def __init__(self, config: TrainConfig, device: torch.device, compiled: bool = False) -> None:
        self.config, self.device, self.compiled = config, device, compiled

    @staticmethod
    @abstractmethod
    def build(network: Mapping[str, Any]) -> nn.Module:
        """A new generator of a ``network_config``; ValueError when that means nothing."""

    @abstractmethod
    def step(self, batch: Batch, number: int, stage: str) -> Numbers:
        """Move the weights once, unless loss or gradient is not finite; returns what the log shows.

        ``number`` counts the steps of the run from 0, ``stage`` is the name of one of ``stages``.
        """

    @abstractmethod
    def show(self, network: nn.Module, batch: Batch) -> tuple[Numbers, Tensor]:
        """Score a network on a batch: numbers in dB and a picture ``(3, h, w)`` in [0, 1]; see `score`."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Everything with weights, by name."""
        return {"generator": self.generator}

    @property
    def optimisers(self) -> Mapping[str, Optimizer]:
        """By name; which of them a step moves is the recipe's business."""
        return self._optimisers

    @property
    def network_config(self) -> dict[str, Any]:
        """What rebuilds the generator."""
        return self.generator.config.to_dict()  # type: ignore[union-attr,operator,no-any-return]  # it has one

    def _built(self) -> Any:
        """The configured generator on the device; raises UsageError."""
        try:
            return self.build(self.config.network).to(self.device)
        except ValueError as exc:
            raise UsageError(f"the network of this configuration cannot be built: {exc}") from exc

    def _adam(self, network: nn.Module) -> Adam:
        settings = self.config.train
        return Adam(network.parameters(), settings.rate, settings.betas, weight_decay=settings.decay)

    def _check_multiple(self, multiple: int, of: str) -> None:
        """Raise UsageError for clips whose sides the network ``of`` a name cannot take."""
        if any(side % multiple for side in self.config.data.size):
            raise UsageError(f"--size {self.config.data.size} must be multiples of {multiple} for {of}")

    def _check_hidden(self, blend_head: bool) -> None:
        """Raise UsageError when samples would hide other pixels than the network's adapter does."""
        wanted = NOT_FOUND if blend_head else HIDDEN
        if self.config.data.hidden != wanted:
            raise UsageError(
                f"this network takes pixels as hidden from a share of {wanted} on, and the samples from "
                f"{self.config.data.hidden}; set hidden = {wanted} in the table data"
            )

    def _precision(self) -> torch.autocast:
        """Half precision inside, when the configuration asks for it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def _move(
        self, loss: Tensor, parameters: Iterable[nn.Parameter], optimisers: Sequence[Optimizer]
    ) -> float:
        """Move weights against the gradient, unless that or the loss is not finite; returns its norm."""
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = nn.utils.clip_grad_norm_(parameters, self.config.train.clip)
        if norm.isfinite() and loss.isfinite():
            for optimiser in optimisers:
                optimiser.step()
        return float(norm)

    def _move_by_parts(
        self, parts: Mapping[str, Tensor], weights: object, networks: Mapping[str, nn.Module]
    ) -> Numbers:
        """Move ``networks``, named as their optimisers are, against losses weighted by ``weights``."""
        total = torch.stack([loss * getattr(weights, name) for name, loss in parts.items()]).sum()
        parameters = [p for network in networks.values() for p in network.parameters()]
        norm = self._move(total, parameters, [self._optimisers[name] for name in networks])
        told = {name: float(loss.detach()) for name, loss in parts.items()}
        return {"loss": float(total.detach()), **told, "norm": norm}


def split(stages: tuple[Stage, ...], ends: tuple[float, ...]) -> tuple[Stage, ...]:
    """Stages that end where the configuration says; () leaves them as they are. UsageError when it cannot."""
    if not ends:
        return stages
    if len(ends) != len(stages) - 1 or not all(a < b for a, b in pairwise((0.0, *ends, 1.0))):
        names = ", ".join(stage.name for stage in stages)
        raise UsageError(
            f"stages {list(ends)} do not part {len(stages)} stages ({names}); give {len(stages) - 1} rising "
            "shares between 0 and 1"
        )
    return tuple(replace(stage, until=end) for stage, end in zip(stages, (*ends, 1.0), strict=True))


def unpack(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """uint8 batch → truth and found in [-1, 1], residual in [0, 1], float32."""
    truth, found = (part.float() / 127.5 - 1 for part in (batch.truth, batch.found))
    return truth, found, batch.residual.float() / 255


def composite(found: Tensor, predicted: Tensor, residual: Tensor, blend_head: bool = False) -> Tensor:
    """The result: the prediction mixed in by the residual, or with a blend head wherever there is a hole."""
    if blend_head:
        return torch.where(residual > 0, predicted, found)
    return losses.composite(found, predicted, residual)


def score(
    truth: Tensor, found: Tensor, residual: Tensor, predicted: Tensor, blend_head: bool = False
) -> tuple[Numbers, Tensor]:
    """PSNR of the hole in dB (``psnr``), that of a smooth fill (``start``), and a picture.

    Tensors ``(B, T, C, h, w)`` in [-1, 1]. ``blend_head``: the prediction is not mixed in by the residual.
    The picture ``(3, B·h, 4·w)`` in [0, 1] shows the middle frame of each clip: what was known, smooth fill,
    result, truth.
    """
    shown = composite(found, predicted, residual, blend_head)
    smooth = smooth_start(found.flatten(0, 1), residual.flatten(0, 1)).view_as(found)
    start = losses.composite(found, smooth, residual)
    middle = truth.shape[1] // 2
    known = mask_hidden(found, residual, -1.0)
    rows = torch.cat([p[:, middle].clamp(-1, 1) for p in (known, start, shown, truth)], dim=3)
    numbers = {
        "psnr": float(losses.psnr(shown, truth, residual).mean()),
        "start": float(losses.psnr(start, truth, residual).mean()),
    }
    return numbers, torch.cat(list(rows), dim=1).add(1).div(2).cpu()
