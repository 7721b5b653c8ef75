"""Progress display: bars on a terminal, occasional lines elsewhere, for one run or several."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from vinpaint_cli.cli.console import Console, duration
from vinpaint_cli.util import printable

if TYPE_CHECKING:
    from vinpaint_cli.batch.runner import BatchJob

SECONDS_BETWEEN_LINES = 30.0
LONGEST_NAME = 32
"""Letters of a clip's name beside its bar."""

STAGES = {
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
"""What a person calls a stage; others are shown by their own names."""

NOT_IN_FRAMES = frozenset(("hash", "hide", "fit"))
"""Stages that do not go through the clip's frames, so that frames per second would mean nothing."""


class BarListener:
    """Shows the stages of one run, or of one ``clip`` among several, whose ``bars`` they share.

    Work of a stage is counted in units of its own; frames per second are those of the clip, whose number
    of frames the first stage that goes through it tells.
    """

    def __init__(self, console: Console, clip: str = "", bars: Progress | None = None) -> None:
        self._console = console
        self._clip = clip
        self._bars = bars
        self._frames: int | None = None

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[_Stage]:
        """Show one stage of ``total`` units (None: unknown) until the block ends."""
        in_frames = name not in NOT_IN_FRAMES
        per_unit = self._frames / total if self._frames and total else 1.0
        with self._shown() as bars:
            stage = _Stage(
                self._console, self._clip, STAGES.get(name, name), total, per_unit * in_frames, bars
            )
            try:
                yield stage
            finally:
                stage.remove()
        if self._frames is None and in_frames:
            self._frames = stage.done
        stage.finish()

    def note(self, text: str) -> None:
        """Say one line that a person should read."""
        self._console.say(f"{self._clip}: {text}" if self._clip else text)

    def _shown(self) -> AbstractContextManager[Progress | None]:
        if self._bars is not None or not self._console.shows_bars:
            return nullcontext(self._bars)
        return _bars(self._console, [TextColumn("{task.description:<21}")], [_RateColumn()])


@contextmanager
def job_listeners(console: Console) -> Iterator[Callable[[BatchJob], BarListener]]:
    """A function that makes a listener for each job of a batch; all share the same bars."""
    clip = TextColumn("{task.fields[clip]}", markup=False)
    stage = TextColumn("{task.description}", style="dim", markup=False)
    shown: AbstractContextManager[Progress | None] = nullcontext()
    if console.shows_bars:
        shown = _bars(console, [clip, stage], redirect=False)  # data belongs on stdout
    with shown as bars:
        yield lambda job: BarListener(console, printable(Path(job.input).name), bars)


class _Stage:
    """Counts the units of one stage, and tells the work to stop when the person asked for it."""

    def __init__(
        self,
        console: Console,
        clip: str,
        name: str,
        total: int | None,
        per_unit: float,
        bars: Progress | None,
    ) -> None:
        self.done = 0
        self._console, self._total, self._per_unit, self._bars = console, total, per_unit, bars
        self._label = f"{clip}: {name}" if clip else name
        self._start = self._spoke = time.monotonic()
        self._until: float | None = None
        if bars is not None:
            short = clip if len(clip) <= LONGEST_NAME else f"{clip[: LONGEST_NAME - 1]}…"
            self._task = bars.add_task(name, total=total, clip=short, per_unit=per_unit, until=None)

    def advance(self, n: int = 1) -> bool:
        """Count ``n`` units; False when the work should stop."""
        self.done += n
        if self._bars is not None:
            self._bars.advance(self._task, n)
        elif time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            self._console.say(self._line())
        return not self._console.stopping

    def expect(self, seconds: float) -> None:
        """Show that so many seconds are left, whatever the share of the units."""
        self._until = time.monotonic() + seconds
        if self._bars is not None:
            self._bars.update(self._task, until=self._until)

    def remove(self) -> None:
        """Take its bar away."""
        if self._bars is not None:
            self._bars.remove_task(self._task)

    def finish(self) -> None:
        """Say how long it took."""
        seconds = time.monotonic() - self._start
        self._console.detail(f"{self._label}: {seconds:.1f} s{self._rate()}")

    def _line(self) -> str:
        if not self._total:
            return f"{self._label}: {self.done} frames{self._rate()}"
        share = min(1.0, self.done / self._total)
        left = _left(self._until, time.monotonic() - self._start, share)
        return f"{self._label}: {share:.0%}{self._rate()}, about {duration(left)} left"

    def _rate(self) -> str:
        """``, 12.3 frames/s``, where the stage goes through frames."""
        if not self._per_unit:
            return ""
        speed = self.done * self._per_unit / max(1e-9, time.monotonic() - self._start)
        return f", {speed:.1f} frames/s"


def _left(until: float | None, elapsed: float, share: float) -> float:
    """Seconds that are left: as was said, or else at the speed so far."""
    if until is not None:
        return max(0.0, until - time.monotonic())
    return elapsed * (1 - share) / max(share, 1e-9)


class _LeftColumn(ProgressColumn):
    """Time that is left."""

    def render(self, task: Task) -> Text:
        """Nothing as long as it is not known."""
        if not task.completed or not task.total or task.elapsed is None:
            return Text("-:--", "cyan")
        share = min(1.0, task.completed / task.total)
        return Text(duration(_left(task.fields["until"], task.elapsed, share)), "cyan")


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


def _bars(
    console: Console,
    texts: Sequence[ProgressColumn],
    rates: Sequence[ProgressColumn] = (),
    redirect: bool = True,
) -> Progress:
    """Bars with texts before them and rates after them; ``redirect``: what is printed goes above them."""
    return Progress(
        *texts,
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        *rates,
        _LeftColumn(),
        TextColumn("left"),
        console=console.rich,
        transient=True,
        redirect_stdout=redirect,
        redirect_stderr=redirect,
    )
