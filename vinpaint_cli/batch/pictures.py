"""Pictures of a batch report: one frame of a finished job as source, hole and result, side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vinpaint_cli.batch.runner import BatchJob
from vinpaint_cli.errors import Interrupted, VideoError
from vinpaint_cli.mask_making.preview import draw_tile
from vinpaint_cli.masks.sources.options import build_mask
from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.ops.image import joined
from vinpaint_cli.types import Box, FrameSource
from vinpaint_cli.video.sink.publish import translated
from vinpaint_cli.video.source.read import open_source

if TYPE_CHECKING:
    import numpy.typing as npt

    from vinpaint_cli.types import Frame, Hole

    Bytes = npt.NDArray[np.uint8]

CELL = (640, 480)
"""Most pixels across and down of each of the three pictures."""

GAP = 6
QUALITY = 90
CLOSE_BELOW = 0.45
"""A hole whose surroundings are smaller than this share of the frame is shown enlarged below."""

SURROUNDINGS = 0.35
"""Of the hole's larger side, shown on each side of it when enlarged."""

_COMMENT = re.compile(r"frame (\d+) at ([\d.]+) s")
_SAMPLES, _CHANGE = 24, 28


@dataclass(frozen=True, slots=True)
class Drawn:
    """Caption of a picture of the report: frame number, its time in seconds, and its size in pixels."""

    frame: int
    seconds: float
    width: int
    height: int


def draw_result(job: BatchJob, output: str, target: Path, go_on: Callable[[], bool]) -> Drawn | None:
    """Write a jpg of the frame with the largest hole; None when there is no hole on any.

    Reads the finished files once through. Raises VinpaintError when they cannot be read, OutputError when
    the picture cannot be written, and Interrupted soon after ``go_on`` says no.
    """
    source, result = open_source(job.input), open_source(output)
    found = _by_difference(source, result, go_on) if job.options.mask.prompts.follows else None
    if not job.options.mask.prompts.follows:
        found = _by_mask(job, source, go_on)
    if found is None:
        return None
    index, hole = found
    before, after = _frame(source, index), _frame(result, index)
    first = next(iter(source.frames(0, 1)))
    picture = side_by_side(_levels(before), hole, _levels(after))
    seconds = float((before.pts - first.pts) * source.info.time_base)
    with translated(target):
        Image.fromarray(picture).save(target, quality=QUALITY, comment=f"frame {index} at {seconds:.6f} s")
    return Drawn(index, seconds, picture.shape[1], picture.shape[0])


def drawn_before(target: Path, output: str) -> Drawn | None:
    """Return what the picture of an earlier run shows; None when there is none, or the output is newer."""
    with suppress(OSError):
        if target.stat().st_mtime < Path(output).stat().st_mtime:
            return None
        with Image.open(target) as picture:
            found = _COMMENT.fullmatch(picture.info.get("comment", b"").decode(errors="replace"))
            return Drawn(int(found[1]), float(found[2]), *picture.size) if found else None
    return None


def side_by_side(before: Bytes, hole: Hole, after: Bytes) -> Bytes:
    """Draw source, source with its hole, and result in a row; a small hole again below, enlarged.

    before, after: uint8 ``(H, W, 3)``; hole: bool ``(H, W)``, True = filled. Returns uint8 RGB.
    """
    height, width = hole.shape
    parts = [Box(0, 0, width, height)]
    box = hole_box(hole)
    if box is not None:
        close = _around(box, width, height)
        if close.area < CLOSE_BELOW * width * height:
            parts.append(close)
    size = _fitted(width, height)
    return joined([_row(before, hole, after, part, size) for part in parts], axis=0, gap=GAP)


def _by_mask(job: BatchJob, source: FrameSource, go_on: Callable[[], bool]) -> tuple[int, Hole] | None:
    """The frame with the largest hole, and that hole, as the job's mask has it."""
    mask, most = None, 0
    found: tuple[int, Hole] | None = None
    for frame in _watched(source.frames(), go_on):
        mask = mask or build_mask(job.options.mask, source.info, origin_pts=frame.pts)
        hole = mask.at(frame)
        pixels = int(np.count_nonzero(hole))
        if pixels > most:
            most, found = pixels, (frame.index, hole.copy())
    return found


def _by_difference(
    source: FrameSource, result: FrameSource, go_on: Callable[[], bool]
) -> tuple[int, Hole] | None:
    """The same of a hole that was followed, which is not followed again: where the two files differ."""
    import cv2

    frames = sum(1 for _ in _watched(source.frames(), go_on))
    wanted = {round(step * (frames - 1) / max(1, _SAMPLES - 1)) for step in range(_SAMPLES)}
    most, found = 0, None
    for before, after in zip(_watched(source.frames(), go_on), result.frames(), strict=False):
        if before.index not in wanted:
            continue
        gap = np.abs(_levels(before).astype(np.int16) - _levels(after)).max(axis=-1) > _CHANGE
        hole = cv2.medianBlur(gap.astype(np.uint8), 7) > 0
        pixels = int(np.count_nonzero(hole))
        if pixels > most:
            most, found = pixels, (before.index, hole)
    return found


def _watched(frames: Iterator[Frame], go_on: Callable[[], bool]) -> Iterator[Frame]:
    for frame in frames:
        if not go_on():
            raise Interrupted("the picture is not drawn: the batch was stopped")
        yield frame


def _frame(source: FrameSource, index: int) -> Frame:
    for frame in source.frames(index, index + 1):
        return frame
    raise VideoError(f"{source.info.path} has no frame {index}; was it changed since?")


def _levels(frame: Frame) -> Bytes:
    """Displayed picture in 8 bits."""
    rgb = frame.rgb
    return (rgb if rgb.dtype == np.uint8 else rgb >> 8).astype(np.uint8)


def _fitted(width: int, height: int) -> tuple[int, int]:
    """``(width, height)`` of a cell: the frame's shape, as large as allowed, not enlarged beyond twice."""
    scale = min(CELL[0] / width, CELL[1] / height, 2.0)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _around(box: Box, width: int, height: int) -> Box:
    """The box with its surroundings in the frame's shape, inside the frame."""
    margin = 2 * SURROUNDINGS * max(box.width, box.height)
    scale = min(1.0, max((box.width + margin) / width, (box.height + margin) / height))
    wide, high = min(width, round(width * scale)), min(height, round(height * scale))
    x0 = min(max(0, (box.x0 + box.x1 - wide) // 2), width - wide)
    y0 = min(max(0, (box.y0 + box.y1 - high) // 2), height - high)
    return Box(x0, y0, x0 + wide, y0 + high)


def _row(before: Bytes, hole: Hole, after: Bytes, part: Box, size: tuple[int, int]) -> Bytes:
    import cv2

    cut = part.slices()
    shrinks = size[0] < part.width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    plain = [
        np.asarray(cv2.resize(picture[cut], size, interpolation=how), np.uint8) for picture in (before, after)
    ]
    drawn = draw_tile(np.ascontiguousarray(before[cut]), np.ascontiguousarray(hole[cut]), size)
    return joined([plain[0], drawn, plain[1]], axis=1, gap=GAP)
