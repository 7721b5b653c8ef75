"""The shadows that what is removed casts, found in the clip and joined to the mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

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

AROUND = (1, 2, 5)
"""Frames before and after that are asked whether they see a shadow too."""

UNSURE = 3
"""Pixels at 240 lines around what nobody knows in which what was compared may mislead."""

ENOUGH = 0.5
"""Part of a shadow that must be seen for it to be carried on as it is now."""

UNFOUND = "no shadow is found; one that never moves cannot be told from the ground: draw it into the mask"


class ShadedMask:
    """A mask with the shadows that what it covers casts; a `HoleSource` of every frame of one clip."""

    def __init__(self, masks: PackedMasks, warnings: tuple[str, ...]) -> None:
        self._masks, self.warnings = masks, warnings

    @property
    def count(self) -> int | None:
        """Number of masks, one per frame."""
        return self._masks.count

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        return self._masks.at(frame)

    def check_count(self, frames: int) -> None:
        """Compare with the number of frames of the clip; raises MaskError."""
        if frames != self._masks.count:
            raise MaskError(
                f"shadows were looked for in {self._masks.count} frames but the video has {frames}; "
                "give the same command again"
            )


def add_shadows(
    source: FrameSource,
    mask: HoleSource,
    plan: Callable[[HoleSource], Plan],
    listener: Listener,
    estimator: FlowEstimator,
) -> ShadedMask:
    """Find the shadows of what the mask covers, and join them to it.

    A shadow is where the surroundings of the hole are darker than other frames show them to be: where they
    never come out of the shadow, it is not found. Takes longer than propagation for a removal.

    * ``plan``: cuts the work for a mask into segments, as for a removal.
    * ``estimator``: of optical flow.

    Raises what the source, the mask and planning raise, OutOfMemoryError, and Interrupted.
    """
    zone = _Zone(mask, source.info.height)
    planned = plan(zone)
    size = source.info.width, source.info.height, planned.scan.frames
    found = _Found(*(PackedMasks(*size) for _ in range(3)))
    zone.keep_in(found.holes)
    marked = sum(box is not None for box in planned.scan.holes)
    looking = sum(2 * len(segment.frames) - 1 for segment in planned.segments)
    with listener.stage("shadows", looking + 3 * marked) as progress:

        def tick() -> None:
            advance(progress)

        reader = SegmentReader(source, zone, 0)
        for segment in planned.segments:
            threads = frame_threads(segment.roi, planned.memory)
            _look(segment, reader, found, Stages(estimator=estimator, threads=threads), tick)
        for shot, roi in _regions(planned):
            _InShot(found, shot, roi, source.info.height / 240, tick).settle()
    shaded = _join(found)
    if shaded:
        listener.note(f"shadows are found on {shaded} of {marked} frames with a hole")
    return ShadedMask(found.holes, (*mask.warnings, *([] if shaded or not marked else [UNFOUND])))


@dataclass(frozen=True, slots=True)
class _Found:
    """Of every frame that has one its hole, its shadows, and where nobody knows whether there are any."""

    holes: PackedMasks
    shadows: PackedMasks
    unknown: PackedMasks


class _Zone(DerivedMask):
    """The hole and its surroundings, in which shadows are looked for."""

    def __init__(self, mask: HoleSource, height: int) -> None:
        super().__init__(mask)
        self._unit = height / 240
        self._holes: PackedMasks | None = None

    def keep_in(self, holes: PackedMasks) -> None:
        """From now on, put the hole alone of every frame that is asked for into ``holes``."""
        self._holes = holes

    def at(self, frame: Frame) -> Hole:
        hole = self._source.at(frame)
        if self._holes is not None:
            self._holes.put(frame.index, hole, 1.0)
        return search_zone(hole, self._unit)


def _look(
    segment: Segment, reader: SegmentReader, found: _Found, stages: Stages, tick: Callable[[], None]
) -> None:
    """Look for shadows in every frame of a segment's core alone; by halves where memory does not suffice."""
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
        _look(part, reader, found, replace(stages, threads=1), tick)


def _put(masks: PackedMasks, index: int, roi: Box, part: Hole) -> None:
    whole = np.zeros(masks.size[::-1], np.bool_)
    whole[roi.slices()] = part
    masks.put(index, whole, 1.0)


