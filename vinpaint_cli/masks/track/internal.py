"""The tracker `internal`: a network learns the object from the clip itself, and then finds it on each frame.

The mask from one annotated frame of internal video inpainting (Ouyang, Wang and Chen, ICCV 2021). The paper
takes what the network says of each frame; here the mask of the frame before, carried along optical flow, says
where to believe it, and the network goes on learning from what was found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.masks.track.augment import Seen, see_found, see_given
from vinpaint_cli.masks.track.flow import SEEDS_LEARNED, FlowTracker, SoftMasks, spread
from vinpaint_cli.masks.track.follow import (
    HIDDEN,
    LATELY,
    LEAST,
    LEFT,
    LEFTOVER,
    Belief,
    certainty,
    expectation,
    grey_of,
    touches_border,
    without_strangers,
)
from vinpaint_cli.masks.track.frame_reader import WORK_PIXELS, Bytes, shrunk, small_pictures
from vinpaint_cli.masks.track.guided_filter import snap
from vinpaint_cli.masks.track.learned import Finder
from vinpaint_cli.masks.track.recover import likeness_needed, likest
from vinpaint_cli.ops.flow import open_flow
from vinpaint_cli.ops.image import coordinate_grid, sample
from vinpaint_cli.types import FrameSource

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Plane

CERTAIN = 4.0
"""Most odds that the network is believed: it has seen one frame, and is surer than it should be."""
LEARNED_LATER, AT_ONCE = 200, 4
"""Steps of learning from what was found in a shot, however long it is, and most for one frame."""
LEAST_SHARE = 0.4
"""Share of the steps in which even a small picture is learned; the larger it is, the more it shows."""
WORTH_LEARNING = 0.1
"""Confidence from which on what was found is learned from."""


class InternalTracker(FlowTracker):
    """Learns an object from its seeds, and finds it from there both ways in time, on small pictures.

    Learning takes about the same time for every shot with a seed, and nothing without one. Memory: the
    network, one chunk of small pictures, the frames learned from, and a packed soft mask per frame.
    """

    def _follow(
        self,
        source: FrameSource,
        shot: range,
        held: Mapping[int, Hole],
        beliefs: SoftMasks,
        tick: Callable[[], None],
    ) -> None:
        """Ahead from the first seed to the end of the shot, and back from the last seed to its start."""
        small = {index: small_mask(hole, beliefs.size) for index, hole in held.items()}
        passes = [range(min(held), shot.stop), range(max(held), shot.start - 1, -1)] if held else []
        passes = [frames for frames in passes if any(index not in held for index in frames)]
        shown = [index for index in held if (small[index] > 0.5).any()]
        if not shown or not passes:
            return
        chosen = [shown[place] for place in spread(len(shown), SEEDS_LEARNED)]
        pace = LEARNED_LATER / sum(len(frames) for frames in passes)
        quarry = learn_quarry(source, {index: small[index] for index in chosen})
        for frames in passes:
            hunter = Hunter(quarry, min(pace, AT_ONCE))
            for index, picture in small_pictures(source, frames, beliefs.size):
                found = hunter.step(picture, small.get(index))
                if index not in held:
                    if not beliefs.has(index):
                        tick()
                    beliefs.add(index, found, frames.step)


def small_mask(hole: Hole, size: tuple[int, int]) -> Plane:
    """``hole`` bool ``(H, W)`` as a soft mask ``(h, w)`` of ``size``; what is too thin for it is kept."""
    plane: Plane = np.asarray(shrunk(hole.astype(np.float32), size), np.float32)
    most = float(plane.max())
    return plane / np.float32(most) if 0 < most <= 0.5 else plane


@dataclass(frozen=True, slots=True)
class Quarry:
    """The object as it was learned: its area in pixels, and how much like it a find must be."""

    finder: Finder
    area: int
    needed: float


def learn_quarry(source: FrameSource, seeds: Mapping[int, Plane]) -> Quarry:
    """Learn the object from its seeds, small masks by frame, one or more, none without the object.

    What else looks like it is judged on the last seed.
    """
    seen: list[Seen] = []
    for index, plane in sorted(seeds.items()):
        size = (plane.shape[1], plane.shape[0])
        picture = next(shown for _, shown in small_pictures(source, range(index, index + 1), size))
        seen.append(see_given(picture, plane))
    core = plane > 0.5
    finder = Finder(seen)
    finder.learn(min(1.0, max(LEAST_SHARE, core.size / WORK_PIXELS)))
    return Quarry(finder, int(np.count_nonzero(core)), likeness_needed(finder.odds(picture), core))


class Hunter:
    """Finds the object on one picture after the other, in either direction of time, from a seed on."""

    def __init__(self, quarry: Quarry, pace: float) -> None:
        """``pace``: steps of learning for each picture on which the object is found."""
        self._finder, self._needed = quarry.finder.copy(), quarry.needed
        self._pace, self._due = pace, 0.0
        self._flow = open_flow()
        self._areas = deque([max(quarry.area, LEAST)], maxlen=LATELY)
        self._before: tuple[Bytes, Plane] | None = None
        self._at_border = False
        self._age = 0

    def step(self, picture: Bytes, seed: Plane | None = None) -> Belief:
        """Belief of the next picture, uint8 ``(h, w, 3)``; ``seed`` is what it is known to be."""
        grey = grey_of(picture)
        self._age = 0 if seed is not None else self._age + 1
        found = self._found(picture, grey) if seed is None else Belief(seed, 1.0)
        core = found.plane > 0.5
        if core.any():
            self._areas.append(int(np.count_nonzero(core)))
            self._at_border = touches_border(core)
        self._before = grey, found.plane
        return found

    def _found(self, picture: Bytes, grey: Bytes) -> Belief:
        """Where the carried mask and the network agree; without a carried mask, what looks most like it."""
        odds = np.clip(self._finder.odds(picture), -CERTAIN, CERTAIN)
        carried = self._carried(grey)
        if self._is_lost(carried):
            sight = likest(odds, max(self._areas))
            if sight.likeness < self._needed:
                doubt = 1 - 0.5 * min(1.0, sight.likeness / self._needed)
                return self._nothing(grey, doubt)
            carried = sight.core.astype(np.float32)
        found = self._corrected(odds, grey, carried)
        if self._is_lost(found.plane):
            return self._nothing(grey)
        self._due += self._pace
        if self._due >= 1 and found.confidence > WORTH_LEARNING:
            self._finder.learn_later(see_found(picture, found.plane, odds), int(self._due))
        self._due %= 1
        return found

    def _carried(self, grey: Bytes) -> Plane:
        """The mask of the picture before, ``(h, w)``, where it should be on this one."""
        if self._before is None:
            return np.zeros(grey.shape, np.float32)
        before, plane = self._before
        if not plane.any():
            return plane
        return sample(plane, coordinate_grid(*grey.shape) + self._flow(grey, before), outside="zero")

    def _corrected(self, odds: Plane, grey: Bytes, carried: Plane) -> Belief:
        core = carried > 0.5
        both = odds + expectation(core)
        belief = without_strangers(snap(np.asarray(1 / (1 + np.exp(-both)), np.float32), grey), core)
        return Belief(belief, certainty(belief, odds, self._age))

    def _is_lost(self, plane: Plane) -> bool:
        return int(np.count_nonzero(plane > 0.5)) < max(LEAST, LEFTOVER * max(self._areas))

    def _nothing(self, grey: Bytes, doubt: float = 1.0) -> Belief:
        return Belief(np.zeros(grey.shape, np.float32), (LEFT if self._at_border else HIDDEN) * doubt)
