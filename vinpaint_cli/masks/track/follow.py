"""One pass along a shot: carry what is believed of a frame to the next, and correct it by looks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.masks.track.appearance import (
    EXAMPLES,
    LOOKS,
    TEXTURE,
    Appearance,
    Looks,
    describe,
    draw_examples,
)
from vinpaint_cli.masks.track.frame_reader import Bytes, small_pictures
from vinpaint_cli.masks.track.guided_filter import snap
from vinpaint_cli.masks.track.recover import likeness_needed, likest
from vinpaint_cli.metrics.davis import region_similarity
from vinpaint_cli.ops.flow import open_flow
from vinpaint_cli.ops.flow.camera import apply_homography, fit_homography
from vinpaint_cli.ops.image import Array, Bool, coordinate_grid, dilate, luma, sample
from vinpaint_cli.types import Box, FrameSource

if TYPE_CHECKING:
    from vinpaint_cli.types import Plane

MOTION, PLACE = 3, 2
KINDS = Looks(LOOKS - TEXTURE, (TEXTURE, MOTION, PLACE), jitter=0.15)
"""What the network sees of a pixel: colour and edges, texture, motion against the camera's, place."""

MARGIN = 60
"""Pixels around the carried mask within which the object is looked for."""
REACH = 20
"""Pixels outside the carried mask from which on it is less and less believed to be."""
SOFT = 6.0
"""Pixels over which the edge of the carried mask is believed to lie."""
CARRIED_SHARE = 0.5
LEAST = 5
"""Pixels of an object that can still be followed."""
LEFTOVER, LATELY = 0.03, 25
"""Share of the largest area of so many frames below which what is left of an object counts as lost."""
FADING = 0.98
LEFT, HIDDEN = 0.75, 0.4
"""Confidence that an object is gone that was last seen at the edge of the picture, or within it."""
_SMALL_PART = 0.1


@dataclass(frozen=True, slots=True)
class Belief:
    """Probability ``(h, w)`` in [0, 1] that a pixel is of the object, and how sure that is, in [0, 1]."""

    plane: Plane
    confidence: float


@dataclass(frozen=True, slots=True)
class Target:
    """The object as it was learned: its usual area in pixels, and how much like it a find must be."""

    appearance: Appearance
    area: int
    needed: float


def learn_target(source: FrameSource, shot: range, seeds: Mapping[int, Plane]) -> Target:
    """Learn the object from its seeds, small soft masks by frame, one or more, none without the object.

    What else looks like it is judged on the last seed.
    """
    rng = np.random.default_rng(0)
    examples = []
    looks = np.empty((0, 0, KINDS.columns), np.float32)
    for index, plane in sorted(seeds.items()):
        height, width = plane.shape
        picture, motion = _seen(source, shot, index, (width, height))
        looks = look(picture, motion, plane, Box(0, 0, width, height))
        examples.append(draw_examples(looks, plane, EXAMPLES, rng))
    appearance = Appearance(KINDS, examples)
    needed = likeness_needed(appearance.odds(KINDS.without_last(looks)), plane > 0.5)
    return Target(appearance, int(np.count_nonzero(plane > 0.5)), needed)


def _seen(source: FrameSource, shot: range, index: int, size: tuple[int, int]) -> tuple[Bytes, Array]:
    """A frame, and how it moves on to the next, or, at the end of the shot, how it came from the last."""
    ahead = index + 1 in shot
    near = range(index, index + 2) if ahead else range(max(shot.start, index - 1), index + 1)
    pictures = [picture for _, picture in small_pictures(source, near, size)]
    here = pictures[0 if ahead else -1]
    other = pictures[-1 if ahead else 0]
    flow = open_flow()(grey_of(here), grey_of(other))
    return here, flow if ahead else -flow


def grey_of(picture: Bytes) -> Bytes:
    """8-bit grey ``(h, w)`` of ``(h, w, 3)``."""
    return luma(picture.astype(np.float32))


