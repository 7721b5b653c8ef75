"""Who gets which worker next; no Ray needed."""

from __future__ import annotations

import asyncio

import pytest

from vinpaint_cli.batch.ray.pool import Desk, Forgotten, Hand


def test_a_worker_goes_on_with_the_segment_after_its_last() -> None:
    async def run() -> list[str]:
        desk, left, right = Desk(), Hand(None, "left"), Hand(None, "right")
        desk.put(left)
        desk.put(right)
        first = await desk.borrow("a", 0), await desk.borrow("b", 0)
        waiting = [asyncio.create_task(desk.borrow(job, 1)) for job in ("a", "b")]
        await asyncio.sleep(0)
        desk.put(first[1])
        desk.put(first[0])
        return [first[0].host, first[1].host, *[(await one).host for one in waiting]]

    assert asyncio.run(run()) == ["left", "right", "left", "right"]


def test_without_a_neighbour_the_job_that_came_first_is_served_in_its_order() -> None:
    async def run() -> list[tuple[str, int] | None]:
        desk, hand, served = Desk(), Hand(None, "here"), []
        wishes = ("a", 4), ("b", 1), ("a", 2), ("b", 0)
        waiting = [asyncio.create_task(desk.borrow(*wish)) for wish in wishes]
        await asyncio.sleep(0)
        for _ in waiting:
            desk.put(hand)
            served.append(hand.last)
        await asyncio.gather(*waiting)
        return served

    assert asyncio.run(run()) == [("a", 2), ("a", 4), ("b", 0), ("b", 1)]


def test_a_job_is_forgotten_and_others_are_not() -> None:
    async def run() -> str:
        desk = Desk()
        gone, kept = (asyncio.create_task(desk.borrow(job, 0)) for job in ("gone", "kept"))
        await asyncio.sleep(0)
        desk.forget("gone")
        desk.put(Hand(None, "here"))
        with pytest.raises(Forgotten):
            await gone
        return (await kept).host

    assert asyncio.run(run()) == "here"


def test_with_no_worker_left_nobody_waits() -> None:
    async def run() -> None:
        desk = Desk()
        waiting = asyncio.create_task(desk.borrow("a", 0))
        await asyncio.sleep(0)
        desk.close(OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await waiting
        with pytest.raises(OSError, match="gone"):
            await desk.borrow("a", 1)

    asyncio.run(run())
