"""Which pixel each hole pixel is copied from, in coherent pieces: a labelling by minimum cuts.

Labels are displacements (Pritch et al., Shift-Map Image Editing, ICCV 2009). What a piece costs is how badly
it agrees with what lies beside the hole, and what a seam costs is how unlike the two pieces are on both sides
of it; each displacement in turn takes over what makes the whole cheaper (alpha-expansion, Boykov et al., PAMI
2001). That is done small, and refined along the seams at each larger size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.complete.displacements import Places, is_in
from vinpaint_cli.ops.complete.ground import Ground
from vinpaint_cli.ops.image import Array, Bool, box_around, dilate

SWEEPS = 3
"""Times that each displacement is tried at the smallest size, at most."""

_Kind = TypeVar("_Kind", bound=np.generic)

AROUND = 4
"""Pixels on each side over which agreement beside the hole is averaged."""

AGREEMENT = 2.0
"""Cost of a difference beside the hole, averaged over the window of a pixel."""

BORDER = 2.0
"""Cost of a difference at a known pixel next to one of the hole."""

UNSEEN = 0.2
"""Difference counted where a displacement says nothing about a known pixel."""

UNUSUAL = 1.0
"""Cost of copying a pixel whose patch looks like no other, and that may belong to an object.

This and the following are divided by the root of the number of hole pixels: pieces weigh as seams do.
"""

FAR = 0.6
"""Cost of copying a pixel from as far to the side as the hole's surroundings reach."""

HIGH = 15.0
"""Cost of copying a pixel from as far above or below: what lies at another height is another thing."""

GUIDED = 15.0
"""Cost of a difference from the guide in low frequencies, up to ``ENOUGH``."""

ENOUGH = 0.15
"""Difference from the guide beyond which more of it does not matter: the guide may be wrong."""

SEAM = 0.01
"""Least cost of a seam, for each pair of neighbours that it parts."""

BAND = 3
"""Pixels around a piece into which it may grow when it is refined."""

ROUNDS = 6
"""Times that it is looked which pixels can be left out of a cut."""

LARGE = 64
"""Pixels from which a piece is tried a pixel aside as well when it is refined."""

MANY = 60_000
"""Hole pixels beyond which none is, for the time it takes: of so many a pixel shows less."""

STEPS = 1_000
"""Whole numbers that a cost of 1 is counted in."""

MOST = 30_000
"""The highest cost in such numbers."""

_ACROSS = np.array([[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]])


@dataclass(slots=True)
class _Pieces:
    """Hole pixels ``places (n, 2)``, neighbours among them ``pairs (m, 2)``; a labelling.

    shift: ``(n, 2)``, displacement of each. cost: ``(n,)``, of that alone; infinite where nothing is known.
    """

    places: Places
    pairs: Places
    shift: Places
    cost: Array


def label(ground: Ground, offsets: Places, random: np.random.Generator) -> Places:
    """Displacements ``(h, w, 2)`` (dy, dx) of all hole pixels, out of ``offsets (n, 2)``, or 0."""
    pieces = _begin(ground, None)
    for offset in offsets:
        _offer(ground, pieces, offset, np.arange(len(pieces.places)))
    everywhere = np.flatnonzero(np.isfinite(pieces.cost))
    for _ in range(SWEEPS):
        gained = [_expand(ground, pieces, offset, everywhere) for offset in random.permutation(offsets)]
        if not any(gained):
            break
        offsets = np.unique(pieces.shift[everywhere], axis=0)  # the others hardly ever come in later
    return _laid(ground, pieces)


