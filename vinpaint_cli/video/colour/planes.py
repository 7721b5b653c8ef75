"""Blends patches into native planes; samples where alpha is 0 stay bit-identical to the decoder's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from vinpaint_cli.types import Box, Frame, Patch
from vinpaint_cli.video.colour.chroma import reduce_axis
from vinpaint_cli.video.colour.convert import Converter, converter_of, displayed_size
from vinpaint_cli.video.colour.layouts import channel, rows_of
from vinpaint_cli.video.colour.matrices import quantisation, rgb_to_ycc

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]


def compose(frame: Frame, patches: Sequence[Patch]) -> Frame:
    """A frame whose native planes have the patches blended in, in order, where their alpha is above 0.

    Luma and RGB samples become ``round(native + alpha · (patch − native))`` where alpha > 0. A chroma
    sample changes only when at least one of the luma samples it covers has alpha > 0; it moves by the
    alpha-weighted difference of the full-resolution chroma, brought down by the inverse of the filter
    that brings chroma up, so a patch equal to the picture changes nothing. Alpha channels of the source
    are left alone. The given frame is never modified; without any alpha it is returned as it is.

    Raises:
        ValueError: a patch leaves the frame, has arrays that do not fit its roi, or is of another index.
        TypeError: the frame was not read by this package.

    """
    prepared = [_prepare(frame, patch) for patch in patches]
    overlays = [overlay for overlay in prepared if overlay is not None]
    if not overlays:
        return frame
    converter = converter_of(frame)
    native = copy_native(frame.native)
    blend = {"yuv": _blend_yuv, "gray": _blend_gray, "rgb": _blend_rgb}[converter.layout.model]
    for overlay in overlays:
        blend(converter, native, overlay)
    touched = tuple((overlay.box, np.greater(overlay.alpha, 0)) for overlay in overlays)
    return replace(frame, native=native, touched=(*frame.touched, *touched))


@dataclass(frozen=True, slots=True)
class _Overlay:
    """A patch in coded orientation, cut to where its alpha is above 0: ``rgb`` float32 in [0, 1]."""

    box: Box
    rgb: Floats
    alpha: Floats


def _prepare(frame: Frame, patch: Patch) -> _Overlay | None:
    """The patch as an overlay in coded coordinates; None when no alpha is above 0."""
    _check(frame, patch)
    down, across = np.flatnonzero(patch.alpha.any(axis=1)), np.flatnonzero(patch.alpha.any(axis=0))
    if down.size == 0:
        return None
    inner = Box(int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1)
    roi = patch.roi
    box = Box(roi.x0 + inner.x0, roi.y0 + inner.y0, roi.x0 + inner.x1, roi.y0 + inner.y1)
    converter = converter_of(frame)
    orientation = converter.orientation
    rgb = patch.rgb[inner.slices()].astype(np.float32) / np.iinfo(patch.rgb.dtype).max
    alpha = np.clip(patch.alpha[inner.slices()], 0.0, 1.0).astype(np.float32)
    coded, rows = converter.lines(orientation.coded_box(box, *converter.size(frame.native)))
    overlay = _Overlay(coded, orientation.code(rgb)[rows], orientation.code(alpha)[rows])
    return overlay if overlay.alpha.any() else None


def _check(frame: Frame, patch: Patch) -> None:
    width, height = displayed_size(frame)
    if patch.index != frame.index:
        raise ValueError(f"patch of frame {patch.index} given for frame {frame.index}")
    if patch.roi.area == 0 or not Box(0, 0, width, height).contains(patch.roi):
        raise ValueError(f"patch region {patch.roi} is empty or leaves the {width}×{height} frame")
    shape = (patch.roi.height, patch.roi.width)
    if patch.rgb.shape != (*shape, 3) or patch.alpha.shape != shape:
        raise ValueError(f"patch arrays {patch.rgb.shape}, {patch.alpha.shape} do not fit region {shape}")


def _lay(samples: npt.NDArray[Any], overlay: _Overlay, target: Floats, peak: int) -> None:
    """Blend ``target`` (sample values, ``(h, w)`` of the box) into a full-resolution channel view."""
    region = samples[overlay.box.slices()]
    old = region.astype(np.float32)
    new = np.clip(np.rint(old + overlay.alpha * (target - old)), 0, peak)
    touched = np.greater(overlay.alpha, 0)
    region[touched] = new[touched].astype(region.dtype)


def _blend_rgb(converter: Converter, native: av.VideoFrame, overlay: _Overlay) -> None:
    layout = converter.layout
    for index in range(3):
        target = overlay.rgb[..., index] * np.float32(layout.peak)
        _lay(channel(native, layout, index), overlay, target, layout.peak)


def _blend_gray(converter: Converter, native: av.VideoFrame, overlay: _Overlay) -> None:
    (offset, span), _ = quantisation(converter.layout, converter.full)
    weights = rgb_to_ycc(converter.matrix)[0].astype(np.float32)
    target = overlay.rgb @ weights * np.float32(span) + np.float32(offset)
    _lay(channel(native, converter.layout, 0), overlay, target, converter.layout.peak)


def _blend_yuv(converter: Converter, native: av.VideoFrame, overlay: _Overlay) -> None:
    layout = converter.layout
    (luma_offset, luma_span), (offset, span) = quantisation(layout, converter.full)
    ycc = overlay.rgb @ rgb_to_ycc(converter.matrix).T.astype(np.float32)
    target = ycc[..., 0] * np.float32(luma_span) + np.float32(luma_offset)
    _lay(channel(native, layout, 0), overlay, target, layout.peak)
    for index in (1, 2):
        target = ycc[..., index] * np.float32(span) + np.float32(offset)
        _lay_chroma(converter, native, overlay, index, target)


def _lay_chroma(
    converter: Converter, native: av.VideoFrame, overlay: _Overlay, index: int, target: Floats
) -> None:
    """Move the chroma samples that the alpha covers towards ``target`` (sample values, luma resolution)."""
    box = overlay.box
    horizontal, vertical = converter.axes(native)
    change = overlay.alpha * (target - converter.chroma(native, index, box))
    x0, x1 = horizontal.footprint(box.x0, box.x1)
    y0, y1 = vertical.footprint(box.y0, box.y1)
    lower = reduce_axis(*_beyond(change, box.y0, native.height, vertical.factor), vertical, y0, y1)
    lower = reduce_axis(*_beyond(lower.T, box.x0, native.width, horizontal.factor), horizontal, x0, x1).T
    touched = _covered(overlay.alpha, box, (horizontal.factor, vertical.factor), Box(x0, y0, x1, y1))
    region = channel(native, converter.layout, index)[y0:y1, x0:x1]
    new = np.clip(np.rint(region.astype(np.float32) + lower), 0, converter.layout.peak)
    region[touched] = new[touched].astype(region.dtype)


def _beyond(change: Floats, start: int, limit: int, factor: int) -> tuple[Floats, int]:
    """Rows continued beyond the picture's edges, where the box touches them, and their new start."""
    before = 2 * factor if start == 0 else 0
    after = 3 * factor if start + len(change) == limit else 0
    return np.pad(change, ((before, after), (0, 0)), mode="edge"), start - before


