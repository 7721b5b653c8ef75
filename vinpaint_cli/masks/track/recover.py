"""Finding an object again that was lost: the part of a picture that looks most like it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.ops.image import Bool

if TYPE_CHECKING:
    from vinpaint_cli.types import Plane

_CERTAIN = 1.0
"""Odds (logarithm) from which a pixel counts for a find."""
_OWN_SHARE, _FALSE_SHARE = 0.25, 1.5
_HOPELESS = 0.7


@dataclass(frozen=True, slots=True)
class Sight:
    """A part of a picture that looks like the object: ``core`` bool ``(h, w)``, and how much it does so.

    ``likeness`` is the sum of its odds over the object's usual area.
    """

    core: Bool
    likeness: float


def likest(odds: Plane, area: float) -> Sight:
    """The connected part of ``odds (h, w)`` that looks most like an object of usually ``area`` pixels."""
    import cv2

    strength = np.maximum(odds - _CERTAIN, 0)
    opened = cv2.morphologyEx((strength > 0).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, parts = cv2.connectedComponents(opened)
    sums = np.bincount(parts.ravel(), weights=strength.ravel(), minlength=count)
    sums[0] = 0
    best = int(np.argmax(sums))
    return Sight((parts == best) & (opened > 0), float(sums[best]) / max(area, 1.0))


def likeness_needed(odds: Plane, seed: Bool) -> float:
    """Likeness that a find must reach, judged on a frame whose object ``seed`` is known; both ``(h, w)``.

    A part of the object must do, for it may come back bit by bit, but what looks like it elsewhere must not.
    Infinite when something else looks nearly as much like the object as the object itself.
    """
    area = float(np.count_nonzero(seed))
    own = likest(np.where(seed, odds, -1), area).likeness
    false = likest(np.where(seed, -1, odds), area).likeness
    if false > _HOPELESS * own:
        return math.inf
    return max(_OWN_SHARE * own, _FALSE_SHARE * false, 1e-3)
