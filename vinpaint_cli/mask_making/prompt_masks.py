"""From prompts (clicks, boxes, drawn masks) to prompt masks: the masks that a tracker starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
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
from vinpaint_cli.masks.sources.options import read_fixes
from vinpaint_cli.masks.sources.pictures import read_hole
from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.ops.image import dilate_exact
from vinpaint_cli.pipeline.scan import Footage
from vinpaint_cli.types import Candidate, FrameSource, Segmenter, VideoInfo

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Picture

OBJECT_THRESHOLD = 0.5
"""Probability from which on a pixel belongs to the object."""

_NEIGHBOURS = 2
"""Neighbouring frames on each side that the segmenter sees: one alone shows too little of slow motion."""

_MAX_GROWTH = 0.02
"""Most that a correction may grow a mask, as a share of the frame's height."""


@dataclass(frozen=True, slots=True)
class PromptSet:
    """All prompts of a clip, parsed and read: clicks and boxes, drawn masks, and fixes by frame number.

    Masks are bool ``(H, W)``, True on the object.
    """

    prompts: tuple[Prompt, ...]
    drawn: tuple[tuple[Drawing, Hole], ...]
    fixed: Mapping[int, Hole]
    warnings: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[int, ...]:
        """Numbers of the objects, ascending."""
        drawn = {drawing.object or 1 for drawing, _ in self.drawn}
        return tuple(sorted(drawn | {prompt.object for prompt in self.prompts}))


@dataclass(frozen=True, slots=True)
class PromptMask:
    """The mask of a prompted frame: ``hole`` bool ``(H, W)``, True on the object, and its ``confidence``."""

    hole: Hole
    confidence: float


@dataclass(frozen=True, slots=True)
class TrackingTask:
    """One object to be tracked through one shot, with its prompts by frame number.

    ``prompts`` have a point on the object or a box, ``corrections`` only points beside it, ``drawn`` are
    masks bool ``(H, W)``. No frame is in two of the three.
    """

    object: int
    shot: range
    prompts: Mapping[int, Prompt] = field(default_factory=dict)
    corrections: Mapping[int, Prompt] = field(default_factory=dict)
    drawn: Mapping[int, Hole] = field(default_factory=dict)

    @property
    def has_prompts(self) -> bool:
        """Whether any frame shows where the object is."""
        return bool(self.prompts or self.drawn)

    @property
    def prompt_frames(self) -> tuple[int, ...]:
        """Frames with a prompt of any kind, ascending."""
        return tuple(sorted({*self.prompts, *self.corrections, *self.drawn}))

    def span(self, wanted: range) -> range:
        """Frames to track the object through: from prompts to those of the shot that are ``wanted``."""
        needed = range(max(self.shot.start, wanted.start), min(self.shot.stop, wanted.stop))
        places = [*self.prompt_frames, *(needed[:1]), *(needed[-1:])]
        return range(min(places), max(places) + 1) if places else needed


def read_prompts(
    options: PromptOptions, info: VideoInfo, *, label: int | None = None, resize: bool = False
) -> PromptSet:
    """Parse all prompts and read all drawn masks, before the clip is decoded.

    ``label`` and ``resize`` are those of `MaskOptions`. Raises UsageError and MaskError.
    """
    size, warnings = (info.width, info.height), list[str]()
    prompts = parse_prompts(options, size, warnings, corrections=True)
    drawn = tuple(
        (drawing, read_hole(Path(drawing.path), size, label=label, resize=resize, warnings=warnings))
        for drawing in drawings(options)
    )
    return PromptSet(prompts, drawn, read_fixes(options, size, label=label, resize=resize), tuple(warnings))


def place(prompt_set: PromptSet, footage: Footage) -> PromptSet:
    """The same prompts with all moments as frame numbers; raises UsageError for one after the clip's end."""
    last = footage.frames - 1
    try:
        prompts = at_frames(prompt_set.prompts, footage.seconds)
        drawn = tuple(
            (replace(drawing, when=TimePoint(frame=frame_of(drawing.when, footage.seconds))), hole)
            for drawing, hole in prompt_set.drawn
        )
    except MaskError as exc:
        raise UsageError(f"{exc} (the last frame is f{last})") from exc
    for index in prompt_set.fixed:
        if index > last:
            raise UsageError(f"--fix f{index} is beyond the clip, whose last frame is f{last}")
    return replace(prompt_set, prompts=prompts, drawn=drawn)