def _covered(alpha: Floats, box: Box, factors: tuple[int, int], chroma: Box) -> npt.NDArray[np.bool_]:
    """Which chroma samples of ``chroma`` own at least one luma sample whose alpha is above 0."""
    factor_x, factor_y = factors
    grid = np.zeros((chroma.height * factor_y, chroma.width * factor_x), np.bool_)
    top, left = box.y0 - chroma.y0 * factor_y, box.x0 - chroma.x0 * factor_x
    grid[top : top + box.height, left : left + box.width] = alpha > 0
    blocks = grid.reshape(chroma.height, factor_y, chroma.width, factor_x)
    return np.asarray(blocks.any(axis=(1, 3)))


def copy_native(native: av.VideoFrame, name: str | None = None) -> av.VideoFrame:
    """A frame with its own buffers and the same samples, times and colour tags.

    ``name`` may be another pixel format whose planes are laid out alike (``yuvj420p`` as ``yuv420p``).
    PyAV cannot clone a frame, but swscale hands on captions, aspect and other side data to what it makes:
    for YUV its frame is taken and overwritten. RGB and gray frames lose their side data.
    """
    twin = _with_side_data(native) if name is None else None
    if twin is None:
        twin = av.VideoFrame(native.width, native.height, name or native.format.name)
        twin.colorspace, twin.color_range = native.colorspace, native.color_range
        twin.color_trc, twin.color_primaries = native.color_trc, native.color_primaries
    for target, source in zip(twin.planes, native.planes, strict=True):
        size = min(abs(target.line_size), abs(source.line_size))
        octets = np.dtype(np.uint8)
        rows_of(target, octets, size)[:] = rows_of(source, octets, size)
    twin.pts, twin.duration, twin.opaque = native.pts, native.duration, native.opaque
    if native.time_base is not None:
        twin.time_base = native.time_base
    return twin


def _with_side_data(native: av.VideoFrame) -> av.VideoFrame | None:
    """A frame of the same kind that swscale made, side data included; its samples are not the source's."""
    other = 1 if native.color_range == 2 else 2
    try:
        twin = native.reformat(dst_color_range=other)
    except av.FFmpegError:
        return None
    if twin is native or twin.format.name != native.format.name:
        return None
    twin.color_range, twin.colorspace = native.color_range, native.colorspace
    return twin
