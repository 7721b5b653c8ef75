"""Fits a method's network to the clip that is repaired: makes the material, runs the fit, reports progress.

The material is known pixels of the clip, and pseudo-holes: the hole once more, elsewhere, filled by
propagation as the true one is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import InputError
from vinpaint_cli.masks.sources.random import moving_holes, shifted
from vinpaint_cli.methods.fitting import Budget, ClipFit, FitFrames, FitMaterial, FitStatus, Save
from vinpaint_cli.ops.image import to_levels
from vinpaint_cli.pipeline.device import frame_threads, memory_errors
from vinpaint_cli.pipeline.options import MINUTES, FitOptions
from vinpaint_cli.pipeline.progress import Listener, advance
from vinpaint_cli.pipeline.reader import Pictures
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.types import Box, Progress

Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

RELIABLE = 0.7
"""Confidence from which on a pixel that propagation brought in counts as known, by as much."""

TRIES = 64
"""Places that are tried for a pseudo-hole."""


@dataclass(frozen=True, slots=True)
class FrameRun:
    """Consecutive frames of a region: ``pictures (T, h, w, 3)``, ``holes`` bool ``(T, h, w)``, True = fill.

    height: of the whole frame in pixels.
    """

    pictures: Pictures
    holes: Bool
    height: int


def hide_pseudo_holes(
    run: FrameRun,
    rounds: int,
    rng: np.random.Generator,
    *,
    stages: Stages | None = None,
    tick: Callable[[], None] = lambda: None,
) -> FitMaterial:
    """Hide known pixels at two places at a time, and let propagation fill them as it fills the true hole.

    Each of the ``rounds`` takes about as long as propagation for a removal and gives two pseudo-holes; one of
    the first round is held out. A run without a hole gets object-shaped holes that wander. ``tick`` is called
    about twice per frame and round. Deterministic for a state of ``rng``.
    """
    places, stages = _places(run, 2 * rounds, rng), stages or Stages()
    hidden = [
        _hide(run, places[first] | places[first + 1], stages, tick) for first in range(0, len(places), 2)
    ]
    truth, residual = _known(run, places[0] | places[1], *hidden[0])
    trust = np.where(run.holes, _trusted(residual), np.uint8(255)).astype(np.uint8)
    rest = np.where(places[0], np.uint8(0), trust).astype(np.uint8)  # what is held out is not learned
    held_out = FitFrames(truth, *hidden[0], trust, places[0])
    pseudo_holes = [
        FitFrames(truth, *hidden[number // 2], rest, place & ~places[0])
        for number, place in enumerate(places)
        if number
    ]
    known = FitFrames(truth, truth, residual, rest)
    return FitMaterial(known, tuple(pseudo_holes), held_out, _hole_bank(run, residual, places))


def _known(run: FrameRun, places: Bool, found: Bytes, residual: Bytes) -> tuple[Bytes, Bytes]:
    """Pictures and residual with the pseudo-holes removed, so that only the true hole is hidden."""
    bare = places & ~run.holes
    truth = np.where(bare[..., None], np.rint(to_levels(run.pictures)), found)
    return np.asarray(truth, np.uint8), np.where(bare, np.uint8(0), residual).astype(np.uint8)


def _hole_bank(run: FrameRun, residual: Bytes, places: Sequence[Bool]) -> Bytes:
    """Residual maps to roll: the true hole's, or without one the middle frame of each place."""
    if run.holes.any():
        return residual
    return np.stack([place[len(place) // 2] for place in places]).astype(np.uint8) * np.uint8(255)


def _hide(run: FrameRun, place: Bool, stages: Stages, tick: Callable[[], None]) -> tuple[Bytes, Bytes]:
    """What propagation makes of the true hole and of another ``place``: pictures and residual, uint8."""
    targets = list(run.holes | place)
    height, width = run.holes.shape[1:]
    stages = replace(stages, threads=frame_threads(Box(0, 0, width, height)))
    found = stages.find(run.pictures, targets, run.height, tick=tick)
    return _levels(found.frames), _levels(found.residual)


def _trusted(residual: Bytes) -> Bytes:
    confidence = 1 - residual.astype(np.float32) / 255
    return np.asarray(np.where(confidence >= RELIABLE, confidence * 255, 0), np.uint8)


def _levels(unit: npt.NDArray[np.float32]) -> Bytes:
    """Pictures in [0, 1] as uint8 in 0…255, converted frame by frame to save memory."""
    levels = np.empty(unit.shape, np.uint8)
    for target, frame in zip(levels, unit, strict=True):
        np.clip(np.rint(frame * 255), 0, 255, out=target, casting="unsafe")
    return levels


def _places(run: FrameRun, count: int, rng: np.random.Generator) -> list[Bool]:
    """Where something is hidden ``(T, h, w)``, apart from the true hole and each other as far as can be."""
    if not run.holes.any():
        length, height, width = run.holes.shape
        return [moving_holes(rng, length, height, width) for _ in range(count)]
    places: list[Bool] = []
    union = _union(run.holes)
    for _ in range(count):
        taken = [union, *(_union(place) for place in places)]
        shift = max(_shifts(union, rng), key=lambda shift: _merit(union, shift, taken))
        places.append(np.stack([shifted(hole, *shift) for hole in run.holes]))
    return places


def _shifts(union: Bool, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Random shifts of the hole, ``(rows, columns)`` each."""
    height, width = union.shape
    for _ in range(TRIES):
        yield int(rng.integers(-height + 1, height)), int(rng.integers(-width + 1, width))


def _merit(union: Bool, shift: tuple[int, int], taken: Sequence[Bool]) -> float:
    """Share of the shifted hole inside the picture, minus overlap with other holes (the true one twice)."""
    moved = shifted(union, *shift)
    area = max(1, int(union.sum()))
    meets = sum(int((moved & other).sum()) for other in taken[1:]) + 2 * int((moved & taken[0]).sum())
    return (int(moved.sum()) - meets) / area


def usable(run: FrameRun) -> bool:
    """Whether any pixel of a run is known in all frames, so that a pseudo-hole can be placed."""
    return not bool(_union(run.holes).all())


def _union(holes: Bool) -> Bool:
    return np.asarray(holes.any(0))


ROUNDS = 2
"""How often propagation works in pseudo-holes; once only where there is little time."""
LITTLE = 3.0
"""Minutes."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Settings of a fit: its options, the stages of filling it uses, and who receives its progress.

    goes_on: whether it goes on from a saved state; then the time for its material does not count.
    """

    options: FitOptions
    listener: Listener
    stages: Stages = field(default_factory=Stages)
    goes_on: bool = False


def fit_clip(
    fit: ClipFit, runs: Sequence[FrameRun], settings: FitSettings, save: Save = lambda state: None
) -> None:
    """Make the material from the runs of frames, then fit; may be stopped at any time.

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