def plan_tracking(prompt_set: PromptSet, footage: Footage) -> tuple[TrackingTask, ...]:
    """One task per object and shot, in that order; all moments of ``prompt_set`` are frame numbers.

    With a single object a fix serves as a prompt mask as well; with several it does not, as it covers all of
    them.

    Raises UsageError (only points beside an object in a shot where nothing shows it, or an object that is
    both drawn and clicked on one frame).
    """
    objects = prompt_set.objects
    fixed = prompt_set.fixed if len(objects) == 1 else {}
    tasks = [_task(prompt_set, fixed, number, shot) for number in objects for shot in footage.shots]
    for task in tasks:
        if task.corrections and not task.has_prompts:
            first = min(task.corrections)
            raise UsageError(
                f"--not on frame f{first} corrects nothing: nothing shows object {task.object} in its shot "
                f"({_span(task.shot)}); add a --click or --box-prompt there"
            )
    return tuple(tasks)


def _task(prompt_set: PromptSet, fixed: Mapping[int, Hole], number: int, shot: range) -> TrackingTask:
    drawn: dict[int, Hole] = {}
    for drawing, hole in prompt_set.drawn:
        index = _frame(drawing.when)
        if drawing.object == number and index in shot:
            drawn[index] = drawn[index] | hole if index in drawn else hole
    own = {_frame(one.when): one for one in prompt_set.prompts if one.object == number}
    own = {index: one for index, one in own.items() if index in shot and index not in fixed}
    for index in own:
        if index in drawn:
            raise UsageError(
                f"object {number} is both drawn and pointed at on frame f{index}; leave one of them out"
            )
    drawn |= {index: hole for index, hole in fixed.items() if index in shot}
    points = {index: one for index, one in own.items() if one.box is not None or any(one.labels)}
    corrections = {index: one for index, one in own.items() if index not in points}
    return TrackingTask(number, shot, points, corrections, drawn)


def segment_frame(
    source: FrameSource,
    index: int,
    prompts: Sequence[Prompt],
    segmenter: Segmenter,
    shot: range | None = None,
) -> Sequence[Candidate]:
    """Segment one object on frame ``index``: what its prompts may mean, the most likely first.

    ``prompts`` are all its prompts on that frame, at most one of them with a box. The segmenter also gets the
    neighbouring frames that are in ``shot`` (None: in the clip).

    Raises MaskError (no such frame) and what the source and the segmenter raise.
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
) -> PromptMask:
    """A tracked ``mask`` of frame ``index`` without what the points of ``prompt`` exclude.

    The object is segmented again within the mask's box, from the point deepest inside the mask and farthest
    from the excluded points; it may grow beyond the mask by 2 % of the frame's height. An empty mask stays
    empty.
    """
    box = hole_box(mask)
    if box is None:
        return PromptMask(mask, 1.0)
    wrong = prompt.points
    again = Prompt(
        prompt.object, prompt.when, (_deepest_point(mask, wrong), *wrong), (True, *prompt.labels), box
    )
    best = segment_frame(source, index, [again], segmenter, shot)[0]
    found = best.probability >= OBJECT_THRESHOLD
    return PromptMask(found & dilate_exact(mask, max(1, round(_MAX_GROWTH * mask.shape[0]))), best.confidence)


def to_prompt_mask(candidates: Sequence[Candidate], prompt: Prompt, number: int = 1) -> PromptMask:
    """The prompt mask of candidate ``number``, from 1; MaskError where there is none or it is empty."""
    where = f"object {prompt.object} was pointed at on frame f{_frame(prompt.when)}"
    if number > len(candidates):
        raise MaskError(
            f"there is no candidate {number} where {where}, but {len(candidates)} in all; "
            f"give --candidate {len(candidates)} or less, or another click"
        )
    chosen = candidates[number - 1]
    hole = chosen.probability >= OBJECT_THRESHOLD
    if not hole.any():
        raise MaskError(
            f"nothing is found where {where}; "
            "click on its middle, add clicks, or draw a box around it with --box-prompt X,Y,W,H"
        )
    return PromptMask(hole, chosen.confidence)


def _pictures(source: FrameSource, index: int, shot: range | None) -> tuple[Picture, list[Picture]]:
    """Frame ``index``, and its neighbours in the same shot, nearest first."""
    first = max(index - _NEIGHBOURS, 0 if shot is None else shot.start)
    stop = index + _NEIGHBOURS + 1
    stop = stop if shot is None else min(stop, shot.stop)
    around = {frame.index: frame.rgb for frame in source.frames(first, stop)}
    if index not in around:
        raise MaskError(f"there is no frame f{index} in the clip; give an earlier one")
    rgb = around.pop(index)
    return rgb, [around[near] for near in sorted(around, key=lambda near: (abs(near - index), near))]


def _deepest_point(mask: Hole, wrong: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The pixel ``(x, y)`` of the mask that is farthest from its outline and from excluded points."""
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
