"""Trackers to measure against: the nearest mask copied, and the nearest mask carried along flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.masks.track import Tracked
from vinpaint_cli.masks.track.frame_reader import (
    Bytes,
    grown,
    seeds_within,
    shrunk,
    small_pictures,
    work_size,
)
from vinpaint_cli.ops.flow import FlowEstimator, open_flow
from vinpaint_cli.ops.image import coordinate_grid, luma, sample
from vinpaint_cli.types import FrameSource

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Plane, Segmenter

FORGOTTEN_AFTER = 30
"""Frames over which the confidence of a plain tracker falls to a half: it does not look at what it does."""


class CopyTracker:
    """Gives the nearest seed, the earlier of two as near."""

    def __init__(self, segmenter: Segmenter | None = None) -> None:
        """``segmenter`` is not asked."""

    def track(
        self,
        source: FrameSource,
        shot: range,
        seeds: Mapping[int, Hole],
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[Tracked]:
        """See `Tracker`."""
        held = seeds_within(source.info, shot, seeds)
        for index in shot:
            tick()
            if not held:
                yield _nothing(source, index)
                continue
            near = nearest(held, index)
            yield Tracked(index, held[near].copy(), fading(index - near))


class WarpTracker:
    """Carries the nearest seed along the flow from frame to frame, without looking at what it finds there."""

    def __init__(self, segmenter: Segmenter | None = None) -> None:
        """``segmenter`` is not asked."""
        self._flow = open_flow()

    def track(
        self,
        source: FrameSource,
        shot: range,
        seeds: Mapping[int, Hole],
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[Tracked]:
        """See `Tracker`."""
        held = seeds_within(source.info, shot, seeds)
        if not held:
            yield from CopyTracker().track(source, shot, held, tick)
            return
        nearby = {index: nearest(held, index) for index in shot}
        for seed in held:
            own = [index for index in shot if nearby[index] == seed]
            for frames in (range(seed, own[-1] + 1), range(seed, own[0] - 1, -1)):
                for index, hole in self._carry(source, held[seed], frames):
                    tick()
                    yield Tracked(index, hole, fading(index - seed))
            tick()
            yield Tracked(seed, held[seed].copy(), 1.0)

    def _carry(self, source: FrameSource, hole: Hole, frames: range) -> Iterator[tuple[int, Hole]]:
        """The frames after the first, in their order."""
        size, native = work_size(source.info), (source.info.width, source.info.height)
        carried: Plane = shrunk(hole.astype(np.float32), size)
        before: Bytes | None = None
        for index, picture in small_pictures(source, frames if len(frames) > 1 else range(0), size):
            grey = luma(picture.astype(np.float32))
            if before is not None:
                carried = carry(carried, grey, before, self._flow)
                yield index, grown(carried, native) > 0.5
            before = grey


def carry(plane: Plane, here: Bytes, before: Bytes, flow: FlowEstimator) -> Plane:
    """``plane (h, w)`` of the grey picture ``before``, brought to ``here`` by the flow between them."""
    return sample(plane, coordinate_grid(*here.shape) + flow(here, before))


def nearest(seeds: Mapping[int, Hole], index: int) -> int:
    """The seed nearest to a frame in time."""
    return min(seeds, key=lambda seed: (abs(seed - index), seed))


def fading(distance: int) -> float:
    """Confidence so many frames away from a seed."""
    return float(0.5 ** (abs(distance) / FORGOTTEN_AFTER))


def _nothing(source: FrameSource, index: int) -> Tracked:
    return Tracked(index, np.zeros((source.info.height, source.info.width), np.bool_), 1.0)
