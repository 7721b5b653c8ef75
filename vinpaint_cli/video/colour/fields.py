"""Fields of interlaced frames: every other line, of a moment of its own, shown at full height.

A field is a native frame of half the height; its picture has the lines between interpolated, so that masks
and patches lie where they lie in the frame. What is laid into it reaches its own lines alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from vinpaint_cli.types import Box, Frame
from vinpaint_cli.video.colour.convert import Converter
from vinpaint_cli.video.colour.layouts import rows_of
from vinpaint_cli.video.colour.planes import copy_native

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class FieldConverter(Converter):
    """A `Converter` of fields; ``parity`` 0 for those of the top line, 1 for the others."""

    parity: int = 0

    def size(self, native: av.VideoFrame) -> tuple[int, int]:
        """Coded ``(width, height)`` of the frame that the field is of."""
        return native.width, 2 * native.height

    def lines(self, box: Box) -> tuple[Box, slice]:
        """The part of a box of the frame that lies in the field: as a box there, and as rows of the box."""
        start = (self.parity - box.y0) % 2
        top = (box.y0 + start - self.parity) // 2
        return Box(box.x0, top, box.x1, top + max(0, box.height - start + 1) // 2), slice(start, None, 2)

    def coded_region(self, native: av.VideoFrame, coded: Box) -> npt.NDArray[Any]:
        """RGB of a box of the frame: own lines as they are, the others the mean of their neighbours."""
        rows = np.arange(coded.y0, coded.y1) - self.parity
        above = np.clip(rows // 2, 0, native.height - 1)
        below = np.clip((rows + 1) // 2, 0, native.height - 1)
        first = int(above.min())
        part = Box(coded.x0, first, coded.x1, int(below.max()) + 1)
        picture = Converter.coded_region(self, native, part)
        mean = (picture[above - first].astype(np.uint32) + picture[below - first] + 1) // 2
        return np.asarray(mean.astype(picture.dtype))


def fields_of(frame: Frame, converters: tuple[FieldConverter, FieldConverter]) -> tuple[Frame, Frame]:
    """The fields of a frame in the order of ``converters``; times are in ticks of half the length."""
    first, second = (_field(frame.native, converter.parity) for converter in converters)
    return (
        Frame(2 * frame.index, 2 * frame.pts, frame.duration, first, converters[0]),
        Frame(2 * frame.index + 1, 2 * frame.pts + frame.duration, frame.duration, second, converters[1]),
    )


def _field(native: av.VideoFrame, parity: int) -> av.VideoFrame:
    """Every other line; the whole frame is its ``opaque``."""
    field = av.VideoFrame(native.width, native.height // 2, native.format.name)
    field.colorspace, field.color_range = native.colorspace, native.color_range
    for target, source in zip(field.planes, native.planes, strict=True):
        size = min(abs(target.line_size), abs(source.line_size))
        octets = np.dtype(np.uint8)
        rows_of(target, octets, size)[:] = rows_of(source, octets, size)[parity::2]
    field.opaque = native
    return field


def woven(first: Frame, second: Frame, converter: Converter) -> Frame:
    """The frame of two fields, in ticks of its clip: as it was decoded, with what was laid into either."""
    native: av.VideoFrame = first.native.opaque
    if first.touched or second.touched:
        native = copy_native(native)
        for field in (first, second):
            _weave(native, field)
    frame = replace(first, index=first.index // 2, pts=first.pts // 2, native=native, convert=converter)
    return replace(frame, touched=())


def _weave(native: av.VideoFrame, field: Frame) -> None:
    assert isinstance(field.convert, FieldConverter)  # `fields_of` made it
    for target, source in zip(native.planes, field.native.planes, strict=True):
        size = min(abs(target.line_size), abs(source.line_size))
        octets = np.dtype(np.uint8)
        rows_of(target, octets, size)[field.convert.parity :: 2] = rows_of(source, octets, size)
