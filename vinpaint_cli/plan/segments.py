"""Splits the frames with a hole into segments, units of work filled independently, each with its region.

A region is one padded rectangle per group of holes (`plan.groups`).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise

from vinpaint_cli.plan.groups import APART_FRAMES, HoleGroup, group_holes
from vinpaint_cli.types import Box, Segment

MARGIN_PIXELS = 96
MARGIN_SHARE = 0.12


def region_of_interest(
    holes: Iterable[Box],
    width: int,
    height: int,
    *,
    context: float = 1.0,
    margin: int | None = None,
    minimum: int = 128,
    multiple: int = 2,
) -> Box:
    """Smallest region that contains every hole with enough surroundings to fill it from.

    The union of the holes grows on each side by ``context`` times the extent of the largest hole along
    that axis, yet by ``margin`` pixels at least (96 or 12 % of the frame's short side, whichever is
    more): what fills a hole comes in from the sides as the camera moves. It is then grown to ``minimum``
    pixels a side, its edges moved outwards to multiples of ``multiple``, and clamped to the frame, so an
    edge is a multiple or the frame's own edge. The larger extent is taken over single holes, not over
    their union, so that a small hole that wanders does not ask for a vast border.

    Raises ValueError (no hole inside the frame).

    * ``holes``: hole boxes of one shot's frames; empty ones and parts outside the frame are left out.
    * ``width``: frame width in pixels.
    * ``height``: frame height in pixels.
    * ``context``: border in units of the hole's extent.
    * ``margin``: least border in pixels.
    * ``minimum``: least extent in pixels, as far as the frame has it.
    * ``multiple``: grid of the edges; 2 keeps 4:2:0 chroma whole.
    """
    frame = Box(0, 0, width, height)
    inside = [part for part in (hole.intersection(frame) for hole in holes) if part.area]
    if not inside:
        raise ValueError(f"no hole inside the {width}x{height} frame, so there is no region to plan")
    if margin is None:
        margin = least_margin(width, height)
    union = reduce(Box.union, inside)
    grow_x = max(margin, math.ceil(context * max(hole.width for hole in inside)))
    grow_y = max(margin, math.ceil(context * max(hole.height for hole in inside)))
    x0, x1 = _extend(union.x0 - grow_x, union.x1 + grow_x, width, minimum, multiple)
    y0, y1 = _extend(union.y0 - grow_y, union.y1 + grow_y, height, minimum, multiple)
    return Box(x0, y0, x1, y1)


def least_margin(width: int, height: int) -> int:
    """Least border of a region, and least distance of holes that may be filled apart, in pixels."""
    return max(MARGIN_PIXELS, round(min(width, height) * MARGIN_SHARE))


def _extend(start: int, stop: int, limit: int, minimum: int, multiple: int) -> tuple[int, int]:
    """Clamp ``[start, stop)`` to ``[0, limit)``, grown to the minimum and out to the grid."""
    start, stop = max(0, start), min(limit, stop)
    lacking = min(minimum, limit) - (stop - start)
    if lacking > 0:
        start = min(max(0, start - lacking // 2), limit - min(minimum, limit))
        stop = start + min(minimum, limit)
    start -= start % multiple
    stop += -stop % multiple
    return start, min(stop, limit)


BLEND_FRAMES = 8
"""Most frames on either side of a join over which neighbouring segments are blended."""

Region = Callable[[Iterable[Box], int, int], Box]


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """How long a segment may be.

    ``core``: frames that a segment fills when it has context on both sides. ``context``: frames it also
    reads on each side. No segment has more than ``frames`` frames; where a shot begins or
    ends, the missing context makes room for a longer core.
    """

    core: int
    context: int

    def __post_init__(self) -> None:
        if self.core < 1 or self.context < 0:
            raise ValueError(f"core {self.core} must be 1 or more, context {self.context} 0 or more")

    @property
    def frames(self) -> int:
        """Most frames of one segment."""
        return self.core + 2 * self.context


def plan_segments(
    shots: Sequence[range],
    holes: Sequence[Sequence[Box]],
    width: int,
    height: int,
    *,
    limits: SegmentLimits | Callable[[Box], SegmentLimits],
    size: tuple[int, int] | None = None,
    region: Region = region_of_interest,
    grouped: bool = True,
) -> tuple[Segment, ...]:
    """Cut the frames that have a hole into segments, each with the holes of one group.

    Runs of hole frames that lie less than twice the context apart are treated as one. Each run is cut
    into few cores of nearly equal length; a core begins and ends with a hole frame.
    Context is taken from the same shot only, also from frames without a hole: there the real pixels are.
    All segments of a group share one region. Every hole of a frame is in exactly one core; neighbours whose
    cores touch blend into each other over a few frames (`Segment.shown`).

    Raises ValueError (shots that reach beyond ``holes`` or overlap).

    * ``shots``: ranges of frame indices, in order, not overlapping.
    * ``holes``: per frame the boxes of its holes; empty boxes do not count.
    * ``width``: frame width in pixels.
    * ``height``: frame height in pixels.
    * ``limits``: the limits, or a function that gives them for a region.
    * ``size``: ``(width, height)`` the networks see; the region's own by default.
    * ``region``: makes a region from the hole boxes of a group and the frame's width and height.
    * ``grouped``: False puts all holes of a shot into one group.
    """
    _check_shots(shots, len(holes))
    real = [tuple(box for box in boxes if box.area) for boxes in holes]
    planned: list[Segment] = []
    for shot in shots:

        def cost(group: HoleGroup, shot: range = shot) -> int:
            frames = _surrounded(group.frames, shot, APART_FRAMES // 2)
            return len(frames) * region(group.holes.values(), width, height).area

        groups = group_holes(shot, real, least_margin(width, height), cost if grouped else lambda _: 0)
        alone: list[Segment] = []
        for group in groups:
            roi = region(group.holes.values(), width, height)
            bounds = limits if isinstance(limits, SegmentLimits) else limits(roi)
            whole = Segment(0, shot, shot, roi, size or (roi.width, roi.height), own=group.bounds)
            cores = _cores(sorted(group.holes), shot, bounds)
            alone += _joined(
                [replace(whole, core=core, frames=_with_context(core, shot, bounds)) for core in cores]
            )
        planned += sorted(alone, key=lambda segment: segment.shown.start)
    return tuple(replace(segment, index=index) for index, segment in enumerate(planned))


def _joined(segments: list[Segment]) -> list[Segment]:
    """Let neighbours whose cores touch share some frames on either side of the join."""
    joined = list(segments)
    for place, (left, right) in enumerate(pairwise(segments)):
        if left.core.stop != right.core.start:
            continue
        reach = min(
            BLEND_FRAMES,
            len(left.core) // 2,
            len(right.core) // 2,
            left.frames.stop - left.core.stop,
            right.core.start - right.frames.start,
        )
        joined[place] = replace(joined[place], trail=reach)
        joined[place + 1] = replace(joined[place + 1], lead=reach)
    return joined


def _check_shots(shots: Sequence[range], frames: int) -> None:
    """Refuse shots that are not rising, separate ranges of known frames."""
    if any(shot.step != 1 or not 0 <= shot.start <= shot.stop <= frames for shot in shots):
        raise ValueError(
            f"shots {list(shots)} must be ranges within the {frames} frames whose holes are known"
        )
    if any(second.start < first.stop for first, second in pairwise(shots)):
        raise ValueError(f"shots {list(shots)} must be in order and must not overlap")


def _cores(marked: Sequence[int], shot: range, limits: SegmentLimits) -> Iterator[range]:
    """Cores of one shot in order, each trimmed to hole frames, none without one."""
    for run in _runs(marked, 2 * limits.context):
        for piece in _cut(run, shot, limits):
            first, last = bisect_left(marked, piece.start), bisect_left(marked, piece.stop) - 1
            if first <= last:
                yield range(marked[first], marked[last] + 1)


def _runs(marked: Sequence[int], gap: int) -> list[range]:
    """Join hole frames that have fewer than ``gap`` frames between them (neighbours always)."""
    runs: list[range] = []
    for index in marked:
        if runs and index - runs[-1].stop < max(gap, 1):
            runs[-1] = range(runs[-1].start, index + 1)
        else:
            runs.append(range(index, index + 1))
    return runs


def _cut(run: range, shot: range, limits: SegmentLimits) -> list[range]:
    """Balanced pieces, as few as keep each one's frames, context included, within the limits."""
    # Only near the edges of a shot can a piece be longer than the core, so a long run need not search.
    if len(run) > 4 * limits.frames:
        return _split(run, -(-len(run) // limits.core))
    count = -(-len(run) // limits.frames)
    while not _fits(pieces := _split(run, count), shot, limits):
        count += 1
    return pieces


def _split(run: range, count: int) -> list[range]:
    """``count`` pieces whose lengths differ by one at most."""
    edges = [run.start + len(run) * step // count for step in range(count + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]


def _fits(pieces: Iterable[range], shot: range, limits: SegmentLimits) -> bool:
    return all(len(_surrounded(piece, shot, limits.context)) <= limits.frames for piece in pieces)


def _surrounded(core: range, shot: range, context: int) -> range:
    """Core plus ``context`` frames on each side, as far as the shot has them."""
    return range(max(shot.start, core.start - context), min(shot.stop, core.stop + context))


def _with_context(core: range, shot: range, limits: SegmentLimits) -> range:
    """Core and context; what a shot's edge takes from one side is given to the other, room permitting."""
    frames = _surrounded(core, shot, limits.context)
    spare = min(limits.frames - len(frames), len(core) + 2 * limits.context - len(frames))
    stop = min(shot.stop, frames.stop + spare)
    start = max(shot.start, frames.start - (spare - (stop - frames.stop)))
    return range(start, stop)


CONTEXT_SHARE = 0.1
"""Frames of context that a half keeps on each side, as a share of the whole segment's frames."""

FEWEST = 3
"""A segment of so many frames is not halved."""


def halve(segment: Segment) -> tuple[Segment, ...]:
    """Two halves that together show every frame of ``segment.shown``; empty when it is as small as can be.

    The halves' cores partition ``shown``, so that each half can be filled, and halved again, like any
    other segment: of every frame of ``shown`` the halves' weights sum to one, and scaled by the
    segment's own weight they blend with its neighbours as the segment's would. Each half has fewer frames
    than the segment. A segment that shows one frame alone becomes one segment with less context.
    """
    shown, frames = segment.shown, segment.frames
    if len(frames) <= (FEWEST if len(shown) > 1 else 1):
        return ()
    context = round(len(frames) * CONTEXT_SHARE)
    if len(shown) == 1:
        less = len(frames) // 4
        return (replace(segment, core=shown, frames=_around(shown, frames, less, less), lead=0, trail=0),)
    middle = shown.start + len(shown) // 2
    reach = min(BLEND_FRAMES, context, len(shown) // 4)
    left, right = range(shown.start, middle), range(middle, shown.stop)
    inside = max(1, context)
    return (
        replace(segment, core=left, frames=_around(left, frames, context, inside), lead=0, trail=reach),
        replace(segment, core=right, frames=_around(right, frames, inside, context), lead=reach, trail=0),
    )


def _around(core: range, frames: range, before: int, after: int) -> range:
    """Core with so many frames before and after it, as far as ``frames`` has them."""
    return range(max(frames.start, core.start - before), min(frames.stop, core.stop + after))
