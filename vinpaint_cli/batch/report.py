"""The report of a batch, written while it runs: results.jsonl, index.html and pictures in one folder."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from vinpaint_cli.batch.pictures import Drawn, draw_result, drawn_before
from vinpaint_cli.batch.runner import STATUSES, BatchJob, JobResult
from vinpaint_cli.errors import OutputError, VinpaintError
from vinpaint_cli.util.atomic_write import atomic_write
from vinpaint_cli.util.pages import render
from vinpaint_cli.video.sink.publish import translated

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
