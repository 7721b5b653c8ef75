"""Cast shadows of what is removed: found by comparison with other frames, and added to the mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import MaskError, OutOfMemoryError
from vinpaint_cli.masks.sources.packed import PackedMasks
from vinpaint_cli.masks.sources.random import shifted
from vinpaint_cli.masks.sources.shapes import DerivedMask, HoleSource
from vinpaint_cli.ops.cast_shadow import (
    KNOWN,
    Glimpse,
    attached_shadow,
    find_cast_shadow,
    lasting_shadow,
    search_zone,
)
from vinpaint_cli.ops.flow import FlowEstimator
from vinpaint_cli.ops.image import dilate_exact, to_levels
from vinpaint_cli.pipeline.device import frame_threads, memory_errors
from vinpaint_cli.pipeline.progress import Listener, advance
from vinpaint_cli.pipeline.reader import SegmentReader
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.plan.segments import halve
from vinpaint_cli.types import Box, Frame, FrameSource, Segment

if TYPE_CHECKING:
    from vinpaint_cli.pipeline.plan import Plan
    from vinpaint_cli.types import Hole

SEARCH_LINES = 200
"""Height of the whole frame, in pixels, at which shadows are searched at most: they are large and soft."""

COMPARED_FRAMES = (1, 2, 5)
"""Distances in frames, before and after, to the frames with which a shadow is compared."""

UNCERTAIN_BORDER = 3
"""Pixels, for a frame height of 240, around unknown pixels in which the comparison is not reliable."""

SEEN_SHARE = 0.5
"""Share of the last shadow that must be seen for the present one to replace it."""

LEAST_PART = 0.25
"""Part of the frames of a shot in which there must be a shadow; of fewer none is kept."""

NOT_FOUND_NOTE = (
    "no shadow is found; one that never moves cannot be told from the ground: draw it into the mask"
)


class ShadedMask(DerivedMask):
    """A mask united with its cast shadows, for every frame of one clip; a `HoleSource`."""

    def __init__(self, masks: PackedMasks, warnings: tuple[str, ...]) -> None:
        super().__init__(masks)
        self._warnings = warnings

    @property
    def warnings(self) -> tuple[str, ...]:
        """Lines of the mask, and one when no shadow was found."""
        return self._warnings

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        return self._source.at(frame)

    def check_count(self, frames: int) -> None:
        """Compare with the number of frames of the clip; raises MaskError."""
        if frames != self.count:
            raise MaskError(
                f"shadows were looked for in {self.count} frames but the video has {frames}; "
                "give the same command again"
            )


def add_shadows(
    source: FrameSource,
    mask: HoleSource,
    plan: Callable[[HoleSource], Plan],
    listener: Listener,
    estimator: FlowEstimator,
) -> ShadedMask:
    """Find the cast shadows of what the mask covers, and add them to it.

    A shadow is where the surroundings of the hole are darker than in other frames of the shot; what is always
    in shadow is not found, nor what is found in few frames of a shot. Searched at `SEARCH_LINES`.

    * ``plan``: cuts the work for a mask into segments, as for a removal.
    * ``estimator``: of optical flow.

    Raises what the source, the mask and planning raise, OutOfMemoryError, and Interrupted.
    """
    zone = _SearchZone(mask, source.info.height)
    planned = plan(zone)
    size = source.info.width, source.info.height, planned.scan.frames
    found = _Shadows(*(PackedMasks(*size) for _ in range(3)))
    zone.keep_in(found.holes)
    marked = sum(box is not None for box in planned.scan.holes)
    looking = sum(2 * len(segment.frames) - 1 for segment in planned.segments)
    with listener.stage("shadows", looking + 3 * marked) as progress:

        def tick() -> None:
            advance(progress)

        reader = SegmentReader(source, zone, 0)
        for segment in planned.segments:
            threads = frame_threads(segment.roi, planned.memory)
            _search(segment, reader, found, Stages(estimator=estimator, threads=threads, average=True), tick)
        for shot, roi in _shots_and_regions(planned):
            _ShotShadows(found, shot, roi, source.info.height / 240, tick).reconcile()
    shaded = _join(found)
    if shaded:
        listener.note(f"shadows are found on {shaded} of {marked} frames with a hole")
    return ShadedMask(found.holes, (*mask.warnings, *([] if shaded or not marked else [NOT_FOUND_NOTE])))


@dataclass(frozen=True, slots=True)
class _Shadows:
    """Holes, their shadows, and pixels where no other frame tells whether there is a shadow, by frame."""

    holes: PackedMasks
    shadows: PackedMasks
    unknown: PackedMasks


class _SearchZone(DerivedMask):
    """The hole and its surroundings, in which shadows are searched."""

    def __init__(self, mask: HoleSource, height: int) -> None:
        super().__init__(mask)
        self._unit = height / 240
        self._holes: PackedMasks | None = None

    def keep_in(self, holes: PackedMasks) -> None:
        """From now on, store the hole itself of every requested frame in ``holes``."""
        self._holes = holes

    def at(self, frame: Frame) -> Hole:
        hole = self._source.at(frame)
        if self._holes is not None:
            self._holes.put(frame.index, hole, 1.0)
        return search_zone(hole, self._unit)


def _search(
    segment: Segment, reader: SegmentReader, found: _Shadows, stages: Stages, tick: Callable[[], None]
) -> None:
    """Search shadows in each frame of a segment's core; in halves where memory does not suffice."""
    try:
        with memory_errors(f"looking for shadows in {len(segment.frames)} frames"):
            for index, shadow, unknown in _in_segment(segment, reader, found.holes, stages, tick):
                _put(found.shadows, index, segment.roi, shadow)
                _put(found.unknown, index, segment.roi, unknown)
            return
    except OutOfMemoryError:
        parts = halve(segment)
        if not parts:
            raise
    for part in parts:
        _search(part, reader, found, replace(stages, threads=1), tick)


