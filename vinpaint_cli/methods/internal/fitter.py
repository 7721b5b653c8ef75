"""The optimisation of a fit: scale by scale, from coarse to fine (Ouyang et al., ICCV 2021).

Differences from the paper, all of which `FitConfig` can undo: it starts from weights trained on other clips;
it looks at crops around holes instead of whole frames; next to rolled holes it learns from pseudo-holes
(`samples`); the learning rate falls over a budget of steps or minutes; weights are averaged; and the weights
that are kept are those that do best on the held-out pseudo-hole.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from vinpaint_cli.methods.fitting import Budget, FitStatus, Report, Save
from vinpaint_cli.methods.internal.config import FitConfig
from vinpaint_cli.methods.internal.losses import (
    AMBIGUITY,
    STABILISATION,
    Features,
    ambiguity_loss,
    random_affine,
    reconstruction_loss,
    stabilisation_loss,
)
from vinpaint_cli.methods.internal.net import InternalNet, Pyramid
from vinpaint_cli.methods.internal.samples import CropBatch, CropSampler, HeldOutScore, ScaledFrames

WARMUP = 0.03
"""Share of a scale's budget over which the learning rate rises."""
SCORINGS = 20
"""How often a network is scored, spread over a scale's budget."""
LEAST_GAIN = 0.005
"""dB by which a score must be better than the best for the fit not to have stalled."""
NEEDED = 0.5
"""dB by which the held-out pixels must be better than a smooth fill for the network to be used."""
LEAST_STEPS = 100
"""Steps that a scale must have had for its network to be used, where the budget is a time."""
FIRST_SHARE = 0.6
"""The coarsest scale's share of the budget, where there are finer ones."""


@dataclass(frozen=True, slots=True)
class ScaleMaterial:
    """What one scale's network learns from, what it is scored on, and the residual maps that are rolled."""

    samples: Sequence[ScaledFrames]
    held_out: Sequence[ScaledFrames]
    hole_bank: Sequence[Tensor]


