"""Fills one segment independently of all others: frames and holes in, patches out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.pipeline.device import memory_errors
from vinpaint_cli.pipeline.reader import SegmentReader
from vinpaint_cli.pipeline.stages import Filling, Stages
from vinpaint_cli.types import Box, Method, MethodSpec, Patch, Segment

if TYPE_CHECKING:
    from vinpaint_cli.ops.image import Array
    from vinpaint_cli.types import Plane


@dataclass(frozen=True, slots=True)
class MemoryFit:
    """Limits found by running out of memory: ``frames`` of a segment at once (None: as many as planned).

    ``on_cpu``: the network runs on the CPU, whatever device it was meant for.
    """

    frames: int | None = None
    on_cpu: bool = False


@dataclass(frozen=True, slots=True)
class Filled:
    """A segment's patches, and how many hole pixels its core has and propagation filled.

    ``seconds`` per stage; ``fit``: the memory limits found so far by the process that filled it.
    """

    patches: tuple[Patch, ...]
    hole_pixels: int
    propagated_pixels: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    fit: MemoryFit = field(default_factory=MemoryFit)


def fill_segment(
    segment: Segment,
    reader: SegmentReader,
    method: Method,
    stages: Stages,
    tick: Callable[[], None] = lambda: None,
    counted: range | None = None,
) -> Filled:
    """Fill one segment; pixels of the frames ``counted`` (default: the core) are counted.

    ``tick`` is called about twice per frame of the segment where anything is propagated.

    Raises OutOfMemoryError, and what the source, the mask and the method raise.
    """
    with memory_errors(f"segment {segment.index} ({len(segment.frames)} frames of its region)"):
        with stages.clock.time("read"):
            pictures, alphas = reader.read(segment)
        wanted = wanted_places(segment, method.spec)
        holes = [alpha > 0 for alpha in alphas]
        filling = stages.find(pictures, holes, reader.height, wanted=wanted, tick=tick)
        stages.fill(filling.part(wanted), method, segment.frames[wanted.start : wanted.stop])
        return _cut_out(
            segment, segment.core if counted is None else counted, filling, alphas, pictures.dtype
        )


def wanted_places(segment: Segment, spec: MethodSpec) -> range:
    """Places in the segment whose fill is needed: all for a method that looks at other frames."""
    if spec.window > 1:
        return range(len(segment.frames))
    first = segment.frames.start
    return range(segment.shown.start - first, segment.shown.stop - first)


def _cut_out(
    segment: Segment, counted: range, filling: Filling, alphas: list[Plane], dtype: np.dtype[Any]
) -> Filled:
    """The patches of the frames that are shown, in integers of ``dtype``, and what is counted."""
    patches = []
    hole_pixels, propagated = 0, 0.0
    own = segment.roi if segment.own is None else segment.own.intersection(segment.roi)
    inside = own.moved(-segment.roi.x0, -segment.roi.y0).slices()
    for place, index in enumerate(segment.frames):
        alpha = alphas[place][inside]
        box = hole_box(alpha > 0)
        if index not in segment.shown or box is None:
            continue
        if index in counted:
            hole = alpha >= 1
            hole_pixels += int(np.count_nonzero(hole))
            propagated += float((1 - filling.residual[place][inside])[hole].sum())
        patch = _patch(index, own, box, filling.frames[place][inside], alpha, dtype)
        patches.append(replace(patch, weight=segment.weight(index)))
    return Filled(tuple(patches), hole_pixels, propagated)


def _patch(index: int, roi: Box, box: Box, frame: Array, alpha: Plane, dtype: np.dtype[Any]) -> Patch:
    """The patch of the feathered hole in ``box`` of ``roi``; the picture is quantised here, once."""
    peak = np.iinfo(dtype).max
    window = box.slices()
    rgb = np.clip(np.rint(frame[window] * np.float32(peak)), 0, peak).astype(dtype)
    return Patch(index, box.moved(roi.x0, roi.y0), rgb, np.ascontiguousarray(alpha[window]))
