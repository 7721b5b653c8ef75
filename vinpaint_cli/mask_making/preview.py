"""The preview: a contact sheet of frames with the hole tinted.

For a tracked hole the frames of least confidence come first, and prompts are drawn on their frames.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vinpaint_cli.errors import OutputError, UsageError
from vinpaint_cli.mask_making.confidence import LOW_CONFIDENCE, worst_frames
from vinpaint_cli.mask_making.tracking import TrackedMasks
from vinpaint_cli.masks.prompts import Prompt
from vinpaint_cli.masks.sources.shapes import HoleSource
from vinpaint_cli.pipeline.progress import Listener, advance
from vinpaint_cli.types import Frame, FrameSource, VideoInfo
from vinpaint_cli.video.sink.publish import publish, reserve, temporary_name, translated

if TYPE_CHECKING:
    import numpy.typing as npt

    from vinpaint_cli.types import Hole

    Bytes = npt.NDArray[np.uint8]

TILES = 9
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_TILE_PIXELS = 480 * 270
_SHEET_ASPECT = 1.6
_GAP, _MARGIN, _HEADER, _CAPTION = 14, 22, 64, 30
_PAPER, _INK, _FAINT = (22, 24, 29), (238, 240, 244), (150, 156, 168)
_DOUBT = (255, 170, 60)
_MOST_POINTED_AT = 3


@dataclass(frozen=True, slots=True)
class HoleCount:
    """Number of hole pixels of every frame of a clip; ``width`` and ``height`` are those of its frames."""

    pixels: Sequence[int]
    width: int
    height: int
    origin_pts: int

    @property
    def frames(self) -> int:
        """Number of frames of the clip."""
        return len(self.pixels)

    @property
    def hole_frames(self) -> int:
        """Number of frames with a hole."""
        return sum(count > 0 for count in self.pixels)

    @property
    def share(self) -> float:
        """Mean share of the picture over the frames with a hole, 0 without any."""
        return sum(self.pixels) / (self.width * self.height) / max(1, self.hole_frames)


class HoleCounter:
    """Counts hole pixels frame by frame."""

    def __init__(self, info: VideoInfo) -> None:
        self._size = (info.width, info.height)
        self._pixels = array("q")
        self._origin = 0

    def add(self, frame: Frame, hole: Hole) -> None:
        """Count the hole of the next frame."""
        if not self._pixels:
            self._origin = frame.pts
        self._pixels.append(int(np.count_nonzero(hole)))

    def result(self) -> HoleCount:
        """The counts so far."""
        return HoleCount(self._pixels, *self._size, self._origin)


def count_holes(source: FrameSource, mask: HoleSource, listener: Listener) -> HoleCount:
    """Count the hole pixels of every frame; raises what the source and the mask raise, and Interrupted."""
    counter = HoleCounter(source.info)
    with listener.stage("look", source.info.frames_from_header) as progress:
        for frame in source.frames():
            counter.add(frame, mask.at(frame))
            advance(progress)
    found = counter.result()
    mask.check_count(found.frames)
    return found


def check_picture(path: str | Path, overwrite: bool) -> Path:
    """The preview's path; raises UsageError when it names no picture, OutputError when it exists."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--preview {path} is no picture; give a name ending in {', '.join(SUFFIXES)}")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; give -y to overwrite it or another name to --preview")
    return target


def write_preview(
    source: FrameSource,
    mask: HoleSource,
    count: HoleCount,
    path: Path,
    tracked: TrackedMasks | None = None,
) -> tuple[int, ...]:
    """Draw the contact sheet and write it; returns the frames on it, in order.

    ``tracked``: the tracked masks, if the mask has any. Raises OutputError when it cannot be
    written, and what the source and the mask raise.
    """
    temporary = temporary_name(path)
    reserve(path, temporary)
    shown = pick_frames(count.pixels) if tracked is None else pick_tracked(count.pixels, tracked)
    try:
        sheet = draw_sheet(source, mask, count, shown, tracked)
        with translated(path):
            sheet.save(temporary)
            publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return shown


