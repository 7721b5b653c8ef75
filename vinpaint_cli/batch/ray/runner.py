"""Runs the jobs of a batch on a Ray cluster: a task composes each, and all share one pool of workers."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinpaint_cli.batch.ray.cluster import RayOptions, last_line
from vinpaint_cli.batch.ray.executor import PoolHandle, RayExecutor, for_workers, sharing_memory
from vinpaint_cli.batch.ray.worker import enter, not_seen
from vinpaint_cli.batch.runner import BatchJob, JobResult, do_job

if TYPE_CHECKING:
    from ray.exceptions import RayError

COMPOSER_TRIES = 3
SECONDS_TO_TIDY = 1.5


@dataclass(frozen=True, slots=True)
class ComposerConfig:
    """Settings of a composer; ``seen``: files of the job that exist on the machine which starts it."""

    pool: PoolHandle
    folder: str
    threads: int
    seen: tuple[str, ...]


class RayRunner:
    """Runs jobs on a pool of workers, ``composers`` at a time (None: as many as there are workers).

    Each job is composed by a task of its own, which scans, lays the patches over the frames and encodes,
    and sends its segments to the pool. Composers take no CPU of Ray's: workers hold theirs for the whole
    batch, and a composer that had to wait for one would wait for ever. A worker never waits for a
    composer or another worker, so there is no deadlock.

    A composer that is lost is started again, on another machine if need be, and goes on with its work
    folder. Without ``keep_going`` no job is started after the first that fails.
    """

    def __init__(
        self, pool: PoolHandle, options: RayOptions, composers: int | None = None, keep_going: bool = True
    ) -> None:
        self._pool, self._options = pool, options
        self._composers, self._keep_going = composers or pool.workers, keep_going
        self._running: dict[Any, tuple[BatchJob, float]] = {}

    def run(self, jobs: Sequence[BatchJob]) -> Iterator[JobResult]:
        """Results as jobs end; see `Runner`. Raises UsageError for a device that no worker runs on."""
        waiting = deque(replace(job, options=for_workers(job.options, self._options)) for job in jobs)
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self._composers:
                    self._start(waiting.popleft())
                result = self._next()
                if result.status == "failed" and not self._keep_going:
                    waiting.clear()
                yield result
        finally:
            self._stop()

    def _start(self, job: BatchJob) -> None:
        import ray

        config = ComposerConfig(self._pool, os.getcwd(), self._options.cpus, _seen(job))
        task = ray.remote(compose_job).options(
            num_cpus=0, max_retries=COMPOSER_TRIES - 1, scheduling_strategy="SPREAD"
        )
        self._running[task.remote(job, config)] = job, time.perf_counter()

    def _next(self) -> JobResult:
        """The result of the next job that ends."""
        import ray
        from ray.exceptions import RayError

        done: list[Any] = []
        while not done:  # in short steps, so that Ctrl-C is heard
            done, _ = ray.wait([*self._running], timeout=0.5)
        job, begun = self._running.pop(done[0])
        try:
            result: JobResult = ray.get(done[0])
        except RayError as exc:
            self._pool.actor.drop.remote(_name(job))
            return job.failed(1, _lost(exc), begun)
        return result

    def _stop(self) -> None:
        """Let composers remove their temporary files; what they had sent to workers is dropped."""
        import ray

        running, self._running = self._running, {}
        for ref, (job, _) in running.items():
            ray.cancel(ref, recursive=False)
            self._pool.actor.drop.remote(_name(job))
        if running:
            ray.wait([*running], num_returns=len(running), timeout=SECONDS_TO_TIDY)


def compose_job(job: BatchJob, config: ComposerConfig) -> JobResult:
    """Run one job from scan to output, its segments filled by the pool; the function of a composer's task."""
    enter(config.folder, config.threads)
    for path in config.seen:
        if not Path(path).exists():
            error = not_seen(path, "composer")
            return job.failed(error.exit_code, str(error), time.perf_counter())
    with sharing_memory(config.pool):
        return do_job(job, RayExecutor(config.pool, _name(job)))


def _name(job: BatchJob) -> str:
    """The same for every composer of a job."""
    return f"job {job.index}"


def _seen(job: BatchJob) -> tuple[str, ...]:
    """Files of a job that exist here; missing ones are reported elsewhere."""
    return tuple(path for path in (job.input, *job.options.mask.masks) if Path(path).exists())


def _lost(exc: RayError) -> str:
    """Message for a composer that ended without a result."""
    from ray.exceptions import RayTaskError

    if isinstance(exc, RayTaskError):
        return f"internal error ({last_line(exc)}); please report it"
    return f"{COMPOSER_TRIES} processes that composed it died, the last with: {last_line(exc)}"
