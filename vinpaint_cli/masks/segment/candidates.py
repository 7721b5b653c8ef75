"""Which of several cuts is the object meant: each is described by a few numbers, its overlap predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.masks.segment.working_image import WorkingImage, bounds
from vinpaint_cli.metrics.davis import region_similarity
from vinpaint_cli.ops.image import Array, Bool, dilate
from vinpaint_cli.types import MAX_CANDIDATES

if TYPE_CHECKING:
    from vinpaint_cli.masks.segment.motion_cue import MotionCue

Sides = tuple[float, float, float, float]
"""Left, top, right and bottom of a box."""

RING = 12
"""Width in pixels of the surroundings that a cut is compared with."""

DESCRIPTORS = (
    *("contrast", "edges", "inside", "outside", "moves", "rests", "overlap", "still"),
    *("size", "border", "solid", "thin", "agreement", "nearest", "box"),
)


WEIGHTS = (
    (-10.0, 4.0, 0.4, -0.8, 3.4, 2.1, 1.6, 1.9, 2.9, 3.0, -4.6, -1.7, -1.7, 0.1, 2.2, 0.0),
    (-9.8, -0.8, 4.6, 0.8, 0.2, 0.8, 0.9, 0.7, 1.2, 1.6, 3.9, 3.4, -0.8, 1.2, -0.5, 1.6),
)
"""Logistic regression of the overlap, constant first, for points and for boxes, such that the best of several
cuts comes first and overlaps are predicted right. Fitted to cuts of 28 objects on composites with known masks
(220 clicks, 110 boxes) and, for points, on the freely licensed photos and clips they come from (50 clicks, of
threefold weight). There overlaps were predicted too high, so the constant for points is lowered: by 0.3, and
by 0.7 where something moves.
"""

DISTINCT = 0.85
"""Overlap (J) from which on two cuts count as the same."""


def best_cuts(
    image: WorkingImage, cuts: Sequence[Bool], cue: MotionCue | None, box: Sides | None
) -> list[tuple[Bool, float]]:
    """One to three distinct cuts ``(h, w)`` and their predicted overlaps in [0, 1], best first.

    ``cuts``: one or more, some may be empty. ``box``: the one that was given, in pixels of the image. In a
    box, and where something moves, the first of the cuts stays first: the prediction chooses no better.
    """
    there = [cut for cut in cuts if cut.any()]
    if not there:
        return [(cuts[0], 0.0)]
    overlaps = predict_overlaps(describe(image, there, cue, box), boxed=box is not None)
    if box is not None or cue is not None:
        overlaps = np.minimum(overlaps, overlaps[0])
    found: list[tuple[Bool, float]] = []
    for at in np.argsort(-overlaps, kind="stable"):
        if all(region_similarity(there[at], other) < DISTINCT for other, _ in found):
            found.append((there[at], float(overlaps[at])))
    return found[:MAX_CANDIDATES]


def predict_overlaps(descriptors: Array, *, boxed: bool) -> Array:
    """Predicted overlaps ``(n,)`` in [0, 1] of cuts by their `describe`, for points or a box."""
    weights = np.array(WEIGHTS[boxed], np.float32)
    return np.asarray(1 / (1 + np.exp(-(weights[0] + descriptors @ weights[1:]))), np.float32)


def describe(
    image: WorkingImage,
    cuts: Sequence[Bool],
    cue: MotionCue | None,
    box: Sides | None,
) -> Array:
    """Descriptors ``(n, 15)`` of cuts ``(h, w)`` that are not empty, each about 0 to 1, see `DESCRIPTORS`."""
    flat = np.array(cuts, np.float32).reshape(len(cuts), -1)
    both = flat @ flat.T
    area = both.diagonal()
    alike = both / (area[:, None] + area - both)
    np.fill_diagonal(alike, 0)
    mean, most = alike.sum(1) / max(1, len(cuts) - 1), alike.max(1)
    if len(cuts) == 1:
        mean, most = np.ones(1), np.ones(1)
    rows = [
        (*_look(image, cut), *_motion(cut, cue), *_shape(cut), *agreement, _fit(cut, box))
        for cut, *agreement in zip(cuts, mean, most, strict=True)
    ]
    return np.array(rows, np.float32)


def _look(image: WorkingImage, cut: Bool) -> tuple[float, float, float, float]:
    """Colour steps across the outline, and how well colours tell the cut from what surrounds it."""
    lab = image.lab
    across, down = cut[:, 1:] != cut[:, :-1], cut[1:] != cut[:-1]
    steps = np.concatenate(
        [
            np.sqrt(np.square(lab[:, 1:] - lab[:, :-1])[across].sum(-1)),
            np.sqrt(np.square(lab[1:] - lab[:-1])[down].sum(-1)),
        ]
    )
    if not len(steps):
        return 0.0, 0.0, 0.0, 0.0
    ring = dilate(cut, RING) & ~cut
    odds = image.colours.log_odds(cut, ring, 0.0)
    contrast = float(np.minimum(steps, 15).mean()) / 15
    return contrast, float((steps > 3).mean()), float((odds[cut] > 0).mean()), float((odds[ring] < 0).mean())


def _motion(cut: Bool, cue: MotionCue | None) -> tuple[float, float, float, float]:
    """How much of the cut moves, how much of its surroundings does not, and the overlap with what moves."""
    if cue is None:
        return 0.0, 0.0, 0.0, 1.0
    ring = dilate(cut, RING) & ~cut
    rests = float((cue.log_odds[ring] <= 0).mean()) if ring.any() else 0.0
    return (
        float((cue.log_odds[cut] > 0).mean()),
        rests,
        region_similarity(cue.moves & dilate(cut, 24), cut),
        0.0,
    )


def _shape(cut: Bool) -> tuple[float, float, float, float]:
    """Size, share of the outline on the border, area over that of the convex hull, and thinness."""
    import cv2

    area, sides = int(cut.sum()), bounds(cut, 0)
    border = int(cut[0].sum() + cut[-1].sum() + cut[:, 0].sum() + cut[:, -1].sum())
    outline = int((cut[:, 1:] != cut[:, :-1]).sum() + (cut[1:] != cut[:-1]).sum()) + border
    hull = cv2.convexHull(np.argwhere(cut).astype(np.int32))
    solid = area / max(area, cv2.contourArea(hull) + 1)
    size = float(np.log10(max(area, 10) / 10) / 4)
    return size, border / outline, solid, min(1.0, outline / (12 * area**0.5)) if sides.area else 1.0


def _fit(cut: Bool, box: Sides | None) -> float:
    """Overlap of the cut's bounding box with the box given; 1 without one."""
    if box is None:
        return 1.0
    own = bounds(cut, 0)
    width = min(box[2], own.x1) - max(box[0], own.x0)
    height = min(box[3], own.y1) - max(box[1], own.y0)
    both = max(width, 0) * max(height, 0)
    return both / max(1.0, own.area + (box[2] - box[0]) * (box[3] - box[1]) - both)
