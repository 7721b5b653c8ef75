"""The shadows that what is removed casts, found in the clip and joined to the mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.engine.device import memory_errors
from vinpaint_cli.engine.fill import bring_in
from vinpaint_cli.engine.reader import SegmentReader
from vinpaint_cli.engine.watch import Watcher, advance
from vinpaint_cli.masks.packed import PackedMasks
from vinpaint_cli.masks.random import shifted
from vinpaint_cli.masks.shapes import HoleSource, dilate
from vinpaint_cli.ops.image import to_levels
from vinpaint_cli.ops.shade import KNOWN, find_shade, lasting_shade
from vinpaint_cli.types import Frame, FrameSource, Segment

if TYPE_CHECKING:
    from vinpaint_cli.engine.job import Plan
    from vinpaint_cli.types import Hole

REACH = 0.75
"""How far from an object its shadow is looked for, times the square root of the object's area."""

NEAREST, FARTHEST = 32, 60
"""Pixels at 240 lines between which that is."""

AROUND = 2
"""Frames on each side in which a shadow must be seen too."""

UNSURE = 3
"""Pixels at 240 lines around what nobody knows in which what was compared may mislead."""

UNFOUND = "no shadow is found: the mask has to cover shadows under which no other frame looks"


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
        self._masks.check_count(frames)


def add_shadows(
    source: FrameSource, mask: HoleSource, plan: Callable[[HoleSource], Plan], watcher: Watcher
) -> ShadedMask:
    """Find the shadows of what the mask covers, and join them to it.

    A shadow is where the surroundings of the hole are darker than other frames show them to be: where they
    never come out of the shadow, it is not found. Takes about as long as propagation for a removal.

    * ``plan``: cuts the work for a mask into segments, as for a removal.

    Raises what the source, the mask and planning raise, and Interrupted.
    """
    zone = _Zone(mask, source.info.height)
    planned = plan(zone)
    holes, seen = zone.keep(source, planned), _look(source, zone, planned, watcher)
    shades = _last(holes, seen, planned, source.info.height / 240)
    for order in (1, -1):
        _carry(holes, shades, seen.unknown, planned, order)
    found = _join(holes, shades)
    asked = sum(box is not None for box in planned.scan.holes)
    if found:
        watcher.note(f"shadows are found on {found} of {asked} frames with a hole")
    return ShadedMask(holes, (*mask.warnings, *([] if found or not asked else [UNFOUND])))


@dataclass(frozen=True, slots=True)
class _Seen:
    """Of every frame, its shadows as it shows them, and where nobody knows whether there is one."""

    shades: PackedMasks
    unknown: PackedMasks


class _Zone:
    """The hole and its surroundings, in which shadows are looked for; a `HoleSource`."""

    def __init__(self, mask: HoleSource, height: int) -> None:
        self._mask, self._unit = mask, max(1.0, height / 240)
        self._holes: PackedMasks | None = None

    @property
    def count(self) -> int | None:
        return self._mask.count

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._mask.warnings

    def keep(self, source: FrameSource, planned: Plan) -> PackedMasks:
        """From now on, the holes of all frames that are asked for; a place to find them again."""
        if self._holes is None:
            self._holes = _room(source, planned)
        return self._holes

    def at(self, frame: Frame) -> Hole:
        hole = self._mask.at(frame)
        if self._holes is not None:
            self._holes.put(frame.index, hole, 1.0)
        reach = REACH * float(np.sqrt(np.count_nonzero(hole)))
        return dilate(hole, round(min(max(reach, NEAREST * self._unit), FARTHEST * self._unit)))

    def check_count(self, frames: int) -> None:
        self._mask.check_count(frames)


def _room(source: FrameSource, planned: Plan) -> PackedMasks:
    return PackedMasks(source.info.width, source.info.height, planned.scan.frames)


def _look(source: FrameSource, zone: _Zone, planned: Plan, watcher: Watcher) -> _Seen:
    """Look for shadows in every frame alone."""
    holes = zone.keep(source, planned)
    seen = _Seen(_room(source, planned), _room(source, planned))
    reader = SegmentReader(source, zone, 0)
    steps = sum(2 * len(segment.frames) - 1 for segment in planned.segments)
    with watcher.stage("shadows", steps) as progress:
        for segment in planned.segments:
            with memory_errors(f"shadows in {len(segment.frames)} frames"):
                for index, shade, unknown in _in_segment(segment, reader, holes, lambda: advance(progress)):
                    _add(seen.shades, index, segment, shade)
                    _add(seen.unknown, index, segment, unknown)
    return seen


def _add(masks: PackedMasks, index: int, segment: Segment, part: Hole) -> None:
    whole = masks.hole(index)
    whole[segment.roi.slices()] |= part
    masks.put(index, whole, 1.0)


def _in_segment(
    segment: Segment, reader: SegmentReader, holes: PackedMasks, tick: Callable[[], None]
) -> Iterator[tuple[int, Hole, Hole]]:
    """Frames of the core, their shadows in the segment's region, and where nobody knows of any."""
    pictures, alphas = reader.read(segment)
    zones = [alpha > 0 for alpha in alphas]
    first = segment.frames.start
    core = range(segment.core.start - first, segment.core.stop - first)
    found, shares, _ = bring_in(pictures, zones, reader.height, wanted=core, tick=tick)
    unit = reader.height / 240
    for place in core:
        hole = holes.hole(first + place)[segment.roi.slices()]
        if hole.any():
            seen = to_levels(pictures[place]) / np.float32(255)
            confidence = np.where(zones[place], 1 - shares[place], 0).astype(np.float32)
            shade = find_shade(seen, np.clip(found[place], 0, 1), confidence, hole, unit)
            unknown = dilate(zones[place] & ~hole & (confidence < KNOWN), round(UNSURE * max(1.0, unit)))
            yield first + place, shade, unknown & ~hole


def _last(holes: PackedMasks, seen: _Seen, planned: Plan, unit: float) -> PackedMasks:
    """The shadows that last."""
    lasting = PackedMasks(*holes.size, holes.count)
    for shot in planned.scan.shots:
        for index in filter(seen.shades.has, shot):
            near = range(max(shot.start, index - AROUND), min(shot.stop, index + AROUND + 1))
            shade = lasting_shade([seen.shades.hole(other) for other in near], index - near.start, unit)
            lasting.put(index, shade, 1.0)
    return lasting


def _carry(holes: PackedMasks, shades: PackedMasks, unknown: PackedMasks, planned: Plan, step: int) -> None:
    """Where nobody knows, a shadow goes on with the hole as the frame before (``step`` 1) or after has it."""
    for shot in planned.scan.shots:
        for index in shot[::step]:
            if index - step not in shot or not shades.has(index) or not shades.has(index - step):
                continue
            before, now = _centre(holes.hole(index - step)), _centre(holes.hole(index))
            rows, columns = (round(float(part)) for part in now - before)
            carried = shifted(shades.hole(index - step), rows, columns) & unknown.hole(index)
            shades.put(index, shades.hole(index) | carried, 1.0)


def _centre(hole: Hole) -> npt.NDArray[np.float64]:
    """Row and column."""
    return np.array([float(np.mean(places)) for places in np.nonzero(hole)])


def _join(holes: PackedMasks, shades: PackedMasks) -> int:
    """Add the shadows to the holes; returns on how many frames there are any."""
    found = 0
    for index in filter(shades.has, range(holes.count)):
        hole, shade = holes.hole(index), shades.hole(index)
        found += bool((shade & ~hole).any())
        holes.put(index, hole | shade, 1.0)
    return found
