"""Stages shown to a person: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from vinpaint_cli.cli.console import Console

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


class BarWatcher:
    """The engine's ``Watcher`` on a console.

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
