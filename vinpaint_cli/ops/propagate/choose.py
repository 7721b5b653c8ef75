"""Chooses one candidate for each hidden pixel, and averages it with those that agree with it.

Candidates that show the same thing are averaged, which takes out noise. Those that show different things, as
a leg and the grass behind it, are never mixed, since that would leave a half-transparent leg: the thing with
the larger share, over a neighbourhood, is taken whole, and the others lower the confidence. A thing that the
frame before shows at the same place counts more, so that neighbouring frames choose alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.image import Array, Bool
from vinpaint_cli.ops.propagate.fusion import Candidate
from vinpaint_cli.ops.propagate.scorer import NEAR, Area, Surroundings

Integers = npt.NDArray[np.intp]

CELL = 4
"""Side in pixels at 240 lines of the cells in which things are compared."""

SAME_THING = 14.0
"""Difference in levels, of the means of a cell, at which two candidates agree to e⁻¹ on what is there."""

SAME_DETAIL = 10.0
"""Mean difference in levels, over `NEAR` pixels, at which two candidates are averaged to e⁻¹, at most."""

NOISE, PART = 2.5, 0.5
"""The same without texture, and as part of its standard deviation: shifted texture differs by more."""

SEAM = 3
"""Side in pixels at 240 lines of the squares that soften the border between two choices."""

NEIGHBOURS = 5
"""Cells in a row over whose square what speaks for a candidate is averaged: things are larger than cells."""


@dataclass(frozen=True, slots=True)
class Before:
    """What the frame before shows at n hidden pixels, along the flow.

    colour: float32 ``(n, 3)`` in 0…255. support: float32 ``(n,)``, how much it counts against the confidence
    of other things, 0 where nothing is known.
    """

    colour: Array
    support: Array


@dataclass(frozen=True, slots=True)
class Chosen:
    """Colour ``(n, 3)`` in 0…255, confidence ``(n,)`` in [0, 1], and support ``(n,)`` for the next frame."""

    colour: Array
    confidence: Array
    support: Array


class Cells:
    """Squares of pixels that cover n pixels; values of a cell come in the order of a grid, row by row."""

    def __init__(self, around: Surroundings, area: Area) -> None:
        self._side = area.pixels(CELL)
        rows, columns = ((at - int(at.min())) for at in (around.rows, around.columns))
        self._at = rows, columns
        self._grid = int(rows.max()) // self._side + 1, int(columns.max()) // self._side + 1
        self._cell = rows // self._side * self._grid[1] + columns // self._side
        self._held = (self._sum(np.ones(len(rows), np.float32)) > 0).astype(np.float32)

    def mean(self, values: Array, there: Bool | None = None) -> Array:
        """Means ``(M[, c])`` of ``values (n[, c])`` where they are ``there (n,)``; 0 in cells without any."""
        weight = np.ones(len(values), np.float32) if there is None else there.astype(np.float32)
        planes = values.reshape(len(values), -1).T
        count = np.maximum(self._sum(weight), 1e-6)
        means = np.stack([self._sum(plane * weight) / count for plane in planes], -1)
        return np.asarray(means.reshape(-1, *values.shape[1:]), np.float32)

    def smooth(self, values: Array) -> Array:
        """Means ``(M,)`` of ``values (M,)`` over `NEIGHBOURS` × `NEIGHBOURS` cells."""
        import cv2

        def blurred(cells: Array) -> Array:
            side = NEIGHBOURS, NEIGHBOURS
            soft = cv2.blur(cells.reshape(self._grid), side, borderType=cv2.BORDER_CONSTANT)
            return np.asarray(soft.ravel(), np.float32)

        return np.asarray(blurred(values * self._held) / np.maximum(blurred(self._held), 1e-6), np.float32)

    def spread(self, values: Array) -> Array:
        """``values (M,)`` at each pixel ``(n,)``, interpolated bilinearly between the centres of cells."""
        import cv2

        size = self._grid[1] * self._side, self._grid[0] * self._side

        def enlarged(cells: Array) -> Array:
            fine = cv2.resize(cells.reshape(self._grid), size, interpolation=cv2.INTER_LINEAR)
            return np.asarray(fine[self._at], np.float32)

        return np.asarray(enlarged(values * self._held) / np.maximum(enlarged(self._held), 1e-6), np.float32)

    def _sum(self, values: Array) -> Array:
        found = np.bincount(self._cell, values, minlength=self._grid[0] * self._grid[1])
        return found.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Proposal:
    """K candidates for n hidden pixels, compared with each other in M cells.

    colours: float32 ``(K, n, 3)`` in 0…255; valid: bool ``(K, n)``; shares: float32 ``(K, n)`` in [0, 1], the
    rest of 1 is that of "none". means: float32 ``(K, M, 3)``, of the cells. mass: float32 ``(K, M)``, the
    shares of all candidates that show the same thing as k.
    """

    colours: Array
    valid: Bool
    shares: Array
    means: Array
    mass: Array
    cells: Cells
    area: Area

    def choose(self, before: Before | None = None) -> Chosen:
        """Choose one candidate for each pixel, and average it with those that agree in detail."""
        likeness = self._likeness(before)
        worth = np.stack([self.cells.spread(self.cells.smooth(one)) for one in self.mass + likeness])
        chosen = np.where(self.valid, worth, -1).argmax(0)
        one = np.take_along_axis(self.colours, chosen[None, :, None], 0)[0]
        colour = self._without_steps(self._with_those_alike(one, chosen), chosen)
        confidence = np.zeros(len(chosen), np.float32)
        support = np.zeros_like(confidence)
        for k, (mass, like) in enumerate(zip(self.mass, likeness, strict=True)):
            here = (chosen == k) & self.valid[k]
            if here.any():
                confidence[here] = np.minimum(self.cells.spread(mass)[here], 1)
                support[here] = confidence[here] + self.cells.spread(like)[here]
        return Chosen(np.where((confidence > 0)[:, None], colour, 0), confidence, support)

    def average(self) -> Chosen:
        """Average all candidates by their shares, whatever they show."""
        confidence = self.shares.sum(0)
        colour = (self.shares[..., None] * self.colours).sum(0) / np.maximum(confidence, 1e-9)[:, None]
        return Chosen(colour, confidence, np.zeros_like(confidence))

    def _likeness(self, before: Before | None) -> Array:
        """How much speaks for each candidate ``(K, M)`` because the frame before shows the same."""
        if before is None:
            return np.zeros_like(self.mass)
        colour, support = self.cells.mean(before.colour), self.cells.mean(before.support)
        return _agreement(np.abs(self.means - colour).max(-1)) * support

    def _with_those_alike(self, one: Array, chosen: Integers) -> Array:
        """Mean ``(n, 3)`` of a colour for each pixel and of the candidates that hardly differ from it."""
        total, weights = np.zeros_like(one), np.full(len(one), 1e-9, np.float32)
        tolerance = self._tolerance(one)
        for k, (colour, share) in enumerate(zip(self.colours, self.shares, strict=True)):
            apart = self.area.mean(np.abs(colour - one).mean(-1), self.valid[k], self.area.side(NEAR))
            weight = share * np.exp(-np.square(apart / tolerance)) * self.valid[k]
            weight[chosen == k] = np.maximum(share[chosen == k], 1e-6)
            total += weight[:, None] * colour
            weights += weight
        return np.asarray(total / weights[:, None], np.float32)

    def _tolerance(self, one: Array) -> Array:
        """Levels ``(n,)`` by which candidates may differ in detail: more where there is more of it."""
        everywhere, side, grey = np.ones(len(one), np.bool_), self.area.side(NEAR), one.mean(-1)
        level, square = (self.area.mean(values, everywhere, side) for values in (grey, grey**2))
        return tolerated(np.sqrt(np.maximum(square - level**2, 0)))

    def _without_steps(self, colour: Array, chosen: Integers) -> Array:
        """``colour (n, 3)``, but a mean of both candidates within `SEAM` pixels of where two choices meet."""
        shares = [
            self.area.mean((chosen == k) * there, there, self.area.side(SEAM)) * there
            for k, there in enumerate(self.valid)
        ]
        total = sum(shares)
        seam = (np.max(shares, 0) < 0.999 * total) & (total > 0)
        mixed = sum(
            share[seam, None] * other[seam] for share, other in zip(shares, self.colours, strict=True)
        )
        colour[seam] = mixed / total[seam, None]
        return colour


def propose(candidates: Sequence[Candidate], shares: Array, around: Surroundings) -> Proposal:
    """Compare K candidates with each other, at least one; shares: float32 ``(K, n)`` of `scorer.weigh`."""
    area = Area(around)
    cells = Cells(around, area)
    colours = np.stack([np.clip(candidate.colour, 0, 255) for candidate in candidates])
    valid = np.stack([candidate.valid for candidate in candidates])
    means = np.stack([cells.mean(colour, there) for colour, there in zip(colours, valid, strict=True)])
    mass = np.zeros(means.shape[:2], np.float32)
    for share, other in zip(shares, means, strict=True):
        mass += cells.mean(share) * _agreement(np.abs(means - other).max(-1))
    return Proposal(colours, valid, shares, means, mass, cells, area)


def tolerated(texture: Array) -> Array:
    """Difference in levels at which colours are mixed to e⁻¹; texture: standard deviation in levels."""
    return np.asarray(np.minimum(NOISE + PART * texture, SAME_DETAIL), np.float32)


def _agreement(apart: Array) -> Array:
    return np.asarray(np.exp(-np.square(apart / SAME_THING)), np.float32)
