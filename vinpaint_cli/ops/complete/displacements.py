"""Which displacements may carry known pixels into a hole: a few tens that the picture itself speaks for.

Alike patches of natural pictures lie apart by few distinct displacements, which show as peaks of a histogram
(He and Sun, Image Completion Approaches Using the Statistics of Similar Patches, PAMI 2014). To these come
displacements at which what lies around the hole, or around a part of its border, is found again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.complete.ground import Ground
from vinpaint_cli.ops.image import Array, Bool, dilate

Places = npt.NDArray[np.int64]

PATCH = 8
"""Side in pixels of the patches that are compared for the statistics."""

APART = 15
"""Least displacement counted in the statistics: the longer side of the picture divided by this."""

QUERIES = 2_000
"""Patches for which the most alike one is looked for, at most."""

COMPARED = 10_000
"""Patches it is looked for among, at most."""

FLAT = 0.3
"""Contrast of a patch that counts as none (root of the sum of squares of its frequencies)."""

CHUNK = 250
"""Patches compared at a time, for the memory's sake."""

PEAK = 4
"""Pixels on each side within which a displacement has the most votes of all."""

BORDERS = 14
"""Places on the hole's border whose surroundings are looked for."""

REACH = (9, 18)
"""Half the side in pixels of these surroundings."""

RING = 5
"""Width in pixels of what is compared around the hole."""

EACH = 3
"""Displacements taken for each of these surroundings."""


DOMINANT = 60
"""Displacements taken from the statistics."""


def candidates(ground: Ground) -> tuple[Places, Array]:
    """Displacements ``(n, 2)`` (dy, dx) worth trying, and how unusual each pixel's patch is ``(h, w)``.

    Unusual is 0 for patches of which there are more, up to 1 for those that look like no other.
    """
    dominant, unusual = _dominant(ground)
    found = [dominant, _bordering(ground)]
    offsets = np.unique(np.concatenate(found), axis=0)
    return _covering(ground, offsets[(offsets != 0).any(1)]), unusual


def _descriptors(picture: Array) -> tuple[Array, Array]:
    """Lowest frequencies of the patch around each pixel: means ``(h, w, 3)`` and others ``(h, w, 13)``."""
    import cv2

    grey = picture.mean(-1)
    layers = grey, picture[..., 0] - grey, picture[..., 2] - grey
    step = np.pi * (np.arange(PATCH) + 0.5) / PATCH
    wave = [np.cos(step * k) * np.sqrt((2 if k else 1) / PATCH) for k in range(4)]
    orders = [(i, j) for i in range(4) for j in range(4 - i)]
    wanted = orders, [(0, 0), (0, 1), (1, 0)], [(0, 0), (0, 1), (1, 0)]
    described: tuple[list[Array], list[Array]] = ([], [])
    for layer, frequencies in zip(layers, wanted, strict=True):
        for i, j in frequencies:
            described[i + j > 0].append(cv2.sepFilter2D(layer, cv2.CV_32F, wave[j], wave[i]))
    return np.dstack(described[0]), np.dstack(described[1])


def _whole(allowed: Bool) -> Bool:
    """Centres of patches that lie in ``allowed (h, w)`` altogether."""
    import cv2

    square = np.ones((PATCH, PATCH), np.uint8)
    return cv2.erode(allowed.astype(np.uint8), square, borderValue=0).astype(bool)