def _in_segment(
    segment: Segment, reader: SegmentReader, holes: PackedMasks, stages: Stages, tick: Callable[[], None]
) -> Iterator[tuple[int, Hole, Hole]]:
    """Frames of the core with a hole, their shadows in the region, and where nobody knows of any."""
    pictures, alphas = reader.read(segment)
    zones = [alpha > 0 for alpha in alphas]
    first = segment.frames.start
    core = range(segment.core.start - first, segment.core.stop - first)
    found = stages.find(pictures, zones, reader.height, wanted=core, tick=tick)
    unit = found.scale
    for place in core:
        hole = holes.hole(first + place)[segment.roi.slices()]
        if hole.any():
            seen = to_levels(pictures[place]) / np.float32(255)
            confidence = np.where(zones[place], 1 - found.residual[place], 0).astype(np.float32)
            shadow = find_cast_shadow(seen, np.clip(found.frames[place], 0, 1), confidence, hole, unit)
            unknown = dilate_exact(
                zones[place] & ~hole & (confidence < KNOWN), round(UNSURE * max(1.0, unit))
            )
            yield first + place, shadow, unknown & ~hole


def _regions(planned: Plan) -> Iterator[tuple[range, Box]]:
    """Stretches of frames that belong together, and their regions."""
    for roi in dict.fromkeys(segment.roi for segment in planned.segments):
        cores = [segment.core for segment in planned.segments if segment.roi == roi]
        for shot in planned.scan.shots:
            inside = [core for core in cores if core.start in shot]
            if inside:
                yield range(inside[0].start, inside[-1].stop), roi


class _InShot:
    """What was found in the frames of one shot, made to agree from frame to frame."""

    def __init__(self, found: _Found, frames: range, roi: Box, unit: float, tick: Callable[[], None]) -> None:
        self._found, self._roi, self._unit, self._tick = found, roi, unit, tick
        self._frames = [index for index in frames if found.shadows.has(index)]
        self._span = frames
        self._parts = lru_cache(2 * AROUND[-1] + 2)(self._parts_of)

    def settle(self) -> None:
        """Keep what lasts and touches what casts it, now or before or after, and carry it on."""
        lasting = self._room()
        for index in self._frames:
            lasting.put(index, self._lasting(index), 1.0)
            self._tick()
        attached = self._room()
        for order in (self._frames, self._frames[::-1]):
            self._attach(lasting, attached, order)
        whole = self._room()
        for order in (self._frames, self._frames[::-1]):
            self._carry(attached, whole, order)
        for index in self._frames:
            _put(self._found.shadows, index, self._roi, whole.hole(index))

    def _room(self) -> PackedMasks:
        return PackedMasks(self._roi.width, self._roi.height, self._found.holes.count)

    def _of(self, masks: PackedMasks, index: int) -> Hole:
        return masks.hole(index)[self._roi.slices()]

    def _parts_of(self, index: int) -> HoleParts:
        return parts_of(self._of(self._found.holes, index), self._unit)

    def _lasting(self, index: int) -> Hole:
        """A frame's shadows that others see too."""
        before, after = (
            [self._glimpse(other, index) for by in AROUND if self._has(other := index + step * by)]
            for step in (-1, 1)
        )
        return lasting_shadow(self._of(self._found.shadows, index), before, after, self._unit)

    def _has(self, index: int) -> bool:
        return index in self._span and self._found.shadows.has(index)

    def _glimpse(self, other: int, index: int) -> Glimpse:
        """What another frame says, moved with the hole, if it is known where that went."""
        then, now = self._parts(other), self._parts(index)
        shadow, unknown = self._of(self._found.shadows, other), self._of(self._found.unknown, other)
        return Glimpse(_gone_with(shadow, then, now), moved(unknown, then, now) | astray(then, now))

    def _attach(self, lasting: PackedMasks, attached: PackedMasks, order: Sequence[int]) -> None:
        """Add the shadows that touch the hole, or those of the frame before in ``order``."""
        for place, index in enumerate(order):
            anchor = self._of(self._found.holes, index)
            if place:
                last = order[place - 1]
                anchor = anchor | _gone_with(attached.hole(last), self._parts(last), self._parts(index))
            shadow = attached_shadow(lasting.hole(index), anchor, self._unit)
            attached.put(index, attached.hole(index) | shadow, 1.0)

    def _carry(self, attached: PackedMasks, whole: PackedMasks, order: Sequence[int]) -> None:
        """Where nobody knows, shadows go on with the part of the hole they are nearest to."""
        trails: dict[int, _Trail] = {}
        before: HoleParts | None = None
        for index in order:
            parts = self._parts(index)
            same: dict[int, int] = {} if before is None else same_parts(parts, before)
            shadow, unknown = attached.hole(index), self._of(self._found.unknown, index)
            now: dict[int, _Trail] = {}
            for part in parts.numbers:
                own = parts.nearest == part
                trail = trails.get(same.get(part, 0))
                carried = np.zeros_like(shadow) if trail is None else trail.at(parts.centres[part])
                seen = shadow & own
                if trail is None or np.count_nonzero(seen) >= ENOUGH * np.count_nonzero(trail.shadow):
                    trail = _Trail(seen | (carried & unknown & own), parts.centres[part])
                now[part] = trail
                shadow = shadow | (carried & unknown & own)
            trails, before = now, parts
            whole.put(index, whole.hole(index) | shadow, 1.0)
            self._tick()


