"""Scores of candidates for a hidden pixel, and their fusion to one colour with a confidence.

Every candidate (a pixel that another frame shows) gets a score, linear in features that do not need the
truth; "no candidate is good" scores 0. A softmax over the scores gives the weights; the weight of
"none" is the residual that a later stage has to fill. The coefficients minimise a robust
(Charbonnier) error of the fused picture, relative to per-frame inpainting, over blobs, boxes and
ellipses on freely licensed clips, none of them a benchmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from vinpaint_cli.ops.image import Array, Bool

Kind = Literal["chain", "camera", "far"]
KINDS: tuple[Kind, ...] = get_args(Kind)

COEFFICIENTS: dict[Kind, tuple[float, float, float, float, float]] = {
    # seam, inconsistency, distance, depth (each as a logarithm), constant
    "chain": (-2.51, -0.97, -1.32, 1.26, 7.74),
    "camera": (-1.95, -0.34, -1.72, 2.05, 5.17),
    "far": (-2.04, -1.46, -0.56, 0.76, 7.75),
}
NEVER = np.float32(-1e4)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One proposal for n hidden pixels.

    colour: float32 ``(n, 3)`` in 0…255. valid: bool ``(n,)``. ramp: ``(n,)`` in (0, 1], its
    weight as it fades out towards the edge of what the source shows. seam: ``(n,)`` levels by which the same
    source misses the known pixels around, carried inward. inconsistency: ``(n,)`` forward–backward error
    relative to what the motion allows, summed along the way. distance: ``(n,)`` frames to the source.
    kind: carried frame by frame along flow (chain), by the camera's motion alone from the nearest frame that
    shows the point (camera), or from a far frame aligned by both (far).
    """

    colour: Array
    valid: Bool
    ramp: Array
    seam: Array
    inconsistency: Array
    distance: Array
    kind: Kind


def score(candidate: Candidate, depth: Array) -> Array:
    """Log-odds ``(n,)`` of the candidate against "none"; ``depth`` in pixels at 240 lines ``(n,)``."""
    a, b, c, d, e = COEFFICIENTS[candidate.kind]
    value = (
        a * np.log1p(candidate.seam)
        + b * np.log1p(candidate.inconsistency)
        + c * np.log(np.maximum(candidate.distance, 1))
        + d * np.log1p(depth)
        + e
        + np.log(candidate.ramp)
    )
    return np.where(candidate.valid, value, NEVER).astype(np.float32)


def fuse(candidates: Sequence[Candidate], depth: Array) -> tuple[Array, Array]:
    """``(colour (n, 3) in 0…255, confidence (n,) in [0, 1])``; colour is 0 where confidence is 0."""
    n = len(depth)
    if not candidates:
        return np.zeros((n, 3), np.float32), np.zeros(n, np.float32)
    scores = np.stack([score(candidate, depth) for candidate in candidates])
    top = np.maximum(scores.max(0), 0)
    weights = np.exp(scores - top)
    total = weights.sum(0)
    colour = sum(w[:, None] * c.colour for w, c in zip(weights, candidates, strict=True))
    confidence = total / (total + np.exp(-top))
    colour = colour / np.maximum(total, 1e-12)[:, None]
    return colour.astype(np.float32), confidence.astype(np.float32)
