"""Work on several frames at once in threads; numpy and OpenCV release the GIL while they compute."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from vinpaint_cli.util import allowed_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def allowed_threads() -> int:
    """Number of threads to use: OpenCV's, but no more than there are cores or OMP_NUM_THREADS allows."""
    import cv2

    # On macOS OpenCV counts what the system would queue, not cores.
    cores = allowed_cores()
    told = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cv2.getNumThreads(), cores, int(told) if told.isdecimal() else cores))


def for_each(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    done: Callable[[Item, Result], None],
    threads: int = 1,
) -> None:
    """Call ``done(item, work(item))`` for items in their order, with ``work`` on up to ``threads`` at once.

    ``done`` runs in the calling thread, and at most ``threads`` results wait for it. OpenCV's own threads
    are off meanwhile, since they gain less. Raises what ``work`` and ``done`` raise, after which no further
    item is begun.
    """
    if threads < 2:
        for item in items:
            done(item, work(item))
        return
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with _undivided(), _pool(threads) as pool:
        for item in items:
            if len(waiting) >= threads:
                first, result = waiting.popleft()
                done(first, result.result())
            waiting.append((item, pool.submit(work, item)))
        while waiting:
            first, result = waiting.popleft()
            done(first, result.result())


def collected(items: Iterable[Item], work: Callable[[Item], Result], threads: int = 1) -> list[Result]:
    """Results of ``work`` for items in their order, as :func:`for_each` gets them."""
    results: list[Result] = []
    for_each(items, work, lambda _, result: results.append(result), threads)
    return results


@contextmanager
def _undivided() -> Iterator[None]:
    """OpenCV works in the thread it is called from."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads, "frame")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
