"""Composes the output: blends finished patches into the frames of a clip, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from vinpaint_cli.types import Box, Frame, FrameSource, Patch, Segment
from vinpaint_cli.video.colour.planes import compose


def in_order(segments: Iterable[Segment]) -> list[Segment]:
    """Segments in the order in which their first patches are due."""
    return sorted(segments, key=lambda segment: segment.shown.start)


def composed_frames(
    source: FrameSource,
    segments: Sequence[Segment],
    filled: Iterator[Iterable[Patch]],
    store: PatchStore,
) -> Iterator[Frame]:
    """All frames of ``source`` in order; those without a patch exactly as they were decoded.

    ``filled`` gives the patches of ``segments``, which are `in_order`. A segment's are asked for just
    before the first of them is due, so that for each group of holes those of one segment and of its join with
    the next are held.
    """
    waiting = iter(segments)
    due = next(waiting, None)
    for frame in source.frames():
        while due is not None and due.shown.start <= frame.index:
            store.put(next(filled))
            due = next(waiting, None)
        patches = store.take(frame.index)
        yield compose(frame, patches) if patches else frame


class PatchStore(Protocol):
    """Keeps patches by frame."""

    def put(self, patches: Iterable[Patch]) -> None:
        """Keep patches."""
        ...

    def take(self, index: int) -> list[Patch]:
        """Return and remove the patches of one frame."""
        ...


class MemoryPatches:
    """Patches in main memory, for each group of holes those of one segment and of its join with the next."""

    def __init__(self) -> None:
        self._patches: dict[int, list[Patch]] = {}

    def put(self, patches: Iterable[Patch]) -> None:
        """Keep patches."""
        for patch in patches:
            self._patches.setdefault(patch.index, []).append(patch)

    def take(self, index: int) -> list[Patch]:
        """Return and remove the patches of one frame, one for each group of holes."""
        places: dict[Box, list[Patch]] = {}
        for patch in self._patches.pop(index, []):
            places.setdefault(patch.roi, []).append(patch)
        return [blend(patches) for patches in places.values()]


def blend(patches: Sequence[Patch]) -> Patch:
    """One patch from those of neighbouring segments for the same frame and hole, by their weights."""
    first = patches[0]
    if len(patches) == 1:
        return first
    mixed = sum(patch.weight * patch.rgb.astype(np.float32) for patch in patches)
    total = sum(patch.weight for patch in patches)
    rounded = np.rint(np.asarray(mixed) / total)
    rgb = rounded.astype(np.uint8) if first.rgb.dtype == np.uint8 else rounded.astype(np.uint16)
    return replace(first, rgb=rgb, weight=total)
