"""Baseline trackers: the nearest prompt mask copied, or warped along optical flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.masks.track import Tracked
from vinpaint_cli.masks.track.frame_reader import (
    downscale,
    prompt_masks_in_shot,
    small_frames,
    to_grey,
    upscale,
    work_size,
)
from vinpaint_cli.masks.track.soft_mask import warp_mask
from vinpaint_cli.ops.flow import open_flow
from vinpaint_cli.ops.image import Bytes
from vinpaint_cli.types import FrameSource

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Plane, Segmenter

HALF_LIFE = 30
"""Frames over which the confidence of a baseline halves; it does not depend on the frames' content."""


class CopyTracker:
    """Repeats the nearest prompt mask; of two as near, the earlier."""

    def __init__(self, segmenter: Segmenter | None = None) -> None:
        """``segmenter`` is not used."""

    def track(
        self,
        source: FrameSource,
        shot: range,
        prompt_masks: Mapping[int, Hole],
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[Tracked]:
        """See `Tracker`."""
        given = prompt_masks_in_shot(source.info, shot, prompt_masks)
        for index in shot:
            tick()
            if not given:
                yield _empty(source, index)
                continue
            near = nearest(given, index)
            yield Tracked(index, given[near].copy(), decayed_confidence(index - near))


class WarpTracker:
    """Warps the nearest prompt mask along the flow from frame to frame, without correcting it."""

    def __init__(self, segmenter: Segmenter | None = None) -> None:
        """``segmenter`` is not used."""
        self._flow = open_flow()

    def track(
        self,
        source: FrameSource,
        shot: range,
        prompt_masks: Mapping[int, Hole],
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[Tracked]:
        """See `Tracker`."""
        given = prompt_masks_in_shot(source.info, shot, prompt_masks)
        if not given:
            yield from CopyTracker().track(source, shot, given, tick)
            return
        nearby = {index: nearest(given, index) for index in shot}
        for prompt in given:
            own = [index for index in shot if nearby[index] == prompt]
            for frames in (range(prompt, own[-1] + 1), range(prompt, own[0] - 1, -1)):
                for index, hole in self._carry(source, given[prompt], frames):
                    tick()
                    yield Tracked(index, hole, decayed_confidence(index - prompt))
            tick()
            yield Tracked(prompt, given[prompt].copy(), 1.0)

    def _carry(self, source: FrameSource, hole: Hole, frames: range) -> Iterator[tuple[int, Hole]]:
        """Index and mask of the frames after the first, in order."""
        size, native = work_size(source.info), (source.info.width, source.info.height)
        carried: Plane = downscale(hole.astype(np.float32), size)
        before: Bytes | None = None
        for index, picture in small_frames(source, frames if len(frames) > 1 else range(0), size):
            grey = to_grey(picture)
            if before is not None:
                carried = warp_mask(carried, self._flow(grey, before), outside="edge")
                yield index, upscale(carried, native) > 0.5
            before = grey


def nearest(prompt_masks: Mapping[int, Hole], index: int) -> int:
    """The frame with a prompt mask that is nearest to frame ``index``."""
    return min(prompt_masks, key=lambda prompt: (abs(prompt - index), prompt))


def decayed_confidence(distance: int) -> float:
    """Confidence of a mask so many frames away from its prompt mask, in (0, 1]."""
    return float(0.5 ** (abs(distance) / HALF_LIFE))


def _empty(source: FrameSource, index: int) -> Tracked:
    return Tracked(index, np.zeros((source.info.height, source.info.width), np.bool_), 1.0)
