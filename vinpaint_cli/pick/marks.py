"""The marks (clicks and boxes) made on the page, with undo, and the command line that says the same."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, cast

from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.prompts import PromptOptions

Kind = Literal["click", "not", "box"]
OPTIONS: dict[Kind, str] = {"click": "--click", "not": "--not", "box": "--box-prompt"}
"""Kind of mark → its option on the command line."""
MOST_MARKS = 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """One click or box.

    ``figures`` are ``X, Y`` of a click on the object or beside it ("not"), or ``X, Y, W, H`` of a box, in
    whole pixels of the displayed frame. ``object`` counts from 1, ``frame`` from 0.
    """

    kind: Kind
    object: int
    frame: int
    figures: tuple[int, ...]

    @property
    def text(self) -> str:
        """As written on the command line: ``412,233@f40``, with ``N:`` before it for all but object 1."""
        number = "" if self.object == 1 else f"{self.object}:"
        return f"{number}{','.join(map(str, self.figures))}@f{self.frame}"


Marks = tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class MarkHistory:
    """The marks on one clip, in the order they were made; every change is a new object, with undo and redo.

    ``size`` is the ``(width, height)`` of the displayed frames. ``past`` are the marks before each change
    that can be undone, the latest last; ``future`` those that can be redone, the next one last.
    """

    size: tuple[int, int]
    marks: Marks = ()
    past: tuple[Marks, ...] = ()
    future: tuple[Marks, ...] = ()

    def add(self, mark: Mark) -> MarkHistory:
        """With one mark more; a box replaces the object's box on that frame.

        Raises UsageError (outside the frame, a box below 2 pixels, or more than `MOST_MARKS`).
        """
        if len(self.marks) >= MOST_MARKS:
            raise UsageError(f"there are {MOST_MARKS} marks already; remove some")
        fitted = _fitted(mark, self.size)
        kept = tuple(one for one in self.marks if not (mark.kind == "box" and _same_box(one, mark)))
        return self._changed((*kept, fitted))

    def remove(self, mark: Mark) -> MarkHistory:
        """Without that mark; unchanged when it is not there."""
        kept = tuple(one for one in self.marks if one != mark)
        return self if kept == self.marks else self._changed(kept)

    def clear(self, number: int) -> MarkHistory:
        """Without the marks of one object."""
        kept = tuple(one for one in self.marks if one.object != number)
        return self if kept == self.marks else self._changed(kept)

    def undo(self) -> MarkHistory:
        """Before the last change; unchanged when there is none."""
        if not self.past:
            return self
        return replace(self, marks=self.past[-1], past=self.past[:-1], future=(*self.future, self.marks))

    def redo(self) -> MarkHistory:
        """With the last undone change made again; unchanged when there is none."""
        if not self.future:
            return self
        return replace(self, marks=self.future[-1], past=(*self.past, self.marks), future=self.future[:-1])

    def at(self, number: int, frame: int) -> Marks:
        """The marks of one object on one frame."""
        return tuple(one for one in self.marks if (one.object, one.frame) == (number, frame))

    @property
    def pointed(self) -> tuple[tuple[int, int], ...]:
        """``(object, frame)`` of every object and frame with a click on it or a box, ascending."""
        return tuple(sorted({(one.object, one.frame) for one in self.marks if one.kind != "not"}))

    @property
    def usable(self) -> Marks:
        """The marks of objects with a click on them or a box; "not this" alone does not define an object."""
        known = {number for number, _ in self.pointed}
        return tuple(one for one in self.marks if one.object in known)

    @property
    def unknown(self) -> tuple[int, ...]:
        """Objects with marks of kind "not" only, ascending."""
        return tuple(sorted({one.object for one in self.marks} - {one.object for one in self.usable}))

    def _changed(self, marks: Marks) -> MarkHistory:
        return replace(self, marks=marks, past=(*self.past, self.marks), future=())


def prompt_options(marks: Iterable[Mark], options: PromptOptions) -> PromptOptions:
    """``options`` with the marks as their prompts, as the command line would give them."""
    texts: dict[str, list[str]] = {kind: [] for kind in OPTIONS}
    for mark in marks:
        texts[mark.kind].append(mark.text)
    clicks, excludes, boxes = (tuple(texts[kind]) for kind in OPTIONS)
    return replace(options, clicks=clicks, excludes=excludes, boxes=boxes)


def prompt_command(clip: str, marks: Iterable[Mark], options: PromptOptions) -> str:
    """``vinpaint remove CLIP --click …``, quoted for a shell; ``clip`` is a path as written."""
    words = ["vinpaint", "remove", _operand(clip)]
    for mark in sorted(marks, key=lambda one: (one.object, one.frame)):
        words += [OPTIONS[mark.kind], mark.text]
    return quoted([*words, *_model_words(options)])


def masks_command(clip: str, masks: str) -> str:
    """``vinpaint remove CLIP --mask MASKS``, quoted for a shell."""
    return quoted(["vinpaint", "remove", _operand(clip), "--mask", masks])


def quoted(words: list[str], windows: bool = os.name == "nt") -> str:
    """One line for a POSIX shell, or for the one of Windows."""
    return subprocess.list2cmdline(words) if windows else shlex.join(words)


def read_mark(given: object) -> Mark:
    """A mark from JSON: ``{"kind", "object", "frame", "figures"}``.

    Raises UsageError (anything missing, of another type, or out of range).
    """
    fields = given if isinstance(given, dict) else {}
    kind, figures = fields.get("kind"), fields.get("figures")
    numbers = [fields.get("object"), fields.get("frame"), *(figures if isinstance(figures, list) else [])]
    whole = all(type(number) is int and abs(number) < 1_000_000 for number in numbers)
    lengths = {"click": 4, "not": 4, "box": 6}
    if not whole or not isinstance(kind, str) or lengths.get(kind) != len(numbers):
        raise UsageError("that mark cannot be read; give kind, object, frame and whole figures")
    number, frame, *place = cast("list[int]", numbers)
    if number < 1 or frame < 0:
        raise UsageError(f"object {number} on frame {frame}: objects count from 1, frames from 0")
    return Mark(cast("Kind", kind), number, frame, tuple(place))


def _operand(path: str) -> str:
    """The path, written so that it is not taken for an option."""
    return f"./{path}" if path.startswith("-") else path


def _model_words(options: PromptOptions) -> list[str]:
    """Options of segmenter and tracker that differ from the defaults."""
    plain = PromptOptions()
    words = []
    if options.segmenter != plain.segmenter:
        words += ["--segmenter", options.segmenter]
    if options.segmenter_weights is not None:
        words += ["--segmenter-weights", options.segmenter_weights]
    if options.tracker != plain.tracker:
        words += ["--track", options.tracker]
    return words


def _same_box(one: Mark, other: Mark) -> bool:
    return (one.kind, one.object, one.frame) == ("box", other.object, other.frame)


def _fitted(mark: Mark, size: tuple[int, int]) -> Mark:
    """The mark, with a box clipped to the frame; raises UsageError for one outside."""
    width, height = size
    if mark.kind != "box":
        x, y = mark.figures
        if not (0 <= x < width and 0 <= y < height):
            raise UsageError(f"{x},{y} lies outside the {width}×{height} frame; click on the picture")
        return mark
    x, y, right, bottom = mark.figures[0], mark.figures[1], sum(mark.figures[::2]), sum(mark.figures[1::2])
    x, y, right, bottom = max(0, x), max(0, y), min(width, right), min(height, bottom)
    if right - x < 2 or bottom - y < 2:
        raise UsageError("that box is too small; draw it around the object")
    return replace(mark, figures=(x, y, right - x, bottom - y))
