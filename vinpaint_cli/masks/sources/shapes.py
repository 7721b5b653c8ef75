"""Mask sources made of boxes and of other sources; feathering and bounding boxes of holes.

Every source here and in ``files`` is a `HoleSource`: it answers for any frame in any order with a
fresh array of its own, so the caller may keep it or write into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vinpaint_cli.errors import MaskError
from vinpaint_cli.masks.grammar import TimeRange
from vinpaint_cli.ops.image import dilate_by_thickness, dilate_exact
from vinpaint_cli.types import Box, Frame, MaskSource

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Plane, VideoInfo


class HoleSource(MaskSource, Protocol):
    """A `MaskSource` that knows its number of masks and has warnings for the user."""

    @property
    def count(self) -> int | None:
        """Number of masks, one per frame; None when it answers for any frame or does not know yet."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """Lines for the user; may grow while masks are read."""
        ...

    def check_count(self, frames: int) -> None:
        """Compare with the number of frames of the clip, once that is known.

        Raises MaskError (the counts differ and were not allowed to).
        """
        ...


class NoHole:
    """Nothing is to be filled; a `HoleSource`."""

    count: int | None = None
    warnings: tuple[str, ...] = ()

    def __init__(self, info: VideoInfo) -> None:
        self._size = info.height, info.width

    def at(self, frame: Frame) -> Hole:
        """False everywhere."""
        return np.zeros(self._size, np.bool_)

    def check_count(self, frames: int) -> None:
        """Right for any number."""


class BoxMask:
    """A filled rectangle, during a range of time."""

    count: int | None = None

    def __init__(
        self,
        box: Box,
        width: int,
        height: int,
        *,
        when: TimeRange | None = None,
        time_base: Fraction = Fraction(1),
        origin_pts: int = 0,
        warnings: Sequence[str] = (),
    ) -> None:
        """Take the box in pixels of the ``width`` x ``height`` frame.

        ``time_base`` is the seconds per tick of pts, ``origin_pts`` the pts of the clip's first frame;
        both only serve ``when``.
        """
        self.box = box
        self.warnings = tuple(warnings)
        self._shape = (height, width)
        self._clock = _Clock(when or TimeRange(), time_base, origin_pts)

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        hole = np.zeros(self._shape, dtype=np.bool_)
        if self._clock.shows(frame):
            hole[self.box.slices()] = True
        return hole

    def check_count(self, frames: int) -> None:
        """Nothing to compare: a box holds for any frame."""


class UnionMask:
    """Where any of several sources has a hole."""

    def __init__(self, sources: Sequence[HoleSource]) -> None:
        """Take one source or more.

        Raises ValueError when there is none.
        """
        if not sources:
            raise ValueError("a union needs at least one mask source")
        self._sources = tuple(sources)

    @property
    def count(self) -> int | None:
        """Fewest masks of those that know their number."""
        return min((source.count for source in self._sources if source.count is not None), default=None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Lines of all sources."""
        return tuple(line for source in self._sources for line in source.warnings)

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        hole = self._sources[0].at(frame)
        for source in self._sources[1:]:
            hole |= source.at(frame)
        return hole

    def check_count(self, frames: int) -> None:
        """Let every source compare.

        Raises MaskError (the counts differ and were not allowed to).
        """
        for source in self._sources:
            source.check_count(frames)


class DerivedMask:
    """A source that changes another one's holes; count and warnings are the other one's."""

    def __init__(self, source: HoleSource) -> None:
        self._source = source

    @property
    def count(self) -> int | None:
        """Number of masks of the source underneath."""
        return self._source.count

    @property
    def warnings(self) -> tuple[str, ...]:
        """Lines of the source underneath."""
        return self._source.warnings

    def check_count(self, frames: int) -> None:
        """Let the source underneath compare.

        Raises MaskError (the counts differ and were not allowed to).
        """
        self._source.check_count(frames)


class InvertMask(DerivedMask):
    """Hole and surroundings exchanged."""

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        return np.logical_not(self._source.at(frame))


class DilatedMask(DerivedMask):
    """Holes dilated by a disc, or their thin parts by less."""

    def __init__(self, source: HoleSource, radius: int, *, by_thickness: bool = False) -> None:
        """Take the radius in pixels, 0 or more; whether thin parts grow by less (`dilate_by_thickness`)."""
        if radius < 0:
            raise ValueError(f"a hole cannot be dilated by {radius} pixels; give 0 or more")
        super().__init__(source)
        self._radius = radius
        self._dilate = dilate_by_thickness if by_thickness else dilate_exact

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        return self._dilate(self._source.at(frame), self._radius)


