"""Prompts: clicks, boxes and drawn masks on single frames, their syntax and their parsed form.

::

    click    [N:]X,Y[@TIME]        pixels or percents of the frame; pixel 0,0 is the upper left one
    box      [N:]X,Y,W,H[@TIME]    as a box of masks.grammar
    drawn    [N:]PATH[@TIME]       the last @ counts; a path that ends in a picture's suffix has no TIME
    fix      TIME=PATH             the first = counts

``N:`` numbers the object from 1 and is 1 by default; TIME is a moment of `masks.grammar`, f0 by default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from vinpaint_cli.errors import MaskError, UsageError
from vinpaint_cli.masks.grammar import TIME_HELP, Length, TimePoint, count_of, parse_box, parse_time
from vinpaint_cli.masks.sources.pictures import IMAGE_SUFFIXES
from vinpaint_cli.types import Box

Point = tuple[float, float]
Seconds = Sequence[Fraction] | Sequence[float]

_OBJECT = re.compile(r"(\d{1,6}):(.*)", re.ASCII | re.DOTALL)
_COORDINATE = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(%|px)?", re.ASCII)
_START = TimePoint(frame=0)
_ROUNDING = Fraction(1, 2000)


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """All prompts as written, and the segmenter and tracker for them.

    * ``clicks``: ``[N:]X,Y[@TIME]``, points on the object; ``N:`` numbers several objects (1 by default).
    * ``excludes``: ``[N:]X,Y[@TIME]``, points that are not on it.
    * ``boxes``: ``[N:]X,Y,W,H[@TIME]``, around it.
    * ``from_frames``: ``[N:]mask.png@f40``, the object's mask on one frame.
    * ``fixes``: ``f52=fixed.png``, a mask that replaces the one of a frame.
    * ``candidate``: which of the `Candidate` masks of a prompted frame is taken, from 1, the most likely.
    * ``segmenter``: a name of `masks.segment.SEGMENTERS`, or auto. ``segmenter_weights``: a file or a name of
      weights.toml.
    * ``tracker``: a name of `masks.track.TRACKERS`.
    """

    clicks: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    boxes: tuple[str, ...] = ()
    from_frames: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    candidate: int = 1
    segmenter: str = "auto"
    segmenter_weights: str | None = None
    tracker: str = "flow"

    @property
    def follows(self) -> bool:
        """Whether there is an object to be tracked through the clip."""
        return bool(self.clicks or self.excludes or self.boxes or self.from_frames)


@dataclass(frozen=True, slots=True)
class Prompt:
    """The clicks and the box for one object on one frame, in pixels of that frame.

    ``points`` are ``(x, y)`` and mean pixel ``floor(x), floor(y)``; ``labels`` has one entry per point, True
    on the object and False beside it.
    """

    object: int
    when: TimePoint
    points: tuple[Point, ...] = ()
    labels: tuple[bool, ...] = ()
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A mask file for one frame. ``object`` is None for a fix, which replaces the mask of all objects."""

    path: str
    object: int | None
    when: TimePoint


def parse_prompts(
    options: PromptOptions,
    size: tuple[int, int],
    warnings: list[str] | None = None,
    *,
    corrections: bool = False,
) -> tuple[Prompt, ...]:
    """Parse clicks and boxes, grouped by object and time as written, in the order of first mention.

    Raises UsageError (text that cannot be read, two boxes for one, only "not this" for one) and MaskError
    (a point or box outside the frame).

    * ``size``: displayed ``(width, height)`` of the clip's frames in pixels.
    * ``warnings``: receives a line for a box that lies partly outside.
    * ``corrections``: accept prompts with excluding points only; they correct a mask found otherwise.
    """
    parts = [_point(text, True, size) for text in options.clicks]
    parts += [_point(text, False, size) for text in options.excludes]
    parts += [_box(text, size, warnings) for text in options.boxes]
    found = _merged(parts)
    if not corrections:
        _check(found)
    return found


def drawings(options: PromptOptions) -> tuple[Drawing, ...]:
    """Parse ``from_frames``, in the order written; raises UsageError."""
    return tuple(_drawing(text) for text in options.from_frames)


def fixes(options: PromptOptions) -> tuple[Drawing, ...]:
    """Parse ``fixes``, in the order written; raises UsageError."""
    return tuple(_fix(text) for text in options.fixes)


def frame_of(when: TimePoint, seconds: Seconds) -> int:
    """Number of the frame that is displayed at a point in time; raises MaskError when there is none.

    ``seconds`` are the times of the clip's frames from the first one, ascending. Half a millisecond is
    tolerated for times that a player rounded down. The last frame is assumed to last as long as the one
    before.
    """
    count = len(seconds)
    if when.frame is not None:
        if when.frame < count:
            return when.frame
        raise MaskError(f"there is no frame f{when.frame}: the clip has {count} frames, f0 to f{count - 1}")
    asked = (when.seconds or Fraction(0)) + _ROUNDING
    last = seconds[-1] - seconds[-2] if count > 1 else Fraction(1)
    if not count or asked >= seconds[-1] + max(last, _ROUNDING) + _ROUNDING:
        end = float(seconds[-1] + last) if count else 0.0
        raise MaskError(
            f"there is no frame at {float(asked - _ROUNDING):g} s: the clip is {end:.3f} s long; "
            "give an earlier time"
        )
    return max(0, sum(1 for time in seconds if time <= asked) - 1)


