"""Executors fill the segments of jobs: in this process, or elsewhere by the same protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from vinpaint_cli.errors import OutOfMemoryError
from vinpaint_cli.mask_making.clip import MaskedClip, open_clip
from vinpaint_cli.methods import load_method
from vinpaint_cli.ops.complete import Completer, open_completer
from vinpaint_cli.ops.flow import FlowEstimator, open_flow
from vinpaint_cli.pipeline.compose import MemoryPatches
from vinpaint_cli.pipeline.device import Placement, frame_threads, memory_errors
from vinpaint_cli.pipeline.fill import Filled, MemoryFit, fill_segment
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.progress import Clock
from vinpaint_cli.pipeline.reader import SegmentReader
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.plan.segments import halve
from vinpaint_cli.resume.checkpoints import checkpoints_of
from vinpaint_cli.types import Segment

if TYPE_CHECKING:
    from vinpaint_cli.types import Method


Loaded = tuple["Method", FlowEstimator, Completer]


@dataclass(frozen=True, slots=True)
class FillSpec:
    """What a worker needs to fill a segment of a job; can be pickled.

    path: of the clip, as every worker sees it. fit: what an earlier run of the same job
    found to fit into memory. folder: where workers that see it keep parts of segments.
    """

    path: str
    options: RemoveOptions
    placement: Placement
    fit: MemoryFit = field(default_factory=MemoryFit)
    folder: str | None = None


class Executor(Protocol):
    """Fills the segments of one job after the other."""

    def prepare(self, job: FillSpec, opened: MaskedClip) -> None:
        """Called once before a job is scanned: the place to load the method, so that it fails early.

        ``opened`` is the job as this process has it, clip and mask open; it cannot be pickled.

        Raises WeightsError.
        """
        ...

    def fill(
        self, job: FillSpec, plan: Plan, segments: Sequence[Segment], tick: Callable[[], None]
    ) -> Iterator[Filled]:
        """Fill segments, results in the order given; may work ahead by a bounded number.

        ``tick`` is called about twice per frame of a segment and raises Interrupted when the work should
        stop; the iterator is closed when nobody wants the rest.
        """
        ...


class LocalExecutor:
    """Fills segments in this process, each when it is asked for."""

    def __init__(self) -> None:
        self._worker = Worker()

    def prepare(self, job: FillSpec, opened: MaskedClip) -> None:
        """Load the method; raises WeightsError."""
        self._worker.adopt(job, opened)
        self._worker.load(job)

    def fill(
        self, job: FillSpec, plan: Plan, segments: Sequence[Segment], tick: Callable[[], None]
    ) -> Iterator[Filled]:
        """Fill segments in the order given, each when it is asked for."""
        for segment in segments:
            yield self._worker.fill(job, segment, tick)


class Worker:
    """Fills segments of jobs in one process: keeps the last job open and the last method loaded.

    Where a segment does not fit into memory it is filled as two halves, these again as halves if need be,
    and in the end by the network on the CPU; later segments of the job start with what fitted.
    """

    def __init__(self) -> None:
        self._spec: FillSpec | None = None
        self._clip: MaskedClip | None = None
        self._reader: SegmentReader | None = None
        self._fit = MemoryFit()
        self._key: tuple[str, str | None, str, str, Placement] | None = None
        self._loaded: Loaded | None = None

    def adopt(self, spec: FillSpec, clip: MaskedClip) -> None:
        """Take over a job whose clip and mask are open already."""
        self._spec, self._clip, self._fit = spec, clip, spec.fit
        self._reader = clip.reader()

    def load(self, spec: FillSpec) -> Loaded:
        """Method, flow estimator and completer of a job, loaded once; on the CPU if the device has no room.

        Raises WeightsError.
        """
        try:
            return self._load(spec)
        except OutOfMemoryError:
            if self._fit.on_cpu or spec.placement.device == "cpu":
                raise
        self._fit = MemoryFit(on_cpu=True)
        return self._load(spec)

    def _load(self, spec: FillSpec) -> Loaded:
        placement = Placement("cpu", "fp32") if self._fit.on_cpu else spec.placement
        options = spec.options
        key = options.method, options.weights, options.flow, options.complete, placement
        if self._loaded is None or self._key != key:
            self._loaded = None  # the old ones make room first
            with memory_errors(f"method {options.method}"):
                method = load_method(
                    options.method,
                    weights=options.weights,
                    device=placement.device,
                    dtype=placement.precision,
                )
                estimator = open_flow(options.flow, placement.device)
                self._key, self._loaded = key, (method, estimator, open_completer(options.complete))
        return self._loaded

    def fill(self, spec: FillSpec, segment: Segment, tick: Callable[[], None] = lambda: None) -> Filled:
        """Fill one segment of a job.

        Raises OutOfMemoryError when not even a few frames on the CPU fit, and what opening the job,
        loading the method and filling raise.
        """
        if spec != self._spec:
            self.adopt(spec, open_clip(spec.path, spec.options))
        try:
            return self._fill(spec, segment, segment.core, tick)
        except OutOfMemoryError:
            if self._fit.on_cpu or spec.placement.device == "cpu":
                raise
        self._fit = MemoryFit(on_cpu=True)
        self._make_room(spec)
        return self._fill(spec, segment, segment.core, tick)

    def _fill(self, spec: FillSpec, segment: Segment, answers: range, tick: Callable[[], None]) -> Filled:
        """Fill a segment whole or, if memory does not suffice, as two halves; count pixels of ``answers``."""
        parts = halve(segment)
        most = self._fit.frames
        if not parts or most is None or len(segment.frames) <= most:
            try:
                return self._fill_whole(spec, segment, answers, tick)
            except OutOfMemoryError:
                if not parts:
                    raise
            self._fit = replace(self._fit, frames=max(len(part.frames) for part in parts))
            self._make_room(spec)
        found = [self._fill(spec, part, _common(answers, part.core), tick) for part in parts]
        return replace(_joined(segment, found), fit=self._fit)

    def _fill_whole(
        self, spec: FillSpec, segment: Segment, answers: range, tick: Callable[[], None]
    ) -> Filled:
        assert self._clip is not None  # fill has opened the job
        assert self._reader is not None
        clock = Clock()
        sufficed = self._fit.frames is None
        threads = frame_threads(segment.roi, self._clip.memory) if sufficed else 1
        method, estimator, completer = self.load(spec)
        options = spec.options
        with checkpoints_of(spec.folder, segment) as checkpoints:
            stages = Stages(
                options.propagate,
                options.texture,
                estimator,
                completer,
                threads,
                clock,
                checkpoints=checkpoints,
            )
            filled = fill_segment(segment, self._reader, method, stages, tick, answers)
        return replace(filled, seconds=clock.seconds, fit=self._fit)

    def _make_room(self, spec: FillSpec) -> None:
        """Forget the frames that were read, and give back what torch keeps of a GPU's memory."""
        import torch

        assert self._clip is not None  # fill has opened the job
        self._reader = self._clip.reader()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _joined(segment: Segment, parts: Sequence[Filled]) -> Filled:
    """The patches of a segment from those of its parts."""
    store, clock = MemoryPatches(), Clock()
    for part in parts:
        store.put(part.patches)
        clock.add(part.seconds)
    patches = [
        replace(patch, weight=segment.weight(index)) for index in segment.shown for patch in store.take(index)
    ]
    return Filled(
        tuple(patches),
        sum(part.hole_pixels for part in parts),
        sum(part.propagated_pixels for part in parts),
        clock.seconds,
    )


def _common(one: range, other: range) -> range:
    """Frames that both have."""
    start = max(one.start, other.start)
    return range(start, max(start, min(one.stop, other.stop)))