def _put(masks: PackedMasks, index: int, roi: Box, part: Hole) -> None:
    whole = np.zeros(masks.size[::-1], np.bool_)
    whole[roi.slices()] = part
    masks.put(index, whole, 1.0)


def _in_segment(
    segment: Segment, reader: SegmentReader, holes: PackedMasks, stages: Stages, tick: Callable[[], None]
) -> Iterator[tuple[int, Hole, Hole]]:
    """Index, shadow and unknown pixels, in the region, of each frame of the core with a hole."""
    pictures, alphas = reader.read(segment)
    height = min(reader.height, SEARCH_LINES)
    share = height / reader.height
    size = max(8, round(segment.roi.height * share)), max(8, round(segment.roi.width * share))
    zones = [_reduced(alpha > 0, size) for alpha in alphas]
    first = segment.frames.start
    core = range(segment.core.start - first, segment.core.stop - first)
    small = np.stack([_resized(picture, size) for picture in pictures])
    del pictures, alphas
    found = stages.find(small, zones, height, wanted=core, tick=tick)
    scale = found.scale
    for place in core:
        whole = holes.hole(first + place)[segment.roi.slices()]
        if whole.any():
            hole = _reduced(whole, size)
            seen = to_levels(small[place]) / np.float32(255)
            confidence = np.where(zones[place], 1 - found.residual[place], 0).astype(np.float32)
            shadow = find_cast_shadow(seen, np.clip(found.frames[place], 0, 1), confidence, hole, scale)
            unknown = dilate_exact(
                zones[place] & ~hole & (confidence < KNOWN), round(UNCERTAIN_BORDER * max(1.0, scale))
            )
            yield first + place, _enlarged(shadow, whole), _enlarged(unknown, whole)


def _resized(picture: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """A picture scaled to a smaller size (h, w); itself if it has that size."""
    import cv2

    if picture.shape[:2] == size:
        return picture
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA))


def _reduced(mask: Hole, size: tuple[int, int]) -> Hole:
    """A mask scaled to a smaller size (h, w): True wherever anything of it is True."""
    return _resized(mask.astype(np.float32), size) > 0