def at_frames(prompts: Iterable[Prompt], seconds: Seconds) -> tuple[Prompt, ...]:
    """The prompts with ``when`` as a frame number; those of one object on one frame are merged.

    Raises MaskError (a moment the clip does not have) and UsageError (two boxes for one object).
    ``seconds`` as for `frame_of`.
    """
    return _merged(replace(one, when=TimePoint(frame=frame_of(one.when, seconds))) for one in prompts)


def _merged(parts: Iterable[Prompt]) -> tuple[Prompt, ...]:
    """One prompt per object and moment."""
    found: dict[tuple[int, TimePoint], Prompt] = {}
    for part in parts:
        key = part.object, part.when
        have = found.get(key)
        found[key] = part if have is None else _joined(have, part)
    return tuple(found.values())


def _joined(first: Prompt, second: Prompt) -> Prompt:
    if first.box is not None and second.box is not None:
        raise UsageError(
            f"object {first.object} has two boxes {_moment(first.when)}; give one, "
            "or tell objects apart by a number (1:X,Y,W,H and 2:X,Y,W,H)"
        )
    return replace(
        first,
        points=first.points + second.points,
        labels=first.labels + second.labels,
        box=first.box or second.box,
    )


def _check(prompts: Iterable[Prompt]) -> None:
    """Raise UsageError for a prompt with excluding points only."""
    for one in prompts:
        if one.box is None and not any(one.labels):
            raise UsageError(
                f"only --not is given for object {one.object} {_moment(one.when)}; "
                "add a --click or a --box-prompt there"
            )


def _point(text: str, label: bool, size: tuple[int, int]) -> Prompt:
    """Parse one click and check that it lies in the frame."""
    number, place, when = _split(text)
    parts = place.split(",")
    if len(parts) != 2:
        raise UsageError(f"click {text!r} has {count_of(parts)}; give X,Y or X,Y@TIME, as in 412,233@f40")
    x, y = (float(_coordinate(part, text).pixels(extent)) for part, extent in zip(parts, size, strict=True))
    if not (0 <= x < size[0] and 0 <= y < size[1]):
        raise MaskError(
            f"click {text} lies outside the {size[0]}x{size[1]} frame; "
            f"X must be 0 to {size[0] - 1} and Y 0 to {size[1] - 1}"
        )
    return Prompt(number, when, ((x, y),), (label,))


def _coordinate(part: str, text: str) -> Length:
    """Parse a coordinate of a click; unlike a box's it may have a fraction."""
    match = _COORDINATE.fullmatch(part.strip())
    if match is None:
        raise UsageError(
            f"{part.strip()!r} in click {text!r} cannot be read; give pixels (412) or percents (48.5%)"
        )
    return Length(Fraction(match[1]), match[2] == "%")


def _box(text: str, size: tuple[int, int], warnings: list[str] | None) -> Prompt:
    number, place, when = _split(text)
    return Prompt(number, when, box=parse_box(place).resolve(*size, warnings))


def _split(text: str) -> tuple[int, str, TimePoint]:
    """``[N:]PLACE[@TIME]``."""
    place, at, moment = text.partition("@")
    number, place = _numbered(place, text)
    return number, place, _time(moment, text) if at else _START


def _drawing(text: str) -> Drawing:
    number, rest = _numbered(text, text)
    place, at, moment = rest.rpartition("@")
    if not at or any(rest.lower().endswith(suffix) for suffix in IMAGE_SUFFIXES):
        place, when = rest, _START
    else:
        when = _time(moment, text)
    if not place:
        raise UsageError(f"{text!r} names no picture; give PATH@TIME, as in mask.png@f40")
    return Drawing(place, number, when)


def _fix(text: str) -> Drawing:
    moment, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"fix {text!r} cannot be read; give TIME=PATH, as in f52=fixed.png")
    return Drawing(path, None, _time(moment, text))


def _numbered(text: str, whole: str) -> tuple[int, str]:
    """The object's number, 1 when not given, and the rest."""
    match = _OBJECT.fullmatch(text.strip())
    if match is None:
        return 1, text.strip()
    if not int(match[1]):
        raise UsageError(f"{whole!r} is of object 0; objects are numbered from 1")
    return int(match[1]), match[2].strip()


def _time(text: str, whole: str) -> TimePoint:
    try:
        return parse_time(text.strip())
    except UsageError as exc:
        raise UsageError(f"the time of {whole!r} cannot be read; give {TIME_HELP}") from exc


def _moment(when: TimePoint) -> str:
    return f"at f{when.frame}" if when.frame is not None else f"at {float(when.seconds or 0):g} s"
