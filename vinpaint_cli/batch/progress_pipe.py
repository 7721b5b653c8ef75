"""The progress pipe: a job in another process reports through it, and a listener here is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vinpaint_cli.pipeline.progress import Listener
    from vinpaint_cli.types import Progress

SECONDS_BETWEEN = 0.5
"""Between two reports of a stage on how far it is."""

Message = tuple[Any, ...]
"""``("stage", name, total)``, ``("advance", n)``, ``("end",)`` or ``("note", text)``."""


class PipeReporter:
    """A listener that sends all it is told through a pipe."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[_PipeStage]:
        """Report a stage until the block ends."""
        self._pipe.send(("stage", name, total))
        yield (stage := _PipeStage(self._pipe))
        stage.flush()
        self._pipe.send(("end",))

    def note(self, text: str) -> None:
        """Report one line."""
        self._pipe.send(("note", text))


class _PipeStage:
    """Counts, and reports now and then."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe, self._unsent, self._sent_at = pipe, 0, time.monotonic()

    def advance(self, n: int = 1) -> bool:
        """Count ``n`` units; a signal asks to stop, never this."""
        self._unsent += n
        if time.monotonic() - self._sent_at > SECONDS_BETWEEN:
            self.flush()
        return True

    def flush(self) -> None:
        """Report what was counted."""
        if self._unsent:
            self._pipe.send(("advance", self._unsent))
        self._unsent, self._sent_at = 0, time.monotonic()


class PipeReceiver:
    """Tells a listener what another process reports of its job."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._stages = ExitStack()
        self._progress: Progress | None = None

    def take(self, message: Message) -> None:
        """Pass on one message."""
        kind, *rest = message
        if kind == "note":
            self._listener.note(*rest)
        elif kind == "advance" and self._progress is not None:
            self._progress.advance(*rest)
        else:
            self.close()
            if kind == "stage":
                self._progress = self._stages.enter_context(self._listener.stage(*rest))

    def close(self) -> None:
        """End the stage that was begun last."""
        self._progress = None
        self._stages.close()