def _enlarged(mask: Hole, hole: Hole) -> Hole:
    """A mask of what was searched small, at the size of the hole ``(h, w)`` and beside it."""
    import cv2

    whole = cv2.resize(mask.astype(np.float32), hole.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return (whole >= 0.5) & ~hole


def _shots_and_regions(planned: Plan) -> Iterator[tuple[range, Box]]:
    """Ranges of frames of one shot, each with its region."""
    for roi in dict.fromkeys(segment.roi for segment in planned.segments):
        cores = [segment.core for segment in planned.segments if segment.roi == roi]
        for shot in planned.scan.shots:
            inside = [core for core in cores if core.start in shot]
            if inside:
                yield range(inside[0].start, inside[-1].stop), roi


class _ShotShadows:
    """Makes the shadows found in the frames of one shot consistent over time."""

    def __init__(
        self, found: _Shadows, frames: range, roi: Box, scale: float, tick: Callable[[], None]
    ) -> None:
        self._found, self._roi, self._unit, self._tick = found, roi, scale, tick
        self._frames = [index for index in frames if found.shadows.has(index)]
        self._span = frames
        self._parts = lru_cache(2 * COMPARED_FRAMES[-1] + 2)(self._parts_of)

    def reconcile(self) -> None:
        """Keep shadows that other frames confirm and that touch the hole; extend them into unknown pixels.

        None is kept if they are found in few frames of the shot: a shadow stays with what casts it.
        """
        lasting = self._empty_masks()
        for index in self._frames:
            lasting.put(index, self._lasting(index), 1.0)
            self._tick()
        attached = self._empty_masks()
        for order in (self._frames, self._frames[::-1]):
            self._attach(lasting, attached, order)
        whole = self._empty_masks()
        for order in (self._frames, self._frames[::-1]):
            self._carry(attached, whole, order)
        holes, kept = self._found.holes, [index for index in self._frames if whole.hole(index).any()]
        shaded = sum(bool((whole.hole(index) & ~self._crop(holes, index)).any()) for index in kept)
        for index in self._frames:
            shadow = whole.hole(index)
            _put(self._found.shadows, index, self._roi, shadow & (shaded >= LEAST_PART * len(self._frames)))

    def _empty_masks(self) -> PackedMasks:
        return PackedMasks(self._roi.width, self._roi.height, self._found.holes.count)

    def _crop(self, masks: PackedMasks, index: int) -> Hole:
        return masks.hole(index)[self._roi.slices()]

    def _parts_of(self, index: int) -> HoleParts:
        return parts_of(self._crop(self._found.holes, index), self._unit)

    def _lasting(self, index: int) -> Hole:
        """The shadows of a frame that neighbouring frames confirm."""
        before, after = (
            [self._glimpse(other, index) for by in COMPARED_FRAMES if self._has(other := index + step * by)]
            for step in (-1, 1)
        )
        return lasting_shadow(self._crop(self._found.shadows, index), before, after, self._unit)

    def _has(self, index: int) -> bool:
        return index in self._span and self._found.shadows.has(index)

    def _glimpse(self, other: int, index: int) -> Glimpse:
        """The shadow and unknown pixels of another frame, moved along with the parts of the hole."""
        then, now = self._parts(other), self._parts(index)
        shadow, unknown = self._crop(self._found.shadows, other), self._crop(self._found.unknown, other)
        return Glimpse(
            _moved_shadow(shadow, then, now), move_with_parts(unknown, then, now) | unmatched(then, now)
        )

    def _attach(self, lasting: PackedMasks, attached: PackedMasks, order: Sequence[int]) -> None:
        """Add the shadows that touch the hole, or the shadow of the previous frame in ``order``."""
        for place, index in enumerate(order):
            anchor = self._crop(self._found.holes, index)
            if place:
                last = order[place - 1]
                anchor = anchor | _moved_shadow(attached.hole(last), self._parts(last), self._parts(index))
            shadow = attached_shadow(lasting.hole(index), anchor, self._unit)
            attached.put(index, attached.hole(index) | shadow, 1.0)

    def _carry(self, attached: PackedMasks, whole: PackedMasks, order: Sequence[int]) -> None:
        """In unknown pixels, continue each part's last seen shadow along with the part."""
        last_seen: dict[int, _LastSeen] = {}
        before: HoleParts | None = None
        for index in order:
            parts = self._parts(index)
            same: dict[int, int] = {} if before is None else match_parts(parts, before)
            shadow, unknown = attached.hole(index), self._crop(self._found.unknown, index)
            now: dict[int, _LastSeen] = {}
            for part in parts.numbers:
                own = parts.nearest == part
                last = last_seen.get(same.get(part, 0))
                carried = np.zeros_like(shadow) if last is None else last.at(parts.centres[part])
                seen = shadow & own
                if last is None or np.count_nonzero(seen) >= SEEN_SHARE * np.count_nonzero(last.shadow):
                    last = _LastSeen(seen | (carried & unknown & own), parts.centres[part])
                now[part] = last
                shadow = shadow | (carried & unknown & own)
            last_seen, before = now, parts
            whole.put(index, whole.hole(index) | shadow, 1.0)
            self._tick()


def _moved_shadow(shadow: Hole, before: HoleParts, now: HoleParts) -> Hole:
    """The shadow of another frame, moved with the parts of the hole: fully, and horizontally only."""
    return move_with_parts(shadow, before, now) | move_with_parts(shadow, before, now, horizontal=True)


@dataclass(frozen=True, slots=True)
class _LastSeen:
    """The last seen shadow ``(h, w)`` of a part of the hole, with the part's centre then."""

    shadow: Hole
    centre: npt.NDArray[np.float64]

    def at(self, centre: npt.NDArray[np.float64]) -> Hole:
        """The shadow moved to another centre; empty when a centre is not known (NaN)."""
        motion = centre - self.centre
        if not np.isfinite(motion).all():
            return np.zeros_like(self.shadow)
        return shifted(self.shadow, round(float(motion[0])), round(float(motion[1])))


def _join(found: _Shadows) -> int:
    """Add the shadows to the holes; returns the number of frames with a shadow."""
    shaded = 0
    for index in filter(found.shadows.has, range(found.holes.count)):
        hole, shadow = found.holes.hole(index), found.shadows.hole(index)
        shaded += bool((shadow & ~hole).any())
        found.holes.put(index, hole | shadow, 1.0)
    return shaded


MERGE_DISTANCE = 4
"""Most pixels, for a frame height of 240, between pieces that count as one part."""

MAX_PARTS = 8
"""Holes of more parts count as one: probably the letters of a title, not separate objects."""


@dataclass(frozen=True, slots=True)
class HoleParts:
    """Connected parts 1 … n of a ``hole``, bool ``(h, w)``, True = fill.

    nearest: ``(h, w)``, number of the part nearest to each pixel. centres: ``(n + 1, 2)``, row and column, by
    number; NaN for a part at the border, which is not wholly visible.
    """

    hole: Hole
    nearest: npt.NDArray[np.int32]
    centres: npt.NDArray[np.float64]

    @property
    def numbers(self) -> range:
        """Numbers of the parts."""
        return range(1, len(self.centres))


def parts_of(hole: Hole, scale: float = 1.0) -> HoleParts:
    """The parts of a hole that is not empty; scale: frame height / 240."""
    import cv2

    joined = dilate_exact(hole, round(MERGE_DISTANCE * max(1.0, scale)))
    _, labels = cv2.distanceTransformWithLabels(
        (~joined).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_CCOMP
    )
    nearest: npt.NDArray[np.int32] = np.asarray(labels).astype(np.int32)
    if nearest.max() > MAX_PARTS:
        nearest = np.ones_like(nearest)
    rows, columns = np.nonzero(hole)
    numbers = nearest[rows, columns]
    area = np.maximum(np.bincount(numbers), 1)
    centres = np.stack([np.bincount(numbers, places) / area for places in (rows, columns)], 1)
    height, width = hole.shape
    at_edge = (rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1)
    centres[np.unique(numbers[at_edge])] = np.nan
    return HoleParts(hole, nearest, centres)


def match_parts(one: HoleParts, other: HoleParts) -> dict[int, int]:
    """Parts of one hole → parts of another, for pairs that mutually overlap most."""
    if len(one.numbers) == len(other.numbers) == 1:
        return {1: 1}
    both = one.hole & other.hole
    count = len(other.centres)
    pairs = one.nearest[both].astype(np.int64) * count + other.nearest[both]
    overlap = np.bincount(pairs, minlength=len(one.centres) * count).reshape(-1, count)
    best, back = overlap.argmax(1), overlap.argmax(0)
    return {
        part: int(best[part])
        for part in one.numbers
        if overlap[part, best[part]] and back[best[part]] == part
    }


def part_motions(before: HoleParts, now: HoleParts) -> dict[int, tuple[int, float, float]]:
    """Part → its number before, and its motion down and right in pixels.

    Parts that appear, disappear or reach the border are left out.
    """
    found = {}
    for part, then in match_parts(now, before).items():
        down, right = (float(by) for by in now.centres[part] - before.centres[then])
        if np.isfinite(down + right):
            found[part] = then, down, right
    return found


def move_with_parts(mask: Hole, before: HoleParts, now: HoleParts, *, horizontal: bool = False) -> Hole:
    """A mask ``(h, w)`` of one frame moved to another: each pixel moves with the part nearest to it.

    Pixels nearest to a part of unknown motion are left out. horizontal: leave out vertical motion, as for the
    shadow of something that jumps.
    """
    result = np.zeros_like(mask)
    for then, down, right in part_motions(before, now).values():
        result |= shifted(mask & (before.nearest == then), 0 if horizontal else round(down), round(right))
    return result


def unmatched(before: HoleParts, now: HoleParts) -> Hole:
    """Pixels, bool ``(h, w)``, whose nearest part has no known motion."""
    return ~np.isin(now.nearest, list(part_motions(before, now)))
