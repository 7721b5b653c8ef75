"""Random holes for training: blobs and boxes that stand, blobs and objects that move."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vinpaint_cli.masks.sources.random import blob, moving_holes, shifted, stationary_holes

Bool = npt.NDArray[np.bool_]

KINDS = {"still": 0.40, "moving": 0.20, "box": 0.20, "object": 0.20}
"""How often each kind is drawn."""

MOST_HOLES = 4
"""Most holes that are drawn over one clip to cover more of it."""

WANDERING = 120
"""Longest run of frames for which a wandering blob is drawn frame by frame."""


def draw_kind(rng: np.random.Generator) -> str:
    """A kind of hole, by the frequencies of `KINDS`."""
    return str(rng.choice(list(KINDS), p=list(KINDS.values())))


def draw_holes(rng: np.random.Generator, kind: str, steps: npt.NDArray[np.int64], h: int, w: int) -> Bool:
    """Holes at times ``steps`` ``(T,)`` (frames, the first the smallest): bool ``(T, h, w)``, 1 = fill."""
    if kind == "still":
        return np.array(stationary_holes(rng, len(steps), h, w))
    if kind == "box":
        return np.broadcast_to(_box(rng, h, w), (len(steps), h, w)).copy()
    if kind == "object":
        return _object(rng, steps, h, w)
    past = steps - steps[0]
    return np.array(
        moving_holes(rng, min(int(past[-1]) + 1, WANDERING), h, w)[np.minimum(past, WANDERING - 1)]
    )


def cover_more(
    rng: np.random.Generator,
    holes: Bool | None,
    steps: npt.NDArray[np.int64],
    size: tuple[int, ...],
    share: float,
) -> Bool:
    """Holes ``(T, h, w)``, None for none yet, and more of any kind until ``share`` of all is hidden.

    At least one and at most `MOST_HOLES` are drawn, so the share may not be reached.
    """
    drawn = 0
    while holes is None or (drawn < MOST_HOLES and holes.mean() < share):
        more = draw_holes(rng, draw_kind(rng), steps, *size)
        holes = more if holes is None else holes | more
        drawn += 1
    return holes


def _box(rng: np.random.Generator, h: int, w: int) -> Bool:
    """An upright rectangle: a fifth to half of the frame each way, or a line of text."""
    low, high = ((0.05, 0.15), (0.25, 0.7)) if rng.random() < 0.3 else ((0.15, 0.5), (0.15, 0.45))
    rows, columns = max(2, round(h * rng.uniform(*low))), max(2, round(w * rng.uniform(*high)))
    y, x = int(rng.integers(0, h - rows + 1)), int(rng.integers(0, w - columns + 1))
    hole = np.zeros((h, w), np.bool_)
    hole[y : y + rows, x : x + columns] = True
    return hole


def moved_to(holes: Bool, place: npt.NDArray[np.float64]) -> Bool:
    """Holes ``(T, h, w)`` moved together so that what they hide has its middle at ``place``, x and y.

    What leaves the picture is gone, so the middle is kept inside it.
    """
    rows, columns = (np.flatnonzero(holes.any((0, axis))) for axis in (2, 1))
    if not len(rows):
        return holes
    height, width = holes.shape[1:]
    down = round(float(np.clip(place[1], 0, height - 1)) - (rows[0] + rows[-1]) / 2)
    right = round(float(np.clip(place[0], 0, width - 1)) - (columns[0] + columns[-1]) / 2)
    return shifted(holes, down, right)


def _outline(rng: np.random.Generator, h: int, w: int) -> Bool:
    """The shape of an object, a blob of about a tenth of the frame, bool ``(a, b)``."""
    scale = rng.uniform(0.6, 1.2)
    return blob(rng, max(8, round(h * scale)), max(8, round(w * scale)))


def _object(rng: np.random.Generator, steps: npt.NDArray[np.int64], h: int, w: int) -> Bool:
    """One thing that crosses the frame, growing or shrinking; it may be cut off by the border."""
    shape = _outline(rng, h, w)
    past = (steps - steps[0]).astype(np.float64)
    middle = past[-1] / 2
    velocity = rng.normal(0, 1, 2) * min(3.0, 0.5 * w / max(1.0, past[-1]))
    centre = rng.uniform(0.2, 0.8, 2) * [h, w] + (past - middle)[:, None] * velocity
    growth = np.exp((past - middle) * rng.normal(0, 0.01))
    y, x = np.mgrid[:h, :w]
    holes = np.zeros((len(steps), h, w), np.bool_)
    for hole, (cy, cx), scale in zip(holes, centre, growth, strict=True):
        rows = np.rint((y - cy) / scale + shape.shape[0] / 2).astype(np.int64)
        columns = np.rint((x - cx) / scale + shape.shape[1] / 2).astype(np.int64)
        inside = (rows >= 0) & (rows < shape.shape[0]) & (columns >= 0) & (columns < shape.shape[1])
        hole[inside] = shape[rows[inside], columns[inside]]
    return holes
