"""`TextMask`: the letters of the texts that were found in a clip, and the list of when each is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.errors import MaskError, OutputError, UsageError
from vinpaint_cli.types import Box, Frame
from vinpaint_cli.util.atomic_write import atomic_write

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole


@dataclass(frozen=True, slots=True)
class TextEvent:
    """A text that stands in the picture, or moves across it, from one frame to another.

    ``frames``: those that show it. ``box``: around it on its first frame; it may reach beyond the picture.
    ``velocity``: ``(x, y)`` in pixels a frame. ``persistent``: it is there from the first frame of the clip
    to the last. ``scene``: it moves with the scene. ``letters``: of an area around the box, which begins at
    ``corner`` on the first frame.
    """

    frames: range
    box: Box
    velocity: tuple[float, float]
    persistent: bool
    scene: bool
    corner: tuple[float, float]
    letters: Hole = field(repr=False)

    def at(self, index: int, size: tuple[int, int]) -> tuple[Box, Hole]:
        """The area of frame ``index`` that its letters are in, and they in it, for a frame ``(w, h)``."""
        by = index - self.frames.start
        x, y = (round(c + v * by) for c, v in zip(self.corner, self.velocity, strict=True))
        height, width = self.letters.shape
        box = Box(x, y, x + width, y + height).intersection(Box(0, 0, *size))
        if not box.area:  # a text that moves may have left the frame
            return Box(0, 0, 0, 0), self.letters[:0, :0]
        return box, self.letters[box.y0 - y : box.y0 - y + box.height, box.x0 - x : box.x0 - x + box.width]


@dataclass(frozen=True, slots=True)
class TextSpan:
    """When and where a text is shown, for people and programs.

    Frames ``[first, stop)``; ``start`` and ``end`` in seconds from the clip's first frame; ``box`` its left
    and upper edge, width and height on its first frame; ``persistent`` and ``scene`` of `TextEvent`.
    """

    first: int
    stop: int
    start: float
    end: float
    box: tuple[int, int, int, int]
    persistent: bool
    scene: bool


class TextMask:
    """The letters of all events on every frame of one clip; a `HoleSource`."""

    def __init__(
        self,
        events: Sequence[TextEvent],
        size: tuple[int, int],
        seconds: Sequence[Fraction],
        warnings: Sequence[str] = (),
    ) -> None:
        """Take the events, the clip's ``(width, height)``, and when each of its frames is shown."""
        self.events = tuple(events)
        self.warnings = tuple(warnings)
        self._size, self._seconds = size, tuple(seconds)

    @property
    def count(self) -> int | None:
        """Number of frames."""
        return len(self._seconds)

    def spans(self) -> tuple[TextSpan, ...]:
        """When each text is shown, by its first frame."""
        return tuple(self._span(event) for event in self.events)

    def _span(self, event: TextEvent) -> TextSpan:
        frames, box, times = event.frames, event.box, self._seconds
        last = times[-1] - times[-2] if len(times) > 1 else Fraction(1, 25)
        end = times[frames.stop] if frames.stop < len(times) else times[-1] + last
        place = box.x0, box.y0, box.width, box.height
        when = round(float(times[frames.start]), 3), round(float(end), 3)
        return TextSpan(frames.start, frames.stop, *when, place, event.persistent, event.scene)

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        hole = np.zeros(self._size[::-1], np.bool_)
        for event in self.events:
            if frame.index in event.frames:
                box, letters = event.at(frame.index, self._size)
                hole[box.slices()] |= letters
        return hole

    def check_count(self, frames: int) -> None:
        """Compare with the number of frames of the clip; raises MaskError."""
        if frames != self.count:
            raise MaskError(
                f"text was looked for in {self.count} frames but the video has {frames}; "
                "give the same command again"
            )


def check_events(path: str | Path, overwrite: bool) -> Path:
    """The path of a list of events; raises UsageError for another suffix, OutputError when it exists."""
    target = Path(path)
    if target.suffix.lower() not in (".srt", ".json"):
        raise UsageError(f"--events {path}: give a name that ends in .srt or .json")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; give -y to overwrite it or another name to --events")
    return target


def write_events(spans: Sequence[TextSpan], path: Path) -> None:
    """Write when each text is shown, as subtitles or JSON by the suffix; raises OutputError."""
    if path.suffix.lower() == ".json":
        text = json.dumps([asdict(span) for span in spans], indent=1)
    else:
        text = "\n".join(_subtitle(number, span) for number, span in enumerate(spans, 1))
    try:
        with atomic_write(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as exc:
        raise OutputError(f"{path} cannot be written ({exc.strerror}); check its folder") from exc


def _subtitle(number: int, span: TextSpan) -> str:
    x, y, width, height = span.box
    when = f"{_clock(span.start)} --> {_clock(span.end)}"
    return f"{number}\n{when}\ntext at {x},{y},{width},{height}, f{span.first} to f{span.stop - 1}\n"


def _clock(seconds: float) -> str:
    millis = round(seconds * 1000)
    return f"{millis // 3600000:02}:{millis // 60000 % 60:02}:{millis // 1000 % 60:02},{millis % 1000:03}"
