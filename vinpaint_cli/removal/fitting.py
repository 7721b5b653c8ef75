"""Fitting a method's network to the clip that is repaired: making the material, then the fit, watched."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from vinpaint_cli.errors import InputError
from vinpaint_cli.methods.fitting import Budget, ClipFit, FitMaterial, FitStatus, Save
from vinpaint_cli.pipeline.device import memory_errors
from vinpaint_cli.pipeline.options import MINUTES, FitOptions
from vinpaint_cli.pipeline.progress import Listener, advance
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.removal.pseudo_holes import FrameRun, hide_pseudo_holes, usable
from vinpaint_cli.types import Progress

ROUNDS = 2
"""How often propagation works in pseudo-holes; once only where there is little time."""
LITTLE = 3.0
"""Minutes."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What a fit is made with: how long and how, with which stages of filling, who is told.

    goes_on: whether it goes on from a saved state; then the time for its material does not count.
    """

    options: FitOptions
    listener: Listener
    stages: Stages = field(default_factory=Stages)
    goes_on: bool = False


def fit_clip(
    fit: ClipFit, runs: Sequence[FrameRun], settings: FitSettings, save: Save = lambda state: None
) -> None:
    """Make the material out of the runs, then fit; may be stopped anywhere.

    save: is given the state of the fit now and then. Raises InputError (nothing is known that something could
    be hidden in), OutOfMemoryError, Interrupted and what ``save`` raises.
    """
    with memory_errors("the fit"):
        start = time.monotonic()
        material = list(_material(runs, settings))
        spent = 0.0 if settings.goes_on else time.monotonic() - start
        with settings.listener.stage("fit", 1000) as progress:
            report = _Report(progress, settings.listener)
            fit.run(material, _budget(settings.options, spent), report, save)
            assert fit.status is not None
            report.tell(fit.status)


def _material(runs: Sequence[FrameRun], settings: FitSettings) -> Iterator[FitMaterial]:
    runs = [run for run in runs if usable(run)]
    if not runs:
        raise InputError(
            "the hole covers the whole region in every frame, so there is nothing to fit a network to; "
            "take another --method"
        )
    frames = sum(len(run.holes) for run in runs)
    rng = np.random.default_rng(settings.options.seed)
    minutes = settings.options.minutes
    rounds = 1 if minutes is not None and minutes < LITTLE else ROUNDS
    with settings.listener.stage("hide", (2 * frames - len(runs)) * rounds) as progress:
        for run in runs:
            yield hide_pseudo_holes(run, rounds, rng, stages=settings.stages, tick=lambda: advance(progress))


def _budget(options: FitOptions, spent: float) -> Budget:
    """What is left for the fit after ``spent`` seconds on its material, a tenth of the time at least."""
    if options.steps is not None:
        return Budget(steps=options.steps)
    minutes = MINUTES if options.minutes is None else options.minutes
    return Budget(seconds=max(0.1 * minutes * 60, minutes * 60 - spent))


class _Report:
    """Turns the status of a fit into progress, and into a line when the best score has risen."""

    def __init__(self, progress: Progress, listener: Listener) -> None:
        self._progress, self._listener = progress, listener
        self._done, self._judged, self._best = 0, (0, 0), float("-inf")

    def __call__(self, status: FitStatus) -> None:
        """Raises Interrupted when the listener asks to stop."""
        done = min(1000, int(1000 * status.share))
        if (status.scale, status.judged) != self._judged and status.best > self._best + 0.05:
            self.tell(status)
            self._judged, self._best = (status.scale, status.judged), status.best
        advance(self._progress, done - self._done)
        self._done = max(done, self._done)

    def tell(self, status: FitStatus) -> None:
        """Say in one line how the fit stands."""
        scale = f"scale {status.scale + 1}, " if status.scale else ""
        self._listener.note(
            f"fit: {scale}step {status.step}, loss {status.loss:.3f}, hidden pixels kept aside at "
            f"{status.best:.2f} dB (smooth {status.smooth:.2f} dB)"
        )
