"""The main job: plan → fill → compose, and the file that comes out of it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vinpaint_cli.engine.compose import composed_frames
from vinpaint_cli.engine.device import Placement, available_memory, peak_memory, place, resident_memory
from vinpaint_cli.engine.fill import Filler
from vinpaint_cli.engine.patches import MemoryPatches
from vinpaint_cli.engine.reader import SegmentReader
from vinpaint_cli.engine.scan import Scan, scan
from vinpaint_cli.engine.watch import Clock, SilentWatcher, Watcher, advance
from vinpaint_cli.errors import InputError, OutputError, UsageError
from vinpaint_cli.masks.files import MaskOptions, build_mask
from vinpaint_cli.masks.pictures import IMAGE_SUFFIXES
from vinpaint_cli.masks.shapes import HoleSource
from vinpaint_cli.methods import load_method, method_spec
from vinpaint_cli.plan.memory import default_budget, parse_memory, segment_limits
from vinpaint_cli.plan.segments import plan_segments
from vinpaint_cli.types import (
    Box,
    EncodeOptions,
    Frame,
    FrameSource,
    MethodSpec,
    Progress,
    Segment,
    VideoInfo,
)
from vinpaint_cli.video.codecs import is_video_suffix
from vinpaint_cli.video.publish import publish, reserve, temporary_name, translated
from vinpaint_cli.video.read import open_source
from vinpaint_cli.video.write import FrameWriter, open_writer

if TYPE_CHECKING:
    from vinpaint_cli.types import Method

BYTES_PER_PIXEL = 60.0
"""Peak bytes per pixel of the region and frame of a segment: pictures, flow, confidence, fill."""

WORKING_BYTES_PER_PIXEL = 160
"""Bytes per pixel of the region that the work on one frame takes, however long the segment."""

CODEC_BYTES_PER_PIXEL = 120
"""Bytes per pixel of the whole frame that decoder and encoder hold: reference frames and lookahead."""

PROGRAM_BYTES = 600 << 20
"""What the libraries take once they are all loaded."""

LONGEST_SEGMENT = 80
"""Frames of a segment with its context, however much memory there is."""


@dataclass(frozen=True, slots=True)
class RemoveOptions:
    """What a person may say about a removal; None means: choose well.

    method: a name of `vinpaint methods`. weights: a file or a name of weights.toml. device: auto, cpu,
    cuda, mps. precision: auto, fp32, bf16, fp16. propagate: bring in real pixels first. feather: pixels
    of soft edge outside the hole. memory: ``8G``, ``512M`` or ``50%`` of what is free.
    """

    mask: MaskOptions = field(default_factory=MaskOptions)
    method: str = "propagate"
    weights: str | None = None
    device: str = "auto"
    precision: str = "auto"
    propagate: bool = True
    feather: int | None = None
    memory: str | None = None
    encode: EncodeOptions = field(default_factory=EncodeOptions)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a removal will do: ``memory`` is its budget in bytes, ``feather`` pixels."""

    scan: Scan
    segments: tuple[Segment, ...]
    memory: int
    feather: int
    placement: Placement
    spec: MethodSpec


@dataclass(frozen=True, slots=True)
class RemoveReport:
    """What a removal did.

    ``hole_pixels`` is the sum over all frames; ``by_propagation`` and ``by_method`` are shares of it that
    sum to one (both 0 without a hole). ``seconds`` per stage; ``peak_memory`` bytes of this process.
    """

    input: str
    output: str
    frames: int
    hole_frames: int
    hole_pixels: int
    by_propagation: float
    by_method: float
    method: str
    weights: str | None
    device: str
    precision: str
    shots: int
    segments: int
    seconds: dict[str, float]
    peak_memory: int
    warnings: tuple[str, ...]


