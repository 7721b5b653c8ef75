"""Who gets which worker next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


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
