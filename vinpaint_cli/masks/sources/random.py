"""Random holes for evaluation and training: blobs that stand still or move (numpy only).

The shapes and the walk follow the training masks of STTN (Zeng et al., ECCV 2020, section 4.1): a closed
chain of cubic Bézier segments of random radius, drawn on a canvas of a third of the frame to almost all
of it, translated over time. Every function draws from the generator it is given and from nothing else, so
that a seed fixes the holes; polarity is 1 = fill everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

PIECES = 24
"""Straight lines that stand for one Bézier segment; at 432×240 the error is far below a pixel."""

PLOTTED = (0.775, 0.77)
"""Share of the canvas, across and down, that the shape may take: a plot's margins are left out."""

SMALLEST = 3
"""Smallest side of a blob in pixels, for tiny frames."""


def blob(rng: np.random.Generator, height: int, width: int) -> Bool:
    """One blob for frames of ``height × width``, cut to its bounding box: bool ``(h, w)``, 1 = fill.

    The canvas it is drawn on is a third of the frame to the whole of it in each direction; the blob touches
    all four sides of the result and is not larger than the frame.
    """
    canvas = _side(rng, height), _side(rng, width)
    for _ in range(8):
        shape = _filled(*_outline(rng), *canvas)
        if shape.any():
            return tight(shape)
    return np.ones((min(SMALLEST, height), min(SMALLEST, width)), np.bool_)


def stationary_holes(rng: np.random.Generator, frames: int, height: int, width: int) -> Bool:
    """One blob at one place in all frames: bool ``(T, h, w)``, 1 = fill; a read-only view of one picture."""
    shape = blob(rng, height, width)
    row, column = _start(rng, shape, height, width)
    return np.broadcast_to(_placed(shape, row, column, height, width), (frames, height, width))


def moving_holes(rng: np.random.Generator, frames: int, height: int, width: int) -> Bool:
    """One blob that wanders without changing its shape: bool ``(T, h, w)``, 1 = fill.

    It stays wholly inside the frame; speed (pixels per frame, whole pixels) and direction drift, and are
    drawn anew when it meets the border.
    """
    shape = blob(rng, height, width)
    walk = _Walk(rng, *_start(rng, shape, height, width))
    holes = np.zeros((frames, height, width), np.bool_)
    for hole in holes:
        rows, columns = shape.shape
        hole[walk.row : walk.row + rows, walk.column : walk.column + columns] = shape
        walk.step(height - rows, width - columns)
    return holes


def _side(rng: np.random.Generator, length: int) -> int:
    """A third of ``length`` to one less than it, both within 1 … ``length``."""
    low = min(max(SMALLEST, length // 3), length)
    return int(rng.integers(low, max(low + 1, length - 1)))


def _outline(rng: np.random.Generator) -> tuple[Array, Array]:
    """A closed chain of six to eight Bézier segments around the origin, in any unit.

    Returns the polygon ``(n, 2)`` that stands for it and its control points ``(m, 2)``.
    """
    edges = int(rng.integers(6, 9))
    roughness = int(rng.integers(6, 9)) / 10
    count = 3 * edges + 1
    radius = 1 - roughness + 2 * roughness * rng.random(count)
    angle = np.linspace(0, 2 * np.pi, count)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    points[-1] = points[0]
    # control[k, e]: k-th of the four control points of segment e; neighbours share one.
    control = np.stack([points[k : k + 3 * edges : 3] for k in range(4)])
    t = np.linspace(0, 1, PIECES, endpoint=False)[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    curve = np.einsum("tk,ked->etd", weights, control).reshape(-1, 2)
    return curve, points


def _filled(curve: Array, points: Array, height: int, width: int) -> Bool:
    """The curve drawn on the canvas, filled by the non-zero winding rule (it may cross itself).

    Both axes run from 1.1 × the smallest to 1.1 × the largest coordinate of all control points, over the
    part of the canvas that a plotting library's only axes take by default: what the paper's masks are.
    """
    low, high = float(points.min()) * 1.1, float(points.max()) * 1.1
    side = np.array([width, height]) * PLOTTED
    corners = (curve - low) / max(high - low, 1e-9) * side
    return np.asarray(_winding(corners, height, width) != 0)


def _winding(corners: Array, height: int, width: int) -> npt.NDArray[np.int64]:
    """How often the polygon ``(n, 2)`` winds around each pixel centre, ``(h, w)``.

    Per row, each edge that crosses the row's centre line adds its direction to all pixels on its right.
    """
    start, end = corners, np.roll(corners, -1, axis=0)
    centre = np.arange(height)[:, None] + 0.5
    up = (start[:, 1] <= centre) & (centre < end[:, 1])
    down = (end[:, 1] <= centre) & (centre < start[:, 1])
    rows, edges = np.nonzero(up | down)
    a, b = start[edges], end[edges]
    x = a[:, 0] + (rows + 0.5 - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    first = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    crossings = np.zeros((height, width + 1), np.int64)
    np.add.at(crossings, (rows, first), np.where(b[:, 1] > a[:, 1], 1, -1))
    return np.asarray(np.cumsum(crossings, axis=1)[:, :width])


def tight(shape: Bool) -> Bool:
    """A shape ``(h, w)`` cut to its bounding box; it must not be empty."""
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    return shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def shifted(hole: Bool, down: int, right: int) -> Bool:
    """Holes ``(…, h, w)`` moved by whole pixels; what leaves the picture is gone."""
    moved = np.zeros_like(hole)
    height, width = hole.shape[-2:]
    rows, columns = slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right))
    if abs(down) < height and abs(right) < width:
        moved[..., rows, columns] = hole[
            ..., max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
        ]
    return moved


def _start(rng: np.random.Generator, shape: Bool, height: int, width: int) -> tuple[int, int]:
    """Upper left corner, uniform over the places where the shape fits."""
    rows, columns = shape.shape
    return int(rng.integers(0, height - rows + 1)), int(rng.integers(0, width - columns + 1))


def _placed(shape: Bool, row: int, column: int, height: int, width: int) -> Bool:
    hole = np.zeros((height, width), np.bool_)
    hole[row : row + shape.shape[0], column : column + shape.shape[1]] = shape
    return hole


@dataclass
class _Walk:
    """A random walk in whole pixels whose speed and direction drift (STTN's training masks)."""

    rng: np.random.Generator
    row: int
    column: int

    def __post_init__(self) -> None:
        self._speed = 3 - 2 * self.rng.random()  # (1, 3]
        self._angle = self.rng.uniform(0, 2 * np.pi)

    def step(self, last_row: int, last_column: int) -> None:
        """Move once; the corner stays within 0 … ``last_row`` and 0 … ``last_column``."""
        row = self.row + int(self._speed * np.cos(self._angle))
        column = self.column + int(self._speed * np.sin(self._angle))
        self._speed += self.rng.normal(0, 1.5)
        self._angle += self.rng.normal(0, 0.25)
        if not (0 <= row <= last_row and 0 <= column <= last_column):
            self._speed = abs(self.rng.normal(0, 1.5))
            self._angle = self.rng.uniform(0, 2 * np.pi)
        self.row = min(max(row, 0), last_row)
        self.column = min(max(column, 0), last_column)
