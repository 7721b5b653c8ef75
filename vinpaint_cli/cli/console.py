"""Output to the user: notes, questions and errors on stderr, data on stdout."""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.text import Text

from vinpaint_cli.errors import OutputError, UsageError
from vinpaint_cli.util import printable

if TYPE_CHECKING:
    import typer


READER_GONE = 141
"""What a shell reports of a program whose reader went away."""


class _Stderr(RichConsole):
    """A console on stderr; after a broken pipe it is silent, and the work goes on."""

    def on_broken_pipe(self) -> None:
        """Discard all further output."""
        _abandon(sys.stderr)
        self.quiet = True


class Console:
    """Prints and asks, one per run; colours appear on a terminal only, and NO_COLOR is honoured."""

    def __init__(self) -> None:
        self.quiet = False
        self.verbose = False
        self.yes = False
        self.no = False
        self.stopping = False
        self.rich = _Stderr(stderr=True, highlight=False, emoji=False)

    def setup(
        self, *, quiet: bool = False, verbose: bool = False, yes: bool = False, no: bool = False
    ) -> None:
        """Take -q, -v, -y and -n; UsageError for -q with -v."""
        if quiet and verbose:
            raise UsageError("-q and -v exclude each other; leave one out")
        self.quiet, self.verbose, self.yes, self.no = quiet, verbose, yes, no

    @property
    def shows_bars(self) -> bool:
        """Whether a moving bar makes sense."""
        return self.rich.is_terminal and not self.quiet

    def say(self, text: str, style: str = "") -> None:
        """Print one line unless -q."""
        if not self.quiet:
            self.rich.print(Text(printable(text), style), soft_wrap=True)

    def detail(self, text: str) -> None:
        """Print one line with -v only."""
        if self.verbose:
            self.say(text, "dim")

    def warn(self, text: str) -> None:
        """Print one line that should not be missed, unless -q."""
        if not self.quiet:
            self._labelled("warning", "yellow", text)

    def error(self, text: str) -> None:
        """Print one line, always."""
        self._labelled("error", "bold red", text)

    def trace(self, error: BaseException) -> None:
        """Print where an error came from, with -v only."""
        if self.verbose:
            lines = "".join(traceback.format_exception(error)).rstrip()
            print(printable(lines, keep="\n"), file=sys.stderr)

    @property
    def asks(self) -> bool:
        """Whether questions beside those of overwriting are asked: on a terminal, without -y, -n and -q."""
        return self._hears and not (self.yes or self.no or self.quiet)

    @property
    def _hears(self) -> bool:
        return sys.stdin is not None and sys.stdin.isatty() and self.rich.is_terminal

    def ask(self, question: str) -> bool:
        """Ask the user for yes or no; no without a terminal."""
        if not self._hears:
            return False
        self.rich.print(Text(f"{printable(question)} [y/N] "), end="", soft_wrap=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def may_overwrite(self, *targets: str | Path | None) -> bool:
        """Whether those targets that exist may be written; UsageError for both -y and -n."""
        if self.yes and self.no:
            raise UsageError("-y and -n exclude each other; leave one out")
        there = [target for target in targets if target is not None and Path(target).exists()]
        if self.yes or self.no or not there:
            return self.yes
        return all(self.ask(f"{target} exists; overwrite it?") for target in there)

    def data(self, value: object) -> None:
        """Print one JSON object on stdout."""
        self.lines(json.dumps(value, indent=2))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Print rows of cells on stdout, in columns as wide as their longest cell."""
        rows = [[printable(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        self.lines("\n".join(lines))

    def lines(self, text: str) -> None:
        """Print data for a person or another program on stdout; on a terminal what it would obey is escaped.

        Raises OutputError when it cannot be written, SystemExit when nobody reads it any more.
        """
        if sys.stdout is None:
            raise OutputError("stdout is closed, so the result cannot be printed; redirect it elsewhere")
        text = printable(text, keep="\n\t") if sys.stdout.isatty() else text
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")  # names of files need not be text
        try:
            print(text, flush=True)
        except BrokenPipeError:
            _abandon(sys.stdout)
            raise SystemExit(READER_GONE) from None
        except OSError as exc:
            _abandon(sys.stdout)
            raise OutputError(f"stdout cannot be written ({exc.strerror}); redirect it elsewhere") from exc

    def _labelled(self, label: str, style: str, text: str) -> None:
        line = printable(" ".join(text.split()))
        self.rich.print(Text.assemble((f"{label}: ", style), line), soft_wrap=True)


def _abandon(stream: Any) -> None:
    """Send a stream that cannot be written to nowhere, so that closing it at the end says nothing."""
    with suppress(OSError, ValueError):  # a stream without a file has nothing to send
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def console_of(context: typer.Context) -> Console:
    """The console of this run."""
    found = context.obj
    assert isinstance(found, Console)  # the boundary put it there
    return found


def duration(seconds: float) -> str:
    """``8 s``, ``2:05``, ``1:02:05``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
