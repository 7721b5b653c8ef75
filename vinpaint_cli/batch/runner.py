"""What a batch is made of: jobs, their results, and whoever runs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from vinpaint_cli.engine.remove import RemoveOptions
    from vinpaint_cli.engine.work import WorkOptions

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
        """Where its result goes, the default spelled out."""
        from vinpaint_cli.engine.output import default_output

        return self.output or str(default_output(self.input))


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
        """The same for JSON, with ``frames`` (0 when not known) beside it."""
        return {**asdict(self), "frames": self.report["frames"] if self.report else 0}


class Runner(Protocol):
    """Does jobs, on this machine or on others."""

    def run(self, jobs: Sequence[BatchJob]) -> Iterator[JobResult]:
        """Results as jobs end, in any order; a job that fails has a result like any other.

        A runner told not to keep going starts no job after the first that fails, lets those that run
        finish, and gives no result for the rest. Closing the iterator stops what runs within two seconds.
        """
        ...
