"""A segment that did not fit into memory, as two smaller ones."""

from __future__ import annotations

from dataclasses import replace

from vinpaint_cli.plan.segments import BLEND_FRAMES
from vinpaint_cli.types import Segment

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
