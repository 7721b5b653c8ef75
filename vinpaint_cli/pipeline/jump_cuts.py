"""Cuts between pictures that are much alike: the same person before the same wall, a moment later."""

from __future__ import annotations

import numpy as np

from vinpaint_cli.ops.flow.dis import DisFlow
from vinpaint_cli.ops.image import Array, Bytes, coordinate_grid, luma, mean_around, sample

UNEXPLAINED = 12.0
"""Levels of 255 by which a pixel differs from what optical flow brings to it, from which on it is new."""

NEW_PART = 0.2
"""Part of a picture that is new after a cut, at least."""

SUDDEN = 4.0
"""How much more differs at a cut than between the pictures around it."""

AROUND = 4
"""Pairs of pictures before and after with which a cut is compared."""

_NOISE = 0.3
_SMOOTH = 2


class JumpCuts:
    """Finds cuts as changes that no motion explains, sudden among their neighbours.

    Fast motion leaves much unexplained too, but in many frames; a flash leaves it twice in a row.
    """

    def __init__(self) -> None:
        self._flow = DisFlow()
        self._last: Bytes | None = None
        self._rests: list[tuple[float, float]] = []

    def feed(self, rgb: Bytes) -> None:
        """Take the next small picture, uint8 RGB ``(h, w, 3)`` of one size."""
        gray = luma(rgb.astype(np.float32))
        if self._last is not None:
            rests = self._rest(self._last, gray), self._rest(gray, self._last)
            self._rests.append(min(rests))
        self._last = gray

    def found(self) -> list[int]:
        """First frames of new shots, in order, of the pictures so far."""
        return [place + 1 for place in range(len(self._rests)) if self._is_cut(place)]

    def _rest(self, one: Bytes, other: Bytes) -> tuple[float, float]:
        """What flow does not explain of a picture: its mean in levels, and the part that is new."""
        flow = self._flow(one, other)
        height, width = one.shape
        brought = sample(other, coordinate_grid(height, width) + flow)
        off: Array = mean_around(np.abs(brought - one), np.ones_like(brought), _SMOOTH)
        return float(off.mean()), float((off > UNEXPLAINED).mean())

    def _is_cut(self, place: int) -> bool:
        mean, new = self._rests[place]
        nearest = [rest for rest, _ in self._rests[max(0, place - 2) : place + 3]]
        around = sorted(rest for rest, _ in self._rests[max(0, place - AROUND) : place + AROUND + 1])
        if new < NEW_PART or len(around) < 4 or mean < max(nearest):
            return False
        second_nearest = sorted(nearest)[-2]
        usual = max(around[-3], second_nearest)  # another cut may be near, but not next to this one
        return mean > SUDDEN * (usual + _NOISE)
