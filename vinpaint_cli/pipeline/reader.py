"""Frame reader: reads segments one after the other without decoding a frame twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.masks.sources.shapes import feather
from vinpaint_cli.types import Box, Frame, FrameSource, MaskSource, Segment
from vinpaint_cli.video.colour.convert import crop_rgb

if TYPE_CHECKING:
    from vinpaint_cli.types import Picture, Plane

Pictures = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


class SegmentReader:
    """Gives the region and the feathered hole of every frame of a segment.

    One running pass serves segments that come in order; the context they share with the segment before
    is kept, so that also a clip with a single keyframe is decoded once. Any other segment starts a new
    pass, so each can be read alone.
    """

    def __init__(self, source: FrameSource, mask: MaskSource, radius: int) -> None:
        """``radius`` is the reach of the soft edge in pixels."""
        self.source = source
        self._mask = mask
        self._radius = radius
        self._frames: Iterator[Frame] = iter(())
        self._next: int | None = None
        self._roi: Box | None = None
        self._kept: dict[int, tuple[Picture, Plane]] = {}

    @property
    def height(self) -> int:
        """Of the whole frame, in pixels."""
        return self.source.info.height

    def read(self, segment: Segment) -> tuple[Pictures, list[Plane]]:
        """Pictures ``(T, h, w, 3)`` and the alphas of the holes, T × float32 ``(h, w)``."""
        if segment.roi != self._roi:
            self._kept, self._roi = {}, segment.roi
        for index in [i for i in self._kept if i not in segment.frames]:
            del self._kept[index]
        self._advance(segment)
        parts = [self._kept[index] for index in segment.frames]
        pictures = np.empty((len(parts), *parts[0][0].shape), parts[0][0].dtype)
        for place, (index, (crop, alpha)) in enumerate(zip(segment.frames, parts, strict=True)):
            pictures[place] = crop
            # A view, so that a frame is held once.
            self._kept[index] = pictures[place], alpha
        return pictures, [alpha for _, alpha in parts]

    def _advance(self, segment: Segment) -> None:
        """Decode what is not kept yet."""
        missing = [index for index in segment.frames if index not in self._kept]
        if not missing:
            return
        if self._next is None or not self._next <= missing[0]:
            self._frames, self._next = self.source.frames(missing[0]), missing[0]
        window = segment.roi.slices()
        for frame in self._frames:
            self._next = frame.index + 1
            if frame.index in segment.frames and frame.index not in self._kept:
                alpha = feather(self._mask.at(frame)[window], self._radius)
                self._kept[frame.index] = crop_rgb(frame, segment.roi), alpha
            if frame.index >= missing[-1]:
                return
