"""The overlay: a small video of the clip with its hole tinted and each frame numbered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vinpaint_cli.errors import InputError, OutputError, UsageError
from vinpaint_cli.mask_making.preview import tint
from vinpaint_cli.mask_making.tracking import TrackedMasks
from vinpaint_cli.masks.sources.pictures import IMAGE_SUFFIXES
from vinpaint_cli.masks.sources.shapes import HoleSource, hole_box
from vinpaint_cli.ops.image import dilate_exact
from vinpaint_cli.pipeline.progress import Listener, advance
from vinpaint_cli.types import Box, EncodeOptions, Frame, FrameSource, Patch, VideoInfo
from vinpaint_cli.video.colour.convert import crop_rgb
from vinpaint_cli.video.colour.planes import compose
from vinpaint_cli.video.sink.write import open_writer

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Picture

_OUTLINE = 2
_CRF, _PRESET = 26.0, "veryfast"
_PAPER, _INK = (22, 24, 29), (238, 240, 244)


def check_overlay(path: str | Path, overlay: str | Path, overwrite: bool) -> Path:
    """The overlay's path.

    Raises UsageError for a picture's name, InputError when it is the input ``path`` itself, and OutputError
    when it exists.
    """
    target = Path(overlay)
    if not target.suffix or target.suffix.lower() in IMAGE_SUFFIXES:
        raise UsageError(f"--overlay {overlay} is no video; give a name such as overlay.mp4")
    if target.exists() and target.resolve() == Path(path).resolve():
        raise InputError(f"{target} is the input itself; give --overlay another name")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; give -y to overwrite it or another name to --overlay")
    return target


def write_overlay(
    source: FrameSource,
    mask: HoleSource,
    path: Path,
    tracked: TrackedMasks | None,
    listener: Listener,
) -> list[str]:
    """Write the clip with its hole tinted and outlined, each frame with its number; sound is copied.

    ``tracked``: the tracked masks; their confidence is written beside the number. Returns notes for the user.
    Raises OutputError, UsageError (a container that does not hold h264), Interrupted, and what the source and
    the mask raise.
    """
    info = source.info
    with (
        open_writer(path, source, _encoding(info)) as writer,
        listener.stage("overlay", info.frames_from_header) as progress,
    ):
        for frame in source.frames():
            patches = [_label(frame, info, tracked)]
            hole = mask.at(frame)
            if hole.any():
                patches.insert(0, _tinted(frame, hole))
            writer.write(compose(frame, patches))
            advance(progress)
    return list(writer.warnings)


def _encoding(info: VideoInfo) -> EncodeOptions:
    """Fast H.264 of moderate size; 4:2:0 only for even frame sizes."""
    even = info.width % 2 == info.height % 2 == 0
    return EncodeOptions("h264", _CRF, _PRESET, "yuv420p" if even else "yuv444p")


def _tinted(frame: Frame, hole: Hole) -> Patch:
    """The hole and its outline as a patch."""
    height, width = hole.shape
    inner = hole_box(hole)
    assert inner is not None  # the caller looked
    reach = Box(
        inner.x0 - _OUTLINE, inner.y0 - _OUTLINE, inner.x1 + _OUTLINE, inner.y1 + _OUTLINE
    ).intersection(Box(0, 0, width, height))
    crop = crop_rgb(frame, reach)
    marked = hole[reach.slices()]
    alpha = dilate_exact(marked, _OUTLINE).astype(np.float32)
    return Patch(frame.index, reach, _as_deep(tint(_levels(crop), marked), crop.dtype), alpha)


def _label(frame: Frame, info: VideoInfo, tracked: TrackedMasks | None) -> Patch:
    """The frame's number, as a click names it, and the mask's confidence there."""
    text = f"f{frame.index}"
    if tracked is not None:
        text += f"   {tracked.confidence[frame.index]:.2f}"
    font = ImageFont.load_default(max(10, info.height // 24))
    left, top, right, bottom = font.getbbox(text)
    pad = max(2, info.height // 120)
    width, height = min(info.width, int(right + 2 * pad)), min(info.height, int(bottom - top + 3 * pad))
    picture = Image.new("RGB", (width, height), _PAPER)
    ImageDraw.Draw(picture).text((pad - left, pad - top), text, _INK, font)
    deep = np.dtype(np.uint8 if info.bit_depth <= 8 else np.uint16)
    rgb = _as_deep(np.asarray(picture, np.uint8), deep)
    return Patch(frame.index, Box(0, 0, width, height), rgb, np.ones((height, width), np.float32))


def _levels(rgb: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return (rgb if rgb.dtype == np.uint8 else rgb >> 8).astype(np.uint8)


def _as_deep(rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], dtype: np.dtype[np.generic]) -> Picture:
    """8-bit levels in the depth of the clip's pictures."""
    return rgb if dtype == np.uint8 else rgb.astype(np.uint16) * np.uint16(257)