class FixedMask(DerivedMask):
    """Another source's holes, replaced on single frames by drawn ones."""

    def __init__(self, source: HoleSource, holes: Mapping[int, Hole]) -> None:
        """``holes``: frame number to bool ``(H, W)``, True = fill, of the size of the source's."""
        super().__init__(source)
        self._holes = dict(holes)

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        fixed = self._holes.get(frame.index)
        return self._source.at(frame) if fixed is None else fixed.copy()

    def check_count(self, frames: int) -> None:
        """Let the source underneath compare.

        Raises MaskError (the counts differ and were not allowed to, or a drawn frame is not in the clip).
        """
        super().check_count(frames)
        for index in self._holes:
            if index >= frames:
                raise MaskError(f"--fix f{index} is beyond the clip, whose last frame is f{frames - 1}")


class TimeLimitedMask(DerivedMask):
    """A hole during a time range, and outside it another one or none; only the one needed is read."""

    def __init__(
        self,
        source: HoleSource,
        when: TimeRange,
        width: int,
        height: int,
        *,
        time_base: Fraction,
        origin_pts: int = 0,
        beyond: HoleSource | None = None,
    ) -> None:
        """Take the range, the frame's size, the seconds per tick of pts and the first frame's pts."""
        super().__init__(source)
        self._beyond = beyond
        self._shape = (height, width)
        self._clock = _Clock(when, time_base, origin_pts)

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        if self._clock.shows(frame):
            return self._source.at(frame)
        return np.zeros(self._shape, dtype=np.bool_) if self._beyond is None else self._beyond.at(frame)


class PerFrameMask(DerivedMask):
    """Masks of the frames of an interlaced clip, each for both of its fields."""

    def at(self, frame: Frame) -> Hole:
        """Hole of one field, bool ``(H, W)``, True = fill."""
        return self._source.at(replace(frame, index=frame.index // 2))

    def check_count(self, frames: int) -> None:
        """Compare the number of masks with that of frames; raises what the source raises."""
        self._source.check_count(frames // 2)


class _Clock:
    """Tells whether a frame lies in a range, from its number and its exact time."""

    def __init__(self, when: TimeRange, time_base: Fraction, origin_pts: int) -> None:
        self._when = when
        self._time_base = time_base
        self._origin_pts = origin_pts

    def shows(self, frame: Frame) -> bool:
        """Whether the frame lies in the range."""
        return self._when.contains(frame.index, (frame.pts - self._origin_pts) * self._time_base)


def default_dilation(height: int) -> int:
    """Largest default dilation of mask files in pixels: 4 at 240 lines, as in papers, and in proportion."""
    return round(height * 4 / 240)


def feather(hole: Hole, radius: int) -> Plane:
    """Blend weights with a soft edge outside the hole.

    1 everywhere inside the hole, falling as a raised cosine of the Euclidean distance to it, positive up
    to ``radius`` pixels and exactly 0 beyond. ``hole`` is bool ``(H, W)``, the result float32 ``(H, W)``;
    radius 0 gives the hole itself.
    """
    if radius < 0:
        raise ValueError(f"an edge cannot be feathered over {radius} pixels; give 0 or more")
    alpha = hole.astype(np.float32)
    part = _around(hole, radius)
    if part is None or radius == 0:
        return alpha
    distance = _distance(hole[part])
    edge = 0.5 + 0.5 * np.cos(distance * np.float32(np.pi / (radius + 1)))
    alpha[part] = np.where(distance <= radius + 1e-3, edge, 0)
    alpha[hole] = 1
    return alpha


def hole_box(hole: Hole) -> Box | None:
    """Smallest box around a hole, bool ``(H, W)``; None when it is empty."""
    rows = np.flatnonzero(hole.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(hole.any(axis=0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _around(hole: Hole, radius: int) -> tuple[slice, slice] | None:
    """Rows and columns that a hole dilated by ``radius`` can reach; None without a hole."""
    box = hole_box(hole)
    if box is None:
        return None
    height, width = hole.shape
    wide = Box(box.x0 - radius, box.y0 - radius, box.x1 + radius, box.y1 + radius)
    return wide.intersection(Box(0, 0, width, height)).slices()


def _distance(hole: Hole) -> Plane:
    """Exact Euclidean distance in pixels to the nearest hole pixel, 0 inside."""
    import cv2

    outside = np.logical_not(hole).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), dtype=np.float32)
