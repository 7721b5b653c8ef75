"""Soft masks of a tracked object: operations on one frame's mask that trackers share, and a store.

A soft mask is the probability in [0, 1] that a pixel belongs to the object, float32 ``(h, w)``. Log-odds are
``log(p / (1 − p))`` of it, positive on the object.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.metrics.davis import region_similarity
from vinpaint_cli.ops.image import Array, Bool, Bytes, coordinate_grid, dilate, sample

if TYPE_CHECKING:
    from vinpaint_cli.types import Plane

MIN_PIXELS = 5
"""Pixels of the smallest object that can be tracked."""
LOST_SHARE, AREA_FRAMES = 0.03, 25
"""An object is lost when less than this share is left of its largest area in the last so many frames."""
CONFIDENCE_LEFT, CONFIDENCE_HIDDEN = 0.75, 0.4
"""Confidence that a lost object is not visible: last seen at the frame's border, or inside the frame."""
NOT_FOUND_WEIGHT = 0.3
"""Weight of an empty mask where tracking from both sides is blended."""
_EDGE_WIDTH, _REACH = 6.0, 20
"""Pixels over which the edge of a carried mask is uncertain, and beyond which the object is unlikely."""
_SMALL_PART = 0.1
_FILTER_RADIUS, _FILTER_EPSILON = 4, 1e-3
_CLEAR_LOG_ODDS = 1.0
_OWN_SHARE, _FALSE_SHARE, _AMBIGUOUS = 0.25, 1.5, 0.7


@dataclass(frozen=True, slots=True)
class SoftMask:
    """``probability (h, w)`` in [0, 1] that a pixel is of the object, and the mask's ``confidence``."""

    probability: Plane
    confidence: float

    @property
    def core(self) -> Bool:
        """The binary mask ``(h, w)``: where the probability is above one half."""
        core: Bool = self.probability > 0.5
        return core


def warp_mask(mask: Plane, flow: Array, outside: str = "zero") -> Plane:
    """``mask (h, w)`` warped backwards along ``flow (h, w, 2)``, which leads to where the mask was.

    ``outside`` is what lies beyond the frame: ``zero``, or ``edge`` to repeat the border.
    """
    return sample(mask, coordinate_grid(*mask.shape) + flow, outside=outside)


def snap_to_edges(mask: Plane, grey: Bytes) -> Plane:
    """A soft ``mask (h, w)`` whose edges follow those of the 8-bit image ``grey (h, w)``.

    This is the guided filter (He, Sun and Tang, ECCV 2010) over windows of 9 × 9 pixels.
    """
    import cv2

    side = 2 * _FILTER_RADIUS + 1

    def mean(plane: Plane) -> Plane:
        return np.asarray(cv2.blur(plane, (side, side)), np.float32)

    light: Plane = grey.astype(np.float32) / np.float32(255)
    light_mean, mask_mean = mean(light), mean(mask)
    variance = mean(light * light) - light_mean * light_mean
    covariance = mean(light * mask) - light_mean * mask_mean
    slope = np.asarray(covariance / (np.maximum(variance, 0) + _FILTER_EPSILON), np.float32)
    offset = mask_mean - slope * light_mean
    return np.asarray(np.clip(mean(slope) * light + mean(offset), 0, 1), np.float32)


def carried_log_odds(core: Bool) -> Plane:
    """Log-odds ``(h, w)`` of the object given only the mask carried from the previous frame.

    Positive inside ``core (h, w)``, negative outside, and falling linearly from 20 pixels outside on.
    """
    import cv2

    inside = cv2.distanceTransform(core.astype(np.uint8), cv2.DIST_L2, 3)
    outside = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3)
    log_odds = 3 * np.tanh(inside / _EDGE_WIDTH) - 2.5 * np.tanh(outside / _EDGE_WIDTH)
    log_odds = log_odds - 0.5 * np.maximum(outside - _REACH, 0)
    return np.asarray(np.maximum(log_odds, -20), np.float32)


def sigmoid(log_odds: Plane) -> Plane:
    """Probability in [0, 1] of log-odds."""
    return np.asarray(1 / (1 + np.exp(-log_odds)), np.float32)


def touches_border(core: Bool, reach: int = 3) -> bool:
    """Whether a binary mask ``(h, w)`` has a pixel within ``reach`` pixels of the frame's border."""
    inner = core[reach:-reach, reach:-reach]
    return bool(np.count_nonzero(inner) < np.count_nonzero(core))


def is_lost(mask: Plane | Bool, largest: int) -> bool:
    """Whether too little of an object is left in a soft mask ``(h, w)``; ``largest`` is its area lately."""
    return int(np.count_nonzero(mask > 0.5)) < max(MIN_PIXELS, LOST_SHARE * largest)


def estimate_confidence(mask: Plane, log_odds: Plane, age: int) -> float:
    """Estimate of the soft mask's overlap with the true mask (J), in [0, 1]; ``age`` is in frames.

    A logistic regression of the overlap of the mask with what appearance alone says near it (``log_odds
    (h, w)``), of how clear appearance is within the mask, and of the age since a prompt. Fitted to 26
    composites of 20 to 24 frames, half of them with look-alikes, occlusions or fast turns, and lowered by
    0.3: it is worse to trust a bad mask than to doubt a good one.
    """
    core = mask > 0.5
    if not core.any():
        return 0.0
    agreement = region_similarity((log_odds > 0) & dilate(core, 7), core)
    agreement = min(max(agreement, 0.02), 0.995)
    clear = float(np.abs(log_odds[core]).mean())
    total = 1.05 * math.log(agreement / (1 - agreement)) + 0.65 * clear - 0.15 * math.log2(max(1, age)) - 2.8
    return 1 / (1 + math.exp(-total))


