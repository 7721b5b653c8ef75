"""The training loop of all networks: steps, validation, checkpoints, signals. A recipe does the step."""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vinpaint_cli.errors import Interrupted, OutputError, VinpaintError
from vinpaint_cli.train import checkpoint
from vinpaint_cli.train.checkpoint import LOG, VALIDATION, Means, Table, write_json, write_png
from vinpaint_cli.train.config import Optimisation
from vinpaint_cli.train.draw import Batch, Draws, validation
from vinpaint_cli.train.pack import UNSTATED, Pack
from vinpaint_cli.train.recipes.base import Recipe, Stage


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
class RunProgress:
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
    settings: Optimisation, progress: RunProgress, stages: Sequence[Stage] = (Stage("all"),)
) -> float:
    """Linear warm-up, then a cosine from ``rate`` to ``floor``·``rate``, in each stage anew."""
    stage = stages[progress.stage]
    first = stages[progress.stage - 1].until if progress.stage else 0.0
    share = (progress.share(settings) - first) / max(1e-9, stage.until - first)
    warm = min(1.0, (progress.step - progress.began + 1) / max(1, settings.warmup))
    wave = 0.5 + 0.5 * math.cos(math.pi * min(1.0, max(0.0, share)))
    return settings.rate * stage.rate * warm * (settings.floor + (1 - settings.floor) * wave)


BAD_BATCH = "bad_batch.pt"


class Diverged(VinpaintError):
    """The loss is no longer a number; the last checkpoint is from before."""


def train(
    recipe: Recipe, packs: Sequence[Pack], run: Run, resume: dict[str, Any] | None = None
) -> RunProgress:
    """Train until steps or minutes are used up; returns how far it came.

    resume: a checkpoint to go on from. Raises Diverged when loss or gradient stop being numbers,
    Interrupted after Ctrl-C (once the run is saved), OutputError when the disk is full.
    """
    _prepare_folder(run.out, recipe)
    for note in recipe.notes:
        run.say(note)
    ema = copy.deepcopy(recipe.generator).eval().requires_grad_(False)
    progress = RunProgress() if resume is None else _restore(recipe, ema, resume)
    return _Session(recipe, packs, run, ema, progress).go()


