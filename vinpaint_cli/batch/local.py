"""Jobs on this machine: in this process, or in several at once."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any

from vinpaint_cli.batch.progress_pipe import Relay
from vinpaint_cli.batch.runner import BatchJob, JobResult
from vinpaint_cli.batch.worker import SECONDS_TO_TIDY, Setup, do_job, serve
from vinpaint_cli.util.cpu import allowed_cores

if TYPE_CHECKING:
    from vinpaint_cli.pipeline.progress import Listener


class LocalRunner:
    """Runs jobs in ``processes`` processes of this machine; one of them is this process itself.

    Each keeps its method loaded from job to job. Cores and free memory are shared out. Without
    ``keep_going`` no job is started after the first that fails. ``listener`` gives each job somebody who
    watches it.
    """

    def __init__(
        self,
        processes: int = 1,
        keep_going: bool = True,
        listener: Callable[[BatchJob], Listener] | None = None,
    ) -> None:
        self._processes = processes
        self._keep_going = keep_going
        self._listener = listener

    def run(self, jobs: Sequence[BatchJob]) -> Iterator[JobResult]:
        """Results as jobs end; see `Runner`."""
        count = min(self._processes, len(jobs))
        return self._here(jobs) if count <= 1 else self._beside(jobs, count)

    def _here(self, jobs: Sequence[BatchJob]) -> Iterator[JobResult]:
        """One job after the other in this process."""
        from vinpaint_cli.removal.executor import LocalExecutor

        executor = LocalExecutor()
        for job in jobs:
            result = do_job(job, executor, self._listener(job) if self._listener else None)
            yield result
            if result.status == "failed" and not self._keep_going:
                return

    def _beside(self, jobs: Sequence[BatchJob], count: int) -> Iterator[JobResult]:
        """Several jobs at once, each in a process beside this one."""
        waiting = deque(jobs)
        setup = Setup(threads=max(1, allowed_cores() // count), sharers=count)
        helpers = [Helper(setup, self._listener) for _ in range(count)]
        try:
            while True:
                for helper in helpers:
                    if waiting and helper.job is None:
                        helper.start(waiting.popleft())
                busy = [helper for helper in helpers if helper.job is not None]
                if not busy:
                    return
                ready = wait([helper.pipe for helper in busy if helper.pipe is not None])
                for helper in [helper for helper in busy if helper.pipe in ready]:
                    result = helper.receive()
                    if result is None:
                        continue
                    if result.status == "failed" and not self._keep_going:
                        waiting.clear()
                    elif waiting:
                        helper.start(waiting.popleft())
                    yield result
        finally:
            stop(helpers)


@dataclass(slots=True)
class Helper:
    """A process that does one job after the other, and is replaced when it dies.

    job: what it is at, None when idle. pipe: through which a result comes, or the end of the process.
    """

    setup: Setup
    listener: Callable[[BatchJob], Listener] | None = None
    job: BatchJob | None = None
    pipe: Connection[Any, Any] | None = None
    process: SpawnProcess | None = None
    begun: float = 0.0
    relay: Relay = field(default_factory=lambda: Relay(None))

    def start(self, job: BatchJob) -> None:
        """Give it a job, in a new process if there is none."""
        if self.process is None or not self.process.is_alive():
            self._spawn()
        self.job, self.begun = job, time.perf_counter()
        self.relay = Relay(self.listener(job) if self.listener else None)
        with suppress(OSError):  # it has just died; receive says so
            self._its_pipe.send(job)

    def receive(self) -> JobResult | None:
        """What has come when ``pipe`` is ready: a result, None for mere progress, or the process's end."""
        job = self.job
        assert job is not None  # nobody waits for an idle one
        try:
            message = self._its_pipe.recv()
        except (EOFError, OSError):
            code, text = ended(self._buried())
            seconds = time.perf_counter() - self.begun
            message = JobResult(job.index, job.input, job.target, "failed", code, text, seconds)
        if isinstance(message, JobResult):
            self.job = None
            self.relay.close()
            return message
        self.relay.take(message)
        return None

    def leave(self) -> None:
        """Ask it to end: an idle one by closing its pipe, a busy one by SIGTERM too."""
        self.relay.close()
        if self.process is not None and self.job is not None:
            self.process.terminate()
        if self.pipe is not None:
            self.pipe.close()

    def join(self, seconds: float) -> None:
        """Wait for its end, and bring it about when it takes longer."""
        if self.process is None:
            return
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()

    @property
    def _its_pipe(self) -> Connection[Any, Any]:
        assert self.pipe is not None  # start made it
        return self.pipe

    def _buried(self) -> int | None:
        """The exit code of a process that has died; the next job gets a new one."""
        dead, self.process = self.process, None
        if dead is None:
            return None
        dead.join()
        return dead.exitcode

    def _spawn(self) -> None:
        context = get_context("spawn")
        if self.pipe is not None:
            self.pipe.close()
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.setup), daemon=True)
        with signals_held():
            self.process.start()
        theirs.close()


@contextmanager
def signals_held() -> Iterator[None]:
    """Keep Ctrl-C from a process until it has said that it does not listen to it; ours comes afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop(helpers: Sequence[Helper]) -> None:
    """End processes; those that do not tidy up in time are killed."""
    for helper in helpers:
        helper.leave()
    limit = time.monotonic() + SECONDS_TO_TIDY
    for helper in helpers:
        helper.join(max(0.0, limit - time.monotonic()))


def ended(exitcode: int | None) -> tuple[int, str]:
    """Exit code and one line for a process that ended in the middle of a job."""
    if exitcode is not None and exitcode < 0:
        name = (
            signal.Signals(-exitcode).name if -exitcode in signal.valid_signals() else f"signal {-exitcode}"
        )
        why = (
            ", perhaps for want of memory: give fewer --jobs or a smaller --memory"
            if name == "SIGKILL"
            else ""
        )
        return 128 - exitcode, f"its process was ended by {name}{why}; run the batch again to go on with it"
    return 1, f"its process ended by itself with code {exitcode}; run `vinpaint remove -v` on it to see why"
