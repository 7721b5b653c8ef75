"""Mask videos: holes as grey frames, white where the hole is, with the time stamps of the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import av
import numpy as np

from vinpaint_cli.types import ColorInfo, EncodeOptions, Frame, FrameSource, MaskSource, VideoInfo
from vinpaint_cli.video.colour.convert import Converter
from vinpaint_cli.video.colour.layouts import layout_of
from vinpaint_cli.video.colour.matrices import Orientation
from vinpaint_cli.video.sink.write import FrameWriter, open_writer
from vinpaint_cli.video.source.probe import Details

if TYPE_CHECKING:
    from os import PathLike

    from vinpaint_cli.types import Hole

_FORMAT = "gray"
_WHITE = np.uint8(255)


@dataclass(frozen=True, slots=True)
class HoleFrames:
    """The holes of ``source`` under ``mask`` as a ``FrameSource``.

    Frames are 8-bit grey, 255 where the mask is True and 0 elsewhere, with index, pts and duration of
    the source's frames. They have the orientation of the displayed picture, so nothing is rotated.
    """

    source: FrameSource
    mask: MaskSource

    @property
    def info(self) -> VideoInfo:
        """The source's size and times, without its rotation, its colours and its other streams."""
        return replace(
            self.source.info,
            codec="ffv1",
            pix_fmt=_FORMAT,
            bit_depth=8,
            color=ColorInfo(full_range=True),
            rotation=0,
            streams=(),
            chapters=0,
            metadata=(),
        )

    @property
    def details(self) -> Details:
        """Details for the writer; a name in ``names`` keeps it from copying the source's other streams."""
        info = self.info
        return Details(
            info=info,
            stream=0,
            native_format=_FORMAT,
            coded=(info.width, info.height),
            converter=_converter(),
            names=(info.path,),
        )

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames ``[start, stop)``; raises what the source and the mask raise."""
        for frame in self.source.frames(start, stop):
            yield hole_frame(frame, self.mask.at(frame))


def hole_frame(frame: Frame, hole: Hole) -> Frame:
    """A grey frame, 255 where ``hole`` ``(H, W)`` is True, at the moment of ``frame``."""
    native = av.VideoFrame.from_ndarray(hole * _WHITE, format=_FORMAT)
    native.color_range = 2
    return replace(frame, native=native, convert=_converter())


def open_mask_writer(path: str | PathLike[str], frames: HoleFrames) -> FrameWriter:
    """A writer for holes: lossless FFV1 in a video file (``.mkv``), or a folder of png pictures.

    Raises:
        UsageError: the container of that suffix holds no FFV1.

    """
    return open_writer(path, frames, EncodeOptions(codec="ffv1"))


def _converter() -> Converter:
    layout = layout_of(_FORMAT)
    assert layout is not None  # the table knows gray
    return Converter(layout, 1, True, Orientation())
