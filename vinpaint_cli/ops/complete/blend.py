"""Seams that close: copied pieces are given the light of what they meet, without blurring what they show.

Gradient-domain blending (Pérez et al., Poisson Image Editing, SIGGRAPH 2003), put as a correction: a smooth
picture is added to each piece, so that pieces agree on both sides of a seam and with what lies beside the
hole. Differences are averaged along seams first and doubted where they are large, so that light is matched
and colours do not bleed; less so between calm areas, where a step would be seen most and is hardly an edge.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.complete.displacements import Places
from vinpaint_cli.ops.image import Array, Bool, mean_around

ALONG = 2.5
"""Standard deviation in pixels of the window over which differences are averaged."""

DOUBT = 0.06
"""Deviation from a change of light (of 1) at which a difference counts a quarter."""

LARGE = 0.12
"""Difference in light (of 1) at which it counts half from the start."""

TINT = 0.03
"""Most that the light changes in colour (of 1): more is another thing."""

CALM = 0.02
"""Contrast of neighbours (of 1) up to which an area is calm, more or less."""

EASE = 3.0
"""How much larger the three above are between calm areas, beyond once."""

STIFF = 20.0
"""How little pieces bend when it is found out what does not fit."""

_Kind = TypeVar("_Kind", bound=np.generic)

DIRECT = 40_000
"""Hole pixels up to which the correction is solved for at once, not step by step."""

LENGTH = 60.0
"""Pixels over which a correction fades that nothing else holds."""


def blend(picture: Array, hole: Bool, known: Bool, shift: Places) -> Array:
    """Copy what the displacements ask for, and match its light.

    picture: float32 ``(h, w, 3)``. hole, known: bool ``(h, w)``, to be filled; valid. shift: ``(h, w, 2)``
    (dy, dx), from each hole pixel to a known one. Returns ``(h, w, 3)``.
    """
    result = picture.copy()
    places = np.argwhere(hole)
    if not len(places):
        return result
    copied = _at(picture, places + shift[hole])
    result[hole] = np.clip(copied + _correction(picture, hole, known, shift), 0, 1)
    return result


def _at(values: npt.NDArray[_Kind], places: Places) -> npt.NDArray[_Kind]:
    """Values of a picture at ``places (n, 2)``, or at the nearest ones in it."""
    height, width = values.shape[:2]
    found: npt.NDArray[_Kind] = values[places[:, 0].clip(0, height - 1), places[:, 1].clip(0, width - 1)]
    return found


def _correction(picture: Array, hole: Bool, known: Bool, shift: Places) -> Array:
    """What to add to each hole pixel ``(n, 3)``: least squares over neighbours, twice.

    The first time pieces hardly bend, which tells what does not fit a change of light and is to count less.
    """
    count = int(hole.sum())
    number = np.full(hole.shape, -1, np.int64)
    number[hole] = np.arange(count)
    a, b = _neighbours(hole.shape)
    one, other = number[a[:, 0], a[:, 1]], number[b[:, 0], b[:, 1]]
    inner = (one >= 0) & (other >= 0)
    pairs = np.stack([one[inner], other[inner]], -1)
    ease = _ease(picture, known)
    jump, seam, eased = _jumps(picture, known, shift, ease, a[inner], b[inner])
    sides = []
    for mine, here, there in ((one, a, b), (other, b, a)):
        outer = (mine >= 0) & known[there[:, 0], there[:, 1]]
        sides.append((mine[outer], *_missed(picture, known, shift, ease, here[outer], there[outer])))
    edge, missed, good, easy = (np.concatenate(part) for part in zip(*sides, strict=True))
    stiff = np.where(seam == 0, np.float32(STIFF), seam)
    found = _least_squares(count, pairs, stiff, jump, edge, good, missed)
    apart = found[pairs[:, 1]] - found[pairs[:, 0]] - jump
    weight = np.where(seam == 0, np.float32(1), seam * _doubted(apart, eased))
    hold = good * _doubted(found[edge] - missed, easy)
    return _least_squares(count, pairs, weight, jump, edge, hold, missed)


def _ease(picture: Array, known: Bool) -> Array:
    """How much more a change of light may be around each pixel ``(h, w)``: 1 to 1 + ``EASE``."""
    import cv2

    grey = picture.mean(-1)
    steady = cv2.erode(known.astype(np.float32), np.ones((3, 3), np.uint8))
    contrast = np.hypot(*(cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, ksize=1) / 2 for dx in (0, 1)))
    around = mean_around(np.asarray(contrast, np.float32), np.asarray(steady, np.float32), 3)
    return np.asarray(1 + EASE / (1 + np.square(around / CALM)), np.float32)


def _doubted(apart: Array, ease: Array) -> Array:
    """How much a difference ``(m, 3)`` counts that is so far off, by how easily it may be ``(m,)``."""
    return np.asarray(1 / (1 + np.square(np.abs(apart).mean(1) / (DOUBT * ease))) ** 2, np.float32)


def _least_squares(
    count: int, pairs: Places, weight: Array, jump: Array, edge: Places, hold: Array, missed: Array
) -> Array:
    """Corrections ``(count, 3)`` that rise by ``jump (m, 3)`` from first to second of ``pairs (m, 2)``.

    At ``edge (k,)`` they are ``missed (k, 3)``. ``weight (m,)`` and ``hold (k,)`` say how much that counts.
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import cg, splu

    i, j = pairs.T
    diagonal = np.full(count, LENGTH**-2)
    for index, part in ((i, weight), (j, weight), (edge, hold)):
        diagonal += np.bincount(index, part, count)
    every = np.arange(count)
    ways = np.concatenate([i, j, every]), np.concatenate([j, i, every])
    matrix = csc_array((np.concatenate([-weight, -weight, diagonal]), ways), shape=(count, count))
    right = [
        np.bincount(j, weight * rise, count)
        - np.bincount(i, weight * rise, count)
        + np.bincount(edge, hold * value, count)
        for rise, value in zip(jump.T, missed.T, strict=True)
    ]
    if count <= DIRECT:
        return np.asarray(splu(matrix).solve(np.array(right).T), np.float32)
    scale = csc_array((1 / diagonal, (every, every)), shape=(count, count))
    solved = [cg(matrix, one, rtol=1e-3, maxiter=400, M=scale)[0] for one in right]
    return np.array(solved, np.float32).T


