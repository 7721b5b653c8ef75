"""Jobs of a batch, their results, the protocol of runners, and the loop that runs a batch."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from vinpaint_cli.errors import Interrupted, explain
from vinpaint_cli.video.sink.publish import translated

if TYPE_CHECKING:
    from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
    from vinpaint_cli.pipeline.progress import Listener
    from vinpaint_cli.removal.executor import Executor

Status = Literal["done", "failed", "skipped", "not run"]
STATUSES: tuple[Status, ...] = ("done", "failed", "skipped", "not run")


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One removal of a batch, checked and ready to run; picklable.

    index: its place in the batch, from 0. line: where it was written (``jobs.toml:12``), empty when
    nowhere. output: None means beside the input, as `remove` chooses. overwrite: whether an output that
    is there is replaced. work: of its work folder.
    """

    index: int
    line: str
    input: str
    output: str | None
    options: RemoveOptions
    overwrite: bool
    work: WorkOptions

    @property
    def target(self) -> str:
        """Path of its output, also when that is the default."""
        from vinpaint_cli.pipeline.output import default_output

        return self.output or str(default_output(self.input))

    def failed(self, exit_code: int, message: str, begun: float) -> JobResult:
        """The result when it failed; begun: what `time.perf_counter` said at its beginning."""
        seconds = time.perf_counter() - begun
        return JobResult(self.index, self.input, self.target, "failed", exit_code, message, seconds)


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended.

    index, input: the job's. output: where its result is or would have been. exit_code: that of the error
    (0 unless it failed; 128 + N when signal N killed the process). message: one line. seconds: wall time.
    report: the fields of `RemoveReport` when it was done.
    """

    index: int
    input: str
    output: str
    status: Status
    exit_code: int
    message: str
    seconds: float
    report: dict[str, Any] | None = None

    @property
    def reason(self) -> str:
        """The message without the name of the input before it."""
        return self.message.removeprefix(f"{self.input}: ")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON, with ``frames`` (0 when not known) added."""
        return {**asdict(self), "frames": self.report["frames"] if self.report else 0}


class Runner(Protocol):
    """Runs jobs, on this machine or on others."""

    def run(self, jobs: Sequence[BatchJob]) -> Iterator[JobResult]:
        """Results as jobs end, in any order; a job that fails has a result like any other.

        A runner told not to keep going starts no job after the first that fails, lets those that run
        finish, and gives no result for the rest. Closing the iterator stops what runs within two seconds.
        """
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of all jobs, in the order given; seconds: wall time of the whole batch."""

    results: tuple[JobResult, ...]
    seconds: float
    interrupted: bool = False

    @property
    def counts(self) -> Mapping[Status, int]:
        """Number of jobs by status."""
        found = Counter(result.status for result in self.results)
        return {status: found[status] for status in STATUSES}

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        counts = {status.replace(" ", "_"): count for status, count in self.counts.items()}
        return {**counts, "seconds": round(self.seconds, 3), "jobs": [one.to_dict() for one in self.results]}


def do_job(job: BatchJob, executor: Executor, listener: Listener | None = None) -> JobResult:
    """Run one job; an error becomes its result.

    Raises Interrupted and KeyboardInterrupt when the work is to stop.
    """
    from vinpaint_cli.removal.run import remove

    begun = time.perf_counter()
    try:
        report = remove(
            job.input,
            job.output,
            job.options,
            overwrite=job.overwrite,
            listener=listener,
            work=job.work,
            executor=executor,
        )
    except Interrupted:
        raise
    except Exception as exc:
        code, message = explain(exc, less="fewer --jobs", verbose="`vinpaint remove -v`")
        return job.failed(code, " ".join(message.split()), begun)
    seconds, message = time.perf_counter() - begun, "; ".join(report.warnings)
    return JobResult(job.index, job.input, report.output, "done", 0, message, seconds, asdict(report))


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


def is_there(target: str) -> bool:
    """Whether an output exists: a file, or a folder that is not empty."""
    if os.path.isdir(target):
        return bool(os.listdir(target))
    return os.path.lexists(target)
