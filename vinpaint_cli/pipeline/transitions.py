"""Dissolves and other gradual changes from one scene to another, found in the small pictures of a scan."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SPAN = 6
"""Frames between two pictures that show different scenes on the two sides of a quick transition."""

REACHES = 5, 8, 14
"""Frames before and after a picture that may be a mixture of the two in a slow dissolve."""

UNLIKE, ALIKE = 0.3, 0.85
"""Correlation after alignment by motion: at most across a quick transition, at least beside it."""

COLOURS = 0.5
"""Most that the histograms of both sides of a quick transition have in common, of 1."""

MIXED, APART, OTHER = 0.5, 0.3, 0.4
"""For a slow dissolve: the most that a mixture leaves unexplained, as a part of what one side alone leaves;
the least that one side alone leaves, of its contrast; the most that both sides correlate when aligned."""

EMPTY = 0.1
"""Contrast below which a picture shows nothing, as a part of the contrast of what is before and after."""

BLUR = 0.7
"""Standard deviation, in pixels of 40 × 24, of the blur under which mixtures are compared."""

SIZE = 80, 45

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Small:
    """A picture made small: grey ``(45, 80)`` uint8, histogram of colours, blurred grey without its mean."""

    grey: npt.NDArray[np.uint8]
    colours: Floats
    coarse: Floats


class TransitionDetector:
    """Finds frames in which one scene gradually becomes another; keeps few pictures at a time.

    Slow dissolves are mixtures of what is before and after; a fade goes through pictures of nothing; anything
    else is a transition if it is quick, other scenes are on its two sides, and both move calmly.
    """

    def __init__(self) -> None:
        self._recent: deque[_Small] = deque(maxlen=2 * max(REACHES) + 1)
        self._fed = 0
        self._quick: list[int] = []
        self._slow: list[tuple[int, int]] = []

    def feed(self, rgb: npt.NDArray[np.uint8]) -> None:
        """Take the next frame, uint8 RGB ``(h, w, 3)``."""
        self._recent.append(_small(rgb))
        self._fed += 1
        recent = list(self._recent)
        if len(recent) >= SPAN + 3 and _is_quick(recent[-SPAN - 3 :]):
            self._quick.append(self._fed - SPAN - 2)
        for reach in REACHES:
            if len(recent) > 2 * reach and (mixed := _dissolved(recent[-2 * reach - 1 :])):
                start = self._fed - 2 * reach - 1
                self._slow.append((start + mixed.start, start + mixed.stop))

    def found(self) -> list[range]:
        """Frames of each transition, in order, apart from each other; sudden cuts are left out."""
        quick = [(run[-1] + 1, run[0] + SPAN) for run in _runs(self._quick) if run[-1] + 1 < run[0] + SPAN]
        joined: list[range] = []
        for start, stop in sorted([*quick, *self._slow]):
            if joined and start <= joined[-1].stop:
                joined[-1] = range(joined[-1].start, max(stop, joined[-1].stop))
            else:
                joined.append(range(start, stop))
        return joined


def _runs(places: list[int]) -> list[list[int]]:
    """Rising numbers grouped where one follows another within a few."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place - runs[-1][0] < SPAN:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _small(rgb: npt.NDArray[np.uint8]) -> _Small:
    import cv2

    grey = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), SIZE, interpolation=cv2.INTER_AREA)
    tiny = cv2.resize(rgb, (40, 24), interpolation=cv2.INTER_AREA)
    colours = cv2.calcHist([tiny], [0, 1, 2], None, [8] * 3, [0, 256] * 3).ravel()
    coarse = cv2.GaussianBlur(
        cv2.resize(grey, (40, 24), interpolation=cv2.INTER_AREA).astype(np.float32), (0, 0), BLUR
    )
    return _Small(
        np.asarray(grey, np.uint8),
        np.asarray(colours / colours.sum(), np.float32),
        np.asarray(coarse - coarse.mean(), np.float32).ravel(),
    )


def _is_quick(pictures: list[_Small]) -> bool:
    """Whether the second and the last but one show different scenes, and each is like its outer neighbour."""
    before, one, other, after = pictures[0], pictures[1], pictures[-2], pictures[-1]
    return bool(
        np.minimum(one.colours, other.colours).sum() < COLOURS
        and _likeness(one, other) < UNLIKE
        and min(_likeness(before, one), _likeness(other, after)) > ALIKE
    )


def _dissolved(pictures: list[_Small]) -> range | None:
    """Places of pictures that mix the first and the last, or show nothing; None if the middle does not."""
    first, middle, last = (pictures[place].coarse for place in (0, len(pictures) // 2, -1))
    contrast = min(float(first.std()), float(last.std())) + 1
    empty = float(middle.std()) < EMPTY * contrast
    if not empty and not _is_mixed(middle, first, last, contrast):
        return None
    if _likeness(pictures[0], pictures[-1]) > OTHER:
        return None
    if empty:
        inside = [place for place, at in enumerate(pictures) if at.coarse.std() < EMPTY * contrast]
    else:
        shares = [_mixture(picture.coarse, first, last)[0] for picture in pictures]
        inside = [place for place, share in enumerate(shares) if 0.05 < share < 0.95]
    return range(inside[0], inside[-1] + 1)


def _is_mixed(picture: Floats, first: Floats, last: Floats, contrast: float) -> bool:
    """Whether a mixture of both sides explains a picture that neither side explains alone."""
    alone = min(
        float((picture - np.clip(_share(picture, side), 0, 1.2) * side).std()) for side in (first, last)
    )
    share, rest = _mixture(picture, first, last)
    return rest <= MIXED * alone and alone >= APART * contrast and 0.05 < share < 0.95


def _share(picture: Floats, side: Floats) -> float:
    return float(picture @ side / (side @ side + 1))


def _mixture(picture: Floats, first: Floats, last: Floats) -> tuple[float, float]:
    """How much of the last is in a picture, 0 to 1, and the spread of grey levels that a mixture leaves."""
    sides = np.stack([first, last], 1)
    shares = np.clip(np.linalg.lstsq(sides, picture, rcond=None)[0], 0, 1)
    return float(shares[1] / max(shares.sum(), 1e-3)), float((picture - sides @ shares).std())


def _likeness(one: _Small, other: _Small) -> float:
    """Correlation of fine detail of two pictures, aligned by optical flow, 1 = same; the lesser way round."""
    return min(_aligned(one.grey, other.grey), _aligned(other.grey, one.grey))


def _aligned(grey: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    import cv2

    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    estimator.setFinestScale(0)
    flow = estimator.calc(grey, other, np.zeros((*grey.shape, 2), np.float32))
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]].astype(np.float32)
    moved = cv2.remap(
        other, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    one, two = (_detail(picture) for picture in (grey, np.asarray(moved, np.uint8)))
    contrast = np.sqrt(_around(one * one) * _around(two * two))
    return float(_around(one * two).sum() / (contrast.sum() + 2 * contrast.size))


def _around(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    import cv2

    return np.asarray(cv2.blur(values, (9, 9)))


def _detail(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating]:
    levels = grey.astype(np.float32)
    return levels - _around(levels)