def pick_frames(pixels: Sequence[int], most: int = TILES) -> tuple[int, ...]:
    """Evenly spread frames among those with a hole, first and last included; among all when none has one."""
    marked = [index for index, count in enumerate(pixels) if count] or list(range(len(pixels)))
    if len(marked) <= most:
        return tuple(marked)
    return tuple(marked[round(step * (len(marked) - 1) / (most - 1))] for step in range(most))


def pick_tracked(pixels: Sequence[int], tracked: TrackedMasks, most: int = TILES) -> tuple[int, ...]:
    """Frames of least confidence, spread over the clip, and up to three with a prompt; worst first."""
    prompted = [
        tracked.prompt_frames[place]
        for place in pick_frames([1] * len(tracked.prompt_frames), _MOST_POINTED_AT)
    ]
    confidence = tracked.confidence
    left = [index for index in range(len(pixels)) if index not in prompted]
    telling = [index for index in left if pixels[index] or confidence[index] < LOW_CONFIDENCE]
    worst = worst_frames(confidence, most - len(prompted), telling)
    return tuple(sorted([*worst, *prompted], key=lambda index: (confidence[index], index)))


def draw_sheet(
    source: FrameSource,
    mask: HoleSource,
    count: HoleCount,
    shown: Sequence[int],
    tracked: TrackedMasks | None = None,
) -> Image.Image:
    """The contact sheet, RGB: frames ``shown`` with the hole tinted and outlined, number and time below each.

    With ``tracked`` each tile has its confidence and its prompts.
    """
    size = tile_size(source.info)
    grid = _columns(len(shown), size)
    rows = math.ceil(len(shown) / grid)
    width = max(760, 2 * _MARGIN + grid * (size[0] + _GAP) - _GAP)
    height = _HEADER + rows * (size[1] + _CAPTION + _GAP) + _MARGIN - _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _write_header(draw, source.info, count, tracked)
    for place, (frame, hole) in enumerate(_frames(source, mask, shown)):
        left = _MARGIN + place % grid * (size[0] + _GAP)
        top = _HEADER + place // grid * (size[1] + _CAPTION + _GAP)
        sheet.paste(Image.fromarray(draw_tile(_levels(frame), hole, size)), (left, top))
        if tracked is not None:
            _write_confidence(draw, (left, top), tracked.confidence[frame.index])
            scale = (size[0] / source.info.width, size[1] / source.info.height)
            for prompt in tracked.prompts:
                if prompt.when.frame == frame.index:
                    draw_prompt(draw, prompt, (left, top), scale)
        seconds = float((frame.pts - count.origin_pts) * source.info.time_base)
        _write_caption(draw, (left, top + size[1]), size[0], frame.index, seconds, float(hole.mean()))
    return sheet


def tile_size(info: VideoInfo) -> tuple[int, int]:
    """``(width, height)`` of one tile, in the display aspect ratio."""
    shape = info.width * float(info.sample_aspect or 1) / info.height
    shape = min(max(shape, 0.25), 8.0)
    height = math.sqrt(_TILE_PIXELS / shape)
    return round(height * shape), round(height)


def _columns(tiles: int, size: tuple[int, int]) -> int:
    """Number of columns that brings the sheet nearest to the aspect ratio of a screen."""
    cell_width, cell_height = size[0] + _GAP, size[1] + _CAPTION + _GAP

    def misfit(columns: int) -> float:
        rows = math.ceil(tiles / columns)
        shape = columns * cell_width / (rows * cell_height)
        return abs(math.log(shape / _SHEET_ASPECT)) + 0.1 * (columns * rows - tiles)

    return min(range(1, max(1, tiles) + 1), key=misfit)


def _frames(source: FrameSource, mask: HoleSource, shown: Sequence[int]) -> Iterator[tuple[Frame, Hole]]:
    for index in shown:
        for frame in source.frames(index, index + 1):
            yield frame, mask.at(frame)


def _levels(frame: Frame) -> Bytes:
    """Displayed picture in 8 bits."""
    rgb = frame.rgb
    return (rgb if rgb.dtype == np.uint8 else rgb >> 8).astype(np.uint8)


