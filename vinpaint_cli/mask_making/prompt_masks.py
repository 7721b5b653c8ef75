"""What a person pointed at, made into masks of single frames that a tracker starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.errors import MaskError, UsageError
from vinpaint_cli.masks.grammar import TimePoint
from vinpaint_cli.masks.prompts import (
    Drawing,
    Prompt,
    PromptOptions,
    at_frames,
    drawings,
    frame_of,
    parse_prompts,
)
from vinpaint_cli.masks.sources.drawn import read_drawing, read_fixes
from vinpaint_cli.masks.sources.shapes import dilate, hole_box
from vinpaint_cli.pipeline.scan import Footage
from vinpaint_cli.types import FrameSource, Segmenter, VideoInfo

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Picture, Plane

MADE_OF = 0.5
"""Probability from which on a pixel is of the object."""

_NEIGHBOURS = 2
"""Frames on each side that show what moves: one alone is too near for slow things."""

_REACH = 0.02
"""How far a correction may grow a mask, as a share of the frame's height."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person pointed at and drew, read; ``fixed`` and ``drawn`` are bool ``(H, W)``, True = object."""

    prompts: tuple[Prompt, ...]
    drawn: tuple[tuple[Drawing, Hole], ...]
    fixed: Mapping[int, Hole]
    warnings: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[int, ...]:
        """Numbers of the objects, rising."""
        drawn = {drawing.object or 1 for drawing, _ in self.drawn}
        return tuple(sorted(drawn | {prompt.object for prompt in self.prompts}))


@dataclass(frozen=True, slots=True)
class Task:
    """One object in one shot: by frame number what points at it, what only says "not this", what was drawn.

    No frame is in two of the three.
    """

    object: int
    shot: range
    prompts: Mapping[int, Prompt] = field(default_factory=dict)
    corrections: Mapping[int, Prompt] = field(default_factory=dict)
    drawn: Mapping[int, Hole] = field(default_factory=dict)

    @property
    def seeded(self) -> bool:
        """Whether anything shows the object."""
        return bool(self.prompts or self.drawn)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Frames that a person said something about, rising."""
        return tuple(sorted({*self.prompts, *self.corrections, *self.drawn}))

    def span(self, wanted: range) -> range:
        """Frames to follow the object through: those ``wanted`` of the shot, and the way to them."""
        asked = range(max(self.shot.start, wanted.start), min(self.shot.stop, wanted.stop))
        places = [*self.seeds, *(asked[:1]), *(asked[-1:])]
        return range(min(places), max(places) + 1) if places else asked


def read_asked(
    options: PromptOptions, info: VideoInfo, *, label: int | None = None, resize: bool = False
) -> Asked:
    """Read every prompt and every drawn mask, before anything is decoded.

    ``label`` and ``resize`` are those of `MaskOptions`. Raises UsageError and MaskError.
    """
    size, warnings = (info.width, info.height), list[str]()
    prompts = parse_prompts(options, size, warnings, corrections=True)
    drawn = tuple(
        (drawing, read_drawing(drawing, size, label=label, resize=resize, warnings=warnings))
        for drawing in drawings(options)
    )
    return Asked(prompts, drawn, read_fixes(options, size, label=label, resize=resize), tuple(warnings))


def place(asked: Asked, footage: Footage) -> Asked:
    """The same with frame numbers for all moments; UsageError for one after the clip's end."""
    last = footage.frames - 1
    try:
        prompts = at_frames(asked.prompts, footage.seconds)
        drawn = tuple(
            (replace(drawing, when=TimePoint(frame=frame_of(drawing.when, footage.seconds))), hole)
            for drawing, hole in asked.drawn
        )
    except MaskError as exc:
        raise UsageError(f"{exc} (the last frame is f{last})") from exc
    for index in asked.fixed:
        if index > last:
            raise UsageError(f"--fix f{index} is beyond the clip, whose last frame is f{last}")
    return replace(asked, prompts=prompts, drawn=drawn)


def plan_tasks(asked: Asked, footage: Footage) -> tuple[Task, ...]:
    """One task per object and shot, in that order; ``asked`` has frame numbers.

    A fix is a seed as well when there is one object only: it is of all objects at once.

    Raises UsageError when "not this" is said where nothing shows the object, or an object is both drawn and
    pointed at on one frame.
    """
    objects = asked.objects
    fixed = asked.fixed if len(objects) == 1 else {}
    tasks = [_task(asked, fixed, number, shot) for number in objects for shot in footage.shots]
    for task in tasks:
        if task.corrections and not task.seeded:
            first = min(task.corrections)
            raise UsageError(
                f"--not on frame f{first} corrects nothing: nothing shows object {task.object} in its shot "
                f"({_span(task.shot)}); add a --click or --box-prompt there"
            )
    return tuple(tasks)


