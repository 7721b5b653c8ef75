"""Progress of a job in another process: told through a pipe there, shown to a listener here."""

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
"""How often a stage tells how far it is."""

Message = tuple[Any, ...]
"""``("stage", name, total)``, ``("advance", n)``, ``("end",)`` or ``("note", text)``."""


class PipeListener:
    """A ``Listener`` that tells a pipe."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[_PipeStage]:
        """Tell of a stage until the block ends."""
        self._pipe.send(("stage", name, total))
        yield (stage := _PipeStage(self._pipe))
        stage.flush()
        self._pipe.send(("end",))

    def note(self, text: str) -> None:
        """Tell one line."""
        self._pipe.send(("note", text))


class _PipeStage:
    """Counts, and tells now and then."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe, self._untold, self._told = pipe, 0, time.monotonic()

    def advance(self, n: int = 1) -> bool:
        """Count ``n`` units; who is to stop is told by a signal, never here."""
        self._untold += n
        if time.monotonic() - self._told > SECONDS_BETWEEN:
            self.flush()
        return True

    def flush(self) -> None:
        """Tell what was counted."""
        if self._untold:
            self._pipe.send(("advance", self._untold))
        self._untold, self._told = 0, time.monotonic()


class Relay:
    """Shows a listener what another process tells of its job."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener
        self._stages = ExitStack()
        self._progress: Progress | None = None

    def take(self, message: Message) -> None:
        """Show one message."""
        kind, *rest = message
        if kind in ("stage", "end"):
            self.close()
        if self._listener is not None and kind == "stage":
            self._progress = self._stages.enter_context(self._listener.stage(*rest))
        elif self._listener is not None and kind == "note":
            self._listener.note(*rest)
        elif self._progress is not None and kind == "advance":
            self._progress.advance(*rest)

    def close(self) -> None:
        """End the stage that is shown."""
        self._progress = None
        self._stages.close()
