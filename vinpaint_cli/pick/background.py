"""One long piece of work in the background: its progress, its end, and a way to stop it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from vinpaint_cli.errors import Interrupted, UsageError, VinpaintError
from vinpaint_cli.pipeline.progress import Listener

_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Doing:
    """How far the work is: ``done`` of ``total`` units (None: unknown) of ``stage``.

    ``task`` names the work, ``error`` is one line once it failed. ``stopping`` is True from the wish to stop
    until it has stopped.
    """

    task: str = ""
    running: bool = False
    stopping: bool = False
    stage: str = ""
    done: int = 0
    total: int | None = None
    error: str | None = None


class Background:
    """Does one thing at a time in a thread of its own; is the work's `Listener`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._doing = Doing()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def doing(self) -> Doing:
        """How far it is."""
        return self._doing

    def start(self, task: str, work: Callable[[Listener], None]) -> None:
        """Begin; UsageError while something is being done."""
        with self._lock:
            if self._doing.running:
                raise UsageError(f"{self._doing.task} is not done yet; wait for it or stop it")
            self._stop.clear()
            self._doing = Doing(task, running=True)
        self._thread = threading.Thread(target=self._run, args=(work,), name="vinpaint-work", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the work to stop at its next step."""
        self._stop.set()
        with self._lock:
            self._doing = replace(self._doing, stopping=self._doing.running)

    def close(self) -> None:
        """Stop, and wait a little for the end."""
        self.stop()
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECONDS)

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Background]:
        """Begin a stage of ``total`` units; the listener counts them itself."""
        self._change(stage=name, done=0, total=total)
        yield self

    def note(self, text: str) -> None:
        """Nothing: what a person should read of the work is in its result."""

    def advance(self, n: int = 1) -> bool:
        """Count ``n`` units more; False when the person asked to stop."""
        self._change(done=self._doing.done + n)
        return not self._stop.is_set()

    def _run(self, work: Callable[[Listener], None]) -> None:
        error = None
        try:
            work(self)
        except Interrupted:
            pass
        except VinpaintError as exc:
            error = str(exc)
        except MemoryError:
            error = "not enough memory; close other programs, or take a shorter clip"
        except Exception as exc:  # a thread has nobody above it that would say what happened
            error = f"internal error ({type(exc).__name__}: {exc})"
        self._change(running=False, stopping=False, error=error)

    def _change(self, **values: object) -> None:
        with self._lock:
            self._doing = replace(self._doing, **values)  # type: ignore[arg-type]  # fields of Doing
