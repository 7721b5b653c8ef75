"""Forecast of the time that filling and encoding still take, from what has been measured so far.

What a segment costs grows with the pixels of its region, for optical flow, and with those of its holes, for
all that fills them. Before anything is measured the stages are taken to cost what they did on one core of
2020; finished segments then tell what each stage really costs, for this method, clip and machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.types import Segment

FLOW = 0.57
"""Seconds for the flow between two frames per megapixel of their region."""

FRAME = 13.0
"""Seconds for what propagation finds per megapixel of a frame's hole."""

TRACE = 0.3
"""Seconds for tracing and smoothing, per frame and megapixel of its region."""

METHOD = 2.0
"""Seconds for the coarse picture of what is not found, per megapixel of a frame's hole."""

TEXTURE = 5.0
"""Seconds for what no frame shows, per megapixel of a frame's hole."""

BELIEF = 0.2
"""Seconds of work that the machine of 2020 counts for, against what is measured of this one."""

ENCODE = 4.0
"""Times that encoding a frame takes as long as looking for its hole, which decodes it too."""


@dataclass(frozen=True, slots=True)
class SegmentCost:
    """Seconds that a segment is taken to cost.

    flow: of all pairs of its frames; find: of all else that is propagated; fill: of what follows.
    """

    flow: float
    find: float
    fill: float

    @property
    def total(self) -> float:
        """All stages."""
        return self.flow + self.find + self.fill

    def after(self, ticks: int, frames: int) -> float:
        """What it has cost after so many of the 2·frames − 1 ticks of propagation."""
        pairs = max(1, frames - 1)
        found = min(max(0, ticks - pairs), frames)
        return self.flow * min(ticks, pairs) / pairs + self.find * found / frames


def cost_of(plan: Plan, segment: Segment, propagates: bool = True, textures: bool = True) -> SegmentCost:
    """The cost of a segment, before anything is measured."""
    region = segment.roi.area / 1e6
    own = segment.roi if segment.own is None else segment.own
    boxes = [box for index in segment.shown for box in plan.scan.boxes[index]]
    hole = sum(box.intersection(own).area for box in boxes) / 1e6
    flow = FLOW * region * (len(segment.frames) - 1) * propagates
    find = (FRAME * hole + TRACE * region * len(segment.frames)) * propagates
    return SegmentCost(flow, find, (METHOD + TEXTURE * textures) * hole)


class Forecast:
    """Tells ``expect`` how many seconds are left, whenever something has advanced.

    ``segments`` are filled in this order, ``frames`` written; ``encode``: seconds for a frame, until some
    are measured.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        costs: Sequence[SegmentCost],
        frames: int,
        encode: float,
        expect: Callable[[float], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._segments, self._costs = segments, costs
        self._frames, self._written, self._encode = frames, 0, encode
        self._expect, self._clock = expect, clock
        self._place = self._ticks = 0
        self._started = self._last = clock()
        self._encoding = self._reading = 0.0
        self._spent = self._foreseen = SegmentCost(0.0, 0.0, 0.0)

    def tick(self) -> None:
        """Count a tick of the segment that is being filled; its frames are read before the first."""
        if self._ticks == 0:
            self._reading += self._clock() - self._last
        self._ticks += 1
        self._tell()

    def filled(self, seconds: Mapping[str, float]) -> None:
        """Count a segment, with what its stages took."""
        cost = self._costs[self._place]
        found = seconds.get("propagate", 0.0)
        flow = found * cost.flow / max(1e-9, cost.flow + cost.find)
        spent = SegmentCost(flow, found - flow, sum(seconds.values()) - found)
        self._spent, self._foreseen = _sum(self._spent, spent), _sum(self._foreseen, cost)
        self._ticks = max(0, self._ticks - 2 * len(self._segments[self._place].frames) + 1)
        self._place += 1
        self._tell()

    def wrote(self, seconds: float) -> None:
        """Count a frame, and how long writing it took."""
        self._written += 1
        self._encoding += seconds
        self._tell()

    def _tell(self) -> None:
        left = self._frames - self._written
        encode = self._encoding / self._written if self._written else self._encode
        done = self._spent.total
        if self._place < len(self._costs):
            frames = len(self._segments[self._place].frames)
            done += self._corrected(self._costs[self._place]).after(self._ticks, frames)
        todo = self._spent.total + sum(self._corrected(cost).total for cost in self._costs[self._place :])
        self._last = self._clock()
        working = self._last - self._started - self._encoding - self._reading
        speed = (working + BELIEF) / (done + BELIEF)
        self._expect(left * encode + speed * (todo - done))

    def _corrected(self, cost: SegmentCost) -> SegmentCost:
        """A cost in the light of the segments that are filled."""
        spent, foreseen = self._spent, self._foreseen
        pairs = ((spent.flow, foreseen.flow), (spent.find, foreseen.find), (spent.fill, foreseen.fill))
        flow, find, fill = (one / other if other else 1.0 for one, other in pairs)
        return SegmentCost(cost.flow * flow, cost.find * find, cost.fill * fill)


def _sum(one: SegmentCost, other: SegmentCost) -> SegmentCost:
    return SegmentCost(one.flow + other.flow, one.find + other.find, one.fill + other.fill)
