"""Turns every way a run can end (errors, signals, a closed pipe) into one line and an exit code.

====  =======================================================================
0     done
1     internal error
2     usage: options that cannot be read or contradict each other
3     bad input: a clip or a mask that cannot be used
4     weights that are missing, unknown, corrupt or of another network
5     not enough memory
6     the output exists or cannot be written
7     some jobs of a batch failed
130   stopped by Ctrl-C, SIGTERM or a closed terminal
141   whoever read our output went away
====  =======================================================================
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

import typer

from vinpaint_cli.cli.console import Console
from vinpaint_cli.errors import Interrupted, explain, notes_of

EXIT_CODES = (
    "Exit codes: 0 done, 1 internal error, 2 usage, 3 bad input (clip or mask), 4 weights, "
    "5 not enough memory, 6 the output exists or cannot be written, 7 some jobs of a batch failed, "
    "130 interrupted, 141 the reader of stdout went away."
)
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
# Typer's own copy of click and click itself both have this class above typer.BadParameter.
_CLICK_ERROR = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class Boundary:
    """Runs something and turns whatever happens into ``code``; use it in a ``with`` statement.

    While it is entered, the first SIGINT, SIGTERM or SIGHUP stops the work; later ones do not disturb
    the tidying up. SystemExit passes.
    """

    def __init__(self, console: Console, leaving: bool = False) -> None:
        """leaving: the process ends after it, so that signals need no handlers any more."""
        self.code = 0
        self._leaving = leaving
        self._console = console
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                self._watch(getattr(signal, name, None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            return self._end(error)
        finally:  # only now, so that a second Ctrl-C does not stop the telling
            if not (self._leaving and self._console.stopping):
                for number, handler in self._handlers.items():
                    signal.signal(number, handler)

    def _end(self, error: BaseException | None) -> bool:
        if self._leaving and self._console.stopping:
            for number in self._handlers:
                signal.signal(number, signal.SIG_IGN)  # the interpreter takes a while to go, too
        if isinstance(error, (SystemExit, GeneratorExit)):
            return False
        stopped_early = error is not None or self.code == Interrupted.exit_code
        if (self._console.stopping and stopped_early) or isinstance(error, KeyboardInterrupt):
            self.code = self._tell(error if isinstance(error, Interrupted) else _stopped(error))
        elif error is not None:
            self.code = self._tell(error)
        return True

    def run(self, work: Callable[[], int | None]) -> None:
        """Do the work, whose result is the exit code (None: 0)."""
        self.code = work() or 0

    def _watch(self, number: signal.Signals | None) -> None:
        # A signal that our parent had ignored (nohup, a background job) stays ignored.
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            self._handlers[number] = signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Ask the work to stop; raised at once too, for work that does not report its progress."""
        if not self._console.stopping:
            self._console.stopping = True
            raise KeyboardInterrupt

    def _tell(self, error: BaseException) -> int:
        """Print what happened in one line, and where with -v; returns the exit code."""
        code, line = _explained(error)
        self._console.trace(error)
        self._console.error(line)
        return code


def _stopped(error: BaseException | None) -> Interrupted:
    """The Interrupted that a signal led to, with the notes of what it had raised."""
    stopped = Interrupted("stopped; nothing was written")
    for note in notes_of(error):
        stopped.add_note(note)
    return stopped


@contextmanager
def interrupt_as_error() -> Iterator[None]:
    """Turn a KeyboardInterrupt into Interrupted with its notes; Typer would make a bare exit code of it."""
    try:
        yield
    except KeyboardInterrupt as exc:
        raise _stopped(exc) from exc


def _explained(error: BaseException) -> tuple[int, str]:
    """Exit code and one line for an error, Typer's among them."""
    if isinstance(error, _CLICK_ERROR):
        return int(getattr(error, "exit_code", 2)), _usage(error)
    if isinstance(error, typer.Abort):
        return Interrupted.exit_code, "stopped; nothing was written"
    if isinstance(error, Interrupted) and (notes := notes_of(error)):
        return error.exit_code, "; ".join(["stopped", *notes])
    return explain(error)


def _usage(error: BaseException) -> str:
    """What Typer says of an option, and where to read more."""
    try:
        message = str(getattr(error, "format_message", error.__str__)())
    except AttributeError:  # it was made with too little to say
        message = type(error).__name__
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "vinpaint")
    return f"{message.rstrip('.')}; see `{command} --help`"
