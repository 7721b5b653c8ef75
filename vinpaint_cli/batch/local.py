"""Runs the jobs of a batch on this machine: in this process, or in several beside it."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from vinpaint_cli.batch.progress_pipe import PipeReceiver
from vinpaint_cli.batch.runner import BatchJob, JobResult
from vinpaint_cli.batch.worker import SECONDS_TO_TIDY, ProcessConfig, do_job, serve
from vinpaint_cli.pipeline.progress import Listener, SilentListener
from vinpaint_cli.util.cpu import allowed_cores

ListenerOf = Callable[[BatchJob], Listener]


class LocalRunner:
    """Runs jobs in ``processes`` processes of this machine; a single one is this process itself.

    Each keeps its method loaded from job to job. Cores and free memory are shared out. Without
    ``keep_going`` no job is started after the first that fails. ``listener`` gives the listener of a job.
    """

    def __init__(
        self, processes: int = 1, keep_going: bool = True, listener: ListenerOf | None = None
    ) -> None:
        self._processes, self._keep_going = processes, keep_going
        self._listener: ListenerOf = listener or (lambda job: SilentListener())

    def run(self, jobs: Sequence[BatchJob]) -> Iterator[JobResult]:
        """Results as jobs end; see `Runner`."""
        count = min(self._processes, len(jobs))
        return self._here(jobs) if count <= 1 else self._beside(jobs, count)

    def _here(self, jobs: Sequence[BatchJob]) -> Iterator[JobResult]:
        """One job after the other in this process."""
        from vinpaint_cli.removal.executor import LocalExecutor

        executor = LocalExecutor()
        for job in jobs:
            result = do_job(job, executor, self._listener(job))
            yield result
            if result.status == "failed" and not self._keep_going:
                return

    def _beside(self, jobs: Sequence[BatchJob], count: int) -> Iterator[JobResult]:
        """Several jobs at once, each in a process beside this one."""
        config = ProcessConfig(threads=max(1, allowed_cores() // count), sharers=count)
        waiting, workers = deque(jobs), [WorkerProcess(config, self._listener) for _ in range(count)]
        try:
            for worker in workers:
                worker.start(waiting.popleft())
            while busy := [worker for worker in workers if worker.job is not None]:
                ready = wait([worker.pipe for worker in busy])
                for worker in [worker for worker in busy if worker.pipe in ready]:
                    result = worker.receive()
                    if result is None:
                        continue
                    if result.status == "failed" and not self._keep_going:
                        waiting.clear()
                    if waiting:
                        worker.start(waiting.popleft())
                    yield result
        finally:
            stop(workers)


class WorkerProcess:
    """A process that does one job after the other, and is replaced when it dies.

    job: what it is at, None when idle. pipe: through which reports and results come, or the end of the
    process.
    """

    pipe: Connection[Any, Any]

    def __init__(self, config: ProcessConfig, listener: ListenerOf) -> None:
        self._config, self._listener = config, listener
        self.job: BatchJob | None = None
        self._process: SpawnProcess | None = None
        self._begun = 0.0

    def start(self, job: BatchJob) -> None:
        """Send it a job; starts a new process if there is none."""
        if self._process is None or not self._process.is_alive():
            self._spawn()
        self.job, self._begun = job, time.perf_counter()
        self._progress = PipeReceiver(self._listener(job))
        with suppress(OSError):  # it has just died; receive says so
            self.pipe.send(job)

    def receive(self) -> JobResult | None:
        """Read what has come when ``pipe`` is ready.

        Returns the job's result, which is a failure when the process has ended, or None for mere progress.
        """
        assert self.job is not None  # nobody waits for an idle one
        assert self._process is not None  # start made it
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            message = self.job.failed(*ended(self._process.exitcode), self._begun)
        if not isinstance(message, JobResult):
            self._progress.take(message)
            return None
        self.job = None
        self._progress.close()
        return message

    def leave(self) -> None:
        """Ask the process to end: an idle one by closing its pipe, a busy one by SIGTERM too."""
        if self._process is None:
            return
        self._progress.close()
        if self.job is not None:
            self._process.terminate()
        self.pipe.close()

    def join(self, seconds: float) -> None:
        """Wait for the process to end, and kill it when that takes longer."""
        if self._process is None:
            return
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()

    def _spawn(self) -> None:
        context = get_context("spawn")
        if self._process is not None:
            self.pipe.close()
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self._config), daemon=True)
        with signals_held():
            self._process.start()
        theirs.close()


@contextmanager
def signals_held() -> Iterator[None]:
    """Keep Ctrl-C from a new process until it has said that it ignores it; ours comes afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop(workers: Sequence[WorkerProcess]) -> None:
    """End processes; those that do not tidy up in time are killed."""
    for worker in workers:
        worker.leave()
    limit = time.monotonic() + SECONDS_TO_TIDY
    for worker in workers:
        worker.join(max(0.0, limit - time.monotonic()))


def ended(exitcode: int | None) -> tuple[int, str]:
    """Exit code and one line for a process that ended in the middle of a job."""
    if exitcode is None or exitcode >= 0:
        advice = "run `vinpaint remove -v` on it to see why"
        return 1, f"its process ended by itself with code {exitcode}; {advice}"
    known = -exitcode in signal.valid_signals()
    name = signal.Signals(-exitcode).name if known else f"signal {-exitcode}"
    why = ", perhaps for want of memory: give fewer --jobs or a smaller --memory" if name == "SIGKILL" else ""
    return 128 - exitcode, f"its process was ended by {name}{why}; run the batch again to go on with it"
