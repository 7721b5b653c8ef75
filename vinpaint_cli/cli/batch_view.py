"""How the jobs of a batch ended: a line for each, and a table at the end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from vinpaint_cli.batch.runner import BatchJob, JobResult, Outcome
from vinpaint_cli.cli.console import Console, duration
from vinpaint_cli.util import printable

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
    """Print a table of all jobs of a small batch, or the unfinished ones of a large one; nothing with -q."""
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
            Text(printable(row.input)),
            Text(row.status, _STYLES[row.status]),
            str(row.exit_code),
            str(row.report["frames"]) if row.report else "",
            duration(row.seconds) if row.seconds else "",
            Text(printable(last)),
        )
    return table
