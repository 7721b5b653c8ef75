"""The report of a batch, written while it runs: results.jsonl, index.html and pictures in one folder."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

import numpy as np
from PIL import Image

from vinpaint_cli.batch.runner import STATUSES, BatchJob, JobResult
from vinpaint_cli.errors import Interrupted, OutputError, VideoError, VinpaintError
from vinpaint_cli.mask_making.preview import draw_tile
from vinpaint_cli.masks.sources.options import build_mask
from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.ops.image import joined
from vinpaint_cli.types import Box, FrameSource
from vinpaint_cli.util.atomic_write import atomic_write
from vinpaint_cli.util.pages import render
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
    source = open_source(job.input, playlists=job.options.playlists)
    result = open_source(output)
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


RESULTS, PAGE, PICTURES = "results.jsonl", "index.html", "pictures"
SECONDS_TO_STOP = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of a job in the report: its file and caption, or the reason why there is none."""

    file: str = ""
    drawn: Drawn | None = None
    problem: str = ""


class BatchReport:
    """Writes the report as results come; use it in a ``with`` statement.

    results.jsonl has each result the moment it is there; pictures are drawn from the finished files and
    the page is written anew in a thread of its own, so that no job waits for them. Leaving the block waits
    for the last picture, or leaves them out when an error ends it. folder None: does nothing at all.

    Raises OutputError when the folder cannot be written.
    """

    def __init__(self, folder: str | Path | None, jobs: Sequence[BatchJob]) -> None:
        self._folder = None if folder is None else Path(folder)
        self._jobs = {job.index: job for job in jobs}
        self._results: dict[int, JobResult] = {}
        self._pictures: dict[int, Picture] = {}
        self._waiting: queue.SimpleQueue[JobResult | None] = queue.SimpleQueue()
        self._painter = threading.Thread(target=self._paint, daemon=True)
        self._writing = threading.Lock()
        self._stopping = False
        self._begun = time.time()
        self._lines: TextIO | None = None

    def __enter__(self) -> Self:
        if self._folder is not None:
            with translated(self._folder):
                (self._folder / PICTURES).mkdir(parents=True, exist_ok=True)
                self._lines = open(self._folder / RESULTS, "w", encoding="utf-8")  # until __exit__
                self._write_page()
            self._painter.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is None or self._lines is None:
            return
        self.stop() if error is not None else None
        self._waiting.put(None)
        self._wait()
        self._lines.close()
        with translated(self._folder):
            self._write_page(ended=True)

    def stop(self) -> None:
        """Draw no more pictures."""
        self._stopping = True

    def _wait(self) -> None:
        """Wait for the pictures; Ctrl-C leaves the rest of them out."""
        try:
            self._painter.join(SECONDS_TO_STOP if self._stopping else None)
        except KeyboardInterrupt:
            self.stop()
            self._painter.join(SECONDS_TO_STOP)

    def add(self, result: JobResult) -> None:
        """Add a result; it is on the disk when this returns."""
        if self._folder is None or self._lines is None:
            return
        self._results[result.index] = result
        with translated(self._folder / RESULTS):
            self._lines.write(json.dumps(result.to_dict()) + "\n")
            self._lines.flush()
            os.fsync(self._lines.fileno())
        self._waiting.put(result)

    def _paint(self) -> None:
        """Draw what is waiting, and write the page whenever nothing is."""
        while (result := self._waiting.get()) is not None:
            if result.status in ("done", "skipped") and not self._stopping:
                self._draw(result)
            if self._waiting.empty() and not self._stopping:
                with suppress(OSError):  # said when the block ends
                    self._write_page()

    def _draw(self, result: JobResult) -> None:
        assert self._folder is not None  # the thread runs only with one
        job, target = self._jobs[result.index], self._folder / _picture_name(result)
        name = target.relative_to(self._folder).as_posix()
        try:
            drawn = drawn_before(target, result.output) if result.status == "skipped" else None
            drawn = drawn or draw_result(job, result.output, target, lambda: not self._stopping)
        except (VinpaintError, OSError, ValueError) as exc:
            self._pictures[result.index] = Picture(problem=f"no picture: {exc}")
            return
        self._pictures[result.index] = Picture(problem="no hole") if drawn is None else Picture(name, drawn)

    def _write_page(self, ended: bool = False) -> None:
        """Write the page beside the old one and put it in its place; raises OSError."""
        assert self._folder is not None
        results = [self._results.get(index) for index in self._jobs]
        text = page([*self._jobs.values()], results, dict(self._pictures), self._begun, time.time(), ended)
        with self._writing, atomic_write(self._folder / PAGE) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def _picture_name(result: JobResult) -> str:
    """The same for the same job in another batch, whatever its place there."""
    names = f"{os.path.abspath(result.input)}\0{os.path.abspath(result.output)}"
    return f"{PICTURES}/{hashlib.sha256(os.fsencode(names)).hexdigest()[:16]}.jpg"


def check_report(folder: Path) -> None:
    """Refuse a folder for the report that holds other things; raises OutputError."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir() or not ((folder / RESULTS).is_file() or not any(folder.iterdir())):
        raise OutputError(f"{folder} exists and is no earlier report of a batch; give another --report")


def page(
    jobs: Sequence[BatchJob],
    results: Sequence[JobResult | None],
    pictures: Mapping[int, Picture],
    begun: float,
    now: float,
    ended: bool,
) -> str:
    """HTML of index.html.

    results: one per job, None for those that are not finished. begun, now: seconds of the clock.
    """
    return render(
        "batch/report.html",
        title=f"vinpaint batch: {_counts(results, ended)}",
        counts=_counts(results, ended),
        times=_times(begun, now, ended),
        failed=[result for result in results if result is not None and result.status == "failed"],
        rows=[(job, result, pictures.get(job.index)) for job, result in zip(jobs, results, strict=True)],
        ended=ended,
    )


def _counts(results: Sequence[JobResult | None], ended: bool) -> str:
    """``50 jobs: 45 done, 5 failed``."""
    count = Counter(result.status for result in results if result is not None)
    told = [f"{count[status]} {status}" for status in STATUSES if count[status]]
    left = sum(result is None for result in results)
    if left:
        told.append(f"{left} {'not run' if ended else 'to come'}")
    return f"{len(results)} job{'s' if len(results) != 1 else ''}: {', '.join(told) or 'none'}"


def _times(begun: float, now: float, ended: bool) -> str:
    spent = round(now - begun)
    said = f"{spent // 3600}:{spent // 60 % 60:02d}:{spent % 60:02d} h"
    clock = [time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) for moment in (begun, now)]
    if ended:
        return f"begun {clock[0]}, ended {clock[1]} ({said})"
    return f"begun {clock[0]}, as of {clock[1]} ({said}); this page is written anew as jobs end"
