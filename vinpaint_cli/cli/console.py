"""What a person sees: notes, questions, progress and errors on stderr, data on stdout."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from vinpaint_cli.errors import OutputError, UsageError

if TYPE_CHECKING:
    import typer


READER_GONE = 141
"""What a shell reports of a program whose reader went away."""


class _Stderr(RichConsole):
    """Goes on in silence when nobody reads stderr any more: the work matters, not the talk about it."""

    def on_broken_pipe(self) -> None:
        """Write to nowhere from here on."""
        _abandon(sys.stderr)
        self.quiet = True


class Console:
    """One per run; colours and bars appear on a terminal only, and NO_COLOR is honoured."""

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
        """One line unless -q."""
        if not self.quiet:
            self.rich.print(Text(text, style), soft_wrap=True)

    def detail(self, text: str) -> None:
        """One line with -v only."""
        if self.verbose:
            self.say(text, "dim")

    def warn(self, text: str) -> None:
        """One line that should not be missed, unless -q."""
        if not self.quiet:
            self._labelled("warning", "yellow", text)

    def error(self, text: str) -> None:
        """One line, always."""
        self._labelled("error", "bold red", text)

    def trace(self, error: BaseException) -> None:
        """Where an error came from, with -v only."""
        if self.verbose:
            print("".join(traceback.format_exception(error)).rstrip(), file=sys.stderr)

    def ask(self, question: str) -> bool:
        """A yes or no from the person at the terminal; no when nobody is there."""
        if not (sys.stdin is not None and sys.stdin.isatty() and self.rich.is_terminal):
            return False
        self.rich.print(Text(f"{question} [y/N] "), end="", soft_wrap=True)
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
        """One JSON object on stdout."""
        self.lines(json.dumps(value, indent=2))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows of cells on stdout, in columns as wide as their longest cell."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        self.lines("\n".join(lines))

    def lines(self, text: str) -> None:
        """Data for a person or another program, on stdout.

        Raises OutputError when it cannot be written, SystemExit when nobody reads it any more.
        """
        if sys.stdout is None:
            raise OutputError("stdout is closed, so the result cannot be printed; redirect it elsewhere")
        try:
            print(text, flush=True)
        except BrokenPipeError:
            _abandon(sys.stdout)
            raise SystemExit(READER_GONE) from None
        except OSError as exc:
            _abandon(sys.stdout)
            raise OutputError(f"stdout cannot be written ({exc.strerror}); redirect it elsewhere") from exc

    def listener(self) -> BarListener:
        """A listener that shows stages as bars, or as a line now and then."""
        return BarListener(self)

    def _labelled(self, label: str, style: str, text: str) -> None:
        line = " ".join(text.split())
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


SECONDS_BETWEEN_LINES = 30.0
_NAMES = {
    "hash": "checking the files",
    "scan": "looking for the hole",
    "look": "looking for the hole",
    "shots": "looking for cuts",
    "track": "following the object",
    "shadows": "looking for shadows",
    "overlay": "writing the overlay",
    "fill": "filling and encoding",
    "copy": "copying",
    "mask": "writing the mask",
    "count": "decoding",
    "hide": "hiding known pixels",
    "fit": "fitting the network",
}
NOT_IN_FRAMES = frozenset(("hash", "hide", "fit"))
"""Stages that do not go through the clip's frames, so that frames per second would mean nothing."""


class BarListener:
    """Shows the progress of one run: a bar for each stage on a terminal, a line now and then elsewhere.

    Work of a stage is counted in units of its own; frames per second are those of the clip, whose number
    of frames the first stage that goes through it tells.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._frames: int | None = None

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[_Stage]:
        """Show one stage of ``total`` units (None: unknown) until the block ends."""
        known = self._frames is not None
        per_unit = self._frames / total if self._frames and total else 1.0
        per_unit = 0.0 if name in NOT_IN_FRAMES else per_unit
        label = stage_name(name)
        if self._console.shows_bars:
            with _bars(self._console) as bars:
                shown = bars.add_task(label, total=total, per_unit=per_unit)
                stage = _Stage(self._console, label, total, per_unit, bars, shown)
                yield stage
        else:
            stage = _Stage(self._console, label, total, per_unit)
            yield stage
        if not known and name not in NOT_IN_FRAMES:
            self._frames = stage.done
        stage.finish()

    def note(self, text: str) -> None:
        """Say one line that a person should read."""
        self._console.say(text)


def stage_name(name: str) -> str:
    """What a person calls a stage of the engine."""
    return _NAMES.get(name, name)


class _Stage:
    """One stage's count; tells the engine to stop when the person asked for it."""

    def __init__(
        self,
        console: Console,
        label: str,
        total: int | None,
        per_unit: float,
        bars: Progress | None = None,
        shown: TaskID = TaskID(0),
    ) -> None:
        self.done = 0
        self._console, self._label, self._total, self._per_unit = console, label, total, per_unit
        self._bars, self._shown = bars, shown
        self._start = self._spoke = time.monotonic()

    def advance(self, n: int = 1) -> bool:
        """Count ``n`` units; False when the work should stop."""
        self.done += n
        if self._bars is not None:
            self._bars.advance(self._shown, n)
        elif time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            self._console.say(self._line())
        return not self._console.stopping

    def finish(self) -> None:
        """Say how long it took."""
        seconds = time.monotonic() - self._start
        self._console.detail(f"{self._label}: {seconds:.1f} s{self._rate()}")

    def _line(self) -> str:
        if not self._total:
            return f"{self._label}: {self.done} frames{self._rate()}"
        share = min(1.0, self.done / self._total)
        left = (time.monotonic() - self._start) * (1 - share) / max(share, 1e-9)
        return f"{self._label}: {share:.0%}{self._rate()}, about {duration(left)} left"

    def _rate(self) -> str:
        """``, 12.3 frames/s``, where the stage goes through frames."""
        if not self._per_unit:
            return ""
        speed = self.done * self._per_unit / max(1e-9, time.monotonic() - self._start)
        return f", {speed:.1f} frames/s"


class _RateColumn(ProgressColumn):
    """Frames of the clip per second."""

    def render(self, task: Task) -> Text:
        """The last seconds' speed."""
        speed = task.finished_speed or task.speed
        if not task.fields["per_unit"]:
            return Text("")
        if speed is None:
            return Text("  –  frames/s", "dim")
        return Text(f"{speed * task.fields['per_unit']:5.1f} frames/s", "cyan")


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<21}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        _RateColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console.rich,
        transient=True,
    )


def duration(seconds: float) -> str:
    """``8 s``, ``2:05``, ``1:02:05``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
