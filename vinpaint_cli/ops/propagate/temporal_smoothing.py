"""Temporal smoothing of filled pixels along optical flow, against flicker.

Each frame is filled on its own, so where confidence is low two neighbours may choose different
candidates. Here a pixel of low confidence is mixed with that of its neighbour, once forward and once backward
in time, and the two are averaged. Pixels of high confidence stay as they are, so nothing sharp is blurred.

It is applied to what propagation found (`smooth_uncertain`), and again to what a method filled
(`smooth_filled`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from vinpaint_cli.ops.flow.motion import Motion, inconsistency, inconsistency_at
from vinpaint_cli.ops.image import Array, Bool, dilate, inside, pixel_positions, sample
from vinpaint_cli.ops.parallel import collected

STRENGTH = 0.9
"""Share of the neighbour for a pixel without any confidence of its own, where the flow is consistent."""

EVENED = 0.8
"""Share of the neighbour for a pixel that is all filled, where the flow is consistent."""

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
            (one, trust), (other, doubt) = later[t], earlier[t]
            total = np.maximum(trust + doubt, 1e-6)[:, None]
            frames[t][hole] = (one * trust[:, None] + other * doubt[:, None]) / total
            confidence[t][hole] = (trust + doubt) / 2


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
    share = np.where(filled, share, 0)
    theirs = sample(before[1], positions, outside="zero")
    kept = trust * (1 - share)
    total = kept + share * theirs
    weight = (share * theirs / np.maximum(total, 1e-6))[:, None]
    return (
        np.asarray(colour + weight * (_sampled(before, positions, theirs) - colour), np.float32),
        total.astype(np.float32),
    )


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
