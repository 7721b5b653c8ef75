"""Which request a worker gets next; no cluster needed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from vinpaint_cli.errors import WorkerError

pytest.importorskip("ray", reason="Ray has no wheels for this Python; the engine cannot run here")

from vinpaint_cli.batch.ray.pool import Request, RequestQueue, Unwanted

Place = tuple[str, int]


def queue_of(*places: Place) -> tuple[RequestQueue, list[Request]]:
    queue, segment = RequestQueue(), SimpleNamespace
    future = asyncio.get_running_loop().create_future
    found: list[Any] = [Request(turn, None, segment(index=index), future()) for turn, index in places]  # type: ignore[arg-type]
    for request in found:
        queue.put(request)
    return queue, found


def test_a_worker_goes_on_with_the_segment_after_its_last() -> None:
    async def run() -> list[Place]:
        queue, _ = queue_of(("a", 1), ("a", 2), ("b", 1))
        return [(await queue.take(last)).place for last in (("b", 0), ("a", 1), ("x", 0))]

    assert asyncio.run(run()) == [("b", 1), ("a", 2), ("a", 1)]


def test_without_a_neighbour_the_job_that_came_first_is_served_in_its_order() -> None:
    async def run() -> list[Place]:
        queue, found = queue_of(("a", 4), ("b", 1), ("a", 2), ("b", 0))
        return [(await queue.take(("x", 0))).place for _ in found]

    assert asyncio.run(run()) == [("a", 2), ("a", 4), ("b", 0), ("b", 1)]


def test_a_worker_waits_for_a_request() -> None:
    async def run() -> bool:
        queue, (first,) = queue_of(("a", 0))
        assert await queue.take(("x", 0)) is first
        waiting = [asyncio.create_task(queue.take(("x", 0))) for _ in range(2)]
        await asyncio.sleep(0)
        queue.put(first)
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return len(done) == 1

    assert asyncio.run(run())


def test_a_job_is_dropped_and_others_are_not() -> None:
    async def run() -> None:
        queue, (gone, kept) = queue_of(("gone", 0), ("kept", 0))
        queue.drop("gone")
        assert isinstance(gone.answer.result().error, Unwanted)
        assert await queue.take(("gone", -1)) is kept

    asyncio.run(run())


def test_with_no_worker_left_nobody_waits() -> None:
    async def run() -> None:
        queue, (waiting,) = queue_of(("a", 0))
        error = WorkerError("gone")
        queue.close(error)
        late = Request("a", waiting.spec, waiting.segment, asyncio.get_running_loop().create_future())
        queue.put(late)
        assert [one.answer.result().error for one in (waiting, late)] == [error, error]

    asyncio.run(run())
