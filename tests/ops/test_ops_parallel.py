from __future__ import annotations

import os
import threading
import time

import cv2
import numpy as np
import pytest
from scenes import block, pan

from vinpaint_cli.ops.parallel import allowed_threads, for_each
from vinpaint_cli.ops.propagate.propagation import PropagateOptions, propagate


@pytest.mark.parametrize("threads", [1, 2, 5, 40])
def test_results_come_in_order(threads: int) -> None:
    found: list[tuple[int, int]] = []

    def late(item: int) -> int:
        time.sleep(0.001 * (item % 3))
        return item * item

    for_each(range(20), late, lambda item, result: found.append((item, result)), threads)
    assert found == [(item, item * item) for item in range(20)]


def test_so_many_are_worked_on_at_once_and_no_more() -> None:
    together, most = threading.Barrier(3, timeout=10), [0]
    going, lock = [0], threading.Lock()

    def work(item: int) -> None:
        with lock:
            going[0] += 1
            most[0] = max(most[0], going[0])
        together.wait()
        with lock:
            going[0] -= 1

    for_each(range(9), work, lambda item, result: None, threads=3)
    assert most == [3]


def test_no_more_results_wait_than_there_are_threads() -> None:
    begun: list[int] = []
    behind: list[int] = []
    for_each(range(30), begun.append, lambda item, _: behind.append(len(begun) - item), threads=4)
    assert max(behind) <= 4


@pytest.mark.parametrize("where", ["work", "done"])
def test_an_error_ends_it(where: str) -> None:
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        if where == "work" and item == 5:
            raise MemoryError

    def done(item: int, _: None) -> None:
        if where == "done" and item == 5:
            raise MemoryError

    before = cv2.getNumThreads()
    with pytest.raises(MemoryError):
        for_each(range(1000), work, done, threads=3)
    assert len(begun) < 20
    assert cv2.getNumThreads() == before


def test_the_environment_says_how_many_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(6)
        for told, allowed in ((None, 6), ("4", 4), ("9", 6), ("", 6), ("4,2", 6), ("0", 1)):
            monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
            if told is not None:
                monkeypatch.setenv("OMP_NUM_THREADS", told)
            assert allowed_threads() == allowed
        cv2.setNumThreads(512)
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert allowed_threads() == 8
    finally:
        cv2.setNumThreads(before)


def test_threads_change_nothing_of_what_is_found() -> None:
    frames = pan(10, 64, 96, (3, 1))
    holes = [block(64, 96, (30 + t, 20, 60 + t, 44)) for t in range(10)]
    alone, together = (propagate(frames, holes, PropagateOptions(threads=n)) for n in (1, 3))
    assert np.array_equal(alone.frames, together.frames)
    assert np.array_equal(alone.confidence, together.confidence)
    for one, other in zip(alone.motion.forward, together.motion.forward, strict=True):
        assert np.array_equal(one, other)
