"""The pool of a cluster: an actor that hands segments to workers and replaces workers that are lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import RayError, TaskCancelledError

from vinpaint_cli import __version__
from vinpaint_cli.batch.ray.cluster import last_line
from vinpaint_cli.batch.ray.worker import FillResult, Greeting, SegmentWorker, WorkerConfig
from vinpaint_cli.errors import UsageError, WorkerError
from vinpaint_cli.removal.executor import FillSpec
from vinpaint_cli.types import Segment

TRIES = 3
"""Workers that may be lost over one segment before it is given up."""

AHEAD = 2
"""Segments that a job may be ahead of its composer, beyond its share of the workers."""

START_SECONDS = 120.0
"""How long to wait for all workers before going on with those that are there."""


class Unwanted(Exception):
    """The job of this segment was dropped, so the segment is not filled."""


@dataclass(eq=False, slots=True)
class Request:
    """A segment that is to be filled; without a segment the job's method is only loaded.

    answer: how it ended. lost: workers that died over it. running: the task of a worker that is at it, and
    ``ticks`` the progress that one has told.
    """

    turn: str
    spec: FillSpec
    segment: Segment | None
    answer: asyncio.Future[FillResult]
    lost: int = 0
    running: ObjectRef[Any] | None = None
    ticks: int = 0

    @property
    def place(self) -> tuple[str, int]:
        """The job's turn and the number of the segment in it, -1 for the method alone."""
        return self.turn, -1 if self.segment is None else self.segment.index

    def end(self, outcome: FillResult) -> None:
        """Answer, unless that was done already."""
        if not self.answer.done():
            self.answer.set_result(outcome)


