"""How far the jobs that run are: a bar for each on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vinpaint_cli.batch.runner import BatchJob
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.progress import SECONDS_BETWEEN_LINES, stage_name

LONGEST_NAME = 32


class Bars:
    """Gives each job somebody who watches it; use it in a ``with`` statement."""

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

    def watcher(self, job: BatchJob) -> JobWatcher:
        """Somebody who watches a job."""
        return JobWatcher(self, " ".join(Path(job.input).name.split()))


class JobWatcher:
    """The engine's ``Watcher`` for one job among several."""

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
