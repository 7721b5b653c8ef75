"""Frame reader: reads segments one after the other without decoding a frame twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.masks.sources.shapes import feather
from vinpaint_cli.types import Box, Frame, FrameSource, MaskSource, Segment
from vinpaint_cli.video.colour.convert import crop_rgb

if TYPE_CHECKING:
    from vinpaint_cli.types import Picture, Plane

Pictures = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


MOST_PASSES = 4
"""Passes over the clip at once: each holds a decoder."""


@dataclass(slots=True)
class _Pass:
    """A pass over the clip for the segments of one region.

    next: index of the frame it decodes next. kept: region and alpha of frames by index. last: the segment
    that was read last.
    """

    frames: Iterator[Frame] = field(default_factory=lambda: iter(()))
    next: int | None = None
    kept: dict[int, tuple[Picture, Plane]] = field(default_factory=dict)
    last: Segment | None = None

    def rest(self) -> None:
        """Keep only what the next segment may share, for while other regions are read."""
        if self.last is not None:
            frames = self.last.frames
            late = [index for index in self.kept if index >= frames[len(frames) // 2]]
            self.kept = {index: (self.kept[index][0].copy(), self.kept[index][1]) for index in late}

    def is_over(self, segment: Segment) -> bool:
        """Whether, as far as can be told, its region is not needed when ``segment`` is read, nor after."""
        return self.last is None or self.last.shown.stop <= segment.shown.start


class SegmentReader:
    """Gives the region and the feathered hole of every frame of a segment.

    For each region a running pass serves segments that come in order; the context they share with the segment
    before is kept, so that also a clip with a single keyframe is decoded once. Any other segment starts a new
    pass, so each can be read alone.
    """

    def __init__(self, source: FrameSource, mask: MaskSource, radius: int) -> None:
        """``radius`` is the reach of the soft edge in pixels."""
        self.source = source
        self._mask = mask
        self._radius = radius
        self._passes: dict[Box, _Pass] = {}

    @property
    def height(self) -> int:
        """Of the whole frame, in pixels."""
        return self.source.info.height

    def read(self, segment: Segment) -> tuple[Pictures, list[Plane]]:
        """Pictures ``(T, h, w, 3)`` and the alphas of the holes, T × float32 ``(h, w)``."""
        running = self._pass_for(segment)
        for index in [i for i in running.kept if i not in segment.frames]:
            del running.kept[index]
        self._advance(running, segment)
        parts = [running.kept[index] for index in segment.frames]
        pictures = np.empty((len(parts), *parts[0][0].shape), parts[0][0].dtype)
        for place, (index, (crop, alpha)) in enumerate(zip(segment.frames, parts, strict=True)):
            pictures[place] = crop
            # A view, so that a frame is held once.
            running.kept[index] = pictures[place], alpha
        return pictures, [alpha for _, alpha in parts]

    def _pass_for(self, segment: Segment) -> _Pass:
        """The pass of the segment's region; else that of a region which is over, or a new one."""
        passes, roi = self._passes, segment.roi
        if passes and next(reversed(passes)) != roi:
            passes[next(reversed(passes))].rest()
        over = [other for other, one in passes.items() if other != roi and one.is_over(segment)]
        idle = [passes.pop(other) for other in over]
        running = passes.pop(roi, None)
        if running is None:
            running = max(idle, key=lambda one: one.next or 0, default=_Pass())
            running.kept = {}
        if len(passes) >= MOST_PASSES:
            del passes[next(iter(passes))]
        passes[roi], running.last = running, segment
        return running

    def _advance(self, running: _Pass, segment: Segment) -> None:
        """Decode what is not kept yet."""
        missing = [index for index in segment.frames if index not in running.kept]
        if not missing:
            return
        if running.next is None or not running.next <= missing[0]:
            running.frames, running.next = self.source.frames(missing[0]), missing[0]
        window = segment.roi.slices()
        for frame in running.frames:
            running.next = frame.index + 1
            if frame.index in segment.frames and frame.index not in running.kept:
                alpha = feather(self._mask.at(frame)[window], self._radius)
                running.kept[frame.index] = crop_rgb(frame, segment.roi), alpha
            if frame.index >= missing[-1]:
                return
