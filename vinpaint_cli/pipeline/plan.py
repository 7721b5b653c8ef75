"""Plans a removal: from a clip and its mask to segments that are filled independently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vinpaint_cli.masks.sources.options import MaskOptions, is_sequence
from vinpaint_cli.masks.sources.shapes import HoleSource
from vinpaint_cli.pipeline.device import WORKING_BYTES_PER_PIXEL, Placement, frame_threads, resident_memory
from vinpaint_cli.pipeline.progress import Listener
from vinpaint_cli.pipeline.scan import Scan, scan
from vinpaint_cli.plan.memory import segment_limits
from vinpaint_cli.plan.segments import Region, plan_segments, region_of_interest
from vinpaint_cli.plan.shots import split_shots
from vinpaint_cli.types import Box, FrameSource, MethodSpec, Segment, VideoInfo

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
class Plan:
    """Plan of a removal; ``memory``: budget in bytes, ``feather``: width of the soft edge in pixels."""

    scan: Scan
    segments: tuple[Segment, ...]
    memory: int
    feather: int
    placement: Placement
    spec: MethodSpec


def make_plan(
    source: FrameSource,
    mask: HoleSource,
    cover: HoleSource,
    listener: Listener,
    *,
    options: MaskOptions,
    spec: MethodSpec,
    placement: Placement,
    memory: int,
    feather: int,
    bytes_per_pixel: float = BYTES_PER_PIXEL,
    region: Region = region_of_interest,
    grouped: bool = True,
) -> Plan:
    """Scan a clip and cut the work into segments.

    cover: the mask with what it covers beyond its range of time, or ``mask`` itself. memory: budget in bytes.
    feather: reach of the soft edge in pixels. bytes_per_pixel: of a segment's region and frame. region: from
    the boxes of holes to that of what is worked on. grouped: holes far apart have regions of their own.

    Raises what source and mask raise, OutOfMemoryError, and Interrupted.
    """
    info = source.info
    found = scan(source, mask, feather, listener, None if cover is mask else cover)
    segments = plan_segments(
        split_shots(found.shots, object_bounds(options, found.holes)),
        found.boxes,
        info.width,
        info.height,
        limits=lambda roi: segment_limits(
            roi,
            bytes_free=memory,
            bytes_per_pixel=bytes_per_pixel,
            fixed_bytes=_fixed_bytes(spec, info, roi, frame_threads(roi, memory)),
            longest=LONGEST_SEGMENT,
        ),
        size=spec.size,
        region=region,
        grouped=grouped,
    )
    return Plan(found, segments, memory, feather, placement, spec)


def object_bounds(options: MaskOptions, holes: Sequence[Box | None]) -> list[int]:
    """Frames where the time range of the mask ends although the object may go on, at unknown places.

    What is followed does not vanish where the range ends, nor does text, nor do the shadows of what has a
    mask for each frame, so frames beyond it must not be looked at: they would bring it back. ``holes``: per
    frame, None without.
    """
    marked = [index for index, box in enumerate(holes) if box is not None]
    shaded = options.shadows and any(map(is_sequence, options.masks))
    stays = options.prompts.follows or options.tracked or options.text.wanted or shaded
    if not marked or not stays:
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
