"""What a completion is judged by: a picture at several sizes, and which parts of it may be copied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vinpaint_cli.ops.image import Array, Bool, membrane

GRADIENT = 2.0
"""How much more a difference in gradient counts than one in colour, at seams."""

LOW = 3.0
"""Standard deviation in pixels of the blur that leaves low frequencies, at each size."""

CONTRAST = 3.0
"""What a difference in local contrast counts beside one in colour: flat pieces would fit anywhere else."""

LEVEL = 8
"""Width over height of the surroundings that tell a hidden pixel's colour where no guide does."""

TRUST = 4.0
"""How much more a guide counts that is given."""

LEAST = 64
"""Fewest pixels to copy from at which a size is worth working at."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A picture at the size it is worked on.

    picture: float32 ``(h, w, 3)`` in [0, 1], smooth in the hole. features: float32 ``(h, w, 5)``, colours
    and gradients, what is compared at seams. low, guide: float32 ``(h, w, 4)``, low frequencies of the
    picture and its contrast, and of what it should look like. hole: bool ``(h, w)``, True = fill. known,
    source: bool ``(h, w)``, True = is valid, = may be copied. steady: bool ``(h, w)``, valid as are the four
    around it, so that the gradient is too. trust: how much the guide counts. unusual: float32 ``(h, w)`` in
    [0, 1], how little the surroundings of a pixel look like any others: it may belong to an object.
    """

    picture: Array
    features: Array
    low: Array
    guide: Array
    hole: Bool
    known: Bool
    source: Bool
    steady: Bool
    trust: float
    unusual: Array


def pyramid(picture: Array, hole: Bool, source: Bool, guide: Array | None, nodes: int) -> list[Ground]:
    """The picture at its own size and halved ones, until at most ``nodes`` pixels are to be filled.

    Shapes and polarity as in `Ground`; the picture is not read in the hole. At the margin sizes are rounded
    up to what can be halved; what is added is neither known nor hole.
    """
    halvings = 0
    while np.count_nonzero(hole) > nodes * 4**halvings:
        halvings += 1
    margin = [(0, -size % 2**halvings) for size in hole.shape]
    known, hole, source = (np.pad(one, margin) for one in (~hole, hole, source))
    picture = np.pad(picture, (*margin, (0, 0)), mode="edge")
    picture = smooth(picture, hole, known)
    trust = 1.0 if guide is None else TRUST
    guide = level(picture, known) if guide is None else np.pad(guide, (*margin, (0, 0)), mode="edge")
    grounds = [_ground(picture, guide, trust, hole, known, source)]
    for _ in range(halvings):
        hole, filled, source = _half(hole) > 0, _half(~known), _half(source) > 0.99
        known = (filled < 0.99) & ~hole
        picture, guide = _half(picture), _half(guide)
        if np.count_nonzero(source) < LEAST:
            break
        grounds.append(_ground(picture, guide, trust, hole, known, source))
    return grounds


def _half(values: Array | Bool) -> Array:
    import cv2

    size = values.shape[1] // 2, values.shape[0] // 2
    return np.asarray(cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)


def _ground(picture: Array, guide: Array, trust: float, hole: Bool, known: Bool, source: Bool) -> Ground:
    import cv2

    grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, ksize=1) / 2 for dx in (1, 0))
    features = np.dstack([picture, GRADIENT * across, GRADIENT * down])
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    steady = np.asarray(cv2.erode(known.astype(np.uint8), cross), bool)
    contrast = np.asarray(CONTRAST * np.hypot(across, down)[..., None], np.float32)
    wanted = level(contrast, steady)
    low, guide = (
        np.asarray(cv2.GaussianBlur(np.dstack(pair), (0, 0), LOW), np.float32)
        for pair in ((picture, contrast), (guide, wanted))
    )
    return Ground(picture, features, low, guide, hole, known, source, steady, trust, np.zeros_like(grey))


def smooth(picture: Array, hole: Bool, known: Bool) -> Array:
    """The picture ``(h, w, 3)`` with a membrane over its hole; mid-grey where nothing is known."""
    if not known.any():
        return np.where(hole[..., None], np.float32(0.5), picture)
    filled = membrane(np.where(known[..., None], picture, np.float32(0)), known.astype(np.float32))
    return np.where(hole[..., None], np.clip(filled, 0, 1), picture)


def level(picture: Array, known: Bool) -> Array:
    """What lies beside each pixel at the same height ``(h, w, c)``, smoothly: ground goes on in ground."""
    import cv2

    height, width = known.shape
    size = max(width // LEVEL, 1), height
    support = np.asarray(cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)
    sums = cv2.resize(picture * known[..., None], size, interpolation=cv2.INTER_AREA).reshape(
        *support.shape, -1
    )
    beside = membrane(np.asarray(sums / np.maximum(support, 1e-3)[..., None], np.float32), support)
    return np.asarray(cv2.resize(beside, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