def _write_header(
    draw: ImageDraw.ImageDraw, info: VideoInfo, count: HoleCount, tracked: TrackedMasks | None
) -> None:
    name = _plain(Path(info.path).name)
    what = f"{info.width} x {info.height}   ·   {count.frames} frames   ·   "
    if count.hole_frames:
        what += f"hole on {count.hole_frames} of them, {_percent(count.share)} of the picture on average"
    else:
        what += "no hole on any of them"
    if tracked is not None:
        what += "   ·   least certain first"
    draw.text((_MARGIN, 12), name, _INK, _font(20))
    draw.text((_MARGIN, 38), what, _FAINT, _font(15))


def _write_caption(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, index: int, seconds: float, share: float
) -> None:
    left, top = place[0], place[1] + 6
    draw.text((left, top), f"frame {index}", _INK, _font(16))
    right = f"{clock(seconds)}   {_percent(share)}"
    draw.text((left + width, top), right, _FAINT, _font(16), anchor="ra")


def _write_confidence(draw: ImageDraw.ImageDraw, corner: tuple[int, int], confidence: float) -> None:
    """A label in the upper left corner of a tile."""
    place = (corner[0] + 8, corner[1] + 6)
    text = f"confidence {confidence:.2f}"
    left, top, right, bottom = draw.textbbox(place, text, _font(15))
    draw.rectangle([left - 5, top - 4, right + 5, bottom + 4], _PAPER)
    draw.text(place, text, _DOUBT if confidence < LOW_CONFIDENCE else _INK, _font(15))


def clock(seconds: float) -> str:
    """``0:05.480`` or ``1:02:03.500``, as a player shows it."""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 1000:02d}.{rest % 1000:03d}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def _percent(share: float) -> str:
    return f"{share:.2%}" if share < 0.01 else f"{share:.1%}"


def _plain(name: str) -> str:
    """A name in ASCII, which the font has."""
    return name.encode("ascii", "replace").decode()


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


_TINT, _TINT_SHARE = (255, 0, 128), 0.5
_LINE, _HALO = (255, 255, 255), (120, 0, 60)
_YES, _NO = (60, 220, 90), (255, 60, 50)
_DOT = 7


def draw_tile(picture: Bytes, hole: Hole, size: tuple[int, int]) -> Bytes:
    """A frame at tile size with its hole tinted and outlined.

    picture: uint8 ``(H, W, 3)``. hole: bool ``(H, W)``. size: ``(width, height)`` of the result.
    """
    import cv2

    shrinks = size[0] < picture.shape[1]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    share = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    # A hole thinner than a pixel of the tile must still be seen.
    marked = (share >= 0.5) | ((share > 0) & (cv2.blur(share, (3, 3)) < 0.5))
    return tint(np.asarray(small, np.uint8), marked)


def draw_prompt(
    draw: ImageDraw.ImageDraw, prompt: Prompt, corner: tuple[int, int], scale: tuple[float, float]
) -> None:
    """Draw a prompt: dots at its points, green on the object and red beside it, and its box.

    corner: upper left corner of the tile in the sheet; scale: tile pixels per frame pixel, along x and y.
    """

    def at(x: float, y: float) -> tuple[float, float]:
        return corner[0] + x * scale[0], corner[1] + y * scale[1]

    if prompt.box is not None:
        draw.rectangle([at(prompt.box.x0, prompt.box.y0), at(prompt.box.x1, prompt.box.y1)], None, _YES, 2)
    for (x, y), label in zip(prompt.points, prompt.labels, strict=True):
        draw.circle(at(x + 0.5, y + 0.5), _DOT, _YES if label else _NO, _LINE, 2)


def tint(picture: Bytes, marked: Hole) -> Bytes:
    """A copy of a picture, uint8 ``(h, w, 3)``, tinted and outlined where ``marked`` ``(h, w)`` is True."""
    import cv2

    drawn: Bytes = np.array(picture, np.uint8, order="C")
    # Without its own colours a hole looks the same over a blue shirt and over green leaves.
    grey = picture[marked].mean(axis=-1, keepdims=True)
    drawn[marked] = (grey + _TINT_SHARE * (np.array(_TINT) - grey)).round().astype(np.uint8)
    outlines, _ = cv2.findContours(marked.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, outlines, -1, _HALO, 3)
    cv2.drawContours(drawn, outlines, -1, _LINE, 1)
    return drawn