def refine(ground: Ground, coarse: Places, random: np.random.Generator) -> Places:
    """Displacements ``(h, w, 2)`` by those of the same picture at half the size, ``(h / 2, w / 2, 2)``."""
    pieces = _begin(ground, np.repeat(np.repeat(2 * coarse, 2, 0), 2, 1))
    offsets = np.unique(pieces.shift, axis=0)
    for offset in offsets:
        _offer(ground, pieces, offset, np.flatnonzero(_same(pieces.shift, offset)))
    for offset in offsets:
        _offer(ground, pieces, offset, np.flatnonzero(~np.isfinite(pieces.cost)))
    for offset in random.permutation(offsets):
        near = _near(ground, pieces, offset)
        large = np.count_nonzero(_same(pieces.shift, offset)) >= LARGE
        for step in _ACROSS if large and len(pieces.places) <= MANY else _ACROSS[:1]:
            _expand(ground, pieces, offset + step, near)
    return _laid(ground, pieces)


def _begin(ground: Ground, shift: Places | None) -> _Pieces:
    """Hole pixels with the displacements ``(h, w, 2)``, not yet judged; with none, all are to be found."""
    hole = ground.hole
    places = np.argwhere(hole)
    number = np.full(hole.shape, -1, np.int64)
    number[hole] = np.arange(len(places))
    beside = (number[:, :-1], number[:, 1:]), (number[:-1], number[1:])
    pairs = np.concatenate([np.stack([one.ravel(), other.ravel()], -1) for one, other in beside])
    shifts = np.zeros_like(places) if shift is None else shift[hole]
    return _Pieces(places, pairs[(pairs >= 0).all(1)], shifts, np.full(len(places), np.inf, np.float32))


def _laid(ground: Ground, pieces: _Pieces) -> Places:
    shift = np.zeros((*ground.hole.shape, 2), np.int64)
    known = np.isfinite(pieces.cost)
    rows, columns = pieces.places[known].T
    shift[rows, columns] = pieces.shift[known]
    return shift


def _same(shift: Places, other: Places) -> Bool:
    """Which displacements ``(n, 2)`` are the same as others ``(n, 2)``, or as one ``(2,)``."""
    return np.asarray((shift[..., 0] == other[..., 0]) & (shift[..., 1] == other[..., 1]))


def _near(ground: Ground, pieces: _Pieces, offset: Places) -> Places:
    """Numbers of the pixels in the pieces of one displacement, or close to them."""
    rows, columns = pieces.places.T
    mine = np.zeros_like(ground.hole)
    same = _same(pieces.shift, offset)
    mine[rows[same], columns[same]] = True
    return np.flatnonzero(dilate(mine, BAND)[rows, columns] & np.isfinite(pieces.cost))


def _offer(ground: Ground, pieces: _Pieces, offset: Places, numbers: Places) -> None:
    """Give a displacement to those of the numbered pixels for which it is cheaper, seams apart."""
    if not len(numbers):
        return
    cost = _cost(ground, pieces.places[numbers], offset)
    better = cost < pieces.cost[numbers]
    pieces.shift[numbers[better]] = offset
    pieces.cost[numbers[better]] = cost[better]


def _cost(ground: Ground, places: Places, offset: Places) -> Array:
    """What it costs to copy ``places (n, 2)`` from ``offset`` away but for seams; infinite: not allowed."""
    asked = np.zeros_like(ground.hole)
    asked[places[:, 0], places[:, 1]] = True
    box = box_around(asked, AROUND + 1)
    beside = ground.known[box]
    there = _allowed(ground.known, box, offset)
    apart = np.square(_moved(ground.features, box, offset) - ground.features[box])
    apart[..., 3:] *= ground.steady[box][..., None]
    unlike = np.sqrt(apart.sum(-1))
    unlike = np.where(there, unlike, np.float32(UNSEEN)) * beside
    cost = _agreement(unlike.astype(np.float32))
    area = UNUSUAL * _moved(ground.unusual, box, offset)
    area += float(np.abs(offset) @ (HIGH, FAR)) / max(ground.hole.shape)
    apart = _moved(ground.low, box, offset) - ground.guide[box]
    area += ground.trust * GUIDED * np.minimum(np.linalg.norm(apart, axis=-1), ENOUGH)
    cost += area / np.sqrt(np.count_nonzero(ground.hole))
    cost[~_allowed(ground.source, box, offset)] = np.inf
    return np.asarray(cost[places[:, 0] - box[0].start, places[:, 1] - box[1].start], np.float32)


