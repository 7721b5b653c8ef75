"""Groups of holes: what lies near in place and time is filled together in one region, the rest apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vinpaint_cli.types import Box

SAME_FRAMES = 8
"""Holes at one place with fewer frames between them are one: masks flicker."""

APART_FRAMES = 32
"""Holes with so many frames between them share no context, so that joining them saves nothing."""


@dataclass(eq=False, slots=True)
class HoleGroup:
    """Holes of one shot that are filled together.

    ``holes``: per frame that has any, the box around them. ``frames``: from the first of these to the last.
    ``bounds``: the box around all; it meets that of no other group with holes in its frames.
    """

    holes: dict[int, Box]
    frames: range
    bounds: Box

    def take(self, other: HoleGroup) -> None:
        """Add the holes of another group."""
        for index, box in other.holes.items():
            mine = self.holes.get(index)
            self.holes[index] = box if mine is None else mine.union(box)
        self.frames = range(
            min(self.frames.start, other.frames.start), max(self.frames.stop, other.frames.stop)
        )
        self.bounds = self.bounds.union(other.bounds)


def group_holes(
    shot: range, holes: Sequence[Iterable[Box]], reach: int, cost: Callable[[HoleGroup], float]
) -> list[HoleGroup]:
    """Group the holes of one shot; groups in the order of their first frames.

    Holes less than ``reach`` pixels and `SAME_FRAMES` frames apart are one group, and so are any two groups
    that cost no more together than apart.

    * ``holes``: per frame of the clip the boxes of its holes, none of them empty.
    * ``cost``: of filling a group; only compared.
    """

    def touch(one: HoleGroup, other: HoleGroup) -> bool:
        gap = _frames_between(one, other)
        return gap < SAME_FRAMES and one.bounds.grown(reach).intersection(other.bounds).area > 0

    def belong(one: HoleGroup, other: HoleGroup) -> bool:
        if touch(one, other):
            return True
        if _frames_between(one, other) >= APART_FRAMES:
            return False
        both = HoleGroup(dict(one.holes), one.frames, one.bounds)
        both.take(other)
        return cost(both) <= cost(one) + cost(other)

    single = [HoleGroup({t: box}, range(t, t + 1), box) for t in shot for box in holes[t]]
    return _joined(_joined(single, touch), belong)


def _joined(groups: list[HoleGroup], belong: Callable[[HoleGroup, HoleGroup], bool]) -> list[HoleGroup]:
    """Join groups until no two of them belong together."""
    joined: list[HoleGroup] = []
    for group in groups:
        while other := next((other for other in reversed(joined) if belong(other, group)), None):
            joined.remove(other)
            other.take(group)
            group = other
        joined.append(group)
    return sorted(joined, key=lambda group: group.frames.start)


def _frames_between(one: HoleGroup, other: HoleGroup) -> int:
    """Frames between two groups; negative where they overlap."""
    return max(one.frames.start, other.frames.start) - min(one.frames.stop, other.frames.stop)