class Fitter:
    """Fits all networks of a pyramid. ``run`` can be stopped anywhere; the last state saved lets it go on.

    material: makes what a scale learns from, by its number. half: bfloat16 inside. features: for the
    anti-ambiguity loss, None leaves it out. state: of a fit that was stopped.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        material: Callable[[int], ScaleMaterial],
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
        self.material, self.half, self.seed, self.features = material, half, seed, features
        self.status = FitStatus()
        self._state = dict(state) if state is not None else None
        if self._state is not None:
            self.status = FitStatus(**self._state["status"])
            self.pyramid.load_state_dict(self._state["pyramid"])

    def run(self, report: Report, save: Save) -> Pyramid:
        """Fit all scales; the pyramid holds the best weights of each, also after an exception."""
        for number in range(self.status.scale, len(self.pyramid.factors)):
            if self.status.scale != number:
                self._next(number)
            scale, self._state = _ScaleFit(self, number, self._state), None
            scale.run(report, save)
        return self.pyramid.eval()

    def _next(self, number: int) -> None:
        """Begin a finer scale: its network is at first that of the scale before."""
        nets = self.pyramid.nets
        nets[number].load_state_dict(nets[number - 1].state_dict())
        done = self.status
        self.status = FitStatus(
            scale=number, seconds=done.seconds, share=done.share, used=done.used, history=done.history
        )

    def part(self, number: int) -> tuple[float, float]:
        """Where a scale's part of the budget begins and ends, in [0, 1] of the whole."""
        count = len(self.pyramid.factors)
        if count == 1:
            return 0.0, 1.0
        rest = (1 - FIRST_SHARE) / (count - 1)
        ends = [0.0, *(FIRST_SHARE + rest * place for place in range(count))]
        return ends[number], ends[number + 1]

    def precision(self) -> torch.autocast:
        """A context manager in which networks compute in bfloat16, if ``half`` was asked for."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)


class _ScaleFit:
    """The fit of one scale's network, begun anew or from a saved state."""

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
        material = fitter.material(number)
        cut_out = 1.0 if number else config.pseudo_hole_share
        self.sampler = CropSampler(material.samples, material.hole_bank, config.side, config.batch, cut_out)
        self.held_out = HeldOutScore(material.held_out)
        if number and not self.seconds:  # finer material takes the coarser networks' time
            self.seconds = time.monotonic() - began
            self.status.seconds += self.seconds

    def run(self, report: Report, save: Save) -> None:
        """Step until the budget is used up or nothing is gained any more."""
        try:
            self._loop(report, save)
        finally:
            self._drop_small_gain()

    def _loop(self, report: Report, save: Save) -> None:
        if self.status.judged == 0:
            self._score(save)
        began, before, earlier = time.monotonic(), self.seconds, self.status.seconds
        while (used := self.budget.used(self.status.step, self.seconds)) < 1:
            self._step(used)
            spent = time.monotonic() - began
            self.seconds, self.status.seconds = before + spent, earlier + spent
            used = self.budget.used(self.status.step, self.seconds)
            self.status.share = self.first + min(1.0, used) * self.span
            if used * SCORINGS >= self.status.judged:
                self._score(save)
            report(self.status)
            if self.status.stalled >= self.config.patience:
                break
        self.status.share = self.first + self.span

    def _step(self, used: float) -> None:
        """Draw a batch, move the weights and their running average."""
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(self.config, used)
        batch = self.sampler.draw(self.fitter.seed + self.status.scale, self.status.step)
        batch = batch.to(self.fitter.device)
        with self.fitter.precision():
            pictures = self.network(batch.frames, batch.residual, batch.start)
        total = reconstruction_loss(pictures, batch, self.config)
        if self.status.scale == 0 and used >= 1 - self.config.regularise:
            total = total + self._regularised(pictures, batch)
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

    def _regularised(self, pictures: Sequence[Tensor], batch: CropBatch) -> Tensor:
        """The paper's two regularisers, with its weights."""
        unknown = (batch.weights <= 0).float()
        matrices = random_affine(torch.Generator().manual_seed(self.status.step), len(batch.frames)).to(
            self.fitter.device
        )
        with self.fitter.precision():
            steady = stabilisation_loss(
                self.network,
                *(batch.frames, batch.truth, unknown, batch.residual),
                pictures,
                matrices,
            )
            total = STABILISATION * steady
            if self.fitter.features is not None:
                clear = ambiguity_loss(pictures[-1], batch.truth, unknown, self.fitter.features)
                total = total + AMBIGUITY * clear
        return total

    def _score(self, save: Save) -> None:
        """Score the averaged weights, keep them if they are the best so far, and save the state."""
        status = self.status
        with self.fitter.precision():
            status.psnr = self.held_out(self.average)
            if status.judged == 0:
                status.smooth = self.held_out(None)
                self._drop_harmful_start()
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
        save(self._state())

    def _drop_small_gain(self) -> None:
        """Zero the output of a network that is hardly better than what it starts from.

        One held-out place is weak evidence: small gains there went with colours in the true hole that do
        not belong to it, and 46 steps on a large picture with specks, for all that they gained a decibel.
        """
        status = self.status
        fitted = bool(self.budget.steps) or status.step >= LEAST_STEPS
        used = not self.best.config.prefill or (fitted and status.best >= status.smooth + NEEDED)
        if not used:
            self.best.zero_output()
            status.best = status.smooth
        status.used = [*status.used[: status.scale], used]

    def _drop_harmful_start(self) -> None:
        """If the network that the scale begins with does harm, let the best at first add nothing."""
        if self.best.config.prefill and self.status.psnr < self.status.smooth:
            self.best.zero_output()
            self.status.best = self.status.smooth

    def _state(self) -> dict[str, Any]:
        """All that is needed to go on from here."""
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
    """The rate when a share ``used`` in [0, 1] of a scale's budget is used up: warm-up, then a cosine."""
    if used < WARMUP and config.floor < 1:
        return config.rate * max(0.05, used / WARMUP)
    falling = (1 + math.cos(math.pi * min(1.0, used))) / 2
    return config.rate * (config.floor + (1 - config.floor) * falling)
