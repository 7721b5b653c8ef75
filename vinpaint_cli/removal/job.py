"""One removal before it begins: what a person asked for, the clip and its mask opened, the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vinpaint_cli.errors import UsageError
from vinpaint_cli.mask_making.cast_shadows import add_shadows
from vinpaint_cli.mask_making.follow import find_hole
from vinpaint_cli.masks.sources.options import MaskOptions, check_mask_options, covering, is_sequence
from vinpaint_cli.masks.sources.shapes import HoleSource
from vinpaint_cli.methods import load_method, method_spec
from vinpaint_cli.pipeline.device import (
    WORKING_BYTES_PER_PIXEL,
    Placement,
    available_memory,
    frame_threads,
    place,
    resident_memory,
)
from vinpaint_cli.pipeline.progress import Clock, SilentWatcher, Watcher
from vinpaint_cli.pipeline.reader import SegmentReader
from vinpaint_cli.pipeline.scan import Scan, scan
from vinpaint_cli.plan.memory import default_budget, parse_memory, segment_limits
from vinpaint_cli.plan.regions import region_of_interest
from vinpaint_cli.plan.segments import Region, plan_segments
from vinpaint_cli.plan.shots import split_shots
from vinpaint_cli.removal.fit_options import FitOptions, check_fit_options
from vinpaint_cli.types import Box, EncodeOptions, FrameSource, MethodSpec, Segment, VideoInfo
from vinpaint_cli.video.source.read import open_source

if TYPE_CHECKING:
    from vinpaint_cli.types import Method

BYTES_PER_PIXEL = 60.0
"""Peak bytes per pixel of the region and frame of a segment: pictures, flow, confidence, fill."""

ZONE_BYTES_PER_PIXEL = 120.0
"""The same where shadows are looked for: two thirds of the region are searched, not a third."""

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
    cuda, mps. precision: auto, fp32, bf16, fp16. propagate: bring in real pixels first. texture: give
    some to what no frame shows, where propagation ran and the method leaves it smooth. feather: pixels of
    soft edge outside the hole. memory: ``8G``, ``512M`` or ``50%`` of what is free. fit: for a method whose
    network is fitted to the clip first, unless weights are given.
    """

    mask: MaskOptions = field(default_factory=MaskOptions)
    method: str = "propagate"
    weights: str | None = None
    device: str = "auto"
    precision: str = "auto"
    propagate: bool = True
    texture: bool = True
    feather: int | None = None
    memory: str | None = None
    fit: FitOptions = field(default_factory=FitOptions)
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


KeepMask = Callable[[FrameSource, HoleSource, bool], None]
"""Keeps a mask of a clip that took time to find, for another run; whether it is the whole hole."""


