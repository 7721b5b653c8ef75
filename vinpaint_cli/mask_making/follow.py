"""From what a person pointed at to a mask on every frame: segment, follow, unite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.mask_making.confidence import say_doubt
from vinpaint_cli.mask_making.prompt_masks import (
    Asked,
    Task,
    correct_frame,
    place,
    plan_tasks,
    read_asked,
    seed_of,
    segment_frame,
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

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

_SHOTS_SAID = 4


@dataclass(frozen=True, slots=True)
class Tools:
    """What segments and what follows, opened, with their names."""

    segmenter: Segmenter
    tracker: Tracker
    segmenter_name: str
    tracker_name: str


@dataclass(frozen=True, slots=True)
class TrackedMasks:
    """Masks of all frames, not grown; a `HoleSource`.

    ``confidence``: in [0, 1] per frame, that of the least certain object; 1 where nothing was to be followed.
    ``seeds``: frames that a person pointed at or drew, rising. ``prompts``: what was pointed at, by frame
    number. ``notes``: lines for a person.
    """

    masks: PackedMasks
    confidence: tuple[float, ...]
    seeds: tuple[int, ...]
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
    """The segmenter and the tracker that were asked for; raises UsageError and WeightsError.

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
    """Segment the frames that were pointed at, and follow each object through the shots that show it.

    An object has no mask in a shot where nothing points at it. Where only "not this" is said, the frame is
    first followed to, corrected, and then followed from. A fix is the mask of its frame as it is, and one
    to follow from when there is one object. Deterministic; masks are kept packed.

    Raises UsageError (text, or a time after the end), MaskError (a click outside the frame or on nothing, a
    drawing that does not fit), WeightsError, Interrupted, and what the source raises.

    * ``tools``: opened already; by default those that the options name, on ``device``.
    * ``label``, ``resize``: as in `MaskOptions`, for drawn masks.
    * ``when``: nothing is followed, or doubted, where it is not needed for this range of time.
    """
    asked = read_asked(options, source.info, label=label, resize=resize)
    tools = tools or open_tools(options, device)
    if options.segmenter == AUTO:
        listener.note(f"segmenter: {tools.segmenter_name}")
    footage = read_footage(source, listener)
    asked = place(asked, footage)
    tasks = plan_tasks(asked, footage)
    masks = PackedMasks(source.info.width, source.info.height, footage.frames)
    wanted = footage.during(when or TimeRange())
    _follow(source, tools, tasks, wanted, masks, listener)
    _finish(masks, asked)
    confidence = tuple(value if i in wanted else 1.0 for i, value in enumerate(masks.confidence))
    return TrackedMasks(
        masks,
        confidence,
        tuple(sorted({index for task in tasks for index in task.seeds} | set(asked.fixed))),
        asked.prompts,
        tools.segmenter_name,
        tools.tracker_name,
        footage.shots,
        (*asked.warnings, *_say_fixes(asked), *_say_unseen(tasks, footage, wanted), *say_doubt(confidence)),
    )


def find_hole(
    source: FrameSource, options: MaskOptions, listener: Listener | None = None, *, device: str = "auto"
) -> tuple[HoleSource, TrackedMasks | None]:
    """Everything a person said about the hole as one source; and what was followed, if anything was.

    Raises what `build_mask` and `track_masks` raise.
    """
    first = next(iter(source.frames(0, 1)))
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
    return build_mask(options, source.info, origin_pts=first.pts, tracked=tracked), tracked


def write_found(source: FrameSource, found: HoleSource, path: str | Path) -> None:
    """Write masks as a lossless video (``.mkv``), as they are, for `MaskOptions.tracked` or ``whole``.

    Raises OutputError.
    """
    with open_mask_writer(path, HoleFrames(source, found)) as writer:
        for frame in source.frames():
            writer.write(hole_frame(frame, found.at(frame)))


def _follow(
    source: FrameSource,
    tools: Tools,
    tasks: Sequence[Task],
    wanted: range,
    masks: PackedMasks,
    listener: Listener,
) -> None:
    """Follow every object through its shots into ``masks``."""
    due = [(task, task.span(wanted)) for task in tasks if task.seeded]
    total = sum(len(span) * (2 if task.corrections else 1) for task, span in due)
    confidence = [1.0] * (masks.count or 0)
    with listener.stage("track", total) as progress:
        for task, span in due:
            for found in _follow_one(source, tools, task, span, lambda: advance(progress)):
                index, hole = found.index, found.hole
                if masks.has(index):
                    hole = hole | masks.hole(index)
                confidence[index] = min(confidence[index], found.confidence)
                masks.put(index, hole, confidence[index])


def _follow_one(
    source: FrameSource, tools: Tools, task: Task, span: range, tick: Callable[[], None]
) -> Iterator[Tracked]:
    """One object through the frames ``span`` of one shot."""
    seeds: dict[int, Hole] = dict(task.drawn)
    for index, prompt in sorted(task.prompts.items()):
        found = segment_frame(source, index, [prompt], tools.segmenter, task.shot)
        seeds[index] = seed_of(found, prompt)
    if task.corrections:
        draft = {
            tracked.index: tracked.hole
            for tracked in tools.tracker.track(source, span, seeds, tick)
            if tracked.index in task.corrections
        }
        for index, prompt in sorted(task.corrections.items()):
            seeds[index] = correct_frame(source, index, prompt, draft[index], tools.segmenter, task.shot)
    yield from tools.tracker.track(source, span, seeds, tick)


def _finish(masks: PackedMasks, asked: Asked) -> None:
    """Lay in the fixes, and say of frames where nothing was followed that they surely have no mask."""
    for index, hole in asked.fixed.items():
        masks.put(index, hole, 1.0)
    for index in range(masks.count):
        if not masks.has(index):
            masks.put(index, np.zeros_like(masks.hole(index)), 1.0)


def _say_fixes(asked: Asked) -> list[str]:
    """That a fix is not followed from where there are several objects."""
    if not asked.fixed or len(asked.objects) == 1:
        return []
    return [
        "--fix holds for its own frame alone, since it is of all objects at once; to follow one from there "
        "give --from-frame N:MASK@TIME"
    ]


def _say_unseen(tasks: Sequence[Task], footage: Footage, wanted: range) -> list[str]:
    """A line per object that has no mask in some of several shots."""
    lines = []
    for number in dict.fromkeys(task.object for task in tasks):
        unseen = [
            task.shot for task in tasks if task.object == number and not task.seeded and task.span(wanted)
        ]
        if unseen and len(footage.shots) > 1:
            spans = ", ".join(f"f{shot.start} to f{shot.stop - 1}" for shot in unseen[:_SHOTS_SAID])
            more = f" and {len(unseen) - _SHOTS_SAID} more shots" if len(unseen) > _SHOTS_SAID else ""
            lines.append(
                f"object {number} has no mask in {spans}{more}: nothing points at it in that shot; "
                f"if it is there, add a click, as in --click X,Y@f{unseen[0].start}"
            )
    return lines