class Job:
    """One clip, opened, with its mask: what both planning and removing start from.

    Raises UsageError, InputError (VideoError, MaskError) for what cannot be read or does not fit.
    """

    def __init__(self, path: str | Path, options: RemoveOptions) -> None:
        self.path = Path(path)
        self.options = options
        self.spec = method_spec(options.method)
        check_options(options)
        self.source: FrameSource = open_source(self.path)
        first = next(iter(self.source.frames(0, 1)))
        self.mask: HoleSource = build_mask(options.mask, self.source.info, origin_pts=first.pts)

    def plan(self, watcher: Watcher) -> Plan:
        """Scan the clip and cut the work into segments."""
        info, options = self.source.info, self.options
        free = available_memory()
        memory = parse_memory(options.memory, free) if options.memory else default_budget(free)
        feather = default_feather(info.height) if options.feather is None else options.feather
        found = scan(self.source, self.mask, feather, watcher)
        segments = plan_segments(
            found.shots,
            found.holes,
            info.width,
            info.height,
            limits=lambda roi: segment_limits(
                roi,
                bytes_free=memory,
                bytes_per_pixel=BYTES_PER_PIXEL,
                fixed_bytes=_fixed_bytes(self.spec, info, roi),
                longest=LONGEST_SEGMENT,
            ),
            size=self.spec.size,
        )
        return Plan(found, segments, memory, feather, self.placement, self.spec)

    @property
    def placement(self) -> Placement:
        """Where the method will run; raises UsageError."""
        return place(self.options.device, self.options.precision, self.spec.dtypes)

    def load_method(self) -> Method:
        """The method, its weights checked and loaded; raises WeightsError."""
        options, placement = self.options, self.placement
        return load_method(
            options.method, weights=options.weights, device=placement.device, dtype=placement.precision
        )

    def notes(self) -> list[str]:
        """What should be said of how clip and mask were read."""
        return [*getattr(self.source, "notes", ()), *self.mask.warnings]


def remove(
    path: str | Path,
    output: str | Path | None = None,
    options: RemoveOptions | None = None,
    *,
    overwrite: bool = False,
    watcher: Watcher | None = None,
) -> RemoveReport:
    """Remove what the mask covers from one clip.

    path: a video, or a folder of pictures. output: a video or a folder; by default
    ``<stem>.vinpaint<suffix>`` beside the input. It appears under its name only when whole.

    Raises any `VinpaintError`.
    """
    options, watcher = options or RemoveOptions(), watcher or SilentWatcher()
    clock = Clock()
    target = _spelled(check_output(path, output, overwrite), path, output)
    job = Job(path, options)
    writer = open_writer(target, job.source, options.encode, overwrite=overwrite)
    with clock.time("load"):
        method = job.load_method()
    with clock.time("scan"):
        plan = job.plan(watcher)
    if not plan.segments:
        return _without_hole(job, plan, writer, target, overwrite, clock, watcher)
    filler = Filler(method, options.propagate, clock)
    tally = _Tally()
    warnings = _run(job, plan, filler, writer, tally, watcher)
    return _report(job, plan, target, tally, clock, warnings)


@dataclass(slots=True)
class _Tally:
    """Pixels filled so far."""

    hole: int = 0
    propagated: float = 0.0


def _run(
    job: Job, plan: Plan, filler: Filler, writer: FrameWriter, tally: _Tally, watcher: Watcher
) -> list[str]:
    """Fill and compose the whole clip into the writer; returns its warnings."""
    store = MemoryPatches()
    reader = SegmentReader(job.source, job.mask, plan.feather)
    steps = sum(2 * len(segment.frames) - 1 for segment in plan.segments) if filler.propagates else 0
    with (
        writer,
        watcher.stage("fill", steps + plan.scan.frames) as progress,
    ):

        def fill(segment: Segment) -> None:
            done = filler.fill(segment, reader, lambda: advance(progress))
            store.put(done.patches)
            tally.hole += done.hole_pixels
            tally.propagated += done.propagated_pixels

        _encode(composed_frames(job.source, plan.segments, store, fill), writer.write, progress, filler.clock)
    return list(writer.warnings)


def _encode(
    frames: Iterable[Frame], write: Callable[[Frame], None], progress: Progress, clock: Clock
) -> None:
    """Pull frames through the pipeline; what filling does not account for is decoding and encoding."""
    start, before = time.perf_counter(), sum(clock.seconds.values())
    for frame in frames:
        write(frame)
        advance(progress)
    filling = sum(clock.seconds.values()) - before
    clock.seconds["encode"] = time.perf_counter() - start - filling


def _without_hole(
    job: Job,
    plan: Plan,
    writer: FrameWriter,
    target: str,
    overwrite: bool,
    clock: Clock,
    watcher: Watcher,
) -> RemoveReport:
    """Nothing to remove: copy the file, or encode it anew when another form was asked for."""
    notes = ["the mask is empty, so nothing is removed"]
    same_suffix = Path(target).suffix.lower() == job.path.suffix.lower()
    with clock.time("encode"):
        if same_suffix and job.path.is_file() and job.options.encode == EncodeOptions():
            _copy(job.path, Path(target), overwrite)
            notes.append("the clip is copied as it is")
        else:
            with writer, watcher.stage("copy", plan.scan.frames) as progress:
                for frame in job.source.frames():
                    writer.write(frame)
                    advance(progress)
            notes += writer.warnings
    return _report(job, plan, target, _Tally(), clock, notes)


