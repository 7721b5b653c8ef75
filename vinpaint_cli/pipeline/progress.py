"""Progress: the listener protocol for stages, steps and notes, and a clock of seconds per stage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, runtime_checkable

from vinpaint_cli.errors import Interrupted
from vinpaint_cli.types import Progress


class Listener(Protocol):
    """Receives progress: stages begun, steps advanced, notes."""

    def stage(self, name: str, total: int | None) -> AbstractContextManager[Progress]:
        """Begin a stage of ``total`` units (None: unknown), until the block ends; its result counts them."""
        ...

    def note(self, text: str) -> None:
        """Show the user one line of text."""
        ...


@runtime_checkable
class Expecting(Protocol):
    """Progress that is also told how long a stage still takes."""

    def expect(self, seconds: float) -> None:
        """Show that so many seconds are left."""
        ...


def expect(progress: Progress, seconds: float) -> None:
    """Say how many seconds of a stage are left, to whom it concerns."""
    if isinstance(progress, Expecting):
        progress.expect(seconds)


class _Silent:
    def advance(self, n: int = 1) -> bool:
        """Report ``n`` more units of work; always goes on."""
        return True


class SilentListener:
    """Shows nothing and never asks to stop."""

    def stage(self, name: str, total: int | None) -> AbstractContextManager[Progress]:
        """Begin a stage; nothing is shown."""
        return nullcontext(_Silent())

    def note(self, text: str) -> None:
        """Ignore the line."""


def advance(progress: Progress, n: int = 1) -> None:
    """Report ``n`` more units of a stage; raises Interrupted when the listener asks to stop."""
    if not progress.advance(n):
        raise Interrupted("stopped; nothing was written")


class Clock:
    """Seconds spent per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add the times of stages that were taken elsewhere."""
        for stage, spent in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the time of the block to ``stage``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add({stage: time.perf_counter() - start})