def drop_unconnected(mask: Plane, core: Bool) -> Plane:
    """A soft ``mask (h, w)`` with parts that do not touch ``core (h, w)`` or are tiny lowered to 0.3."""
    import cv2

    count, parts, facts, _ = cv2.connectedComponentsWithStats((mask > 0.5).astype(np.uint8))
    if count < 2:
        return mask
    touched = np.bincount(parts[core], minlength=count) > 0
    area = facts[:, cv2.CC_STAT_AREA]
    own = touched & (area > _SMALL_PART * area[1:].max())
    own[0] = True
    return np.where(own[parts], mask, np.minimum(mask, 0.3)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Match:
    """A region of a frame that looks like the object: binary mask ``core (h, w)``, and how well it matches.

    ``score`` is the sum of the region's log-odds above 1, divided by the object's area.
    """

    core: Bool
    score: float


def best_match(log_odds: Plane, area: float) -> Match:
    """The connected region of ``log_odds (h, w)`` that looks most like an object of ``area`` pixels."""
    import cv2

    strength = np.maximum(log_odds - _CLEAR_LOG_ODDS, 0)
    opened = cv2.morphologyEx((strength > 0).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, parts = cv2.connectedComponents(opened)
    sums = np.bincount(parts.ravel(), weights=strength.ravel(), minlength=count)
    sums[0] = 0
    best = int(np.argmax(sums))
    return Match((parts == best) & (opened > 0), float(sums[best]) / max(area, 1.0))


def min_match_score(log_odds: Plane, mask: Bool) -> float:
    """Score from which on a match is taken for the object, from a frame whose ``mask (h, w)`` is known.

    Part of the object must suffice, because it may come back into view bit by bit; what looks similar
    elsewhere must not. Infinite when something else looks nearly as much like the object as the object
    itself.
    """
    area = float(np.count_nonzero(mask))
    own = best_match(np.where(mask, log_odds, -1), area).score
    false = best_match(np.where(mask, -1, log_odds), area).score
    if false > _AMBIGUOUS * own:
        return math.inf
    return max(_OWN_SHARE * own, _FALSE_SHARE * false, 1e-3)


def lost_mask(
    shape: tuple[int, ...], at_border: bool, match: Match | None = None, needed: float = 1.0
) -> SoftMask:
    """An empty soft mask ``(h, w)`` with the confidence that the object is not visible.

    ``at_border``: it was last seen at the frame's border. ``match``: the best region found, whose score was
    below ``needed``; the closer it came, the lower the confidence.
    """
    factor = 1.0 if match is None else 1 - 0.5 * min(1.0, match.score / needed)
    confidence = (CONFIDENCE_LEFT if at_border else CONFIDENCE_HIDDEN) * factor
    return SoftMask(np.zeros(shape, np.float32), confidence)


@dataclass(frozen=True, slots=True)
class _Stored:
    data: bytes
    confidence: float
    weight: float


class SoftMaskStore:
    """One soft mask per frame, compressed with 8 bits per pixel; masks from both directions are blended."""

    def __init__(self, size: tuple[int, int], prompts: tuple[int, ...]) -> None:
        """``size``: ``(width, height)`` of the masks; ``prompts``: frames whose mask was given."""
        self.size, self._prompts = size, prompts
        self._stored: dict[int, _Stored] = {}

    def __bool__(self) -> bool:
        """Whether any mask was added."""
        return bool(self._stored)

    def has(self, index: int) -> bool:
        """Whether a mask was added for frame ``index``."""
        return index in self._stored

    def add(self, index: int, mask: SoftMask, direction: int) -> None:
        """Store a frame's mask, or blend it with the one stored.

        Weights are the confidence over the distance in frames to the last prompt mask on the way;
        ``direction`` is 1 for tracking forward in time and -1 for backward.
        """
        seen = 1.0 if mask.probability.any() else NOT_FOUND_WEIGHT
        weight = seen * mask.confidence / self._distance(index, direction) + 1e-6
        probability, confidence = mask.probability, mask.confidence
        before = self._stored.get(index)
        if before is not None:
            share = weight / (weight + before.weight)
            probability = share * probability + (1 - share) * self.probability(index)
            confidence = share * confidence + (1 - share) * before.confidence
        levels = np.rint(probability * 255).astype(np.uint8)
        self._stored[index] = _Stored(zlib.compress(levels.tobytes(), 1), confidence, weight)

    def probability(self, index: int) -> Plane:
        """Soft mask of a frame that has one, float32 ``(h, w)`` in [0, 1]."""
        levels = np.frombuffer(zlib.decompress(self._stored[index].data), np.uint8)
        return levels.reshape(self.size[1], self.size[0]).astype(np.float32) / np.float32(255)

    def confidence(self, index: int) -> float:
        """Confidence of a frame that has a mask, in [0, 1]."""
        return self._stored[index].confidence

    def _distance(self, index: int, direction: int) -> int:
        """Frames since the last prompt mask in tracking order."""
        return min(abs(index - prompt) for prompt in self._prompts if (index - prompt) * direction > 0)
