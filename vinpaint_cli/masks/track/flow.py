"""The embedded tracker: flow says where the object should be, its looks say where it is."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.masks.track import Tracked
from vinpaint_cli.masks.track.follow import Belief, Follower, learn_target
from vinpaint_cli.masks.track.frame_reader import grown, seeds_within, shrunk, small_pictures, work_size
from vinpaint_cli.metrics.davis import region_similarity
from vinpaint_cli.types import FrameSource

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Picture, Plane, Segmenter

SEEDS_LEARNED = 12
"""Most seeds of a shot that the object's looks are learned from."""
UNSEEN = 0.3
"""How much finding nothing counts, where the object is followed from both sides."""
SAME = 0.6
"""J with what was followed from which on a refined mask is taken for the same object."""


class FlowTracker:
    """Follows an object from its seeds both ways in time, on small pictures, and then draws it at full size.

    Between two seeds it is followed from both, and what the nearer and the surer says counts for more.
    Memory: one chunk of small pictures, and a packed soft mask per frame of the shot.
    """

    def __init__(self, segmenter: Segmenter | None = None) -> None:
        """``segmenter`` may refine the mask of each frame at full size; None leaves it as it was followed."""
        self._segmenter = segmenter

    def track(
        self,
        source: FrameSource,
        shot: range,
        seeds: Mapping[int, Hole],
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[Tracked]:
        """See `Tracker`."""
        held = seeds_within(source.info, shot, seeds)
        beliefs = SoftMasks(work_size(source.info), tuple(held))
        self._follow(source, shot, held, beliefs, tick)
        for index in shot:
            if not beliefs.has(index):
                tick()
        yield from _draw(source, shot, held, beliefs, self._segmenter)

    def _follow(
        self,
        source: FrameSource,
        shot: range,
        held: Mapping[int, Hole],
        beliefs: SoftMasks,
        tick: Callable[[], None],
    ) -> None:
        """Ahead from the first seed to the end of the shot, and back from the last seed to its start."""
        size = beliefs.size
        shown = [index for index, hole in held.items() if hole.any()]
        if not shown:
            return
        chosen = [shown[place] for place in spread(len(shown), SEEDS_LEARNED)]
        target = learn_target(source, shot, {index: _small(held[index], size) for index in chosen})
        first, last = min(held), max(held)
        for frames in (range(first, shot.stop), range(last, shot.start - 1, -1)):
            if len(frames) < 2:
                continue
            follower = Follower(target, frames.step)
            for index, picture in small_pictures(source, frames, size):
                seed = _small(held[index], size) if index in held else None
                found = follower.step(picture, seed)
                if seed is None:
                    if not beliefs.has(index):
                        tick()
                    beliefs.add(index, found, frames.step)


def _small(hole: Hole, size: tuple[int, int]) -> Plane:
    return np.asarray(shrunk(hole.astype(np.float32), size), np.float32)


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` places, evenly spread, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


@dataclass(frozen=True, slots=True)
class _Packed:
    data: bytes
    confidence: float
    weight: float


class SoftMasks:
    """Beliefs ``(h, w)`` per frame in 8 bits, compressed; those from both sides of a frame are mixed."""

    def __init__(self, size: tuple[int, int], seeds: tuple[int, ...]) -> None:
        """``size``: ``(width, height)``; seeds: frames that were given."""
        self.size, self._seeds = size, seeds
        self._packed: dict[int, _Packed] = {}

    def __bool__(self) -> bool:
        """Whether there is a belief for any frame."""
        return bool(self._packed)

    def has(self, index: int) -> bool:
        """Whether there is a belief for the frame."""
        return index in self._packed

    def add(self, index: int, belief: Belief, direction: int) -> None:
        """Keep a belief, or mix it with the other direction's: by confidence and nearness of the seed."""
        seen = 1.0 if belief.plane.any() else UNSEEN
        weight = seen * belief.confidence / self._distance(index, direction) + 1e-6
        plane, confidence = belief.plane, belief.confidence
        before = self._packed.get(index)
        if before is not None:
            share = weight / (weight + before.weight)
            plane = share * plane + (1 - share) * self.plane(index)
            confidence = share * confidence + (1 - share) * before.confidence
        levels = np.rint(plane * 255).astype(np.uint8)
        self._packed[index] = _Packed(zlib.compress(levels.tobytes(), 1), confidence, weight)

    def plane(self, index: int) -> Plane:
        """Belief of a frame, float32 ``(h, w)`` in [0, 1]."""
        levels = np.frombuffer(zlib.decompress(self._packed[index].data), np.uint8)
        return levels.reshape(self.size[1], self.size[0]).astype(np.float32) / np.float32(255)

    def confidence(self, index: int) -> float:
        """In [0, 1]."""
        return self._packed[index].confidence

    def _distance(self, index: int, direction: int) -> int:
        """Frames since the last seed on the way."""
        return min(abs(index - seed) for seed in self._seeds if (index - seed) * direction > 0)


def _draw(
    source: FrameSource,
    shot: range,
    held: Mapping[int, Hole],
    beliefs: SoftMasks,
    segmenter: Segmenter | None,
) -> Iterator[Tracked]:
    """Masks at full size, in order; frames are read again only for a segmenter."""
    native = source.info.width, source.info.height
    pictures = source.frames(shot.start, shot.stop) if segmenter is not None and beliefs else None
    for index in shot:
        frame = next(pictures) if pictures is not None else None
        if index in held:
            yield Tracked(index, held[index].copy(), 1.0)
        elif not beliefs.has(index):
            yield Tracked(index, np.zeros((native[1], native[0]), np.bool_), 1.0)
        else:
            belief = grown(beliefs.plane(index), native)
            if frame is not None and segmenter is not None:
                belief = refined(segmenter, frame.rgb, belief)
            yield Tracked(index, belief > 0.5, beliefs.confidence(index))


def refined(segmenter: Segmenter, rgb: Picture, belief: Plane) -> Plane:
    """What the segmenter makes of ``belief (H, W)``, unless that is quite another object."""
    if not (belief > 0.5).any():
        return belief
    found = segmenter.refine(rgb, belief)
    return found if region_similarity(found > 0.5, belief > 0.5) >= SAME else belief
