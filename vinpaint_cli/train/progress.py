"""Where a run is carried out, how far it has come, and the learning rate that follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vinpaint_cli.train.config import Optimisation
from vinpaint_cli.train.recipe import Stage


@dataclass(frozen=True, slots=True)
class Run:
    """Where and how a run is carried out; nothing here changes its result but ``device``.

    ``workers``: processes that draw batches, 0 = this one. ``log_every``, ``save_every``: steps, and
    ``save_seconds`` the longest time between checkpoints. ``stop_at``: leave early at this step, as Ctrl-C
    does. ``say`` is told one line at a time.
    """

    out: Path
    device: torch.device
    workers: int = 0
    log_every: int = 20
    save_every: int = 1000
    save_seconds: float = 600.0
    stop_at: int | None = None
    say: Callable[[str], None] = field(default=lambda line: None)


@dataclass(slots=True)
class Progress:
    """How far a run has come.

    Steps done, seconds spent in all, last validation (dB), number of the stage and the step it began at.
    """

    step: int = 0
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    stage: int = 0
    began: int = 0

    def share(self, settings: Optimisation) -> float:
        """0 at the start, 1 when steps or minutes are used up."""
        if settings.steps:
            return self.step / settings.steps
        return self.seconds / (60 * settings.minutes) if settings.minutes else 0.0

    def enter(self, stages: Sequence[Stage], settings: Optimisation) -> Stage:
        """The stage the next step belongs to; a stage once left does not come back."""
        while self.stage < len(stages) - 1 and self.share(settings) >= stages[self.stage].until:
            self.stage, self.began = self.stage + 1, self.step
        return stages[self.stage]


def learning_rate(
    settings: Optimisation, progress: Progress, stages: Sequence[Stage] = (Stage("all"),)
) -> float:
    """Linear warm-up, then a cosine from ``rate`` to ``floor``·``rate``, in each stage anew."""
    stage = stages[progress.stage]
    first = stages[progress.stage - 1].until if progress.stage else 0.0
    share = (progress.share(settings) - first) / max(1e-9, stage.until - first)
    warm = min(1.0, (progress.step - progress.began + 1) / max(1, settings.warmup))
    wave = 0.5 + 0.5 * math.cos(math.pi * min(1.0, max(0.0, share)))
    return settings.rate * stage.rate * warm * (settings.floor + (1 - settings.floor) * wave)