class RequestQueue:
    """Requests that wait for a worker.

    The job whose request came first is served first, the earliest of its segments (they may overtake each
    other on their way here). But a worker goes on with the segment after its last if that waits: it has
    the shared frames at hand and reads on where it stopped. As few segments of a job wait at any time,
    none is passed over for long.
    """

    def __init__(self) -> None:
        self._waiting: list[Request] = []
        self._arrived = asyncio.Event()
        self._closed: WorkerError | None = None

    def put(self, request: Request) -> None:
        """Add a request; it ends at once when the queue is closed."""
        if self._closed is not None:
            request.end(FillResult(0, self._closed))
            return
        self._waiting.append(request)
        self._arrived.set()

    async def take(self, last: tuple[str, int]) -> Request:
        """The next request for a worker whose last one was at the place ``last``."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        turn, index = last
        first = min(self._of(self._waiting[0].turn), key=lambda request: request.place)
        chosen = next((one for one in self._waiting if one.place == (turn, index + 1)), first)
        self._waiting.remove(chosen)
        return chosen

    def drop(self, turn: str) -> None:
        """End the requests of a turn as unwanted."""
        for request in self._of(turn):
            self._waiting.remove(request)
            request.end(FillResult(0, Unwanted()))

    def close(self, error: WorkerError) -> None:
        """No worker is left: requests that wait or come end with the error."""
        self._closed = error
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            request.end(FillResult(0, error))

    def _of(self, turn: str) -> list[Request]:
        return [request for request in self._waiting if request.turn == turn]


class Pool:
    """The actor that all composers send their segments to.

    One segment is with a worker at any time, so when a worker is lost it is known over which segment.
    """

    def __init__(self, config: WorkerConfig, count: int) -> None:
        self._config = config
        self._me = ray.get_runtime_context().current_actor
        # Ray would restart an actor in its own time; a new one is as good and its start can be watched.
        self._actor = ray.remote(SegmentWorker).options(
            num_cpus=config.cpus, num_gpus=config.gpus, max_restarts=0
        )
        self._requests = RequestQueue()
        self._running: set[Request] = set()
        self._turns: set[str] = set()
        self._begun = self._ready = 0
        self._slots = count

    async def start(self) -> list[str]:
        """Start the workers and return the hosts of those that are ready.

        Raises what kept the first from starting, or UsageError when the cluster has no room for any.
        """
        starting = [asyncio.get_running_loop().create_future() for _ in range(self._slots)]
        self._tasks = [asyncio.create_task(self._keep_worker(started)) for started in starting]
        done, _ = await asyncio.wait(starting, timeout=START_SECONDS)
        errors = [error for error in (one.exception() for one in done) if error is not None]
        if len(errors) < len(done):
            return [one.result() for one in done if one.exception() is None]
        if errors:
            raise errors[0]
        raise UsageError(
            f"the cluster gave no worker room within {START_SECONDS:.0f} seconds; see `ray status`, and "
            "give fewer --shards or run when others have finished"
        )

    async def fill(self, turn: str, spec: FillSpec, segment: Segment | None = None) -> FillResult:
        """Fill a segment on whichever worker is free, on another when that one is lost.

        Without a segment the job's method is loaded, so that bad weights are known ahead.
        """
        request = Request(turn, spec, segment, asyncio.get_running_loop().create_future())
        self._requests.put(request)
        return await asyncio.shield(request.answer)  # a composer that is cancelled leaves the worker alone

    async def told(self, turn: str, segment: int, ticks: int) -> None:
        """Take a worker's report of its ticks on a segment."""
        for request in self._running:
            if request.place == (turn, segment):
                request.ticks = ticks

    async def ticks(self, turn: str) -> int:
        """Return the ticks made so far on the segments of a job that are being filled."""
        return sum(request.ticks for request in self._running if request.turn == turn)

    async def begin(self, job: str) -> str:
        """Begin a job for a composer, which names the job by the result from here on.

        What an earlier composer of the same job, which was lost, had asked for is dropped.
        """
        await self.drop(job)
        self._begun += 1
        turn = f"{job}#{self._begun}"
        self._turns.add(turn)
        return turn

    async def room(self) -> int:
        """Return how many segments a job may have asked for and not yet taken.

        That is its share of the workers, and `AHEAD` more.
        Over all jobs they are bounded, and so is what lies in the object store.
        """
        return -(-max(1, self._ready) // max(1, len(self._turns))) + AHEAD

    async def end(self, turn: str) -> None:
        """Drop the segments of a job, those that wait and those that are being filled."""
        self._turns.discard(turn)
        self._requests.drop(turn)
        for request in self._running:
            if request.turn == turn:
                request.end(FillResult(0, Unwanted()))
                ray.cancel(request.running)

    async def drop(self, job: str) -> None:
        """Drop the segments of a job whose composer was lost."""
        for turn in [turn for turn in self._turns if turn.startswith(f"{job}#")]:
            await self.end(turn)

    async def _keep_worker(self, started: asyncio.Future[str]) -> None:
        """Keep one worker running and busy, a new one in the place of each that is lost.

        started: gets the host of the first, or what kept it from starting.
        """
        try:
            while True:
                worker: Any = self._actor.remote(self._config, self._me)
                host = await _greeted(worker)
                if not started.done():
                    started.set_result(host)
                self._ready += 1
                await self._serve(worker)
                self._ready -= 1
        except (UsageError, WorkerError) as exc:
            self._slots -= 1
            if not started.done():
                started.set_exception(exc)
            if not self._slots:
                self._requests.close(WorkerError(str(exc)))

    async def _serve(self, worker: Any) -> None:
        """Give a worker one request after the other until it is lost."""
        last = "", 0
        while True:
            request = await self._requests.take(last)
            last = request.place
            try:
                request.end(await self._answer(worker, request))
            except RayError as exc:
                request.lost += 1
                if request.lost >= TRIES:
                    request.end(FillResult(0, _given_up(request.segment, exc)))
                elif not request.answer.done():  # else nobody wants it any more
                    self._requests.put(request)
                return

    async def _answer(self, worker: Any, request: Request) -> FillResult:
        call = worker.fill.options(num_returns=2)
        request.running, filled = call.remote(request.turn, request.spec, request.segment)
        self._running.add(request)
        try:
            outcome: FillResult = await request.running
        except TaskCancelledError:
            return FillResult(0, Unwanted())
        finally:
            self._running.discard(request)
            request.ticks = 0
        return replace(outcome, filled=(filled,))


async def _greeted(worker: Any) -> str:
    """The host of a worker that is ready; WorkerError when it could not start, UsageError when unfit."""
    try:
        greeting: Greeting = await worker.greet.remote()
    except RayError as exc:
        raise WorkerError(
            f"a worker could not start ({last_line(exc)}); every machine of the cluster needs the same "
            "vinpaint and Python"
        ) from None
    if greeting.version != __version__:
        raise UsageError(
            f"the worker on {greeting.host} has vinpaint {greeting.version}, this is {__version__}; "
            "install the same on all machines"
        )
    return greeting.host


def _given_up(segment: Segment | None, exc: RayError) -> WorkerError:
    if segment is None:
        return WorkerError(f"{TRIES} workers died as they loaded the method ({last_line(exc)})")
    core = segment.core
    return WorkerError(
        f"segment {segment.index} (frames {core.start} to {core.stop - 1}) was given up: {TRIES} workers "
        f"died over it ({last_line(exc)}); if memory ran out, give fewer --shards or a smaller --memory"
    )
