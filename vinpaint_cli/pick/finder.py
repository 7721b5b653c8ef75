"""Segmenting and tracking objects for the page, behind one small protocol."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vinpaint_cli.mask_making.confidence import (
    LowConfidenceRange,
    low_confidence_notes,
    low_confidence_ranges,
)
from vinpaint_cli.mask_making.prompt_masks import OBJECT_THRESHOLD, correct_frame, segment_frame
from vinpaint_cli.mask_making.tracking import Tools, open_tools, track_masks
from vinpaint_cli.masks.prompts import Prompt, PromptOptions
from vinpaint_cli.masks.sources.packed import PackedMasks
from vinpaint_cli.masks.track import open_tracker
from vinpaint_cli.pipeline.progress import Listener
from vinpaint_cli.types import Box, Candidate, FrameSource, Segmenter

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Picture, Plane


@dataclass(frozen=True, slots=True)
class TrackedObjects:
    """Objects tracked through a clip: the union of their masks, and notes for the user.

    ``confidence`` is in [0, 1], one per frame; ``weak`` are the low-confidence ranges, the worst first.
    """

    masks: PackedMasks
    confidence: tuple[float, ...]
    weak: tuple[LowConfidenceRange, ...]
    notes: tuple[str, ...]


class ObjectFinder(Protocol):
    """Segments objects on single frames and tracks them through the clip."""

    @property
    def name(self) -> str:
        """Name of the segmenter, to be shown."""
        ...

    def segment(self, source: FrameSource, index: int, prompts: Sequence[Prompt]) -> Hole:
        """Mask bool ``(H, W)`` of one object on frame ``index``, from all its prompts there."""
        ...

    def correct(self, source: FrameSource, index: int, prompt: Prompt, mask: Hole) -> Hole:
        """A tracked mask bool ``(H, W)`` without what ``prompt`` excludes."""
        ...

    def follow(self, source: FrameSource, options: PromptOptions, listener: Listener) -> TrackedObjects:
        """Masks of every frame; raises Interrupted when the listener asks to stop."""
        ...


class SegmentAndTrack:
    """The segmenter and the tracker that ``options`` name, on ``device``.

    Raises UsageError and WeightsError.
    """

    def __init__(self, options: PromptOptions, device: str = "auto") -> None:
        opened = open_tools(options, device)
        segmenter = _OneAtATime(opened.segmenter)
        tracker = open_tracker(options.tracker, segmenter)
        self._tools = Tools(segmenter, tracker, opened.segmenter_name, opened.tracker_name)

    @property
    def name(self) -> str:
        """Name of the segmenter; where auto was given, the one it chose."""
        return self._tools.segmenter_name

    def segment(self, source: FrameSource, index: int, prompts: Sequence[Prompt]) -> Hole:
        """Mask bool ``(H, W)`` of one object on frame ``index``."""
        best = segment_frame(source, index, prompts, self._tools.segmenter)[0]
        found: Hole = best.probability >= OBJECT_THRESHOLD
        return found

    def correct(self, source: FrameSource, index: int, prompt: Prompt, mask: Hole) -> Hole:
        """See `ObjectFinder`."""
        return correct_frame(source, index, prompt, mask, self._tools.segmenter).hole

    def follow(self, source: FrameSource, options: PromptOptions, listener: Listener) -> TrackedObjects:
        """See `ObjectFinder`; raises what `track_masks` raises."""
        found = track_masks(source, options, listener, tools=self._tools)
        in_words = low_confidence_notes(found.confidence, found.segmenter)  # the page draws it
        notes = tuple(note for note in found.notes if note not in in_words)
        return TrackedObjects(found.masks, found.confidence, low_confidence_ranges(found.confidence), notes)


class _OneAtATime:
    """A segmenter that may be called from several threads: the page and the tracker use the same one."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._segmenter, name)

    def segment(
        self,
        rgb: Picture,
        points: Sequence[tuple[float, float]],
        labels: Sequence[bool],
        box: Box | None,
        neighbours: Sequence[Picture] = (),
    ) -> Sequence[Candidate]:
        """See `Segmenter`."""
        with self._lock:
            return self._segmenter.segment(rgb, points, labels, box, neighbours)

    def refine(self, rgb: Picture, prior: Plane) -> Plane:
        """See `Segmenter`."""
        with self._lock:
            return self._segmenter.refine(rgb, prior)
