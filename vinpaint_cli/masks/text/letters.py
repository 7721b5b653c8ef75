"""The letters of one text: which pixels of its box it covers, with outline, shadow, glow and bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.masks.sources.random import shifted
from vinpaint_cli.ops.image import dilate_exact, membrane
from vinpaint_cli.types import Box

if TYPE_CHECKING:
    Array = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Bool = npt.NDArray[np.bool_]

STROKE = 0.4
"""Widest stroke of a letter, as a part of the line's height."""

LEAST_CONTRAST = 14.0
"""Levels of 255 by which a letter differs from what is beside it, at least."""

REACH = 0.35, 0.1, 14
"""Farthest that outline, shadow or glow reach from a letter: a part of the line's height, and at most
another part of it and so many pixels more."""

DEVIATION = 5.0
"""Levels of 255 by which what surrounds letters differs from the background, from which on it is of them."""

CALM = 0.5
"""Variation of what surrounds letters, as a part of the background's, below which it is of them."""

AGREE = 0.72
"""Part of what surrounds letters that differs from the background in the same way, if it is of them."""

EDGE = 2
"""Pixels from a letter within which its own colour is mixed into what surrounds it."""

BAR_STEP = 8.0
"""Levels of 255 by which a bar behind text differs from what is beside it, at least."""

LOWER_PIECES = 0.3
"""Quantile of the pieces of a text whose presence counts for the whole."""

_DIRECTIONS = 16


@dataclass(frozen=True, slots=True)
class Letters:
    """``mask``: bool ``(h, w)``, True = fill. ``template``: float32 ``(h, w)``, detail of the text alone."""

    mask: Bool
    template: Array


def find_letters(crops: Bytes, box: Box, height: float, margin: int = 1) -> Letters | None:
    """The letters in the mean of aligned pictures of one text; None where there are none.

    A letter is what is lighter, or darker, than its surroundings and narrower than a stroke. What lies around
    letters on all sides, or on one, and differs from the background there, is their outline, glow or shadow.

    * ``crops``: uint8 ``(n, h, w, 3)``, with surroundings.
    * ``box``: of the text in them.
    * ``height``: of the line in pixels.
    * ``margin``: pixels to add for what compression smears.
    """
    mean = crops.mean(0, dtype=np.float32)
    inside = np.zeros(mean.shape[:2], np.bool_)
    inside[box.slices()] = True
    core = _strokes(mean, inside, height)
    if np.count_nonzero(core) < 0.01 * box.area:
        return None
    around = _Surroundings.of(crops, mean, dilate_exact(core, _reach(height)))
    mask = _grown(core, around, height)
    bar = _bar(mean.mean(-1), box, height)
    whole = dilate_exact(mask if bar is None else mask | bar, margin)
    return Letters(whole, _template(mean, mask))


def presence(picture: Bytes, letters: Letters) -> float:
    """How much of the text a picture ``(h, w[, 3])`` shows: 1 as in the mean, 0 nothing.

    Measured in pieces of the text and taken from the lower ones, since another text shares some by chance.
    """
    levels = picture.astype(np.float32)
    flat = _detail(levels.mean(-1) if levels.ndim == 3 else levels)
    shared, own = (_in_pieces(flat * letters.template), _in_pieces(np.square(letters.template)))
    counts = own > 0.25 * own.max()
    return float(np.quantile(shared[counts] / own[counts], LOWER_PIECES))


