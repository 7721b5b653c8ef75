"""Runs the jobs of a batch on this machine: in this process, or in several with a progress pipe each."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any

from vinpaint_cli.batch.runner import BatchJob, JobResult, do_job
from vinpaint_cli.pipeline.device import SHARERS
from vinpaint_cli.pipeline.progress import Listener, SilentListener, expect
from vinpaint_cli.util import allowed_cores

if TYPE_CHECKING:
    from vinpaint_cli.types import Progress

SECONDS_BETWEEN = 0.5
"""Between two reports of a stage on how far it is."""

Message = tuple[Any, ...]
"""``("stage", name, total)``, ``("advance", n)``, ``("expect", seconds)``, ``("note", text)`` or
``("end",)``."""

ListenerOf = Callable[[BatchJob], Listener]

SECONDS_TO_TIDY = 1.0
"""What a process that is told to end may take to remove its temporary files."""


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """Settings of a worker process, passed when it starts.

    threads: how many its libraries may use. sharers: how many processes divide the free memory.
    """

    threads: int
    sharers: int


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


def serve(pipe: Connection[Any, Any], config: ProcessConfig) -> None:
    """Run the jobs that come through a pipe until it is closed; the main function of a started process.

    Ctrl-C is left to the process that started this one, which says SIGTERM when it is to end; should that
    process vanish, this one ends by itself.
    """
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_watch_parent, daemon=True).start()
    _limit_threads(config.threads)
    os.environ[SHARERS] = str(config.sharers)
    from vinpaint_cli.removal.executor import LocalExecutor

    executor = LocalExecutor()
    try:
        while True:
            pipe.send(do_job(pipe.recv(), executor, PipeReporter(pipe)))
    except EOFError:
        return
    except SystemExit as exc:  # tidied up; taking the libraries down in order would cost seconds
        os._exit(int(exc.code or 0))


def _leave(number: int, frame: Any) -> None:
    """End by an exception, so that ``finally`` blocks tidy up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)


def _watch_parent() -> None:
    """End this process when the one that started it is gone."""
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is None:
        return
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_TIDY)
    os._exit(1)


def _limit_threads(threads: int) -> None:
    """Limit threads: OpenMP's libraries read the environment as they are loaded, the others are set."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        given = os.environ.get(name, "")
        os.environ[name] = str(min(threads, int(given)) if given.isdecimal() and int(given) else threads)
    import cv2
    import torch

    cv2.setNumThreads(threads)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


class PipeReporter:
    """A listener that sends all it is told through a pipe."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[_PipeStage]:
        """Report a stage until the block ends."""
        self._pipe.send(("stage", name, total))
        yield (stage := _PipeStage(self._pipe))
        stage.flush()
        self._pipe.send(("end",))

    def note(self, text: str) -> None:
        """Report one line."""
        self._pipe.send(("note", text))


class _PipeStage:
    """Counts, and reports now and then."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe, self._unsent, self._sent_at = pipe, 0, time.monotonic()
        self._left: float | None = None

    def advance(self, n: int = 1) -> bool:
        """Count ``n`` units; a signal asks to stop, never this."""
        self._unsent += n
        if time.monotonic() - self._sent_at > SECONDS_BETWEEN:
            self.flush()
        return True

    def expect(self, seconds: float) -> None:
        """Keep the time that is left for the next report."""
        self._left = seconds

    def flush(self) -> None:
        """Report what was counted."""
        if self._unsent:
            self._pipe.send(("advance", self._unsent))
            if self._left is not None:
                self._pipe.send(("expect", self._left))
        self._unsent, self._sent_at = 0, time.monotonic()


class PipeReceiver:
    """Tells a listener what another process reports of its job."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._stages = ExitStack()
        self._progress: Progress | None = None

    def take(self, message: Message) -> None:
        """Pass on one message."""
        kind, *rest = message
        if kind == "note":
            self._listener.note(*rest)
        elif kind == "advance" and self._progress is not None:
            self._progress.advance(*rest)
        elif kind == "expect" and self._progress is not None:
            expect(self._progress, *rest)
        else:
            self.close()
            if kind == "stage":
                self._progress = self._stages.enter_context(self._listener.stage(*rest))

    def close(self) -> None:
        """End the stage that was begun last."""
        self._progress = None
        self._stages.close()
