"""The workers of a cluster as one: an actor that lends them out and sees to it that none is missed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import RayError, TaskCancelledError

from vinpaint_cli import __version__
from vinpaint_cli.batch.ray.cluster import last_line
from vinpaint_cli.batch.ray.worker import Greeting, Outcome, SegmentWorker, Setting
from vinpaint_cli.errors import UsageError, WorkerError
from vinpaint_cli.removal.executor import JobSpec
from vinpaint_cli.types import Segment

TRIES = 3
"""Workers that may be lost over one segment before it is given up."""

AHEAD = 2
"""Segments that a job may be ahead of its composer, beyond its share of the workers."""

START_SECONDS = 120.0
"""How long to wait for all workers before going on with those that are there."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A segment as it comes back: how it ended, and where its patches lie in the object store.

    ``filled`` is a tuple around the reference, so that Ray does not fetch it on the way.
    """

    outcome: Outcome
    filled: tuple[ObjectRef[Any], ...] = ()


class Pool:
    """The inside of an actor that every composer talks to.

    One segment is with a worker at any time, so when a worker is lost it is known over which segment.
    """

    def __init__(self, setting: Setting, count: int) -> None:
        self._setting, self._count = setting, count
        self._me = ray.get_runtime_context().current_actor
        # Ray would restart an actor in its own time; a new one is as good and its start can be watched.
        self._actor = ray.remote(SegmentWorker).options(
            num_cpus=setting.cpus, num_gpus=setting.gpus, max_restarts=0
        )
        self._desk = Desk()
        self._hiring: set[asyncio.Task[Hand]] = set()
        self._filling: dict[ObjectRef[Any], tuple[str, int]] = {}
        self._told: dict[tuple[str, int], int] = {}
        self._turns: set[str] = set()
        self._begun = 0
        self._hands = 0
        self._unfit: Exception | None = None

    async def start(self) -> list[str]:
        """Start the workers and return the hosts of those that are ready.

        Raises what kept the first from starting, or UsageError when the cluster has no room for any.
        """
        hiring = [self._hire() for _ in range(self._count)]
        done, _ = await asyncio.wait(hiring, timeout=START_SECONDS)
        hosts = [task.result().host for task in done if task.exception() is None]
        if not hosts and self._unfit is not None:
            raise self._unfit
        if not hosts:
            raise UsageError(
                f"the cluster gave no worker room within {START_SECONDS:.0f} seconds; see `ray status`, and "
                "give fewer --shards or run when others have finished"
            )
        return hosts

    async def fill(self, job: str, spec: JobSpec, segment: Segment) -> Sent:
        """Fill a segment on whichever worker is free, on another when that one is lost."""
        # A composer that is cancelled must not take the worker with it.
        return await asyncio.shield(asyncio.create_task(self._fill(job, spec, segment)))

    async def load(self, job: str, spec: JobSpec) -> Outcome:
        """Load a job's method on one worker, ahead of its first segment."""
        try:
            hand = await self._desk.borrow(job, 0)
        except (Forgotten, WorkerError) as exc:
            return Outcome(0, exc)
        try:
            outcome: Outcome = await hand.handle.load.remote(spec)
        except RayError as exc:
            self._lose()
            return Outcome(0, WorkerError(f"a worker died as it loaded the method: {last_line(exc)}"))
        self._desk.put(hand)
        return outcome

    async def told(self, job: str, segment: int, ticks: int) -> None:
        """A worker has come so far with a segment."""
        if (job, segment) in self._filling.values():
            self._told[job, segment] = ticks

    async def ticks(self, job: str) -> int:
        """How far the segments of a job that are being filled have come, all in all."""
        return sum(ticks for (name, _), ticks in self._told.items() if name == job)

    async def begin(self, job: str) -> str:
        """A composer begins with a job, and is to name it by the result from here on.

        What an earlier composer of the same job, which was lost, had asked for is dropped.
        """
        await self.drop(job)
        self._begun += 1
        turn = f"{job}#{self._begun}"
        self._turns.add(turn)
        return turn

    async def room(self) -> int:
        """Segments that one job may have asked for and not yet taken: its share of the workers, and a few.

        Over all jobs they are bounded, and so is what lies in the object store.
        """
        return -(-max(1, self._hands) // max(1, len(self._turns))) + AHEAD

    async def end(self, job: str) -> None:
        """Nobody wants the segments of a job any more: those that wait and those that are being filled."""
        self._turns.discard(job)
        self._desk.forget(job)
        for ref, (name, _) in self._filling.items():
            if name == job:
                ray.cancel(ref)

    async def drop(self, job: str) -> None:
        """The same for a job that was lost with whoever composed it."""
        for turn in [turn for turn in self._turns if turn.startswith(f"{job}#")]:
            await self.end(turn)

    async def _fill(self, job: str, spec: JobSpec, segment: Segment) -> Sent:
        for left in reversed(range(TRIES)):
            try:
                hand = await self._desk.borrow(job, segment.index)
            except (Forgotten, WorkerError) as exc:
                return Sent(Outcome(0, exc))
            try:
                sent = await self._filled(hand, job, spec, segment)
            except RayError as exc:
                self._lose()
                if not left:
                    return Sent(Outcome(0, _given_up(segment, exc)))
            else:
                self._desk.put(hand)
                return sent
        raise AssertionError("TRIES is 1 or more")

    async def _filled(self, hand: Hand, job: str, spec: JobSpec, segment: Segment) -> Sent:
        outcome, filled = hand.handle.fill.options(num_returns=2).remote(job, spec, segment)
        self._filling[outcome] = job, segment.index
        try:
            return Sent(await outcome, (filled,))
        except TaskCancelledError:
            return Sent(Outcome(0, Forgotten()))
        finally:
            del self._filling[outcome]
            self._told.pop((job, segment.index), None)

    def _lose(self) -> None:
        """Start another worker in the place of one that is gone."""
        self._hands -= 1
        self._hire()

    def _hire(self) -> asyncio.Task[Hand]:
        task = asyncio.create_task(self._begin())
        self._hiring.add(task)
        task.add_done_callback(self._hired)
        return task

    async def _begin(self) -> Hand:
        """A worker that has greeted; raises WorkerError when it could not start, UsageError when unfit."""
        handle: Any = self._actor.remote(self._setting, self._me)
        try:
            greeting: Greeting = await handle.greet.remote()
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
        return Hand(handle, greeting.host)

    def _hired(self, task: asyncio.Task[Hand]) -> None:
        self._hiring.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._hands += 1
            self._desk.put(task.result())
            return
        self._unfit = error if isinstance(error, Exception) else None
        if not self._hands and not self._hiring:
            self._desk.close(WorkerError(str(error)))


def _given_up(segment: Segment, exc: RayError) -> WorkerError:
    core = segment.core
    return WorkerError(
        f"segment {segment.index} (frames {core.start} to {core.stop - 1}) was given up: {TRIES} workers "
        f"died over it ({last_line(exc)}); if memory ran out, give fewer --shards or a smaller --memory"
    )


class Forgotten(Exception):
    """Nobody wants the segment any more."""


@dataclass(eq=False, slots=True)
class Hand:
    """One worker: ``last`` is the job and the segment it filled last."""

    handle: Any
    host: str
    last: tuple[str, int] | None = None


@dataclass(eq=False, slots=True)
class Wish:
    """A segment that waits for a worker."""

    job: str
    index: int
    hand: asyncio.Future[Hand]


class Desk:
    """Lends workers to segments, a worker to one segment at a time.

    The job whose segment came first is served first, the earliest of its segments (they may overtake each
    other on their way here). But a worker goes on with the segment after its last if that waits: it has
    the shared frames at hand and reads on where it stopped. It waits for no segment, and as few segments
    of a job wait at any time, none is passed over for long.
    """

    def __init__(self) -> None:
        self._idle: list[Hand] = []
        self._wishes: list[Wish] = []
        self._closed: Exception | None = None

    async def borrow(self, job: str, index: int) -> Hand:
        """A worker for a segment; raises what `close` was given, and Forgotten after `forget`."""
        if self._closed is not None:
            raise self._closed
        wish = Wish(job, index, asyncio.get_running_loop().create_future())
        self._wishes.append(wish)
        self._match()
        return await wish.hand

    def put(self, hand: Hand) -> None:
        """A worker that is free."""
        self._idle.append(hand)
        self._match()

    def forget(self, job: str) -> None:
        """Nobody wants the waiting segments of a job any more."""
        for wish in [wish for wish in self._wishes if wish.job == job]:
            self._wishes.remove(wish)
            wish.hand.set_exception(Forgotten())

    def close(self, error: Exception) -> None:
        """No worker is left: whoever waits or comes is told so."""
        wishes, self._wishes, self._closed = self._wishes, [], error
        for wish in wishes:
            wish.hand.set_exception(error)

    def _neighbours(self) -> Iterator[tuple[Hand, Wish]]:
        """Workers and the segments that follow those they have filled."""
        for wish in self._wishes:
            for hand in self._idle:
                if hand.last == (wish.job, wish.index - 1):
                    yield hand, wish

    def _match(self) -> None:
        while self._idle and self._wishes:
            first = min(
                (wish for wish in self._wishes if wish.job == self._wishes[0].job),
                key=lambda wish: wish.index,
            )
            hand, wish = next(self._neighbours(), (self._idle[0], first))
            self._idle.remove(hand)
            self._wishes.remove(wish)
            hand.last = wish.job, wish.index
            wish.hand.set_result(hand)
