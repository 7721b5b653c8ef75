"""Syntax of times, time ranges and boxes as they are written on the command line and in job files.

::

    time    12.5 | MM:SS[.mmm] | HH:MM:SS[.mmm] | fN        seconds, clock, or frame number from 0
    range   START-END | START- | -END                       half-open: START is in, END is out
    box     X,Y,W,H[@RANGE]                                 pixels or percents of the frame, mixed at will

Times count from the first frame of the clip, as a player shows them, whatever its timestamps are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vinpaint_cli.errors import MaskError, UsageError
from vinpaint_cli.types import Box

TIME_HELP = "seconds (12.5), HH:MM:SS.mmm, MM:SS or a frame (f300)"
_FRAME = re.compile(r"f(\d+)", re.IGNORECASE | re.ASCII)
_SECONDS = re.compile(r"\d+(?:\.\d+)?|\.\d+", re.ASCII)
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)", re.ASCII)
_LENGTH = re.compile(r"([+-]?\d+(?:\.\d+)?)(%|px)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TimePoint:
    """A point in time: exactly one of ``seconds`` from the first frame, or a ``frame`` number from 0."""

    seconds: Fraction | None = None
    frame: int | None = None

    def reached(self, index: int, seconds: Fraction | float) -> bool:
        """Whether frame ``index``, shown at ``seconds``, is at this moment or after it."""
        if self.frame is not None:
            return index >= self.frame
        return self.seconds is None or seconds >= self.seconds


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open stretch of time: ``start`` is in, ``end`` is out, None is open."""

    start: TimePoint | None = None
    end: TimePoint | None = None

    def contains(self, index: int, seconds: Fraction | float) -> bool:
        """Whether frame ``index``, shown at ``seconds`` after the first frame, lies in the range."""
        begun = self.start is None or self.start.reached(index, seconds)
        return begun and not (self.end is not None and self.end.reached(index, seconds))


@dataclass(frozen=True, slots=True)
class Length:
    """A coordinate or size of a box: pixels, or percent of the frame's size along the same axis."""

    value: Fraction
    percent: bool

    def pixels(self, extent: int) -> Fraction:
        """Exact pixels for a frame of ``extent`` pixels."""
        return self.value * extent / 100 if self.percent else self.value


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """A box as written: left edge, top edge, width, height, and the time range in which it holds."""

    text: str
    x: Length
    y: Length
    width: Length
    height: Length
    when: TimeRange = TimeRange()

    def resolve(self, frame_width: int, frame_height: int, warnings: list[str] | None = None) -> Box:
        """The box in pixels of a frame; edges are rounded, and it is clipped to the frame.

        Raises MaskError (the box has no area, or lies wholly outside the frame).

        * ``frame_width``: displayed width in pixels.
        * ``frame_height``: displayed height in pixels.
        * ``warnings``: takes a line when a part lies outside.
        """
        x, y = self.x.pixels(frame_width), self.y.pixels(frame_height)
        right, bottom = x + self.width.pixels(frame_width), y + self.height.pixels(frame_height)
        asked = Box(_nearest(x), _nearest(y), _nearest(right), _nearest(bottom))
        if not asked.area:
            raise MaskError(f"box {self.text} has no area on a {frame_width}x{frame_height} frame; widen it")
        box = asked.intersection(Box(0, 0, frame_width, frame_height))
        if not box.area:
            raise MaskError(
                f"box {self.text} lies outside the {frame_width}x{frame_height} frame; "
                f"X must be below {frame_width} and Y below {frame_height}"
            )
        if box != asked and warnings is not None:
            warnings.append(
                f"box {self.text} reaches beyond the {frame_width}x{frame_height} frame; "
                f"only {box.width}x{box.height} pixels at {box.x0},{box.y0} are used"
            )
        return box


def parse_time(text: str) -> TimePoint:
    """Parse a point in time: seconds, ``HH:MM:SS.mmm``, ``MM:SS`` or ``fN``.

    Raises UsageError (anything else, or 60 minutes or seconds and more in a clock time).
    """
    given = text.strip()
    if match := _FRAME.fullmatch(given):
        return TimePoint(frame=int(match[1]))
    if _SECONDS.fullmatch(given):
        return TimePoint(seconds=Fraction(given))
    match = _CLOCK.fullmatch(given)
    if match is None:
        raise UsageError(f"time {text!r} cannot be read; give {TIME_HELP}")
    hours, minutes, seconds = int(match[1] or 0), int(match[2]), Fraction(match[3])
    if minutes >= 60 or seconds >= 60:
        raise UsageError(f"time {text!r} has 60 minutes or seconds and more; give {TIME_HELP}")
    return TimePoint(seconds=3600 * hours + 60 * minutes + seconds)


def parse_range(text: str) -> TimeRange:
    """Parse ``START-END``; one side may be left out.

    Raises UsageError (no dash, both sides missing, or an end that is not after its start).
    """
    start, dash, end = text.partition("-")
    if not dash or not (start.strip() or end.strip()):
        raise UsageError(f"range {text!r} cannot be read; give START-END, each as {TIME_HELP}")
    return time_range(start.strip() or None, end.strip() or None)


def time_range(start: str | None, end: str | None) -> TimeRange:
    """The range between two points in time as written, None for open.

    Raises UsageError (a moment that cannot be read, or an end that is not after its start).
    """
    first = None if start is None else parse_time(start)
    last = None if end is None else parse_time(end)
    if first is not None and last is not None and _is_empty(first, last):
        raise UsageError(f"the end {end} is not after the start {start}; the end itself is not included")
    return TimeRange(first, last)


def parse_box(text: str) -> BoxSpec:
    """Parse ``X,Y,W,H[@START-END]``, each figure in whole pixels or in percent of the frame.

    Raises UsageError (not four figures, a figure or a range that cannot be read).
    """
    place, at, when = text.partition("@")
    parts = place.split(",")
    if len(parts) != 4:
        raise UsageError(
            f"box {text!r} has {count_of(parts)}; give X,Y,W,H in pixels or percents (10%,80%,25%,12%)"
        )
    x, y, width, height = (_parse_length(part, text) for part in parts)
    return BoxSpec(text, x, y, width, height, parse_range(when) if at else TimeRange())


def count_of(parts: Sequence[str]) -> str:
    """``1 figure``, ``3 figures``: how many there are, for messages."""
    return f"{len(parts)} figure{'' if len(parts) == 1 else 's'}"


def _parse_length(part: str, text: str) -> Length:
    """One figure of a box."""
    match = _LENGTH.fullmatch(part.strip())
    if match is None or (match[2] != "%" and "." in match[1]):
        raise UsageError(
            f"{part.strip()!r} in box {text!r} cannot be read; give whole pixels (120) or percents (12.5%)"
        )
    return Length(Fraction(match[1]), match[2] == "%")


def _is_empty(start: TimePoint, end: TimePoint) -> bool:
    """Whether the range is empty; False for a frame number against seconds, which cannot be compared."""
    if start.frame is not None and end.frame is not None:
        return end.frame <= start.frame
    return start.seconds is not None and end.seconds is not None and end.seconds <= start.seconds


def _nearest(value: Fraction) -> int:
    """Nearest whole pixel, halves up, so that boxes that touch in percents touch in pixels."""
    return math.floor(value + Fraction(1, 2))
