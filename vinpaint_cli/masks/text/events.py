"""From lines on sampled frames to events: one text that stands or moves in the picture for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.masks.text.detect import TextLine
from vinpaint_cli.types import Box

if TYPE_CHECKING:
    Array = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]

SAME_TEXT = 0.6
"""Correlation of two lines from which on they are the same text, wherever they are."""

SAME_PLACE_TEXT = 0.4
"""Correlation of two lines in the same place from which on one is the other, with some letters changed."""

MISSED_SAMPLES = 3
"""Samples in a row in which a line may go unseen."""

STILL = 1.5
"""Pixels, for a frame height of 480, by which the box of a text that stands still varies at most."""

FOLLOWS = 0.35
"""Difference between a line's motion and its surroundings', as a part of theirs, of text in the scene."""

MOVES = 0.25
"""Motion in pixels a frame, for a frame height of 480, below which nothing is said to move."""

_APPEARANCE_HEIGHT = 32


@dataclass(frozen=True, slots=True)
class LineSample:
    """A line on one sampled frame.

    ``appearance``: float32 ``(h, w)``, its picture without its low frequencies, some 32 pixels high.
    ``around``: motion ``(x, y)`` in pixels a frame of what surrounds it, None where that was not measured.
    """

    index: int
    line: TextLine
    appearance: Array
    around: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Track:
    """One text over time.

    ``samples``: in order. ``box``: its whole box at frame ``start``, which may reach beyond the frame.
    ``velocity``: ``(x, y)`` in pixels a frame. ``error``: root mean square of the samples' distance from that
    motion, in pixels.
    """

    samples: tuple[LineSample, ...]
    box: Box
    height: float
    velocity: tuple[float, float]
    error: float

    @property
    def start(self) -> int:
        """The first sampled frame that shows it."""
        return self.samples[0].index

    @property
    def last(self) -> int:
        """The last sampled frame that shows it."""
        return self.samples[-1].index

    def corner(self, index: int) -> tuple[float, float]:
        """Left and upper edge of its box on frame ``index``."""
        by = index - self.start
        return self.box.x0 + self.velocity[0] * by, self.box.y0 + self.velocity[1] * by

    def moved(self, by: tuple[float, float], faster: tuple[float, float]) -> Track:
        """The track begun elsewhere, and with more velocity."""
        box = self.box.moved(round(by[0]), round(by[1]))
        velocity = self.velocity[0] + faster[0], self.velocity[1] + faster[1]
        return replace(self, box=box, velocity=velocity)

    def in_scene(self, frame_height: int) -> bool | None:
        """Whether it moves as a thing of the scene does; None where nothing moves that could tell."""
        scale = frame_height / 480
        rigid = self.error <= STILL * max(1.0, scale) + 0.03 * self.height
        around = np.array([one.around for one in self.samples if one.around is not None], np.float32)
        own = np.array(self.velocity, np.float32)
        moves = float(np.hypot(*own)) > MOVES * scale
        if not rigid or (moves and len(self.samples) < 3):
            return True
        if not len(around):
            return False if moves else None
        theirs = float(np.median(np.hypot(*around.T)))
        if theirs > MOVES * scale:
            return float(np.median(np.hypot(*(around - own).T))) < FOLLOWS * theirs
        return False if moves else None


@dataclass(slots=True)
class _Open:
    samples: list[LineSample] = field(default_factory=list)
    missed: int = 0

    @property
    def velocity(self) -> tuple[float, float] | None:
        if len(self.samples) < 2:
            return None
        one, two = self.samples[-2:]
        by = two.index - one.index
        (x, y), (u, v) = _centre(one.line.box), _centre(two.line.box)
        return (u - x) / by, (v - y) / by


class LineTracker:
    """Links the lines of sampled frames, given in order, to tracks."""

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._open: list[_Open] = []
        self._done: list[_Open] = []

    def feed(self, samples: Sequence[LineSample]) -> None:
        """Take the lines of the next sampled frame; each continues the most similar track, or begins one."""
        pairs = sorted(
            (
                (likeness, place, number)
                for place, track in enumerate(self._open)
                for number, sample in enumerate(samples)
                if (likeness := self._likeness(track, sample)) > 0
            ),
            reverse=True,
        )
        used_tracks, used = set[int](), set[int]()
        for _, place, number in pairs:
            if place not in used_tracks and number not in used:
                used_tracks.add(place)
                used.add(number)
                self._open[place].samples.append(samples[number])
                self._open[place].missed = -1
        begun = [_Open([sample], -1) for number, sample in enumerate(samples) if number not in used]
        self._open += begun
        for track in self._open:
            track.missed += 1
        self._done += [track for track in self._open if track.missed > MISSED_SAMPLES]
        self._open = [track for track in self._open if track.missed <= MISSED_SAMPLES]

    def finish(self) -> list[Track]:
        """All tracks, by their first frame; those that are one changing text in one place are joined."""
        found = sorted((*self._done, *self._open), key=lambda track: track.samples[0].index)
        return [_fitted(track.samples, self._size) for track in _joined_changes(found)]

    def _likeness(self, track: _Open, sample: LineSample) -> float:
        """How surely a line continues a track, 0 where it cannot."""
        last = track.samples[-1]
        if not 0.67 < sample.line.height / last.line.height < 1.5:
            return 0.0
        alike = correlation(last.appearance, sample.appearance)
        overlap = overlap_ratio(last.line.box, sample.line.box)
        if overlap > 0.6 and alike > SAME_PLACE_TEXT:
            return alike + overlap
        if alike < SAME_TEXT or not self._within_reach(track, sample):
            return 0.0
        return alike

    def _within_reach(self, track: _Open, sample: LineSample) -> bool:
        last, velocity = track.samples[-1], track.velocity
        by = sample.index - last.index
        x, y = _centre(last.line.box)
        u, v = _centre(sample.line.box)
        if velocity is None:
            width, height = self._size
            return abs(u - x) < width / 4 and abs(v - y) < height / 4
        reach = last.line.height + 0.25 * max(last.line.box.width, last.line.box.height)
        return abs(u - x - velocity[0] * by) < reach and abs(v - y - velocity[1] * by) < reach


def appearance_of(gray: Bytes, line: TextLine) -> Array:
    """Appearance of a line of a grey picture ``(H, W)``, turned so that it runs from left to right."""
    import cv2

    part = gray[line.box.slices()]
    if line.vertical:
        part = np.rot90(part)
    scale = 2.0 ** -max(0, round(np.log2(line.height / _APPEARANCE_HEIGHT)))
    size = [max(8, round(side * scale)) for side in part.shape[::-1]]
    small = cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(small - cv2.GaussianBlur(small, (0, 0), 6), np.float32)


def correlation(one: Array, other: Array) -> float:
    """Normalised correlation of two appearances in [-1, 1], at the shift where they agree most.

    0 for lines of very different size.
    """
    import cv2

    width, height = (min(one.shape[axis], other.shape[axis]) for axis in (1, 0))
    if width < 0.75 * max(one.shape[1], other.shape[1]) or height < 0.6 * max(one.shape[0], other.shape[0]):
        return 0.0
    across, down = max(2, width // 16), max(1, height // 8)
    middle = np.ascontiguousarray(one[:height, :width][down : height - down, across : width - across])
    reach = np.pad(other, ((down, down), (across, across)))
    return float(cv2.matchTemplate(reach, middle, cv2.TM_CCOEFF_NORMED).max())


def overlap_ratio(one: Box, other: Box) -> float:
    """Common area of two boxes as a part of their union."""
    common = one.intersection(other).area
    return common / max(1, one.area + other.area - common)


def _centre(box: Box) -> tuple[float, float]:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def _joined_changes(tracks: Sequence[_Open]) -> list[_Open]:
    """Tracks of one sample or two that follow each other in one place are one text whose letters change."""
    joined: list[_Open] = []
    for track in tracks:
        before = next((one for one in reversed(joined) if _changes_into(one, track)), None)
        if before is None:
            joined.append(_Open(list(track.samples)))
        else:
            before.samples += track.samples
    return joined


def _changes_into(one: _Open, other: _Open) -> bool:
    last, first = one.samples[-1], other.samples[0]
    brief = len(other.samples) <= 2 and (len(one.samples) <= 2 or len(one.samples) > 4)
    steps = [b.index - a.index for a, b in zip(one.samples, one.samples[1:], strict=False)]
    near = 0 < first.index - last.index <= 2 * min(steps, default=first.index - last.index)
    return brief and near and overlap_ratio(last.line.box, first.line.box) > 0.75


def _fitted(samples: Sequence[LineSample], size: tuple[int, int]) -> Track:
    """The track of samples: box, uniform motion and deviation from it, by medians."""
    start = samples[0].index
    when = np.array([one.index - start for one in samples], np.float32)
    edges = np.array([(b.x0, b.x1, b.y0, b.y1) for b in (one.line.box for one in samples)], np.float32)
    height = float(np.median([one.line.height for one in samples]))
    corner, speed, extent, errors = [], [], [], []
    for axis, limit in enumerate(size):
        low, high = edges[:, 2 * axis], edges[:, 2 * axis + 1]
        whole = (low > 0) & (high < limit)
        length = float(np.median((high - low)[whole])) if whole.any() else float((high - low).max())
        place = np.where(low > 0, np.where(high < limit, (low + high - length) / 2, low), high - length)
        rate = slope(when, place, max(3.0, 0.2 * height))
        first = float(np.median(place - rate * when))
        if rate == 0:  # of a standing text, letters come and go: its box holds them all
            first, length = float(low.min()), float(high.max() - low.min())
            errors.append(np.minimum(np.abs(low - np.median(low)), np.abs(high - np.median(high))))
        else:
            errors.append(place - rate * when - first)
        corner.append(first)
        speed.append(rate)
        extent.append(length)
    x, y = (round(value) for value in corner)
    box = Box(x, y, x + round(extent[0]), y + round(extent[1]))
    error = float(np.sqrt(np.mean(np.square(errors).sum(0))))
    return Track(tuple(samples), box, height, (speed[0], speed[1]), error)


def slope(when: Array, place: Array, least: float) -> float:
    """Median slope (Theil and Sen) of a coordinate over time; 0 where it comes to less than ``least``."""
    first, second = np.triu_indices(len(when), 1)
    if not len(first):
        return 0.0
    rate = float(np.median((place[second] - place[first]) / (when[second] - when[first])))
    return rate if abs(rate) * float(when[-1]) >= least else 0.0
