"""Native frames → RGB: whole frames, regions and small previews, with one arithmetic.

A region converted alone equals the same region of the whole frame exactly: every sample is computed by
the same float32 operations from the same planes. 8-bit sources give uint8, deeper ones uint16 over the
full 0…65535.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from av.video.reformatter import Colorspace, Interpolation

from vinpaint_cli.types import Box, Frame
from vinpaint_cli.video.colour.chroma import Axis, axes
from vinpaint_cli.video.colour.layouts import Layout, channel
from vinpaint_cli.video.colour.matrices import Orientation, quantisation, rgb_to_ycc

if TYPE_CHECKING:
    import av
    import numpy.typing as npt

    from vinpaint_cli.types import Picture

_ROWS = 32
_SWS_MATRIX = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


@dataclass(frozen=True, slots=True)
class Converter:
    """How the native frames of one clip become displayed RGB; callable as ``Frame.convert``.

    ``matrix`` is an H.273 code point that :func:`~vinpaint_cli.video.colour.matrices.rgb_to_ycc` knows,
    ``full`` the range, ``location`` FFmpeg's name of the chroma siting (None: left).
    """

    layout: Layout
    matrix: int
    full: bool
    orientation: Orientation
    location: str | None = None

    def __call__(self, native: av.VideoFrame) -> Picture:
        """Displayed RGB ``(H, W, 3)`` of a whole native frame."""
        return self.region(native, Box(0, 0, *self.size(native)))

    def size(self, native: av.VideoFrame) -> tuple[int, int]:
        """Coded ``(width, height)`` of the frame that is displayed."""
        return native.width, native.height

    def lines(self, box: Box) -> tuple[Box, slice]:
        """The part of a coded box that lies in the native frame: as a box there, and as rows of the box."""
        return box, slice(None)

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Sample type of the RGB."""
        return np.uint8 if self.layout.depth <= 8 else np.uint16

    @property
    def peak(self) -> int:
        """Value of white in the RGB."""
        return 255 if self.layout.depth <= 8 else 65535

    def region(self, native: av.VideoFrame, coded: Box) -> Picture:
        """Displayed RGB of a box given in coded coordinates."""
        return np.ascontiguousarray(self.orientation.display(self.coded_region(native, coded)))

    def coded_region(self, native: av.VideoFrame, coded: Box) -> npt.NDArray[Any]:
        """RGB of a box given in coded coordinates, as it is coded."""
        if self.layout.model == "rgb":
            return self._from_rgb(native, coded)
        if self.layout.model == "gray":
            return self._from_gray(native, coded)
        return self._from_yuv(native, coded)

    def axes(self, native: av.VideoFrame) -> tuple[Axis, Axis]:
        """Horizontal and vertical axis of the chroma planes."""
        height, width = channel(native, self.layout, 1).shape
        return axes(self.layout.shift_x, self.layout.shift_y, (width, height), self.location)

    def chroma(self, native: av.VideoFrame, index: int, coded: Box) -> npt.NDArray[np.float32]:
        """Chroma channel ``index`` (1 or 2) in sample values at luma resolution, ``(h, w)`` of the box."""
        horizontal, vertical = self.axes(native)
        wide, top, bottom, weight = self._chroma_rows(native, index, coded, horizontal, vertical)
        return _blend(wide, top, bottom, weight, slice(0, coded.height))

    def _from_rgb(self, native: av.VideoFrame, coded: Box) -> npt.NDArray[Any]:
        picture = np.empty((coded.height, coded.width, 3), self.dtype)
        for index in range(3):
            samples = channel(native, self.layout, index)[coded.slices()]
            picture[..., index] = _rescale(samples, self.layout.peak, self.peak)
        return picture

    def _from_gray(self, native: av.VideoFrame, coded: Box) -> npt.NDArray[Any]:
        samples = channel(native, self.layout, 0)[coded.slices()]
        if self.full:
            gray = _rescale(samples, self.layout.peak, self.peak).astype(self.dtype)
        else:
            (offset, span), _ = quantisation(self.layout, self.full)
            scaled = (samples.astype(np.float32) - offset) * (self.peak / span) + 0.5
            gray = np.clip(scaled, 0, self.peak + 0.5).astype(self.dtype)
        return np.repeat(gray[..., None], 3, axis=2)

    def _from_yuv(self, native: av.VideoFrame, coded: Box) -> npt.NDArray[Any]:
        (luma_offset, luma_span), (chroma_offset, chroma_span) = quantisation(self.layout, self.full)
        rows, columns = coded.slices()
        luma = channel(native, self.layout, 0)[rows, columns]
        horizontal, vertical = self.axes(native)
        planes = [self._chroma_rows(native, i, coded, horizontal, vertical) for i in (1, 2)]
        inverse = np.linalg.inv(rgb_to_ycc(self.matrix))
        gain = np.float32(self.peak / luma_span)
        mix = (inverse[:, 1:] * (self.peak / chroma_span)).astype(np.float32)
        shift = (0.5 - luma_offset * float(gain) - chroma_offset * mix.sum(axis=1)).astype(np.float32)
        picture = np.empty((coded.height, coded.width, 3), self.dtype)
        for top in range(0, coded.height, _ROWS):
            block = slice(top, min(top + _ROWS, coded.height))
            scaled = luma[block].astype(np.float32) * gain
            pair = [_blend(*plane, block) for plane in planes]
            _mix(picture[block], scaled, pair, mix, shift, self.peak)
        return picture

    def _chroma_rows(
        self, native: av.VideoFrame, index: int, coded: Box, horizontal: Axis, vertical: Axis
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """Chroma rows of a box at luma width, and which two of them each luma row lies between."""
        top, bottom, weight = vertical.neighbours(coded.y0, coded.y1)
        first, last = int(top.min()), int(bottom.max()) + 1
        samples = channel(native, self.layout, index)[first:last]
        left, right, across = horizontal.neighbours(coded.x0, coded.x1)
        start, stop = int(left.min()), int(right.max()) + 1
        if horizontal.factor == 1:
            values = samples[:, coded.x0 : coded.x1].astype(np.float32)
        else:
            values = samples[:, start:stop].astype(np.float32)
            values = values[:, left - start] * (1 - across) + values[:, right - start] * across
        return values, top - first, bottom - first, weight


def _rescale(samples: npt.NDArray[Any], peak: int, target: int) -> npt.NDArray[Any]:
    """Full-range samples to another full range, nearest integer."""
    if peak == target:
        return samples
    return (samples.astype(np.uint32) * target + peak // 2) // peak


def _blend(
    wide: npt.NDArray[np.float32],
    top: npt.NDArray[np.intp],
    bottom: npt.NDArray[np.intp],
    weight: npt.NDArray[np.float32],
    block: slice,
) -> npt.NDArray[np.float32]:
    """Rows ``block`` interpolated between the chroma rows above and below."""
    down = weight[block, None]
    if not down.any():
        return wide[top[block]]
    blended = wide[top[block]]
    blended *= 1 - down
    blended += wide[bottom[block]] * down
    return blended


def _mix(
    picture: npt.NDArray[Any],
    luma: npt.NDArray[np.float32],
    chroma: list[npt.NDArray[np.float32]],
    mix: npt.NDArray[np.float32],
    shift: npt.NDArray[np.float32],
    peak: int,
) -> None:
    """Write ``luma + mix · chroma + shift`` into a block of the picture, clipped and truncated."""
    term = np.empty_like(luma)
    value = np.empty_like(luma)
    for index in range(3):
        np.add(luma, shift[index], out=value)
        for weight, plane in zip(mix[index], chroma, strict=True):
            if abs(weight) > 1e-9:
                np.multiply(plane, weight, out=term)
                value += term
        np.clip(value, 0, np.float32(peak + 0.5), out=value)
        picture[..., index] = value


def converter_of(frame: Frame) -> Converter:
    """The converter of a frame that this package decoded.

    Raises:
        TypeError: the frame comes from elsewhere.

    """
    if not isinstance(frame.convert, Converter):
        raise TypeError(f"frame {frame.index} was not read by vinpaint_cli.video: {frame.convert!r}")
    return frame.convert


def displayed_size(frame: Frame) -> tuple[int, int]:
    """``(width, height)`` of the displayed picture, without converting it."""
    converter = converter_of(frame)
    return converter.orientation.displayed_size(*converter.size(frame.native))


def crop_rgb(frame: Frame, box: Box) -> Picture:
    """``frame.rgb`` inside a box of displayed coordinates, converting only that region.

    Returns ``(box.height, box.width, 3)``, equal to ``frame.rgb[box.slices()]`` sample by sample.

    Raises:
        ValueError: the box is empty or leaves the frame.

    """
    width, height = displayed_size(frame)
    if box.area == 0 or not Box(0, 0, width, height).contains(box):
        raise ValueError(f"{box} is empty or leaves the {width}×{height} frame")
    converter = converter_of(frame)
    native = frame.native
    coded = converter.orientation.coded_box(box, *converter.size(native))
    return converter.region(native, coded)


def small_rgb(frame: Frame, width: int) -> npt.NDArray[np.uint8]:
    """Small preview ``(h, w, 3)`` uint8 of the displayed picture, ``w = min(width, displayed width)``.

    swscale averages areas straight from the native planes, so the full-size RGB is never made; colours
    may differ from ``frame.rgb`` by a few levels.
    """
    converter = converter_of(frame)
    full_width, full_height = displayed_size(frame)
    target = max(1, min(width, full_width))
    size = (target, max(1, round(full_height * target / full_width)))
    coded_width, coded_height = converter.orientation.displayed_size(*size)
    native = frame.native
    is_rgb = converter.layout.model == "rgb"
    small = native.reformat(
        width=coded_width,
        height=coded_height,
        format="rgb24",
        src_colorspace=None if is_rgb else _SWS_MATRIX.get(converter.matrix, Colorspace.ITU601),
        src_color_range=2 if converter.full else 1,
        dst_color_range=2,
        interpolation=Interpolation.AREA | Interpolation.FULL_CHR_H_INT,
    )
    plane = small.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * plane.height]
    picture = rows.reshape(plane.height, plane.line_size)[:, : coded_width * 3]
    picture = picture.reshape(coded_height, coded_width, 3)
    return np.ascontiguousarray(converter.orientation.display(picture))
