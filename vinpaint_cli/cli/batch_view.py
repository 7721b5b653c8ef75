"""How far the jobs that run are: a bar for each on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from vinpaint_cli.batch.runner import BatchJob, JobResult, Outcome
from vinpaint_cli.cli.console import SECONDS_BETWEEN_LINES, Console, duration, stage_name

LONGEST_NAME = 32


class Bars:
    """The bars of all jobs that run, with a listener for each; use it in a ``with`` statement."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = _bars(console) if console.shows_bars else None

    def __enter__(self) -> Self:
        if self.bars is not None:
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()

    def listener(self, job: BatchJob) -> JobListener:
        """A listener that shows one job."""
        return JobListener(self, " ".join(Path(job.input).name.split()))


class JobListener:
    """Shows the progress of one job among several."""

    def __init__(self, shown: Bars, name: str) -> None:
        self._shown, self._name = shown, name

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[_JobStage]:
        """Show a stage until the block ends."""
        stage = _JobStage(self._shown, self._name, stage_name(name), total)
        try:
            yield stage
        finally:
            stage.finish()

    def note(self, text: str) -> None:
        """Say one line that a person should read."""
        self._shown.console.say(f"{self._name}: {text}")


class _JobStage:
    """One stage's count."""

    def __init__(self, shown: Bars, clip: str, name: str, total: int | None) -> None:
        self._console, self._bars = shown.console, shown.bars
        self._label, self._total, self._done = f"{clip}: {name}", total, 0
        self._spoke = time.monotonic()
        self._task = TaskID(0)
        if self._bars is not None:
            short = clip if len(clip) <= LONGEST_NAME else f"{clip[: LONGEST_NAME - 1]}…"
            self._task = self._bars.add_task("", clip=short, stage=name, total=total)

    def advance(self, n: int = 1) -> bool:
        """Count ``n`` units; False when the work should stop."""
        self._done += n
        if self._bars is not None:
            self._bars.advance(self._task, n)
        elif time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            share = f", {min(1.0, self._done / self._total):.0%}" if self._total else ""
            self._console.say(f"{self._label}{share}", "dim")
        return not self._console.stopping

    def finish(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.remove_task(self._task)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.fields[clip]}", markup=False),
        TextColumn("{task.fields[stage]}", style="dim", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(compact=True),
        console=console.rich,
        transient=True,
        redirect_stdout=False,  # data belongs there
        redirect_stderr=False,
    )


MOST_ROWS = 60
_STYLES = {"done": "green", "failed": "bold red", "skipped": "dim", "not run": "yellow"}


class JobReporter:
    """Prints a line for every job that ends, and an error for one that failed, even with -q."""

    def __init__(self, console: Console, jobs: Sequence[BatchJob]) -> None:
        self._console = console
        self._lines = {job.index: job.line for job in jobs}
        self._total = len(jobs)
        self._told = 0

    def report(self, result: JobResult) -> None:
        """Print how a job ended."""
        self._told += 1
        place = f"[{self._told}/{self._total}]"
        if result.status == "failed":
            line = self._lines[result.index]
            text = f"{result.input}: {result.reason}"
            self._console.error(f"{place} {line + ': ' if line else ''}{text}")
        elif result.status == "done":
            frames = result.report["frames"] if result.report else 0
            self._console.say(
                f"{place} {result.input} → {result.output}, {frames} frames, {duration(result.seconds)}"
            )
            if result.message:
                self._console.warn(f"{result.input}: {result.message}")
        elif result.status == "skipped":
            self._console.say(f"{place} {result.input} skipped: {result.message}", "dim")


def summary(console: Console, outcome: Outcome) -> None:
    """The table, unless -q: all jobs of a small batch, those that are not done of a large one; the counts."""
    if console.quiet:
        return
    rows = list(outcome.results)
    if len(rows) > MOST_ROWS:
        rows = [row for row in rows if row.status not in ("done", "skipped")][:MOST_ROWS]
    if rows:
        console.rich.print(_table(rows))
    counts = ", ".join(f"{count} {status}" for status, count in outcome.counts.items() if count)
    console.say(f"{len(outcome.results)} jobs: {counts}; {duration(outcome.seconds)}", "bold")


def _table(rows: Sequence[JobResult]) -> Table:
    table = Table(box=SIMPLE_HEAD, expand=True)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("clip", overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column("state", no_wrap=True)
    table.add_column("code", justify="right", no_wrap=True)
    table.add_column("frames", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("output, or what went wrong", overflow="ellipsis", no_wrap=True, ratio=1)
    for row in rows:
        last = row.output if row.status in ("done", "skipped") else row.reason
        table.add_row(
            str(row.index + 1),
            Text(_one_line(row.input)),
            Text(row.status, _STYLES[row.status]),
            str(row.exit_code),
            str(row.report["frames"]) if row.report else "",
            duration(row.seconds) if row.seconds else "",
            Text(_one_line(last)),
        )
    return table


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))