def look(picture: Bytes, flow: Array, belief: Plane, window: Box) -> Array:
    """Looks of the pixels in ``window``: float32 ``(h, w, KINDS.columns)``.

    picture: uint8 ``(H, W, 3)``; flow: to the next moment ``(H, W, 2)``; belief: where the object is, from
    which the pixels' place is counted.
    """
    rows, columns = window.slices()
    parts = [describe(picture[rows, columns])]
    parts += [planes[rows, columns] for planes in (_motion(flow, belief), _place(belief))]
    return np.concatenate(parts, axis=-1)


def _motion(flow: Array, belief: Plane) -> Array:
    """Motion against that of the camera, squashed, and the logarithm of its length: ``(H, W, 3)``."""
    import cv2

    grid = coordinate_grid(*belief.shape)
    camera = fit_homography(flow, ~dilate(belief > 0.3, 4), tolerance=1.5)
    own = flow - (apply_homography(camera, grid) - grid)
    length = np.sqrt((own * own).sum(-1, keepdims=True))
    squashed = cv2.GaussianBlur(own / (1 + 0.3 * length) * 0.5, (0, 0), 1.5)
    return np.concatenate([squashed, np.log1p(length)], axis=-1, dtype=np.float32)


def _place(belief: Plane) -> Array:
    """Place from the object's middle, in units of its size, at most 3: ``(H, W, 2)``."""
    grid = coordinate_grid(*belief.shape)
    total = max(float(belief.sum()), 1e-6)
    middle = np.array([float((belief * grid[..., axis]).sum()) / total for axis in (0, 1)], np.float32)
    away = ((grid - middle) ** 2).sum(-1)
    extent = float(np.sqrt((belief * away).sum() / total)) + 4
    return np.asarray(np.clip((grid - middle) / np.float32(1.5 * extent), -3, 3), np.float32)


