"""The connected parts of a hole, and where they go from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.masks.random import shifted
from vinpaint_cli.masks.shapes import dilate

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

NEAR = 4
"""Pixels at 240 lines between things that are taken for one."""

MANY = 8
"""Parts from which on all count as one: the letters of a title, not things that go their own ways."""


@dataclass(frozen=True, slots=True)
class HoleParts:
    """Parts 1…n of a hole, bool ``(h, w)``, True = fill.

    nearest: ``(h, w)``, the part that each pixel is nearest to. centres: ``(n + 1, 2)`` row and column, from
    index 1 on; NaN for one at the picture's edge, of which only a part is seen.
    """

    hole: Hole
    nearest: npt.NDArray[np.int32]
    centres: npt.NDArray[np.float64]

    @property
    def numbers(self) -> range:
        """Of the parts."""
        return range(1, len(self.centres))


def parts_of(hole: Hole, unit: float = 1.0) -> HoleParts:
    """The parts of a hole that is not empty; unit: height of the whole picture / 240."""
    import cv2

    joined = dilate(hole, round(NEAR * max(1.0, unit)))
    _, labels = cv2.distanceTransformWithLabels(
        (~joined).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_CCOMP
    )
    nearest: npt.NDArray[np.int32] = np.asarray(labels).astype(np.int32)
    if nearest.max() > MANY:
        nearest = np.ones_like(nearest)
    rows, columns = np.nonzero(hole)
    numbers = nearest[rows, columns]
    area = np.maximum(np.bincount(numbers), 1)
    centres = np.stack([np.bincount(numbers, places) / area for places in (rows, columns)], 1)
    height, width = hole.shape
    at_edge = (rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1)
    centres[np.unique(numbers[at_edge])] = np.nan
    return HoleParts(hole, nearest, centres)


def same_parts(one: HoleParts, other: HoleParts) -> dict[int, int]:
    """Which part of one hole is which of another: those that overlap most, each other; else none."""
    if len(one.numbers) == len(other.numbers) == 1:
        return {1: 1}
    both = one.hole & other.hole
    count = len(other.centres)
    pairs = one.nearest[both].astype(np.int64) * count + other.nearest[both]
    overlap = np.bincount(pairs, minlength=len(one.centres) * count).reshape(-1, count)
    best, back = overlap.argmax(1), overlap.argmax(0)
    return {
        part: int(best[part])
        for part in one.numbers
        if overlap[part, best[part]] and back[best[part]] == part
    }


def ways(before: HoleParts, now: HoleParts) -> dict[int, tuple[int, float, float]]:
    """Which part of a hole was which before, and how far down and right it went, in pixels.

    Not known, and left out, is the way of what comes or goes, or reaches beyond the picture.
    """
    found = {}
    for part, then in same_parts(now, before).items():
        down, right = (float(by) for by in now.centres[part] - before.centres[then])
        if np.isfinite(down + right):
            found[part] = then, down, right
    return found


def moved(mask: Hole, before: HoleParts, now: HoleParts, *, level: bool = False) -> Hole:
    """A mask ``(h, w)`` of one frame where it is in another, if each pixel goes with the part nearest to it.

    What is nearest to a part whose way is not known is left out. level: only to the side, as on the ground
    under a thing that jumps.
    """
    result = np.zeros_like(mask)
    for then, down, right in ways(before, now).values():
        result |= shifted(mask & (before.nearest == then), 0 if level else round(down), round(right))
    return result


def astray(before: HoleParts, now: HoleParts) -> Hole:
    """Where the nearest part of a hole is one whose way is not known, bool ``(h, w)``."""
    return ~np.isin(now.nearest, list(ways(before, now)))