def _in_pieces(values: Array) -> Array:
    """Sums over pieces of the picture, as many along its longer side as that is times its shorter one."""
    height, width = values.shape
    side = max(1, min(height, width) // 3)
    padded = np.pad(values, ((0, -height % side), (0, -width % side)))
    rows, columns = (extent // side for extent in padded.shape)
    return np.asarray(padded.reshape(rows, side, columns, side).sum((1, 3)), np.float32)


def _reach(height: float) -> float:
    part, more, pixels = REACH
    return min(part * height, more * height + pixels)


def _strokes(mean: Array, inside: Bool, height: float) -> Bool:
    """Pixels of letters in a picture ``(h, w, 3)``: light and dark ones, if both differ from the background.

    Between light letters are dark gaps as narrow as they; but gaps are of the background's colour.
    """
    import cv2

    side = max(3, round(STROKE * height) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    around = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * side + 1, 2 * side + 1))
    cores = []
    for shape in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        contrast = np.where(inside, cv2.morphologyEx(mean, shape, kernel).max(-1), 0).astype(np.float32)
        cores.append(contrast > np.maximum(LEAST_CONTRAST, 0.45 * cv2.dilate(contrast, around)))
    deviation = mean - _background(mean, dilate_exact(cores[0] | cores[1], _reach(height)))
    few = 0.06 * np.count_nonzero(inside)
    scores = [_distinctness(deviation[core]) * min(1.0, np.count_nonzero(core) / few) for core in cores]
    best, other = (cores[int(number)] for number in np.argsort(scores)[::-1])
    return np.asarray(best | (other if min(scores) >= 1 else _enclosed(other, best)), np.bool_)


def _enclosed(fill: Bool, outline: Bool) -> Bool:
    """The parts of ``fill`` that an outline goes all around; none if they are but the gaps in its letters."""
    import cv2

    count, labels = cv2.connectedComponents((fill & ~outline).astype(np.uint8))
    near = dilate_exact(outline, 1.5)
    found = np.zeros_like(fill)
    for label in range(1, count):
        part = labels == label
        border = dilate_exact(part, 1.5) & ~part
        if np.mean(near[border]) > 0.95:
            found |= part
    return found if np.count_nonzero(found) > 0.3 * np.count_nonzero(outline) else np.zeros_like(fill)


def _distinctness(deviation: Array) -> float:
    """Mean of how pixels ``(n, 3)`` differ from the background, in units of its spread."""
    if not len(deviation):
        return 0.0
    return float(np.abs(deviation.mean(0)).max() / (8 + deviation.std(0).mean()))


def _background(mean: Array, covered: Bool) -> Array:
    """The picture with what is covered filled in smoothly from around."""
    return membrane(mean, np.where(covered, 0, 1).astype(np.float32))


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What tells outline, glow and shadow from the background.

    deviation: ``(h, w, 3)``, of the mean picture from the background. motion: ``(h, w)``, standard deviation
    over time. moving: ``(h, w)``, that of the background.
    """

    deviation: Array
    motion: Array
    moving: Array

    @classmethod
    def of(cls, crops: Bytes, mean: Array, covered: Bool) -> _Surroundings:
        """From pictures ``(n, h, w, 3)``, their mean, and where the text may reach at most."""
        motion = np.asarray(crops.mean(-1, dtype=np.float32).std(0), np.float32)
        deviation = np.asarray(mean - _background(mean, covered), np.float32)
        return cls(deviation, motion, _background(motion[..., None], covered)[..., 0])

    def holds(self, pixels: Bool, height: float, at_edge: bool) -> bool:
        """Whether pixels are of the text: unlike the background on the whole, or calmer than it.

        At the edge of letters they are mixed with these, and need not all differ in the same way.
        """
        count = int(np.count_nonzero(pixels))
        if count < 12:
            return False
        moving = float(np.median(self.moving[pixels]))
        if moving > 6 and float(np.median(self.motion[pixels])) < CALM * moving:
            return True
        values = self.deviation[pixels]
        mean = values.mean(0)
        size = float(np.abs(mean).max())
        independent = max(1.0, 4 * count / max(1.0, height))
        if size < DEVIATION or size < 2.5 * float(values.std(0).max()) / independent**0.5:
            return False
        return at_edge or float((values @ mean > 0).mean()) > AGREE


def _grown(core: Bool, around: _Surroundings, height: float) -> Bool:
    """Letters with their outline, glow and shadow, grown in each direction as far as these are seen."""
    mask = core.copy()
    alive = [number * 2 * np.pi / _DIRECTIONS for number in range(_DIRECTIONS)]
    for reach in range(1, max(2, round(_reach(height))) + 1):
        rings = {
            angle: shifted(core, round(reach * np.sin(angle)), round(reach * np.cos(angle))) & ~mask
            for angle in alive
        }
        alive = [angle for angle, ring in rings.items() if around.holds(ring, height, reach <= EDGE)]
        for angle in alive:
            mask |= rings[angle]
    return mask


def _bar(gray: Array, box: Box, height: float) -> Bool | None:
    """The bar behind text in a box of a grey picture: a rectangle with four straight edges; None without one.

    An edge that is not found within half a line's height of the picture's border may lie beyond it.
    """
    columns, slack = gray[:, box.x0 : box.x1], round(0.3 * height)
    top, above = _edge(columns, box.y0 + slack)
    below, beneath = _edge(columns[::-1], len(gray) - box.y1 + slack)
    if above * beneath <= 0:
        return None
    rows = gray[top : len(gray) - below].T
    left, before = _edge(rows, box.x0 + slack)
    right, after = _edge(rows[::-1], len(rows) - box.x1 + slack)
    mask = np.zeros(gray.shape, np.bool_)
    first, last = left if before * above > 0 else 0, right if after * above > 0 else 0
    mask[top : len(gray) - below, first : len(rows) - last] = True
    return mask


def _edge(gray: Array, most: int) -> tuple[int, float]:
    """The row, of the first ``most``, that the clearest straight edge lies above, and its step in levels.

    The step is 0 where there is no edge that goes through nearly all columns.
    """
    best = 0, 0.0
    for row in range(2, min(most, len(gray) - 2)):
        steps = gray[row : row + 2].mean(0) - gray[row - 2 : row].mean(0)
        step = float(np.median(steps))
        straight = float(np.mean(steps * np.sign(step) > 0.3 * abs(step)))
        if abs(step) > max(BAR_STEP, abs(best[1])) and straight > 0.85:
            best = row, step
    return best


def _template(mean: Array, mask: Bool) -> Array:
    detail = _detail(mean.mean(-1))
    return np.where(dilate_exact(mask, 1), detail, 0).astype(np.float32)


def _detail(gray: Array) -> Array:
    import cv2

    return np.asarray(gray - cv2.GaussianBlur(gray, (0, 0), 8), np.float32)
