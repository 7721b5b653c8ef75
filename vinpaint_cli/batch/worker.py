"""A process that does jobs of a batch: one job, and the loop of a process that was started for several."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from vinpaint_cli.batch.progress_pipe import PipeReporter
from vinpaint_cli.batch.runner import BatchJob, JobResult
from vinpaint_cli.errors import Interrupted, explain
from vinpaint_cli.pipeline.device import SHARERS

if TYPE_CHECKING:
    from vinpaint_cli.pipeline.progress import Listener
    from vinpaint_cli.removal.executor import Executor

SECONDS_TO_TIDY = 1.0
"""What a process that is told to end may take to remove its temporary files."""


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """What a process is told as it starts.

    threads: how many its libraries may use. sharers: how many processes divide the free memory.
    """

    threads: int
    sharers: int


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
