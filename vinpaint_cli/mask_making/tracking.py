"""From prompts to a mask on every frame: segment the prompted frames, track, unite the objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.mask_making.confidence import low_confidence_notes
from vinpaint_cli.mask_making.prompt_masks import (
    PromptMask,
    PromptSet,
    TrackingTask,
    correct_frame,
    place,
    plan_tracking,
    read_prompts,
    segment_frame,
    to_prompt_mask,
)
from vinpaint_cli.masks.grammar import TimeRange, time_range
from vinpaint_cli.masks.prompts import Prompt, PromptOptions
from vinpaint_cli.masks.segment import AUTO, open_segmenter
from vinpaint_cli.masks.sources.options import MaskOptions, build_mask, check_mask_options
from vinpaint_cli.masks.sources.packed import PackedMasks
from vinpaint_cli.masks.sources.shapes import HoleSource
from vinpaint_cli.masks.track import Tracked, Tracker, open_tracker
from vinpaint_cli.pipeline.progress import Listener, SilentListener, advance
from vinpaint_cli.pipeline.scan import Footage, read_footage
from vinpaint_cli.types import Frame, FrameSource, Segmenter
from vinpaint_cli.video.sink.mask_video import HoleFrames, hole_frame, open_mask_writer
from vinpaint_cli.video.source.read import first_pts

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

_SHOTS_SAID = 4


@dataclass(frozen=True, slots=True)
class Tools:
    """An opened segmenter and tracker, with their names."""

    segmenter: Segmenter
    tracker: Tracker
    segmenter_name: str
    tracker_name: str


@dataclass(frozen=True, slots=True)
class TrackedMasks:
    """Tracked masks of all frames, not dilated; a `HoleSource`.

    ``confidence``: in [0, 1] per frame, the least of all objects; 1 where nothing was to be tracked.
    ``prompt_frames``: frames with a prompt, ascending. ``prompts``: clicks and boxes, by frame number.
    ``notes``: lines for the user.
    """

    masks: PackedMasks
    confidence: tuple[float, ...]
    prompt_frames: tuple[int, ...]
    prompts: tuple[Prompt, ...]
    segmenter: str
    tracker: str
    shots: tuple[range, ...]
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int | None:
        """Number of masks, one per frame."""
        return self.masks.count

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes."""
        return self.notes

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        return self.masks.at(frame)

    def check_count(self, frames: int) -> None:
        """Compare with the number of frames of the clip; raises MaskError."""
        self.masks.check_count(frames)


def open_tools(options: PromptOptions, device: str = "auto") -> Tools:
    """The segmenter and the tracker that the options name; raises UsageError and WeightsError.

    ``device``: auto, cpu, cuda or mps, for segmenters that are networks.
    """
    segmenter = open_segmenter(options.segmenter, options.segmenter_weights, device)
    name = str(getattr(segmenter, "name", options.segmenter))
    return Tools(segmenter, open_tracker(options.tracker, segmenter), name, options.tracker)


def track_masks(
    source: FrameSource,
    options: PromptOptions,
    listener: Listener,
    *,
    tools: Tools | None = None,
    label: int | None = None,
    resize: bool = False,
    device: str = "auto",
    when: TimeRange | None = None,
) -> TrackedMasks:
    """Segment the prompted frames, and track each object through the shots in which it has a prompt.

    Elsewhere an object has no mask. A frame with excluding points only is first tracked to, then corrected,
    then used as a prompt mask. A fix is the mask of its frame as it is, and a prompt mask if there is one
    object only. Deterministic; masks are kept packed.

    Raises UsageError (text, or a time after the end), MaskError (a click outside the frame or on nothing, a
    drawing that does not fit), WeightsError, Interrupted, and what the source raises.

    * ``tools``: opened already; by default those that the options name, on ``device``.
    * ``label``, ``resize``: as in `MaskOptions`, for drawn masks.
    * ``when``: frames that are not needed for this range of time are not tracked, and have confidence 1.
    """
    prompt_set = read_prompts(options, source.info, label=label, resize=resize)
    tools = tools or open_tools(options, device)
    if options.segmenter == AUTO:
        listener.note(f"segmenter: {tools.segmenter_name}")
    footage = read_footage(source, listener)
    prompt_set = place(prompt_set, footage)
    tasks = plan_tracking(prompt_set, footage)
    masks = PackedMasks(source.info.width, source.info.height, footage.frames)
    wanted = footage.during(when or TimeRange())
    _follow(source, tools, tasks, wanted, masks, options.candidate, listener)
    _finish(masks, prompt_set)
    confidence = tuple(value if i in wanted else 1.0 for i, value in enumerate(masks.confidence))
    return TrackedMasks(
        masks,
        confidence,
        tuple(sorted({index for task in tasks for index in task.prompt_frames} | set(prompt_set.fixed))),
        prompt_set.prompts,
        tools.segmenter_name,
        tools.tracker_name,
        footage.shots,
        (
            *prompt_set.warnings,
            *_say_fixes(prompt_set),
            *_say_unseen(tasks, footage, wanted),
            *low_confidence_notes(confidence, tools.segmenter_name if prompt_set.prompts else ""),
        ),
    )