def _dominant(ground: Ground) -> tuple[Places, Array]:
    import cv2

    height, width = ground.hole.shape
    means, waves = _descriptors(ground.picture)
    known = np.argwhere(_whole(ground.source))
    unusual = np.zeros(ground.hole.shape, np.float32)
    apart = max(height, width) // APART
    if len(known) < 2:
        return np.zeros((0, 2), np.int64), unusual
    base = known[:: -(-len(known) // COMPARED)]
    at = known[:: -(-len(known) // QUERIES)]
    to, distance = _most_alike(np.dstack([means, waves]), at, base, apart)
    contrast = np.linalg.norm(waves[at[:, 0], at[:, 1]], axis=-1) + FLAT
    shown = np.isfinite(distance)
    votes = np.zeros((2 * height + 1, 2 * width + 1), np.float32)
    for sign in (1, -1):
        shift = sign * (to - at)[shown] + (height, width)
        np.add.at(votes, (shift[:, 0], shift[:, 1]), 1)
    votes = cv2.GaussianBlur(votes, (0, 0), 1.4)
    peaks = votes == cv2.dilate(votes, np.ones((2 * PEAK + 1,) * 2, np.uint8))
    places = np.argwhere(peaks & (votes > 0))
    order = np.argsort(-votes[places[:, 0], places[:, 1]], kind="stable")
    return places[order[:DOMINANT]] - (height, width), _unusual(ground.hole.shape, at, distance / contrast)


def _unusual(shape: tuple[int, ...], at: Places, distance: Array) -> Array:
    import cv2

    sums, number = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    finite = np.isfinite(distance)
    usual = max(float(np.quantile(distance[finite], 0.6)), 1e-3) if finite.any() else 1.0
    sums[at[:, 0], at[:, 1]] = np.clip(np.where(finite, distance, usual) / usual - 1, 0, 2) / 2
    number[at[:, 0], at[:, 1]] = 1
    around = cv2.GaussianBlur(np.dstack([sums, number]), (0, 0), 4)
    return np.asarray(around[..., 0] / np.maximum(around[..., 1], 1e-6), np.float32)


def _most_alike(described: Array, at: Places, base: Places, apart: int) -> tuple[Places, Array]:
    """For patches ``at (n, 2)`` those of ``base (m, 2)`` most like them, farther away than ``apart``."""
    values = described[base[:, 0], base[:, 1]]
    squared = np.einsum("mc,mc->m", values, values)
    best, distance = np.zeros(len(at), np.int64), np.zeros(len(at), np.float32)
    for start in range(0, len(at), CHUNK):
        asked = at[start : start + CHUNK]
        query = described[asked[:, 0], asked[:, 1]]
        unlike = squared - 2 * (query @ values.T)
        near = (np.abs(asked[:, :1] - base[:, 0]) < apart) & (np.abs(asked[:, 1:] - base[:, 1]) < apart)
        unlike[near] = np.inf
        chosen = unlike.argmin(1)
        best[start : start + CHUNK] = chosen
        least = unlike[np.arange(len(asked)), chosen] + np.einsum("nc,nc->n", query, query)
        distance[start : start + CHUNK] = np.sqrt(np.maximum(least, 0))
    return base[best], distance


def _bordering(ground: Ground) -> Places:
    """Displacements at which what surrounds the hole, or a part of its border, is found again."""
    ring = dilate(ground.hole, RING) & ground.known
    border = np.argwhere(dilate(ground.hole, 1) & ground.known)
    if not len(border) or not ground.source.any():
        return np.zeros((0, 2), np.int64)
    found = []
    for reach in REACH:
        for row, column in _spread(border, BORDERS):
            box = _box(ground.hole.shape, row, column, reach)
            found.append(_found_again(ground, ring, box))
    rows, columns = np.nonzero(ring)
    whole = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    found.append(_found_again(ground, ring, whole))
    return np.concatenate(found)


def _spread(places: Places, count: int) -> Places:
    """Up to ``count`` of the places, each as far from those before it as can be."""
    chosen = [0]
    apart = np.full(len(places), np.inf)
    for _ in range(min(count, len(places)) - 1):
        apart = np.minimum(apart, np.square(places - places[chosen[-1]]).sum(1))
        chosen.append(int(apart.argmax()))
    return places[chosen]


def _box(shape: tuple[int, ...], row: int, column: int, reach: int) -> tuple[slice, slice]:
    return (
        slice(max(row - reach, 0), min(row + reach + 1, shape[0])),
        slice(max(column - reach, 0), min(column + reach + 1, shape[1])),
    )


def _found_again(ground: Ground, ring: Bool, box: tuple[slice, slice]) -> Places:
    """The best displacements of the part of ``ring`` in a box, of those that fill much of the box's hole."""
    import cv2

    compared, wanted = ring[box].astype(np.float32), ground.hole[box].astype(np.float32)
    template = np.ascontiguousarray(ground.features[box])
    if not compared.any() or not wanted.any():
        return np.zeros((0, 2), np.int64)
    unlike = np.zeros(np.subtract(ground.hole.shape, compared.shape) + 1, np.float32)
    for channel in range(template.shape[-1]):
        unlike += cv2.matchTemplate(
            np.ascontiguousarray(ground.features[..., channel]),
            np.ascontiguousarray(template[..., channel]),
            cv2.TM_SQDIFF,
            mask=compared if channel < 3 else compared * ground.steady[box],
        )
    shown = cv2.matchTemplate(ground.source.astype(np.float32), wanted, cv2.TM_CCORR) / wanted.sum()
    unlike = np.maximum(unlike, 0) / compared.sum() + 0.3 * (1 - shown)
    unlike[shown < 0.3] = np.inf
    found = []
    for _ in range(EACH):
        row, column = np.unravel_index(unlike.argmin(), unlike.shape)
        if not np.isfinite(unlike[row, column]):
            break
        found.append((row - box[0].start, column - box[1].start))
        unlike[_box(unlike.shape, int(row), int(column), PEAK)] = np.inf
    return np.array(found, np.int64).reshape(-1, 2)


def _covering(ground: Ground, offsets: Places) -> Places:
    """The offsets and as many more as it takes that each hole pixel can be copied from somewhere."""
    import cv2

    places = np.argwhere(ground.hole)
    for offset in offsets:
        places = places[~is_in(ground.source, places + offset)]
    more = []
    height, width = ground.hole.shape
    allowed = np.pad(ground.source.astype(np.float32), ((height, height), (width, width)))
    while len(places):
        rows, columns = places.T
        box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        wanted = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start), np.float32)
        wanted[rows - box[0].start, columns - box[1].start] = 1
        number = cv2.matchTemplate(allowed, wanted, cv2.TM_CCORR)
        row, column = np.unravel_index(number.argmax(), number.shape)
        offset = np.array([row - height - box[0].start, column - width - box[1].start])
        left_over = places[~is_in(ground.source, places + offset)]
        if len(left_over) == len(places):
            break
        more.append(offset)
        places = left_over
    return np.concatenate([offsets, np.array(more, np.int64).reshape(-1, 2)])


def is_in(mask: Bool, places: Places) -> Bool:
    """Which places ``(n, 2)`` lie in a mask ``(h, w)``."""
    height, width = mask.shape
    rows, columns = places.T
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return np.asarray(inside & mask[rows.clip(0, height - 1), columns.clip(0, width - 1)])
