"""Temporal smoothing of filled pixels along optical flow, against flicker.

Each frame is filled on its own, so where confidence is low two neighbours may choose different
candidates. Here a pixel of low confidence is mixed with that of its neighbour, once forward and once backward
in time, and the two are averaged; where they show different things, the surer one is taken instead. Pixels of
high confidence stay as they are, so nothing sharp is blurred.

It is applied to what propagation found (`smooth_uncertain`), and again to what a method filled
(`smooth_filled`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from vinpaint_cli.ops.flow.motion import Motion, inconsistency, inconsistency_at
from vinpaint_cli.ops.image import (
    Array,
    Bool,
    box_around,
    dilate,
    inside,
    mean_around,
    pixel_positions,
    sample,
)
from vinpaint_cli.ops.parallel import collected
from vinpaint_cli.ops.propagate.choose import tolerated

STRENGTH = 0.9
"""Share of the neighbour for a pixel without any confidence of its own, where the flow is consistent."""

EVENED = 0.8
"""Share of the neighbour for a pixel that is all filled, where the flow is consistent."""

SAME_LIGHT = 0.1
"""Difference in light (of 1) at which two colours are mixed to e⁻¹: small ones flicker, large ones are of
different things."""

AROUND = 2
"""Pixels around each over which colours are compared."""

LEAST = 1e-3
"""Confidence below which a pixel is taken to hold no colour."""


def smooth_uncertain(
    frames: Array, confidence: Array, holes: Sequence[Bool], motion: Motion, threads: int = 1
) -> None:
    """Smooth pixels of low confidence over time, in place.

    frames: float32 ``(T, h, w, 3)`` in [0, 1], filled; confidence: float32 ``(T, h, w)`` in [0, 1], 1
    outside the holes; holes: T × bool ``(h, w)``, True = filled. Pixels of confidence 0 give nothing.
    """
    later, earlier = collected((1, -1), partial(_pass, frames, confidence, holes, motion), threads)
    for t, hole in enumerate(holes):
        if hole.any():
            area = _Hole(hole)
            alike = area.agreement(later[t][0], earlier[t][0])
            first = area.surer(later[t][1], earlier[t][1])
            frames[t][hole], total = merged(later[t], earlier[t], alike, first)
            confidence[t][hole] = total / (1 + alike)


def _pass(
    frames: Array, confidence: Array, holes: Sequence[Bool], motion: Motion, direction: int
) -> list[tuple[Array, Array]]:
    """Colours ``(n, 3)`` and confidences ``(n,)`` of each frame's hole, carried in one direction of time."""
    count = len(holes)
    order = range(count) if direction > 0 else range(count - 1, -1, -1)
    found: dict[int, tuple[Array, Array]] = {}
    before: tuple[Array, Array] | None = None
    for t in order:
        hole = holes[t]
        picture, trust = frames[t].copy(), confidence[t].copy()
        if hole.any() and before is not None:
            mixed = _mixed(
                picture[hole], trust[hole], before, hole, holes[t - direction], motion, t, direction
            )
            picture[hole], trust[hole] = mixed
        found[t] = picture[hole], trust[hole]
        before = picture, trust
    return [found[t] for t in range(count)]


def _mixed(
    colour: Array,
    trust: Array,
    before: tuple[Array, Array],
    hole: Bool,
    neighbour_hole: Bool,
    motion: Motion,
    t: int,
    direction: int,
) -> tuple[Array, Array]:
    """The hidden pixels of frame t with their share of the frame before it in this direction."""
    rows, columns = np.nonzero(hole)
    ahead, back = motion.step(t, -direction)
    positions = pixel_positions(rows, columns) + ahead[rows, columns]
    # A pixel the neighbour really shows was a candidate already.
    filled = sample(neighbour_hole.astype(np.float32), positions, outside="zero") > 0.01
    share = STRENGTH * np.exp(-inconsistency(ahead, back)[rows, columns]) * np.sqrt(np.maximum(0, 1 - trust))
    share = np.where(filled, share, 0).astype(np.float32)
    theirs = sample(before[1], positions, outside="zero")
    area, other = _Hole(hole), _sampled(before, positions, theirs)
    alike, given = area.agreement(colour, other), np.asarray(share * theirs, np.float32)
    first = area.surer(trust, given)
    kept = np.asarray(trust * (1 - share * alike), np.float32)
    return merged((colour, kept), (other, given), alike, first)