class Follower:
    """Follows one object from a seed; ``direction`` is that of time, 1 or -1."""

    def __init__(self, target: Target, direction: int) -> None:
        self._appearance, self._needed = target.appearance.copy(), target.needed
        self._direction = direction
        self._flow = open_flow()
        self._rng = np.random.default_rng(1)
        self._grey: Bytes | None = None
        self._belief: Plane | None = None
        self._areas = deque([max(target.area, LEAST)], maxlen=LATELY)
        self._at_border = False
        self._age = 0

    def step(self, picture: Bytes, seed: Plane | None = None) -> Belief:
        """Belief of the next picture, uint8 ``(h, w, 3)``; ``seed`` is what it is known to be."""
        grey = grey_of(picture)
        self._age = 0 if seed is not None else self._age + 1
        if seed is not None or self._grey is None or self._belief is None:
            found = Belief(np.zeros(grey.shape, np.float32) if seed is None else seed, 1.0)
            area = int(np.count_nonzero(found.plane > 0.5))
            if area >= LEAST:
                self._areas = deque([area], maxlen=LATELY)
                self._at_border = touches_border(found.plane > 0.5)
        else:
            found = self._next(picture, grey)
        self._grey, self._belief = grey, found.plane
        return found

    def _next(self, picture: Bytes, grey: Bytes) -> Belief:
        assert self._grey is not None
        assert self._belief is not None
        flow = self._flow(grey, self._grey)
        carried = sample(self._belief, coordinate_grid(*grey.shape) + flow, outside="zero")
        motion = -self._direction * flow
        if self._is_lost(carried):
            return self._seek(picture, grey, motion)
        found = self._correct(picture, grey, motion, carried)
        if self._is_lost(found.plane):
            return Belief(np.zeros(grey.shape, np.float32), LEFT if self._at_border else HIDDEN)
        return self._noted(found)

    def _noted(self, found: Belief) -> Belief:
        """Remember how large the object was last, and whether it reached over the picture's edge."""
        core = found.plane > 0.5
        self._areas.append(int(np.count_nonzero(core)))
        self._at_border = touches_border(core)
        return found

    def _is_lost(self, belief: Plane) -> bool:
        return int(np.count_nonzero(belief > 0.5)) < max(LEAST, LEFTOVER * max(self._areas))

    def _correct(self, picture: Bytes, grey: Bytes, motion: Array, carried: Plane) -> Belief:
        """What looks make of the carried belief; the network goes on learning from it."""
        core = carried > 0.5
        box = hole_box(core)
        assert box is not None
        window = _widened(box, carried.shape)
        slices = window.slices()
        looks = look(picture, motion, carried, window)
        own = self._appearance.odds(looks)
        odds = own + CARRIED_SHARE * expectation(core[slices])
        belief = snap(np.asarray(1 / (1 + np.exp(-odds)), np.float32), grey[slices])
        belief = without_strangers(belief, core[slices])
        self._appearance.learn(draw_examples(looks, belief, EXAMPLES // 2, self._rng))
        plane = np.zeros(carried.shape, np.float32)
        plane[slices] = belief
        return Belief(plane, certainty(belief, own, self._age))

    def _seek(self, picture: Bytes, grey: Bytes, motion: Array) -> Belief:
        """Look for a lost object in the whole picture, wherever it may be by now."""
        nowhere = np.zeros(grey.shape, np.float32)
        looks = look(picture, motion, nowhere, Box(0, 0, grey.shape[1], grey.shape[0]))
        sight = likest(self._appearance.odds(KINDS.without_last(looks)), max(self._areas))
        if sight.likeness >= self._needed:
            found = self._correct(picture, grey, motion, sight.core.astype(np.float32))
            if not self._is_lost(found.plane):
                return self._noted(found)
        doubt = 1 - 0.5 * min(1.0, sight.likeness / self._needed)
        return Belief(nowhere, (LEFT if self._at_border else HIDDEN) * doubt)


def expectation(core: Bool) -> Plane:
    """Odds from the carried mask alone: positive inside it, and sinking on and on beyond `REACH` outside."""
    import cv2

    inside = cv2.distanceTransform(core.astype(np.uint8), cv2.DIST_L2, 3)
    outside = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3)
    odds = 3 * np.tanh(inside / SOFT) - 2.5 * np.tanh(outside / SOFT) - 0.5 * np.maximum(outside - REACH, 0)
    return np.asarray(np.maximum(odds, -20), np.float32)


def touches_border(core: Bool, reach: int = 3) -> bool:
    """Whether ``core (h, w)`` comes within ``reach`` pixels of the picture's edge."""
    inner = core[reach:-reach, reach:-reach]
    return bool(np.count_nonzero(inner) < np.count_nonzero(core))


def certainty(belief: Plane, odds: Plane, age: int) -> float:
    """Guess at the overlap with the truth (J), in [0, 1].

    How well the mask agrees with what looks alone say near it (squared, since both may be wrong alike),
    times how clear-cut the belief is, times a little less for every doubling of the frames followed.
    """
    mask = belief > 0.5
    alike = (odds > 0) & dilate(mask, 7)
    agreement = region_similarity(alike, mask)
    inside = float(belief[mask].sum())
    clearness = inside / max(1e-6, np.count_nonzero(mask) + float(belief.sum()) - inside)
    return float(agreement**2 * clearness * FADING ** math.log2(max(1, age)))


def without_strangers(belief: Plane, core: Bool) -> Plane:
    """Belief in parts that the carried mask does not touch, or that are tiny, is brought below a half."""
    import cv2

    count, parts, facts, _ = cv2.connectedComponentsWithStats((belief > 0.5).astype(np.uint8))
    if count < 2:
        return belief
    touched = np.bincount(parts[core], minlength=count) > 0
    area = facts[:, cv2.CC_STAT_AREA]
    own = touched & (area > _SMALL_PART * area[1:].max())
    own[0] = True
    return np.where(own[parts], belief, np.minimum(belief, 0.3)).astype(np.float32)


def _widened(box: Box, shape: tuple[int, ...]) -> Box:
    grown = Box(box.x0 - MARGIN, box.y0 - MARGIN, box.x1 + MARGIN, box.y1 + MARGIN)
    return grown.intersection(Box(0, 0, shape[1], shape[0]))
