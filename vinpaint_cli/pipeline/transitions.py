"""Dissolves and fades: gradual changes from one scene to another, found while a clip is scanned.

In a dissolve almost every part of a frame is a mixture of the same place two frames before and after, found
there by optical flow; what changes is the same all the way, the scene that comes less the one that goes; and
what is seen afterwards is nowhere in what was seen before. Plain footage shows each of these at times but
hardly all at once: a weighted sum decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.image import Array, Bytes, coordinate_grid, luma, sample

STEP = 2
"""Frames from a picture to those it may be a mixture of."""

SIZE = 64, 36
"""Width and height at which pictures are looked at."""

CHANGE, REST = 4.0, 0.25
"""A block is mixed if it changes by so many levels, and a mixture leaves less of their variance."""

PURE = 0.12
"""Share of the other side below which a picture is not mixed, but a cut or still."""

PEAK, LOW, PART = 0.6, 0.4, 0.65
"""Least share of mixed blocks at the peak of a transition; all through it, of 1 and of the peak."""

APART = 12
"""Least frames between peaks."""

REACH = 32
"""Most frames from the peak of a transition to its ends."""

CALM = 3
"""Frames to be seen on either side of a transition."""

EMPTY, FULL = 0.15, 0.6
"""Contrast, as part of the most around, below which a picture shows nothing, and above which a scene."""

ALIKE = 0.45
"""Likeness of what is before and after a picture of nothing, above which it is one scene."""

WEIGHTS = np.array([10.4, -7.4, -7.9, 4.4, 5.9, 2.0, 3.9, -11.2], np.float32)
"""Of what `_evidence` returns, fitted to made transitions and to plain footage."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """A frame made small: colours ``(36, 64, 3)``, blurred as well; grey; contrast."""

    rgb: Bytes
    soft: Array
    grey: Bytes
    contrast: float


@dataclass(frozen=True, slots=True)
class _Change:
    """What happens around a picture: share of mixed blocks; what changes ``(9, 16, 3)``, in levels too."""

    mixed: float
    change: Array
    levels: float


class TransitionDetector:
    """Finds the frames in which one scene gradually becomes another; keeps few pictures at a time."""

    def __init__(self) -> None:
        self._pictures: deque[_Picture] = deque(maxlen=2 * (REACH + STEP) + 1)
        self._changes: deque[_Change] = deque(maxlen=2 * REACH + 1)
        self._fed = 0
        self._found: list[range] = []

    def feed(self, rgb: Bytes) -> None:
        """Take the next frame, uint8 RGB ``(h, w, 3)``."""
        self._pictures.append(_small(rgb))
        self._fed += 1
        if len(self._pictures) > 2 * STEP:
            recent = [self._pictures[-1 - 2 * STEP], self._pictures[-1 - STEP], self._pictures[-1]]
            self._changes.append(_change(*recent))
        if len(self._changes) > REACH:
            self._look(len(self._changes) - 1 - REACH)

    def found(self) -> list[range]:
        """Frames of each transition, in order, apart from each other, after the last frame was fed."""
        for place in range(max(0, len(self._changes) - REACH), len(self._changes)):
            self._look(place)
        joined: list[range] = []
        for part in sorted(self._found, key=lambda part: part.start):
            if joined and part.start <= joined[-1].stop:
                part = range(joined[-1].start, max(part.stop, joined.pop().stop))
            joined.append(part)
        return joined

    def _look(self, place: int) -> None:
        """Add the transition whose peak is at a place of what is kept, if there is one."""
        pictures = list(self._pictures)[-len(self._changes) - 2 * STEP :]
        changes = list(self._changes)
        parts = [_emptiness(pictures[STEP:-STEP], place)]
        mixed = _extent(np.array([change.mixed for change in changes]), place)
        if mixed is not None:
            seen = pictures[mixed.start : mixed.stop + 2 * STEP]
            if _evidence(seen, changes[mixed.start : mixed.stop]) @ WEIGHTS > 0:
                parts.append(mixed)
        first = self._fed - len(pictures) + STEP
        self._found += [range(first + part.start, first + part.stop) for part in parts if part is not None]


def _small(rgb: Bytes) -> _Picture:
    import cv2

    small = np.asarray(cv2.resize(rgb, SIZE, interpolation=cv2.INTER_AREA), np.uint8)
    soft = np.asarray(cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1), np.float32)
    return _Picture(small, soft, luma(small.astype(np.float32)), float(soft.std()))


def _change(before: _Picture, now: _Picture, after: _Picture) -> _Change:
    import cv2

    one = _warped(before.soft, _flow(now.grey, before.grey))
    other = _warped(after.soft, _flow(now.grey, after.grey))
    apart = other - one
    share = float(((now.soft - one) * apart).sum() / ((apart**2).sum() + 1))
    rest = now.soft - one - share * apart
    change = _light_apart(apart, np.asarray((one + other) / 2, np.float32))
    changed, unexplained = (_blocks((one**2).mean(-1)) for one in (change, rest - rest.mean((0, 1))))
    mixed = (changed > CHANGE**2) & (unexplained < REST * (changed + 1)) & (PURE < share < 1 - PURE)
    coarse = np.asarray(cv2.resize(change, (16, 9), interpolation=cv2.INTER_AREA), np.float32)
    return _Change(float(mixed.mean()), coarse, float(np.sqrt(changed.mean())))


def _light_apart(change: Array, picture: Array) -> Array:
    """What of a change ``(h, w, 3)`` no curve of tones, the same all over the picture, explains."""
    tone = picture.ravel() / 128 - 1
    powers = np.stack([tone**degree for degree in range(4)])
    curve = np.linalg.solve(powers @ powers.T + np.eye(4, dtype=np.float32), powers @ change.ravel())
    return np.asarray(change - (curve @ powers).reshape(change.shape), np.float32)


def _extent(mixed: npt.NDArray[np.floating], peak: int) -> range | None:
    """Places of the transition with its peak there, by the share of mixed blocks; None if there is none."""
    top = mixed[peak]
    before, after = mixed[max(0, peak - APART) : peak], mixed[peak : peak + APART + 1]
    if top < PEAK or top <= before.max(initial=0) or top < after.max():
        return None
    # One frame in between may be less mixed.
    inside = np.pad(mixed >= max(LOW, PART * top), 2)
    start, stop = peak, peak + 1
    while inside[start : start + 2].any():
        start -= 1
    while inside[stop + 2 : stop + 4].any():
        stop += 1
    return range(start, stop) if start >= CALM and stop <= len(mixed) - CALM else None


def _evidence(pictures: Sequence[_Picture], changes: Sequence[_Change]) -> Array:
    """What `WEIGHTS` weighs for a transition; pictures: its own, and `STEP` before and after."""
    first, last = pictures[0], pictures[-STEP]
    middle = len(changes) // 2
    far = [
        _change(pictures[place], pictures[place + 2 * STEP], pictures[place + 4 * STEP]).mixed
        for place in range(max(0, middle - STEP - 1), middle - STEP + 2)
        if place + 4 * STEP < len(pictures)
    ]
    levels = float(np.median([change.levels for change in changes]))
    values = (
        np.mean([change.mixed for change in changes]),
        _likeness([picture.grey for picture in (*pictures[: 1 - STEP : STEP], last)]),
        np.minimum(_colours(first.rgb), _colours(last.rgb)).sum(),
        _steadiness([change.change.ravel() for change in changes]),
        np.mean(far) if far else 0.5,
        min(len(changes) / 8, 1),
        min(levels / max(8, min(first.contrast, last.contrast)), 1),
        1,
    )
    return np.array(values, np.float32)


def _steadiness(changes: Sequence[Array]) -> float:
    """Mean correlation of changes that have no frame in common; few of them count as a quarter."""
    lag = 2 * STEP
    pairs = zip(changes[:-lag], changes[lag:], strict=True)
    found = [one @ other / (np.linalg.norm(one) * np.linalg.norm(other) + 1) for one, other in pairs]
    return float((sum(found) + 1) / (len(found) + 4))


def _emptiness(pictures: Sequence[_Picture], place: int) -> range | None:
    """Places of pictures that show nothing between two scenes, if the emptiest of them is at ``place``."""
    contrast = np.array([picture.contrast for picture in pictures])
    before, after = contrast[:place], contrast[place + 1 :]
    most = min(before.max(initial=0), after.max(initial=0))
    emptiest = contrast[max(0, place - APART) : place + APART + 1].argmin() == min(APART, place)
    if not emptiest or contrast[place] >= EMPTY * most:
        return None
    one = int(np.flatnonzero(before >= FULL * before.max())[-1])
    other = place + 1 + int(np.flatnonzero(after >= FULL * after.max())[0])
    if _likeness([pictures[one].grey, pictures[other].grey]) > ALIKE:
        return None
    empty = one + 1 + np.flatnonzero(contrast[one + 1 : other] <= EMPTY * most)
    return range(int(empty[0]), int(empty[-1]) + 1)


def _likeness(pictures: Sequence[Bytes]) -> float:
    """How much the first and the last have in common, 0 to 1, aligned at once or from picture to picture.

    Its measure is the correlation of detail in each block, weighted by contrast.
    """
    found = []
    for way in (pictures, pictures[::-1]):
        chain = _flow(way[0], way[1])
        for one, other in pairwise(way[1:]):
            chain = chain + _warped(_flow(one, other), chain)
        for flow in (chain, _flow(way[0], way[-1])):
            first, last = _detail(way[0]), _detail(_warped(way[-1], flow))
            spread = np.sqrt(_blocks(first**2) * _blocks(last**2)) + 1
            found.append(float(np.maximum(_blocks(first * last), 0).sum() / spread.sum()))
    return max(found)


def _detail(picture: Array | Bytes) -> Array:
    import cv2

    levels = picture.astype(np.float32)
    return np.asarray(levels - cv2.blur(levels, (9, 9)), np.float32)


def _blocks(values: Array) -> Array:
    import cv2

    return np.asarray(cv2.resize(values, (8, 4), interpolation=cv2.INTER_AREA), np.float32)


def _colours(rgb: Bytes) -> Array:
    import cv2

    counts = cv2.calcHist([rgb], [0, 1, 2], None, [8] * 3, [0, 256] * 3).ravel()
    return np.asarray(counts / counts.sum(), np.float32)


def _flow(one: Bytes, other: Bytes) -> Array:
    import cv2

    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    estimator.setFinestScale(0)
    return np.asarray(estimator.calc(one, other, np.zeros((*one.shape, 2), np.float32)), np.float32)


def _warped(values: Array | Bytes, flow: Array) -> Array:
    return sample(values, coordinate_grid(*flow.shape[:2]) + flow)