def _neighbours(shape: tuple[int, ...]) -> tuple[Places, Places]:
    grid = np.moveaxis(np.mgrid[: shape[0], : shape[1]], 0, -1)
    first = np.concatenate([grid[:, :-1].reshape(-1, 2), grid[:-1].reshape(-1, 2)])
    return first, np.concatenate([grid[:, 1:].reshape(-1, 2), grid[1:].reshape(-1, 2)])


def _jumps(
    picture: Array, known: Bool, shift: Places, ease: Array, a: Places, b: Places
) -> tuple[Array, Array, Array]:
    """By how much corrections should rise from a to b ``(m, 3)``.

    And how surely ``(m,)``, 0 inside a piece; and how easily the light may change ``(m,)``.
    """
    held, across = shift[a[:, 0], a[:, 1]], shift[b[:, 0], b[:, 1]]
    jump, (sure, eased) = np.zeros((len(a), 3), np.float32), np.zeros((2, len(a)), np.float32)
    seam = (held != across).any(1)
    a, b, held, across = (one[seam] for one in (a, b, held, across))
    good = np.stack([_inside(known, a + across), _inside(known, b + held)], -1).astype(np.float32)
    apart = [_at(picture, x + held) - _at(picture, x + across) for x in (a, b)]
    both = good.sum(1)
    mean = (apart[0] * good[:, :1] + apart[1] * good[:, 1:]) / np.maximum(both, 1)[:, None]
    eased[seam] = np.minimum(_at(ease, a + held), _at(ease, b + across))
    jump[seam] = _averaged(known.shape, a, mean, both, eased[seam])
    sure[seam] = np.maximum(both / 2, 1e-3) * _likely(jump[seam], eased[seam])
    return jump, sure, np.maximum(eased, 1)


def _missed(
    picture: Array, known: Bool, shift: Places, ease: Array, here: Places, there: Places
) -> tuple[Array, Array, Array]:
    """What to add to a piece to meet what is known beside it ``(m, 3)``; how surely, how easily ``(m,)``."""
    over = there + shift[here[:, 0], here[:, 1]]
    good = _inside(known, over).astype(np.float32)
    eased = np.minimum(_at(ease, there), _at(ease, over))
    missed = _averaged(known.shape, here, _at(picture, there) - _at(picture, over), good, eased)
    return missed, good * _likely(missed, eased), eased


def _likely(change: Array, ease: Array) -> Array:
    """How likely it is that the light changes by so much ``(m, 3)``: 1 for little."""
    return np.asarray(1 / (1 + np.square(np.abs(change).mean(1) / (LARGE * ease))), np.float32)


def _inside(mask: Bool, places: Places) -> Bool:
    height, width = mask.shape
    inside = ((places >= 0) & (places < (height, width))).all(1)
    return inside & _at(mask, places)


def _averaged(shape: tuple[int, ...], at: Places, values: Array, weight: Array, ease: Array) -> Array:
    """Changes of light ``(m, 3)`` averaged over those near by; tinged but little."""
    import cv2

    sheet = np.zeros((*shape, 4), np.float32)
    np.add.at(sheet, (at[:, 0], at[:, 1]), np.concatenate([values * weight[:, None], weight[:, None]], 1))
    near = np.asarray(cv2.GaussianBlur(sheet, (0, 0), ALONG), np.float32)[at[:, 0], at[:, 1]]
    mean = near[:, :3] / np.maximum(near[:, 3:], 1e-6)
    grey = mean.mean(1, keepdims=True)
    tint = mean - grey
    return np.asarray(
        grey + tint / (1 + np.abs(tint).max(1, keepdims=True) / (TINT * ease[:, None])), np.float32
    )