class Job:
    """One clip, opened, with its mask: what planning, filling and removing start from.

    ``seconds``: what finding the mask took, by stage; empty when nothing had to be found.

    Raises UsageError, InputError (VideoError, MaskError) for what cannot be read or does not fit.
    """

    def __init__(
        self,
        path: str | Path,
        options: RemoveOptions,
        watcher: Watcher | None = None,
        keep: KeepMask = lambda source, masks, whole: None,
    ) -> None:
        """``watcher`` sees objects being followed and shadows looked for; ``keep`` gets what is found."""
        self.path = Path(path)
        self.options = options
        self.spec = method_spec(options.method)
        check_options(options)
        self.source: FrameSource = open_source(self.path)
        self.mask: HoleSource
        clock = Clock()
        with clock.time("track"):
            self.mask, self.tracked = find_hole(self.source, options.mask, watcher, device=options.device)
        self.seconds: Mapping[str, float] = clock.seconds if self.tracked else {}
        if self.tracked is not None:
            keep(self.source, self.tracked, False)
        if options.mask.shadows and options.mask.whole is None:
            with clock.time("shadows"):
                self.mask = self._with_shadows(watcher or SilentWatcher())
            self.seconds = {**self.seconds, "shadows": clock.seconds["shadows"]}
            keep(self.source, self.mask, True)

    def _with_shadows(self, watcher: Watcher) -> HoleSource:
        region = partial(region_of_interest, context=0.0)  # the zone has its surroundings in it
        plan = partial(
            self._plan, feather=0, watcher=watcher, bytes_per_pixel=ZONE_BYTES_PER_PIXEL, region=region
        )
        return add_shadows(self.source, self.mask, plan, watcher)

    def plan(self, watcher: Watcher) -> Plan:
        """Scan the clip and cut the work into segments."""
        return self._plan(self.mask, self.feather, watcher)

    def _plan(
        self,
        mask: HoleSource,
        feather: int,
        watcher: Watcher,
        bytes_per_pixel: float = BYTES_PER_PIXEL,
        region: Region = region_of_interest,
    ) -> Plan:
        info, options = self.source.info, self.options
        memory = self.memory
        cover = self._covering()
        found = scan(self.source, mask, feather, watcher, None if cover is self.mask else cover)
        segments = plan_segments(
            split_shots(found.shots, object_bounds(options.mask, found.holes)),
            found.holes,
            info.width,
            info.height,
            limits=lambda roi: segment_limits(
                roi,
                bytes_free=memory,
                bytes_per_pixel=bytes_per_pixel,
                fixed_bytes=_fixed_bytes(self.spec, info, roi, frame_threads(roi, memory)),
                longest=LONGEST_SEGMENT,
            ),
            size=self.spec.size,
            region=region,
        )
        return Plan(found, segments, memory, feather, self.placement, self.spec)

    @property
    def memory(self) -> int:
        """Bytes that may be taken, as things are now; raises UsageError."""
        free, given = available_memory(), self.options.memory
        return parse_memory(given, free) if given else default_budget(free)

    def reader(self) -> SegmentReader:
        """What gives segments with their holes, and with what the mask covers beyond its range of time."""
        return SegmentReader(self.source, self._covering(), self.feather)

    def _covering(self) -> HoleSource:
        origin = next(iter(self.source.frames(0, 1))).pts
        return covering(self.options.mask, self.source.info, self.mask, origin_pts=origin)

    @property
    def feather(self) -> int:
        """Reach of the soft edge in pixels."""
        given = self.options.feather
        return default_feather(self.source.info.height) if given is None else given

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


def check_options(options: RemoveOptions) -> None:
    """Refuse options that contradict each other, before anything is decoded; raises UsageError."""
    spec = method_spec(options.method)
    check_mask_options(options.mask)
    check_fit_options(options.fit, spec.fitted, spec.name)
    if options.memory is not None:
        parse_memory(options.memory, available_memory())
    if options.feather is not None and not 0 <= options.feather <= 64:
        raise UsageError(f"--feather {options.feather} is not a width of 0 to 64 pixels")
    if spec.weights is None and options.weights is not None:
        raise UsageError(f"method {spec.name!r} has no network and takes no --weights; leave the option out")
    if spec.name == "propagate" and not options.propagate:
        raise UsageError(f"--no-propagate leaves method {spec.name!r} nothing to do; choose another --method")


def check_readable(path: str | Path) -> None:
    """Refuse what is no video and no folder of pictures, before anything long begins; raises VideoError."""
    open_source(path)


def default_feather(height: int) -> int:
    """Width of the soft edge: 2 pixels at 240 lines, more with the square root of the height."""
    growth: float = (height / 240) ** 0.5
    return max(1, round(2 * growth))


def object_bounds(options: MaskOptions, holes: Sequence[Box | None]) -> list[int]:
    """Frames at which a range of time parts the hole from frames that show an object, nobody knows where.

    What is followed does not vanish where the range ends, nor do the shadows of what has a mask for each
    frame, so frames beyond it must not be looked at: they would bring it back. ``holes``: per frame, None
    without.
    """
    marked = [index for index, box in enumerate(holes) if box is not None]
    shaded = options.shadows and any(map(is_sequence, options.masks))
    if not marked or not (options.prompts.follows or options.tracked or shaded):
        return []
    return [
        *([marked[0]] if options.start is not None else []),
        *([marked[-1] + 1] if options.end is not None else []),
    ]


def _fixed_bytes(spec: MethodSpec, info: VideoInfo, roi: Box, threads: int) -> int:
    """Taken beside a segment's frames: program, codecs, work on frames at once, one window of a network."""
    width, height = spec.size or (0, 0)
    window: int = width * height * (spec.window + 12) * round(spec.bytes_per_pixel)
    codecs = CODEC_BYTES_PER_PIXEL * info.width * info.height
    work = threads * WORKING_BYTES_PER_PIXEL * roi.area
    return max(PROGRAM_BYTES, resident_memory()) + codecs + work + window