def _copy(source: Path, target: Path, overwrite: bool) -> None:
    temporary = temporary_name(target)
    reserve(target, temporary)
    try:
        with translated(target):
            shutil.copyfile(source, temporary)
            publish(temporary, target, overwrite=overwrite)
    finally:
        temporary.unlink(missing_ok=True)


def _report(
    job: Job, plan: Plan, target: str, tally: _Tally, clock: Clock, warnings: list[str]
) -> RemoveReport:
    share = tally.propagated / tally.hole if tally.hole else 0.0
    spec = plan.spec
    return RemoveReport(
        input=str(job.path),
        output=target,
        frames=plan.scan.frames,
        hole_frames=sum(box is not None for box in plan.scan.holes),
        hole_pixels=plan.scan.hole_pixels,
        by_propagation=round(share, 4),
        by_method=round(1 - share, 4) if tally.hole else 0.0,
        method=spec.name,
        weights=(job.options.weights or spec.weights) if plan.segments else None,
        device=plan.placement.device,
        precision=plan.placement.precision,
        shots=len(plan.scan.shots),
        segments=len(plan.segments),
        seconds={name: round(value, 3) for name, value in clock.seconds.items()},
        peak_memory=peak_memory(),
        warnings=(*job.notes(), *warnings),
    )


def check_options(options: RemoveOptions) -> None:
    """Refuse options that contradict each other, before anything is decoded; raises UsageError."""
    spec = method_spec(options.method)
    if "" in options.mask.masks:
        raise UsageError("--mask was given an empty name; check the variable it came from")
    if not (options.mask.masks or options.mask.boxes):
        raise UsageError("nothing says where the hole is; give --mask FILE or --box X,Y,W,H")
    if options.feather is not None and not 0 <= options.feather <= 64:
        raise UsageError(f"--feather {options.feather} is not a width of 0 to 64 pixels")
    if spec.weights is None and options.weights is not None:
        raise UsageError(f"method {spec.name!r} has no network and takes no --weights; leave the option out")
    if spec.name == "propagate" and not options.propagate:
        raise UsageError(f"--no-propagate leaves method {spec.name!r} nothing to do; choose another --method")


def check_output(path: str | Path, output: str | Path | None, overwrite: bool) -> Path:
    """Where the output goes.

    Raises OutputError when it exists or its folder does not, InputError when it is the input itself, and
    UsageError for the name of a single picture.
    """
    target = Path(output) if output is not None else default_output(path)
    if target.suffix.lower() in IMAGE_SUFFIXES:
        raise UsageError(f"{target} is a single picture; give a video, or a folder for pictures")
    if str(path) == "" or str(output) == "":
        raise UsageError(
            "an empty name was given for the input or the output; check the variable it came from"
        )
    if target.exists() and target.resolve() == Path(path).resolve():
        raise InputError(f"{target} is the input itself; choose another output with -o")
    if os.path.lexists(target) and not overwrite:
        raise OutputError(f"{target} exists; give -y to overwrite it or another name with -o")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} does not exist; make it or choose another -o")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"the folder {folder} cannot be written; choose another -o")
    return target


def _spelled(target: Path, path: str | Path, output: str | Path | None) -> str:
    """The target, with a trailing slash when it is to be a folder of pictures.

    It is one when it was given so, and for a folder of pictures unless it has the suffix of a video.
    """
    folder = str(output or "").endswith(("/", os.sep))
    folder |= Path(path).is_dir() and not is_video_suffix(target.suffix)
    return f"{target}{os.sep}" if folder else str(target)


def default_output(path: str | Path) -> Path:
    """``<stem>.vinpaint<suffix>`` beside the input; for a folder ``<name>.vinpaint``."""
    source = Path(path)
    return source.with_name(f"{source.stem}.vinpaint{source.suffix}")


def default_feather(height: int) -> int:
    """Width of the soft edge: 2 pixels at 240 lines, more with the square root of the height."""
    growth: float = (height / 240) ** 0.5
    return max(1, round(2 * growth))


def _fixed_bytes(spec: MethodSpec, info: VideoInfo, roi: Box) -> int:
    """What is taken beside a segment's frames: program, codecs, one frame's work, one window of a network."""
    width, height = spec.size or (0, 0)
    window: int = width * height * (spec.window + 12) * round(spec.bytes_per_pixel)
    codecs = CODEC_BYTES_PER_PIXEL * info.width * info.height
    return max(PROGRAM_BYTES, resident_memory()) + codecs + WORKING_BYTES_PER_PIXEL * roi.area + window
