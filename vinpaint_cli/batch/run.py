"""A batch from its first job to its last: what is left out, what is run, what became of each."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vinpaint_cli.batch.checks import is_there
from vinpaint_cli.batch.runner import STATUSES, BatchJob, JobResult, Runner, Status
from vinpaint_cli.errors import Interrupted
from vinpaint_cli.video.publish import translated


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of every job, in the order given; seconds: wall time of the whole."""

    results: tuple[JobResult, ...]
    seconds: float
    interrupted: bool = False

    @property
    def counts(self) -> Mapping[Status, int]:
        """Jobs by status."""
        found = Counter(result.status for result in self.results)
        return {status: found[status] for status in STATUSES}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        counts = {status.replace(" ", "_"): count for status, count in self.counts.items()}
        return {**counts, "seconds": round(self.seconds, 3), "jobs": [one.to_dict() for one in self.results]}


def run_batch(
    jobs: Sequence[BatchJob],
    runner: Runner,
    listener: Callable[[JobResult], None] = lambda result: None,
    *,
    skip_existing: bool = False,
) -> Outcome:
    """Run jobs and tell the listener of each result as it comes.

    Ctrl-C ends the work and gives an outcome too; what was not finished is "not run" there.
    """
    start, found = time.perf_counter(), dict[int, JobResult]()
    interrupted = False
    try:
        for result in _results(jobs, runner, skip_existing):
            found[result.index] = result
            listener(result)
    except (KeyboardInterrupt, Interrupted):
        interrupted = True
    why = "stopped" if interrupted else "an earlier job failed, and --fail-fast was given"
    for job in jobs:
        if job.index not in found:
            found[job.index] = result = _untouched(job, "not run", why)
            listener(result)
    results = tuple(found[job.index] for job in jobs)
    return Outcome(results, time.perf_counter() - start, interrupted)


def _results(jobs: Sequence[BatchJob], runner: Runner, skip_existing: bool) -> Iterator[JobResult]:
    waiting = []
    for job in jobs:
        if skip_existing and is_there(job.target):
            yield _untouched(job, "skipped", "its output is there")
        else:
            waiting.append(job)
    results = runner.run(waiting)
    with closing(cast("Any", results)):
        yield from results


def _untouched(job: BatchJob, status: Status, message: str) -> JobResult:
    return JobResult(job.index, job.input, job.target, status, 0, message, 0.0)


def make_folders(folders: Sequence[str]) -> None:
    """Make the folders that outputs go to; raises OutputError."""
    for folder in folders:
        with translated(Path(folder)):
            os.makedirs(folder, exist_ok=True)