def _agreement(unlike: Array) -> Array:
    """What differences ``(h, w)`` beside the hole cost around them."""
    import cv2

    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
    side = (2 * AROUND + 1,) * 2
    mean = cv2.blur(unlike, side, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(AGREEMENT * mean + BORDER * cv2.filter2D(unlike, -1, cross), np.float32)


def _moved(values: npt.NDArray[_Kind], box: tuple[slice, slice], offset: Places) -> npt.NDArray[_Kind]:
    """What lies ``offset`` away from a box of ``values (h, w[, c])``; beyond them the nearest."""
    height, width = values.shape[:2]
    rows = np.arange(box[0].start, box[0].stop) + int(offset[0])
    columns = np.arange(box[1].start, box[1].stop) + int(offset[1])
    moved: npt.NDArray[_Kind] = values[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)]
    return moved


def _allowed(mask: Bool, box: tuple[slice, slice], offset: Places) -> Bool:
    """Which pixels of a box are True ``offset`` away in ``mask (h, w)``; none beyond it."""
    rows = np.arange(box[0].start, box[0].stop) + int(offset[0])
    columns = np.arange(box[1].start, box[1].stop) + int(offset[1])
    beyond = (rows < 0) | (rows >= mask.shape[0]), (columns < 0) | (columns >= mask.shape[1])
    return np.asarray(_moved(mask, box, offset) & ~beyond[0][:, None] & ~beyond[1])


def _looked_up(ground: Ground, places: Places) -> Array:
    """Features of ``places (n, 2)``, or of the nearest ones of the picture."""
    height, width = ground.hole.shape
    rows, columns = places.T
    flat = ground.features.reshape(-1, ground.features.shape[-1])
    return np.asarray(flat[rows.clip(0, height - 1) * width + columns.clip(0, width - 1)], np.float32)


def _expand(ground: Ground, pieces: _Pieces, offset: Places, numbers: Places) -> bool:
    """Let the numbered pixels take a displacement, as many as make the whole cheapest; whether any did."""
    numbers = numbers[~_same(pieces.shift[numbers], offset)]
    numbers = numbers[is_in(ground.source, pieces.places[numbers] + offset)]
    if not len(numbers):
        return False
    cost = _cost(ground, pieces.places[numbers], offset)
    local = np.full(len(pieces.places), -1, np.int64)
    local[numbers] = np.arange(len(numbers))
    ends = local[pieces.pairs]
    touched = (ends[:, 0] >= 0) | (ends[:, 1] >= 0)
    kept, first, second = _seams(ground, pieces, offset, pieces.pairs[touched])
    takes = cheapest(cost - pieces.cost[numbers], ends[touched], kept, first, second)
    if takes is None:
        return False
    pieces.shift[numbers[takes]] = offset
    pieces.cost[numbers[takes]] = cost[takes]
    return True


def _seams(ground: Ground, pieces: _Pieces, offset: Places, pairs: Places) -> tuple[Array, Array, Array]:
    """Costs ``(m,)`` of seams between neighbours: as they are; if the first changes alone; if the second."""
    one, other = pieces.places[pairs[:, 0]], pieces.places[pairs[:, 1]]
    held, across = pieces.shift[pairs[:, 0]], pieces.shift[pairs[:, 1]]
    a = [_looked_up(ground, place + held) for place in (one, other)]
    b = [_looked_up(ground, place + across) for place in (one, other)]
    new = [_looked_up(ground, place + offset) for place in (one, other)]
    return (
        _unlike(a, b) + SEAM * ~_same(held, across),
        _unlike(new, b) + SEAM * ~_same(across, offset),
        _unlike(new, a) + SEAM * ~_same(held, offset),
    )


def _unlike(one: list[Array], other: list[Array]) -> Array:
    apart = [x - y for x, y in zip(one, other, strict=True)]
    return np.asarray(sum(np.sqrt(np.einsum("mc,mc->m", change, change)) for change in apart), np.float32)