def _gone_with(shadow: Hole, before: HoleParts, now: HoleParts) -> Hole:
    """Where the shadow of something is in another frame: it may have jumped, or come down."""
    return moved(shadow, before, now) | moved(shadow, before, now, level=True)


@dataclass(frozen=True, slots=True)
class _Trail:
    """A shadow ``(h, w)`` as it was seen last, with the centre of the part of the hole that casts it."""

    shadow: Hole
    centre: npt.NDArray[np.float64]

    def at(self, centre: npt.NDArray[np.float64]) -> Hole:
        """It, when the centre is elsewhere; nothing when that is not known."""
        way = centre - self.centre
        if not np.isfinite(way).all():
            return np.zeros_like(self.shadow)
        return shifted(self.shadow, round(float(way[0])), round(float(way[1])))


def _join(found: _Found) -> int:
    """Add the shadows to the holes; returns on how many frames there are any."""
    shaded = 0
    for index in filter(found.shadows.has, range(found.holes.count)):
        hole, shadow = found.holes.hole(index), found.shadows.hole(index)
        shaded += bool((shadow & ~hole).any())
        found.holes.put(index, hole | shadow, 1.0)
    return shaded


NEAR = 4
"""Pixels at 240 lines between things that are taken for one."""

MANY = 8
"""Parts from which on all count as one: the letters of a title, not things that go their own ways."""


@dataclass(frozen=True, slots=True)
class HoleParts:
    """Parts 1…n of a hole, bool ``(h, w)``, True = fill.

    nearest: ``(h, w)``, the part that each pixel is nearest to. centres: ``(n + 1, 2)`` row and column, from
    index 1 on; NaN for one at the picture's edge, of which only a part is seen.
    """

    hole: Hole
    nearest: npt.NDArray[np.int32]
    centres: npt.NDArray[np.float64]

    @property
    def numbers(self) -> range:
        """Of the parts."""
        return range(1, len(self.centres))


def parts_of(hole: Hole, unit: float = 1.0) -> HoleParts:
    """The parts of a hole that is not empty; unit: height of the whole picture / 240."""
    import cv2

    joined = dilate_exact(hole, round(NEAR * max(1.0, unit)))
    _, labels = cv2.distanceTransformWithLabels(
        (~joined).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_CCOMP
    )
    nearest: npt.NDArray[np.int32] = np.asarray(labels).astype(np.int32)
    if nearest.max() > MANY:
        nearest = np.ones_like(nearest)
    rows, columns = np.nonzero(hole)
    numbers = nearest[rows, columns]
    area = np.maximum(np.bincount(numbers), 1)
    centres = np.stack([np.bincount(numbers, places) / area for places in (rows, columns)], 1)
    height, width = hole.shape
    at_edge = (rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1)
    centres[np.unique(numbers[at_edge])] = np.nan
    return HoleParts(hole, nearest, centres)


def same_parts(one: HoleParts, other: HoleParts) -> dict[int, int]:
    """Which part of one hole is which of another: those that overlap most, each other; else none."""
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


def ways(before: HoleParts, now: HoleParts) -> dict[int, tuple[int, float, float]]:
    """Which part of a hole was which before, and how far down and right it went, in pixels.

    Not known, and left out, is the way of what comes or goes, or reaches beyond the picture.
    """
    found = {}
    for part, then in same_parts(now, before).items():
        down, right = (float(by) for by in now.centres[part] - before.centres[then])
        if np.isfinite(down + right):
            found[part] = then, down, right
    return found


def moved(mask: Hole, before: HoleParts, now: HoleParts, *, level: bool = False) -> Hole:
    """A mask ``(h, w)`` of one frame where it is in another, if each pixel goes with the part nearest to it.

    What is nearest to a part whose way is not known is left out. level: only to the side, as on the ground
    under a thing that jumps.
    """
    result = np.zeros_like(mask)
    for then, down, right in ways(before, now).values():
        result |= shifted(mask & (before.nearest == then), 0 if level else round(down), round(right))
    return result


def astray(before: HoleParts, now: HoleParts) -> Hole:
    """Where the nearest part of a hole is one whose way is not known, bool ``(h, w)``."""
    return ~np.isin(now.nearest, list(ways(before, now)))