def find_hole(
    source: FrameSource,
    options: MaskOptions,
    listener: Listener | None = None,
    *,
    device: str = "auto",
    text: HoleSource | None = None,
) -> tuple[HoleSource, TrackedMasks | None]:
    """The mask source of all options, and the tracked masks in it (None when nothing was tracked).

    text: the letters that were found, as `build_mask` needs them.

    Raises what `build_mask` and `track_masks` raise.
    """
    tracked = None
    if options.prompts.follows and options.tracked is None and options.whole is None:
        check_mask_options(options)
        tracked = track_masks(
            source,
            options.prompts,
            listener or SilentListener(),
            label=options.label,
            resize=options.resize,
            device=device,
            when=time_range(options.start, options.end),
        )
    origin = first_pts(source)
    return build_mask(options, source.info, origin_pts=origin, tracked=tracked, text=text), tracked


def write_masks(
    source: FrameSource, masks: HoleSource, path: str | Path, listener: Listener | None = None
) -> None:
    """Write masks as they are, as a lossless video (``.mkv``) or a folder of pictures.

    Raises OutputError and Interrupted.
    """
    with (
        open_mask_writer(path, HoleFrames(source, masks)) as writer,
        (listener or SilentListener()).stage("mask", masks.count) as progress,
    ):
        for frame in source.frames():
            writer.write(hole_frame(frame, masks.at(frame)))
            advance(progress)


def _follow(
    source: FrameSource,
    tools: Tools,
    tasks: Sequence[TrackingTask],
    wanted: range,
    masks: PackedMasks,
    candidate: int,
    listener: Listener,
) -> None:
    """Track every object through its shots; their masks are united in ``masks``."""
    due = [(task, task.span(wanted)) for task in tasks if task.has_prompts]
    total = sum(len(span) * (2 if task.corrections else 1) for task, span in due)
    confidence = [1.0] * (masks.count or 0)
    with listener.stage("track", total) as progress:
        for task, span in due:
            for found in _follow_one(source, tools, task, span, candidate, lambda: advance(progress)):
                index, hole = found.index, found.hole
                if masks.has(index):
                    hole = hole | masks.hole(index)
                confidence[index] = min(confidence[index], found.confidence)
                masks.put(index, hole, confidence[index])


def _follow_one(
    source: FrameSource,
    tools: Tools,
    task: TrackingTask,
    span: range,
    candidate: int,
    tick: Callable[[], None],
) -> Iterator[Tracked]:
    """Track one object through the frames ``span`` of one shot, from ``candidate`` of its prompts.

    A mask is no better than the prompt mask that it was tracked from: confidences are multiplied.
    """
    prompt_masks = {index: PromptMask(hole, 1.0) for index, hole in task.drawn.items()}
    for index, prompt in sorted(task.prompts.items()):
        found = segment_frame(source, index, [prompt], tools.segmenter, task.shot)
        prompt_masks[index] = to_prompt_mask(found, prompt, candidate)

    def track() -> Iterator[Tracked]:
        holes = {index: mask.hole for index, mask in prompt_masks.items()}
        return tools.tracker.track(source, span, holes, tick)

    if task.corrections:
        draft = {found.index: found.hole for found in track() if found.index in task.corrections}
        for index, prompt in sorted(task.corrections.items()):
            prompt_masks[index] = correct_frame(
                source, index, prompt, draft[index], tools.segmenter, task.shot
            )
    for tracked in track():
        nearest = min(prompt_masks, key=lambda index: abs(index - tracked.index))
        yield replace(tracked, confidence=tracked.confidence * prompt_masks[nearest].confidence)


def _finish(masks: PackedMasks, prompt_set: PromptSet) -> None:
    """Put in the fixes, and empty masks of confidence 1 where nothing was tracked."""
    for index, hole in prompt_set.fixed.items():
        masks.put(index, hole, 1.0)
    for index in range(masks.count):
        if not masks.has(index):
            masks.put(index, np.zeros_like(masks.hole(index)), 1.0)


def _say_fixes(prompt_set: PromptSet) -> list[str]:
    """A note that fixes are not prompt masks when there are several objects."""
    if not prompt_set.fixed or len(prompt_set.objects) == 1:
        return []
    return [
        "--fix holds for its own frame alone, since it is of all objects at once; to follow one from there "
        "give --from-frame N:MASK@TIME"
    ]


def _say_unseen(tasks: Sequence[TrackingTask], footage: Footage, wanted: range) -> list[str]:
    """A note per object that has no prompt in some of several shots."""
    lines = []
    for number in dict.fromkeys(task.object for task in tasks):
        unseen = [
            task.shot
            for task in tasks
            if task.object == number and not task.has_prompts and task.span(wanted)
        ]
        if unseen and len(footage.shots) > 1:
            spans = ", ".join(f"f{shot.start} to f{shot.stop - 1}" for shot in unseen[:_SHOTS_SAID])
            more = f" and {len(unseen) - _SHOTS_SAID} more shots" if len(unseen) > _SHOTS_SAID else ""
            lines.append(
                f"object {number} has no mask in {spans}{more}: nothing points at it in that shot; "
                f"if it is there, add a click, as in --click X,Y@f{unseen[0].start}"
            )
    return lines
