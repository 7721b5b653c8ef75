"""Fills one clip as ``remove`` would: the same stages, over the whole frame, without soft edges."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vinpaint_cli.evaluate.dataset import scaled
from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.pipeline.device import Placement, available_memory, frame_threads, memory_errors
from vinpaint_cli.pipeline.options import FitOptions
from vinpaint_cli.pipeline.plan import BYTES_PER_PIXEL, LONGEST_SEGMENT
from vinpaint_cli.pipeline.progress import Listener
from vinpaint_cli.pipeline.scan import SCAN_WIDTH, CutDetector
from vinpaint_cli.pipeline.stages import Filling, Stages
from vinpaint_cli.plan.memory import default_budget, segment_limits
from vinpaint_cli.plan.segments import SegmentLimits, plan_segments
from vinpaint_cli.plan.shots import shots_from_cuts
from vinpaint_cli.types import Box, Method, Segment

Array = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

SECONDS_BETWEEN_LOOKS = 0.02

UNSEEN = 0.5
"""Residual above which a pixel counts as one that no frame showed."""


@dataclass(slots=True)
class Cost:
    """Time spent, and the largest resident size of the process meanwhile, in bytes."""

    seconds: float = 0.0
    memory: int = 0

    def plus(self, other: Cost) -> Cost:
        """The cost of both one after the other: seconds add up, and the larger memory counts."""
        return Cost(self.seconds + other.seconds, max(self.memory, other.memory))

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Context manager: add the block's time, and its memory as sampled fifty times a second."""
        import psutil

        process, done = psutil.Process(), threading.Event()

        def look() -> None:
            while not done.is_set():
                self.memory = max(self.memory, int(process.memory_info().rss))
                done.wait(SECONDS_BETWEEN_LOOKS)

        listener = threading.Thread(target=look, daemon=True)
        listener.start()
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start
            done.set()
            listener.join()
            self.memory = max(self.memory, int(process.memory_info().rss))


@dataclass(frozen=True, slots=True)
class Start:
    """Frames and residual of each segment after propagation, and the cost of propagation."""

    parts: tuple[tuple[Segment, Filling], ...]
    cost: Cost


@dataclass(frozen=True, slots=True)
class Completed:
    """A filled clip.

    ``frames``: float32 ``(T, h, w, 3)`` in 0…255, outside the holes exactly the truth, not rounded, as in
    the papers. ``propagated``: pixels of holes that propagation answers for, of ``hole_pixels``.
    """

    frames: Array
    propagated: float
    hole_pixels: int
    cost: Cost


