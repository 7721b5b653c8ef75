"""Subsampled chroma up to luma resolution and back, one axis at a time.

Going up is linear interpolation between properly sited samples. Going down is a short filter made to be
its exact inverse, so that a picture that was only brought up and down again is the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float32]
    Indices: TypeAlias = npt.NDArray[np.intp]

COSITED_X = frozenset({"left", "topleft", "bottomleft"})


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a subsampled plane: chroma sample k lies at luma position ``factor · k + site``."""

    factor: int
    site: float
    size: int

    def neighbours(self, start: int, stop: int) -> tuple[Indices, Indices, Floats]:
        """For luma positions ``[start, stop)``: the two chroma samples around, and the second's weight."""
        position = (np.arange(start, stop) - self.site) / self.factor
        first = np.floor(position).astype(np.intp)
        weight = (position - first).astype(np.float32)
        last = self.size - 1
        return np.clip(first, 0, last), np.clip(first + 1, 0, last), weight

    def footprint(self, start: int, stop: int) -> tuple[int, int]:
        """Chroma samples ``[first, last)`` that own at least one luma position of ``[start, stop)``."""
        return start // self.factor, -(-stop // self.factor)


def axes(shift_x: int, shift_y: int, size: tuple[int, int], location: str | None) -> tuple[Axis, Axis]:
    """Horizontal and vertical axis of a chroma plane of ``size`` ``(width, height)``.

    ``location`` is FFmpeg's name of the chroma siting; None is MPEG's (left, vertically centred).
    """
    name = location or "left"
    factor_x, factor_y = 1 << shift_x, 1 << shift_y
    site_x = 0.0 if name in COSITED_X else (factor_x - 1) / 2
    site_y = (factor_y - 1) / 2
    if name.startswith("top"):
        site_y = 0.0
    elif name.startswith("bottom"):
        site_y = factor_y - 1.0
    return Axis(factor_x, site_x, size[0]), Axis(factor_y, site_y, size[1])


@lru_cache(maxsize=16)
def down_taps(factor: int, site: float) -> tuple[int, tuple[float, ...]]:
    """``(first offset, taps)``: chroma k is the sum of ``taps[i] · luma[factor · k + first + i]``.

    The taps nearest to a plain average (box or triangle around the site) that undo linear interpolation:
    t = b + A⁺(δ − A b), where row m of A holds what interpolation gives from chroma sample m.
    """
    offsets = np.array([j for j in range(-2 * factor, 3 * factor) if abs(j - site) < factor + 0.5])
    distance = np.abs(offsets - site)
    window = np.clip(factor - distance, 0.0, None) if site == int(site) else (distance < factor / 2) * 1.0
    base = window / window.sum()
    samples = np.arange(-3, 4)[:, None]
    spread = np.clip(1.0 - np.abs((offsets - site)[None, :] / factor - samples), 0.0, None)
    wanted = (samples[:, 0] == 0).astype(np.float64)
    taps = base + np.linalg.pinv(spread) @ (wanted - spread @ base)
    return int(offsets[0]), tuple(float(t) for t in taps)


def reduce_axis(values: Floats, start: int, axis: Axis, first: int, last: int) -> Floats:
    """Chroma samples ``[first, last)`` from luma-resolution rows, ``values[i]`` at position ``start + i``.

    Shape ``(n, …)`` → ``(last − first, …)``. Rows outside ``values`` count as zero: callers pass
    differences, which vanish there.
    """
    begin, taps = down_taps(axis.factor, axis.site)
    low = axis.factor * first + begin
    high = axis.factor * (last - 1) + begin + len(taps)
    padded = np.zeros((high - low, *values.shape[1:]), np.float32)
    source_from, source_to = max(low, start), min(high, start + len(values))
    padded[source_from - low : source_to - low] = values[source_from - start : source_to - start]
    span = axis.factor * (last - first - 1) + 1
    total = np.zeros((last - first, *values.shape[1:]), np.float32)
    for i, tap in enumerate(taps):
        if abs(tap) > 1e-12:
            total += np.float32(tap) * padded[i : i + span : axis.factor]
    return total