class _Session:
    """The loop from where a run stands to its end or a signal."""

    def __init__(
        self, recipe: Recipe, packs: Sequence[Pack], run: Run, ema: nn.Module, progress: RunProgress
    ) -> None:
        self.recipe, self.run, self.ema, self.progress = recipe, run, ema, progress
        self.settings = recipe.config.train
        self.draws = Draws(packs, recipe.config.data, recipe.config.seed)
        mix = recipe.config.data
        self.checks = validation(
            packs, mix.size, max(mix.frames), consecutive=mix.consecutive, hidden=mix.hidden
        )
        self.sources = credits_of(packs)
        self.log = Table(run.out / LOG, progress.step)
        self.judged = Table(run.out / VALIDATION, progress.step)
        self.saved_at = time.monotonic()

    def go(self) -> RunProgress:
        """Step until the end, a signal or ``stop_at``; always leaves a checkpoint."""
        with stop_signals() as stopped:
            try:
                self._loop(stopped)
            except RuntimeError:  # the signal may have ended the workers too
                if not stopped.is_set():
                    raise
            self.save()
        if stopped.is_set():
            raise Interrupted(f"stopped at step {self.progress.step}; go on with --resume {self.run.out}")
        return self.progress

    def _loop(self, stopped: threading.Event) -> None:
        means, began, before = Means(), time.monotonic(), self.progress.seconds
        for batch in self._batches():
            if self._finished() or stopped.is_set() or self.progress.step == self.run.stop_at:
                return
            means.add(self._step(batch))
            self.progress.seconds = before + time.monotonic() - began
            if self.progress.step % self.run.log_every == 0:
                self._log(means.take())
            if self._due():
                self.save()

    def _finished(self) -> bool:
        return self.progress.share(self.settings) >= 1

    def _due(self) -> bool:
        overdue = time.monotonic() - self.saved_at > self.run.save_seconds
        return overdue or self.progress.step % self.run.save_every == 0

    def _batches(self) -> Iterator[Batch]:
        first = self.progress.step
        if self.run.workers == 0:
            for step in range(first, len(self.draws)):
                yield self.draws[step]
            return
        loader = DataLoader(
            self.draws,
            batch_size=None,
            sampler=range(first, len(self.draws)),
            num_workers=self.run.workers,
            prefetch_factor=4,
            worker_init_fn=_quiet_worker,
            multiprocessing_context="spawn",
        )
        yield from loader

    def _step(self, batch: Batch) -> dict[str, float]:
        stage = self.progress.enter(self.recipe.stages, self.settings)
        rate = learning_rate(self.settings, self.progress, self.recipe.stages)
        for optimiser in self.recipe.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate
        numbers = self.recipe.step(batch.to(self.run.device), self.progress.step, stage.name)
        if not all(math.isfinite(value) for value in numbers.values()):
            self._give_up(batch, numbers)
        average(self.ema, self.recipe.generator, self.settings.ema, self.progress.step)
        self.progress.step += 1
        return {"rate": rate, **numbers}

    def _give_up(self, batch: Batch, numbers: Mapping[str, float]) -> None:
        path = self.run.out / BAD_BATCH
        with suppress(OutputError):
            parts = {"truth": batch.truth, "found": batch.found, "shares": batch.residual}
            checkpoint.write(path, {"step": self.progress.step, **parts})
        told = ", ".join(f"{name} {value}" for name, value in numbers.items() if not math.isfinite(value))
        raise Diverged(
            f"step {self.progress.step} gave {told}; its batch (seed {self.recipe.config.seed}) is in "
            f"{path}; go on from {self.run.out} with a smaller rate or in fp32"
        )

    def _log(self, means: Mapping[str, float]) -> None:
        seconds = self.progress.seconds
        self.log.add({"step": self.progress.step, "seconds": round(seconds, 1), **means})
        told = " ".join(f"{name} {value:.4g}" for name, value in means.items())
        self.run.say(f"step {self.progress.step}  {seconds:.0f} s  {told}")

    def save(self) -> None:
        """Validate the averaged weights and write a checkpoint."""
        self._validate()
        state = {
            "method": self.recipe.name,
            "config": self.recipe.config.to_dict(),
            "network": self.recipe.network_config,
            "step": self.progress.step,
            "seconds": self.progress.seconds,
            "metrics": self.progress.metrics,
            "stage": [self.progress.stage, self.progress.began],
            "sources": self.sources,
            "modules": {name: module.state_dict() for name, module in self.recipe.modules.items()},
            "optimisers": {name: opt.state_dict() for name, opt in self.recipe.optimisers.items()},
            "ema": self.ema.state_dict(),
            "random": checkpoint.random_state(),
        }
        checkpoint.write(self.run.out / checkpoint.NAME, state)
        self.saved_at = time.monotonic()

    def _validate(self) -> None:
        if not self.checks:
            return
        means, strips = Means(), []
        for batch in self.checks:
            numbers, picture = self.recipe.show(self.ema, batch.to(self.run.device))
            means.add(numbers)
            strips.append(picture)
        self.progress.metrics = {name: round(value, 4) for name, value in means.take().items()}
        self.judged.add({"step": self.progress.step, **self.progress.metrics})
        write_png(self.run.out / "strip.png", torch.cat(strips[:: max(1, len(strips) // 8)], dim=1))
        told = " ".join(f"{name} {value}" for name, value in self.progress.metrics.items())
        self.run.say(f"step {self.progress.step}  validation: {told}")


@torch.no_grad()
def average(ema: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of the weights; early on it follows faster."""
    keep = min(decay, (1 + step) / (10 + step))
    old: list[Tensor] = list(ema.parameters())
    new = [p.detach() for p in network.parameters()]
    torch._foreach_lerp_(old, new, 1 - keep)
    for mine, theirs in zip(ema.buffers(), network.buffers(), strict=True):
        mine.copy_(theirs)


def credits_of(packs: Sequence[Pack]) -> list[dict[str, str]]:
    """Name and licence of every source, once; a pack that states a licence speaks for those that do not."""
    licences: dict[str, str] = {}
    for source in (source for pack in packs for source in pack.index.sources):
        if licences.get(source.name, UNSTATED) == UNSTATED:
            licences[source.name] = source.licence
    return [{"name": name, "licence": licences[name]} for name in sorted(licences)]


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """While entered, SIGINT and SIGTERM set an event instead of breaking a step off."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: event.set()) for number in numbers}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prepare_folder(out: Path, recipe: Recipe) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(
            f"cannot make the folder {out}: {exc.strerror or exc}; choose another --out"
        ) from exc
    write_json(out / "config.json", recipe.config.to_dict())


def _restore(recipe: Recipe, ema: nn.Module, state: dict[str, Any]) -> RunProgress:
    for name, module in recipe.modules.items():
        if name in state["modules"]:  # a discriminator may join later
            module.load_state_dict(state["modules"][name])
    for name, optimiser in recipe.optimisers.items():
        if name in state["optimisers"]:
            optimiser.load_state_dict(state["optimisers"][name])
    ema.load_state_dict(state["ema"])
    checkpoint.restore_random(state["random"])
    stage, began = state.get("stage", (0, 0))
    return RunProgress(
        int(state["step"]), float(state["seconds"]), dict(state["metrics"]), int(stage), int(began)
    )


def _quiet_worker(number: int) -> None:
    """Workers draw on one thread each, and leave Ctrl-C to the loop."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