def cheapest(gain: Array, ends: Places, kept: Array, first: Array, second: Array) -> Bool | None:
    """Which of n pixels change at least cost; None if that is no cheaper than that none does.

    gain ``(n,)``: what changing one costs by itself, or saves where negative. ends ``(m, 2)``: numbers of
    neighbours, −1 for one that cannot change. The others ``(m,)``: see `_seams`; both changing leaves none.
    """
    alone, kept, first, second = (
        np.rint(STEPS * one.astype(np.float64)) for one in (gain, kept, first, second)
    )
    may = _undecided(alone, ends, kept, first, second)
    if not may.any():
        return None
    local = np.full(len(gain) + 1, -1, np.int64)  # the last one stands for those that cannot change
    local[:-1][may] = np.arange(np.count_nonzero(may))
    alone, (a, b) = alone[may], local[ends].T
    both, fixed_b, fixed_a = (a >= 0) & (b >= 0), (a >= 0) & (b < 0), (b >= 0) & (a < 0)
    alone += np.bincount(a[fixed_b], (first - kept)[fixed_b], len(alone))
    alone += np.bincount(b[fixed_a], (second - kept)[fixed_a], len(alone))
    a, b, kept, first, second = (one[both] for one in (a, b, kept, first, second))
    alone += np.bincount(a, first - kept, len(alone)) - np.bincount(b, first, len(alone))
    between = np.maximum(first + second - kept, 0)
    changes = _cut(np.clip(alone, -MOST, MOST), a, b, between)
    if alone[changes].sum() + between[~changes[a] & changes[b]].sum() > -0.5:
        return None
    takes = np.zeros(len(gain), bool)
    takes[may] = changes
    return takes


def _undecided(alone: Array, ends: Places, kept: Array, first: Array, second: Array) -> Bool:
    """Which of n pixels might change at all; for the others it costs more, whatever their neighbours do."""
    may = np.append(np.ones(len(alone), bool), False)
    a, b = ends.T
    for _ in range(ROUNDS):
        both = may[a] & may[b]
        saved_a, saved_b = kept - first, kept - second
        saved_a = np.where(both, np.maximum(saved_a, second), saved_a)
        saved_b = np.where(both, np.maximum(saved_b, first), saved_b)
        saved = np.zeros(len(alone))  # of nothing at all bincount makes integers
        saved += np.bincount(a[a >= 0], saved_a[a >= 0], len(alone))
        saved += np.bincount(b[b >= 0], saved_b[b >= 0], len(alone))
        before = np.count_nonzero(may)
        may[:-1] &= alone < saved
        if np.count_nonzero(may) == before:
            break
    return may[:-1]


def _cut(alone: Array, a: Places, b: Places, between: Array) -> Bool:
    """Which pixels to change: each costs ``alone (n,)``, and ``between (m,)`` where b does and a does not."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    count = len(alone)
    every, stays, goes = np.arange(count), count, count + 1
    costs, saves = every[alone > 0], every[alone < 0]
    tails = np.concatenate([a, np.full(len(costs), stays), saves])
    heads = np.concatenate([b, costs, np.full(len(saves), goes)])
    capacity = np.concatenate([between, alone[costs], -alone[saves]])
    # With the way back of each, so that the flow has the same structure.
    both = np.concatenate([capacity, np.zeros_like(capacity)]).astype(np.int32)
    ways = np.concatenate([tails, heads]), np.concatenate([heads, tails])
    graph = csr_array((both, ways), shape=(count + 2, count + 2))
    flow = maximum_flow(graph, stays, goes).flow
    left = csr_array((graph.data > flow.data, graph.indices, graph.indptr), shape=graph.shape)
    left.eliminate_zeros()
    takes = np.ones(count + 2, bool)
    takes[breadth_first_order(left.astype(np.int8), stays, return_predecessors=False)] = False
    return takes[:count]