def _task(asked: Asked, fixed: Mapping[int, Hole], number: int, shot: range) -> Task:
    drawn: dict[int, Hole] = {}
    for drawing, hole in asked.drawn:
        index = _frame(drawing.when)
        if drawing.object == number and index in shot:
            drawn[index] = drawn[index] | hole if index in drawn else hole
    own = {_frame(one.when): one for one in asked.prompts if one.object == number}
    own = {index: one for index, one in own.items() if index in shot and index not in fixed}
    for index in own:
        if index in drawn:
            raise UsageError(
                f"object {number} is both drawn and pointed at on frame f{index}; leave one of them out"
            )
    drawn |= {index: hole for index, hole in fixed.items() if index in shot}
    points = {index: one for index, one in own.items() if one.box is not None or any(one.labels)}
    corrections = {index: one for index, one in own.items() if index not in points}
    return Task(number, shot, points, corrections, drawn)


def segment_frame(
    source: FrameSource,
    index: int,
    prompts: Sequence[Prompt],
    segmenter: Segmenter,
    shot: range | None = None,
) -> Plane:
    """Probability float32 ``(H, W)`` in [0, 1] of one object on frame ``index``.

    ``prompts`` are all that point at it there, at most one of them with a box. The frames before and after
    are shown to the segmenter as far as they are of ``shot`` (None: of the clip).

    Raises what the source and the segmenter raise, and MaskError when there is no such frame.
    """
    rgb, neighbours = _pictures(source, index, shot)
    points = [point for prompt in prompts for point in prompt.points]
    labels = [label for prompt in prompts for label in prompt.labels]
    box = next((prompt.box for prompt in prompts if prompt.box is not None), None)
    return segmenter.segment(rgb, points, labels, box, neighbours)


def correct_frame(
    source: FrameSource,
    index: int,
    prompt: Prompt,
    mask: Hole,
    segmenter: Segmenter,
    shot: range | None = None,
) -> Hole:
    """A tracked ``mask`` of frame ``index`` without what ``prompt`` says is not the object; bool ``(H, W)``.

    The object is segmented anew in the mask's box, from the point deepest inside the mask and away from
    those points, and may grow beyond the mask only a little. An empty mask stays empty.
    """
    box = hole_box(mask)
    if box is None:
        return mask
    wrong = prompt.points
    again = Prompt(prompt.object, prompt.when, (_heart(mask, wrong), *wrong), (True, *prompt.labels), box)
    found = segment_frame(source, index, [again], segmenter, shot) >= MADE_OF
    return found & dilate(mask, max(1, round(_REACH * mask.shape[0])))


def seed_of(probability: Plane, prompt: Prompt) -> Hole:
    """The mask that a probability ``(H, W)`` means; MaskError when nothing was found there."""
    hole = probability >= MADE_OF
    if not hole.any():
        raise MaskError(
            f"nothing is found where object {prompt.object} was pointed at on frame f{_frame(prompt.when)}; "
            "click on its middle, add clicks, or draw a box around it with --box-prompt X,Y,W,H"
        )
    return hole


def _pictures(source: FrameSource, index: int, shot: range | None) -> tuple[Picture, list[Picture]]:
    """The frame, and those just before and after in the same shot, nearest first."""
    first = max(index - _NEIGHBOURS, 0 if shot is None else shot.start)
    stop = index + _NEIGHBOURS + 1
    stop = stop if shot is None else min(stop, shot.stop)
    around = {frame.index: frame.rgb for frame in source.frames(first, stop)}
    if index not in around:
        raise MaskError(f"there is no frame f{index} in the clip; give an earlier one")
    rgb = around.pop(index)
    return rgb, [around[near] for near in sorted(around, key=lambda near: (abs(near - index), near))]


def _heart(mask: Hole, wrong: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The pixel ``(x, y)`` of the mask that is farthest from its rim and from wrong points."""
    import cv2

    inside = np.pad(mask, 1).astype(np.uint8)
    for x, y in wrong:
        inside[int(y) + 1, int(x) + 1] = 0
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return float(column), float(row)


def _frame(when: TimePoint) -> int:
    assert when.frame is not None  # place has resolved it
    return when.frame


def _span(frames: range) -> str:
    return f"f{frames.start} to f{frames.stop - 1}"