def merged(
    one: tuple[Array, Array], other: tuple[Array, Array], alike: Array, first: Bool
) -> tuple[Array, Array]:
    """The mean of two colours by their confidences where they are ``alike (n,)``, else one of them.

    one, other: colour ``(n, 3)`` and confidence ``(n,)``. first: bool ``(n,)``, which is taken then.
    """
    mine = one[1] * np.where(first, 1, alike)
    theirs = other[1] * np.where(first, alike, 1)
    total = mine + theirs
    weight = (theirs / np.maximum(total, 1e-6))[:, None]
    return np.asarray(one[0] + weight * (other[0] - one[0]), np.float32), total.astype(np.float32)


class _Hole:
    """The n pixels of a hole, where two colours ``(n, 3)`` in [0, 1] for each are compared."""

    def __init__(self, hole: Bool) -> None:
        self._hole = hole[box_around(hole, 0)]
        self._weight = self._hole.astype(np.float32)

    def agreement(self, one: Array, other: Array) -> Array:
        """1 where two colours are alike around a pixel, in detail and in light, to 0 where they differ."""
        apart = one - other
        level = self._mean(apart)
        detail = self._mean(np.abs(apart - level).mean(-1)) * np.float32(255)
        grey = one.mean(-1) * np.float32(255)
        texture = np.sqrt(np.maximum(self._mean(grey**2) - self._mean(grey) ** 2, 0))
        unlike = (detail / tolerated(texture)) ** 2 + (np.abs(level).max(-1) / SAME_LIGHT) ** 2
        return np.asarray(np.exp(-unlike), np.float32)

    def surer(self, one: Array, other: Array) -> Bool:
        """Where confidences ``one (n,)`` are, around a pixel, at least those of the other."""
        return self._mean(one) >= self._mean(other)

    def _mean(self, values: Array) -> Array:
        """Means of ``values (n[, c])`` over the pixels of the hole around each."""
        picture = np.zeros((*self._hole.shape, *values.shape[1:]), np.float32)
        picture[self._hole] = values
        return mean_around(picture, self._weight, AROUND)[self._hole]


def _sampled(before: tuple[Array, Array], positions: Array, trust: Array) -> Array:
    """Colours ``(n, 3)`` of the neighbour; ``trust (n,)`` is its confidence there.

    A pixel without confidence holds no colour. Where one is near, the others are weighted by what they know.
    """
    picture, confidence = before
    colour = sample(picture, positions, order=3)
    # A cubic takes in what is up to two pixels away.
    empty = dilate(confidence < LEAST, 2)
    partly = sample(empty.astype(np.float32), positions, order=0) > 0
    if partly.any():
        weighted = sample(picture * confidence[..., None], positions[partly], outside="zero")
        colour[partly] = weighted / np.maximum(trust[partly], 1e-6)[:, None]
    return colour


def smooth_filled(frames: Array, shares: Array, motion: Motion) -> None:
    """Smooth what a method filled over time along the flow, in place.

    frames: float32 ``(T, h, w, 3)``, complete; shares: float32 ``(T, h, w)`` in [0, 1], how much of each
    pixel was filled, and how far it may change; motion: of these frames.
    """
    later, earlier = (_carried_on(frames, shares, motion, direction) for direction in (1, -1))
    for frame, share, one, other in zip(frames, shares, later, earlier, strict=True):
        frame[share > 0] = (one + other) / 2


def _carried_on(frames: Array, shares: Array, motion: Motion, direction: int) -> list[Array]:
    """Colours ``(n, 3)`` of what was filled in each frame, with those before it in one direction of time."""
    count = len(frames)
    found: dict[int, Array] = {}
    before: Array | None = None
    for t in range(count) if direction > 0 else range(count - 1, -1, -1):
        filled = shares[t] > 0
        colour = frames[t][filled]
        if before is not None and len(colour):
            colour = _evened(colour, shares[t], before, motion, t, direction)
        before = frames[t]
        if len(colour):
            before = before.copy()
            before[filled] = colour
        found[t] = colour
    return [found[t] for t in range(count)]


def _evened(colour: Array, share: Array, before: Array, motion: Motion, t: int, direction: int) -> Array:
    """The filled pixels ``(n, 3)`` of frame t, each with its part of the frame before it."""
    rows, columns = np.nonzero(share > 0)
    ahead, back = motion.step(t, -direction)
    positions = pixel_positions(rows, columns) + ahead[rows, columns]
    doubt = inconsistency_at(ahead, back, rows, columns)
    part = EVENED * np.exp(-doubt) * share[rows, columns] * inside(positions, *share.shape)
    return np.asarray(colour + part[:, None] * (sample(before, positions) - colour), np.float32)
