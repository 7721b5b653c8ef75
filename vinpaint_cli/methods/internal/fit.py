"""A network fitted to one clip (Ouyang et al., ICCV 2021), coarse scale first.

Differences from the paper, all of which `FitConfig` can undo: it starts from weights trained on other clips;
it looks at pieces around holes instead of whole frames; next to rolled holes it learns from shadows
(`samples`); the learning rate falls over a budget of steps or minutes; weights are averaged; and the weights
that are kept are those that do best on a shadow kept aside.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

from vinpaint_cli.methods.internal.ambiguity import AMBIGUITY, ambiguity_loss
from vinpaint_cli.methods.internal.config import FitConfig
from vinpaint_cli.methods.internal.judge import Judge
from vinpaint_cli.methods.internal.net import InternalNet
from vinpaint_cli.methods.internal.pyramid import Pyramid
from vinpaint_cli.methods.internal.samples import Draws, Pieces, Sample
from vinpaint_cli.methods.internal.stabilise import STABILISATION, random_affine, stabilisation_loss
from vinpaint_cli.nets.holes import composite

WARMUP = 0.03
"""Share of a scale's budget over which the learning rate rises."""
JUDGEMENTS = 20
"""How often a scale is judged, spread over its budget."""
LEAST_GAIN = 0.005
"""dB by which a judgement must be better than the best for the fit not to have stalled."""
NEEDED = 0.5
"""dB by which the pixels kept aside must be better than a smooth fill for the network to be used."""
LEAST_STEPS = 100
"""Steps that a scale must have had for its network to be used, where the budget is a time."""
SMALLEST_ERROR = 1e-5
FIRST_SHARE = 0.6
"""The coarsest scale's share of the budget, where there are finer ones."""

Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a fit may take: steps, or where they are 0 seconds."""

    steps: int = 0
    seconds: float = 0.0

    def part(self, share: float) -> Budget:
        """A share of it."""
        return Budget(round(self.steps * share), self.seconds * share)

    def used(self, steps: int, seconds: float) -> float:
        """Share that is over; 1 or more at the end."""
        if self.steps:
            return steps / self.steps
        return seconds / self.seconds if self.seconds else 1.0


@dataclass(slots=True)
class Status:
    """How a fit stands; what a person is shown, and what a stopped one goes on from.

    ``psnr`` in dB of the hidden pixels that were kept aside: now, at its best, and of the ``smooth`` picture
    that the network starts from. ``share`` of the whole budget that is over. ``used``: for each scale that is
    done, whether its network does anything.
    """

    scale: int = 0
    step: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    psnr: float = math.nan
    best: float = -math.inf
    smooth: float = math.nan
    stalled: int = 0
    judged: int = 0
    share: float = 0.0
    used: list[bool] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


Watch = Callable[[Status], None]
Save = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Material:
    """What is learned from at one scale, what judges, and the share maps that are rolled."""

    samples: Sequence[Sample]
    kept: Sequence[Sample]
    bank: Sequence[Tensor]


class Fitter:
    """One fit. ``run`` can be stopped anywhere: what `Save` was given last is enough to go on.

    material: makes what is learned from at a scale, by its number. features: of the anti-ambiguity loss.
    state: of a fit that was stopped.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        material: Callable[[int], Material],
        config: FitConfig,
        budget: Budget,
        *,
        device: torch.device | None = None,
        half: bool = False,
        seed: int = 0,
        features: Features | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.pyramid = pyramid.to(self.device)
        self.config, self.budget = config, budget
        self._material, self._half, self._seed, self._features = material, half, seed, features
        self.status = Status()
        self._state = dict(state) if state is not None else None
        if self._state is not None:
            self.status = Status(**self._state["status"])
            self.pyramid.load_state_dict(self._state["pyramid"])

    def run(self, watch: Watch, save: Save) -> Pyramid:
        """Fit all scales; the pyramid holds the best weights of each, also after an exception."""
        for number in range(self.status.scale, len(self.pyramid.factors)):
            if self.status.scale != number:
                self._next(number)
            self._fit_scale(number, watch, save)
        return self.pyramid.eval()

    def _next(self, number: int) -> None:
        """Begin a finer scale: its network is at first that of the scale before."""
        nets = self.pyramid.nets
        nets[number].load_state_dict(nets[number - 1].state_dict())
        done = self.status
        self.status = Status(
            scale=number, seconds=done.seconds, share=done.share, used=done.used, history=done.history
        )

    def _fit_scale(self, number: int, watch: Watch, save: Save) -> None:
        sitting = _Sitting(self, number, self._state)
        self._state = None
        sitting.go(watch, save)

    def part(self, number: int) -> tuple[float, float]:
        """Where a scale's part of the budget begins and ends, in shares of the whole."""
        count = len(self.pyramid.factors)
        if count == 1:
            return 0.0, 1.0
        rest = (1 - FIRST_SHARE) / (count - 1)
        ends = [0.0, *(FIRST_SHARE + rest * place for place in range(count))]
        return ends[number], ends[number + 1]

    def precision(self) -> torch.autocast:
        """bfloat16 inside, where that was asked for."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._half)


class _Sitting:
    """One scale, from where it was left."""

    def __init__(self, fitter: Fitter, number: int, state: Mapping[str, Any] | None) -> None:
        self.fitter, self.config, self.status = fitter, fitter.config, fitter.status
        first, last = fitter.part(number)
        self.first, self.budget = first, fitter.budget.part(last - first)
        self.span = last - first
        best = fitter.pyramid.nets[number]
        assert isinstance(best, InternalNet)
        self.best = best.to(memory_format=torch.channels_last)
        self.network = copy.deepcopy(self.best).train()
        self.average = copy.deepcopy(self.best).eval()
        config = self.config
        self.adam = Adam(self.network.parameters(), config.rate, config.betas)
        self.seconds = 0.0
        if state is not None and "network" in state:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.adam.load_state_dict(state["adam"])
            self.seconds = float(state["spent"])
        began = time.monotonic()
        material = fitter._material(number)
        shadowed = 1.0 if number else config.shadowed
        self.draws = Draws(material.samples, material.bank, config.side, config.batch, shadowed)
        self.judge = Judge(material.kept)
        if number and not self.seconds:  # finer material takes the coarser networks' time
            self.seconds = time.monotonic() - began
            self.status.seconds += self.seconds

    def go(self, watch: Watch, save: Save) -> None:
        """Step until the budget is used up or nothing is gained any more."""
        try:
            self._walk(watch, save)
        finally:
            self._keep_large_gains()

    def _walk(self, watch: Watch, save: Save) -> None:
        if self.status.judged == 0:
            self._judge(save)
        began, before, earlier = time.monotonic(), self.seconds, self.status.seconds
        while (used := self.budget.used(self.status.step, self.seconds)) < 1:
            self._move(used)
            spent = time.monotonic() - began
            self.seconds, self.status.seconds = before + spent, earlier + spent
            used = self.budget.used(self.status.step, self.seconds)
            self.status.share = self.first + min(1.0, used) * self.span
            if used * JUDGEMENTS >= self.status.judged:
                self._judge(save)
            watch(self.status)
            if self.status.stalled >= self.config.patience:
                break
        self.status.share = self.first + self.span

    def _move(self, used: float) -> None:
        """One step."""
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(self.config, used)
        pieces = self.draws.draw(self.fitter._seed + self.status.scale, self.status.step)
        pieces = pieces.to(self.fitter.device)
        with self.fitter.precision():
            pictures = self.network(pieces.frames, pieces.shares, pieces.start)
        total = loss_of(pictures, pieces, self.config)
        if self.status.scale == 0 and used >= 1 - self.config.regularise:
            total = total + self._regularised(pictures, pieces)
        self.adam.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        if norm.isfinite() and total.isfinite():
            self.adam.step()
        self.status.step += 1
        keep = min(self.config.ema, self.status.step / (10 + self.status.step))
        with torch.no_grad():
            mine: list[Tensor] = list(self.average.parameters())
            torch._foreach_lerp_(mine, [p.detach() for p in self.network.parameters()], 1 - keep)
        loss, old = float(total.detach()), self.status.loss
        self.status.loss = loss if math.isnan(old) else 0.95 * old + 0.05 * loss

    def _regularised(self, pictures: Sequence[Tensor], pieces: Pieces) -> Tensor:
        """The paper's two regularisers, with its weights."""
        unknown = (pieces.weights <= 0).float()
        matrices = random_affine(torch.Generator().manual_seed(self.status.step), len(pieces.frames)).to(
            self.fitter.device
        )
        with self.fitter.precision():
            steady = stabilisation_loss(
                self.network,
                *(pieces.frames, pieces.truth, unknown, pieces.shares),
                pictures,
                matrices,
            )
            total = STABILISATION * steady
            if self.fitter._features is not None:
                clear = ambiguity_loss(pictures[-1], pieces.truth, unknown, self.fitter._features)
                total = total + AMBIGUITY * clear
        return total

    def _judge(self, save: Save) -> None:
        """Judge the averaged weights, keep them if they are the best so far, and write everything down."""
        status = self.status
        with self.fitter.precision():
            status.psnr = self.judge(self.average)
            if status.judged == 0:
                status.smooth = self.judge(None)
                self._begin_with_less()
        status.judged += 1
        if status.psnr > status.best or math.isnan(status.psnr):
            self.best.load_state_dict(self.average.state_dict())
        gained = status.psnr > status.best + LEAST_GAIN or math.isnan(status.psnr)
        status.stalled = 0 if gained else status.stalled + 1
        status.best = max(status.best, status.psnr)
        status.history.append(
            {
                "scale": status.scale,
                "step": status.step,
                "seconds": round(status.seconds, 2),
                "psnr": round(status.psnr, 4),
            }
        )
        save(self._kept())

    def _keep_large_gains(self) -> None:
        """Where the network is hardly better than what it starts from, let it do nothing.

        One place kept aside is weak evidence: small gains there went with colours in the true hole that do
        not belong to it, and 46 steps on a large picture with specks, for all that they gained a decibel.
        """
        status = self.status
        fitted = bool(self.budget.steps) or status.step >= LEAST_STEPS
        used = not self.best.config.prefill or (fitted and status.best >= status.smooth + NEEDED)
        if not used:
            self.best.hush()
            status.best = status.smooth
        status.used = [*status.used[: status.scale], used]

    def _begin_with_less(self) -> None:
        """Where the network the scale begins with does harm, the best is at first one that does nothing."""
        if self.best.config.prefill and self.status.psnr < self.status.smooth:
            self.best.hush()
            self.status.best = self.status.smooth

    def _kept(self) -> dict[str, Any]:
        """Everything that lets the fit go on."""
        names = self.status.__dataclass_fields__
        return {
            "status": {name: copy.copy(getattr(self.status, name)) for name in names},
            "pyramid": self.fitter.pyramid.state_dict(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "adam": self.adam.state_dict(),
            "spent": self.seconds,
        }


def learning_rate(config: FitConfig, used: float) -> float:
    """Of the time when a share ``used`` of a scale's budget is over."""
    if used < WARMUP and config.floor < 1:
        return config.rate * max(0.05, used / WARMUP)
    falling = (1 + math.cos(math.pi * min(1.0, used))) / 2
    return config.rate * (config.floor + (1 - config.floor) * falling)


def loss_of(pictures: Sequence[Tensor], pieces: Pieces, config: FitConfig) -> Tensor:
    """Weighted sum of the losses of all stages' ``pictures``."""
    total = pieces.truth.new_zeros(())
    for picture in pictures:
        picture = picture.float()
        if config.known > 0:  # the paper's: a mean over all pixels, those of unknown truth counting as 0
            total = total + config.known * ((picture - pieces.truth).abs() * pieces.weights).mean()
        if config.hidden > 0 or config.error > 0:
            total = total + _hidden_loss(picture, pieces, config)
    return total


def _hidden_loss(picture: Tensor, pieces: Pieces, config: FitConfig) -> Tensor:
    shown = composite(pieces.frames, picture, pieces.shares)
    weights = pieces.weights * pieces.judged
    sums = weights.flatten(1).sum(1)
    off = (shown - pieces.truth).abs().mean(1, keepdim=True)
    total = config.hidden * (off * weights).sum() / sums.sum().clamp_min(1.0)
    if config.error > 0:
        square = functional.mse_loss(shown / 2, pieces.truth / 2, reduction="none").mean(1, keepdim=True)
        errors = (square * weights).flatten(1).sum(1) / sums.clamp_min(1.0)
        logs = (errors + SMALLEST_ERROR).log() / 2
        total = total + config.error * (logs * (sums > 0)).sum() / (sums > 0).sum().clamp_min(1)
    return total