@dataclass
class HiddenClip:
    """A clip whose hole pixels are set to zero before any stage reads them, so that no truth leaks.

    pictures: uint8 ``(T, h, w, 3)``, the truth. holes: bool ``(T, h, w)``, True = fill.
    """

    pictures: Bytes
    holes: Bool
    _starts: dict[bool, Start] = field(init=False, default_factory=dict)

    @cached_property
    def _hidden(self) -> Bytes:
        return np.where(self.holes[..., None], 0, self.pictures).astype(np.uint8)

    def segments(self, shots: Sequence[range]) -> Iterator[tuple[Bytes, Bool]]:
        """Pictures, with holes blanked, and holes of each segment that is filled."""
        for segment in plan(self.holes, shots):
            seen = slice(segment.frames.start, segment.frames.stop)
            yield self._hidden[seen], self.holes[seen]

    def unseen(self, shots: Sequence[range]) -> Bool:
        """Pixels of the holes that propagation leaves to be filled, bool ``(T, h, w)``; OutOfMemoryError."""
        result = np.zeros_like(self.holes)
        for segment, found in self._start(True, shots).parts:
            for t in segment.core:
                result[t] = self.holes[t] & (found.residual[t - segment.frames.start] > UNSEEN)
        return result

    def completed(
        self, method: Method, propagates: bool, shots: Sequence[range], stages: Stages | None = None
    ) -> Completed:
        """Fill the clip. Propagation runs once for all methods, and counts in the cost of each.

        stages: what `Stages.fill` does; by default what a removal does.

        Raises OutOfMemoryError and what the method raises.
        """
        start = self._start(propagates, shots)
        result = self._hidden.astype(np.float32)
        propagated = 0.0
        cost = Cost()
        with memory_errors(f"a clip of shape {self.pictures.shape}"), cost.measured():
            for segment, found in start.parts:
                filling = replace(found, frames=found.frames.copy())
                (stages or Stages()).fill(filling, method, segment.frames)
                propagated += self._lay(result, segment, filling)
        return Completed(result, propagated, int(self.holes.sum()), start.cost.plus(cost))

    def _start(self, propagates: bool, shots: Sequence[range]) -> Start:
        if propagates not in self._starts:
            parts, cost = [], Cost()
            with memory_errors(f"a clip of shape {self.pictures.shape}"), cost.measured():
                for segment in plan(self.holes, shots):
                    seen = slice(segment.frames.start, segment.frames.stop)
                    stages = Stages(propagates, threads=frame_threads(segment.roi))
                    height = self.pictures.shape[1]
                    found = stages.find(self._hidden[seen], list(self.holes[seen]), height)
                    parts.append((segment, found))
            self._starts[propagates] = Start(tuple(parts), cost)
        return self._starts[propagates]

    def _lay(self, result: Array, segment: Segment, filling: Filling) -> float:
        """Put the holes of the segment's core into the result; returns what propagation answers for."""
        propagated = 0.0
        for t in segment.core:
            place, hole = t - segment.frames.start, self.holes[t]
            result[t][hole] = np.clip(filling.frames[place][hole], 0, 1) * 255
            propagated += float((1 - filling.residual[place][hole]).sum())
        return propagated


def plan(holes: Bool, shots: Sequence[range]) -> tuple[Segment, ...]:
    """Segments as a removal plans them, with the whole frame as their region."""
    _, height, width = holes.shape
    free = default_budget(available_memory())

    def limits(roi: Box) -> SegmentLimits:
        return segment_limits(roi, bytes_free=free, bytes_per_pixel=BYTES_PER_PIXEL, longest=LONGEST_SEGMENT)

    boxes = [[box] if (box := hole_box(hole)) else [] for hole in holes]
    return plan_segments(
        shots, boxes, width, height, limits=limits, region=lambda *_: Box(0, 0, width, height)
    )


def find_shots(pictures: Bytes, detector: Callable[[], CutDetector] = CutDetector) -> tuple[range, ...]:
    """Shots of a clip, detected on small pictures as a removal does."""
    height, width = pictures.shape[1:3]
    small = min(SCAN_WIDTH, width), max(1, round(height * min(SCAN_WIDTH, width) / width))
    found = detector()
    for picture in pictures:
        found.feed(scaled(picture, small))
    return shots_from_cuts(len(pictures), found.cuts())


def fitted_method(
    name: str,
    hidden: HiddenClip,
    shots: Sequence[range],
    options: FitOptions,
    placement: Placement,
    *,
    propagates: bool,
    listener: Listener,
) -> tuple[Method, Cost]:
    """The method ``name`` with a network fitted to the clip, and what fitting it cost.

    Raises what `fit_clip` raises.
    """
    from vinpaint_cli.methods import start_fit
    from vinpaint_cli.removal.fitting import FitSettings, FrameRun, fit_clip

    height, width = hidden.pictures.shape[1:3]
    runs = [FrameRun(pictures, holes, height) for pictures, holes in hidden.segments(shots)]
    cost = Cost()
    with cost.measured():
        fit = start_fit(
            name, (width, height), config=options.config, seed=options.seed, device=placement.device
        )
        fit_clip(fit, runs, FitSettings(options, listener, Stages(propagates)))
    return fit.method(placement.precision), cost
