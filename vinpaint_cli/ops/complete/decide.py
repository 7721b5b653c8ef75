"""Decides which hidden pixels were seen: in coherent pieces, alike in neighbouring frames.

Propagation tells of each hidden pixel how far it can be trusted. What is half trusted is not mixed with
anything: a minimum cut with a cost for borders (`ops.graph_cut`) takes each piece whole or leaves it.
"""

from __future__ import annotations

import numpy as np

from vinpaint_cli.ops.flow.motion import Motion, inconsistency_at
from vinpaint_cli.ops.graph_cut import EdgeWeights, graph_cut
from vinpaint_cli.ops.image import Array, Bool, box_around, pixel_positions, sample

TRUSTED = 0.35
"""Confidence from which on a pixel alone would count as seen."""

SURE = 0.02
"""Confidences are told between this and 1 less this: no pixel outweighs all around it."""

NOTHING = 1e-3
"""Confidence up to which there is no colour: such a pixel is never seen."""

BORDER = 1.5
"""What one pixel of border between seen and not seen costs, in units of log-odds."""

NEIGHBOUR = 0.7
"""What each neighbouring frame counts beside the frame itself, where the flow is consistent."""

SWEEPS = 60
"""Steps in which the labelling is solved."""


def decide(confidence: Array, holes: Bool, motion: Motion, scale: float = 1.0) -> Bool:
    """Which pixels are seen: bool ``(T, h, w)``, True outside the holes.

    confidence: float32 ``(T, h, w)`` in [0, 1], as propagation tells. holes: bool ``(T, h, w)``, True = fill.
    motion: completed, of these frames. scale: frame height / 240.
    """
    seen = np.ones_like(holes)
    odds = [_log_odds(trust) for trust in confidence]
    for t, hole in enumerate(holes):
        if hole.any() and float(confidence[t][hole].min()) < 1 - SURE:
            agreed = _with_neighbours(odds, holes, motion, t)
            box = box_around(hole, 1)
            share = graph_cut(agreed[box], _borders(hole[box], BORDER * max(1.0, scale)), SWEEPS)
            seen[t][box] = ~hole[box] | ((share > 0.5) & (confidence[t][box] > NOTHING))
    return seen


def _log_odds(trust: Array) -> Array:
    bounded = np.clip(trust, SURE, 1 - SURE)
    return np.asarray(np.log(bounded / (1 - bounded)) - np.log(TRUSTED / (1 - TRUSTED)), np.float32)


def _with_neighbours(odds: list[Array], holes: Bool, motion: Motion, t: int) -> Array:
    """Log-odds of frame t ``(h, w)``, mean with those of its neighbours along the flow."""
    rows, columns = np.nonzero(holes[t])
    total, weight = odds[t][rows, columns].copy(), np.ones(len(rows), np.float32)
    for direction in (1, -1):
        s = t + direction
        if 0 <= s < len(odds):
            ahead, back = motion.step(t, direction)
            there = pixel_positions(rows, columns) + ahead[rows, columns]
            counts = NEIGHBOUR * np.exp(-inconsistency_at(ahead, back, rows, columns))
            counts *= sample(holes[s].astype(np.float32), there, outside="zero")
            total += counts * sample(odds[s], there)
            weight += counts
    mean = np.zeros_like(odds[t])
    mean[rows, columns] = total / weight
    return mean


def _borders(hole: Bool, cost: float) -> EdgeWeights:
    """What it costs to part neighbours ``(h, w)`` of one hole; along its edge nothing."""
    return EdgeWeights(
        np.asarray(cost * (hole[:, 1:] & hole[:, :-1]), np.float32),
        np.asarray(cost * (hole[1:] & hole[:-1]), np.float32),
    )
