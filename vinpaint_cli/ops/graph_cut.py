"""The cheapest boundary between object and background: a minimum cut with any evidence, as a convex problem.

GrabCut as OpenCV has it (Rother et al., SIGGRAPH 2004) knows colour alone. Here evidence may be of any kind:
the relaxed cut of Chan, Esedoglu and Nikolova (SIAM J. Appl. Math. 2006) has the same optimum, and is solved
by first-order primal-dual steps (Chambolle and Pock, J. Math. Imaging Vis. 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vinpaint_cli.ops.image import Array, Bool
from vinpaint_cli.types import Box

_STEP = np.float32(1 / np.sqrt(8))


@dataclass(frozen=True, slots=True)
class Edges:
    """What it costs to part neighbours: ``across (h, w − 1)`` side by side, ``down (h − 1, w)`` on top."""

    across: Array
    down: Array

    def crop(self, box: Box) -> Edges:
        """Those inside a box."""
        rows, columns = box.slices()
        return Edges(
            self.across[rows, box.x0 : max(box.x0, box.x1 - 1)],
            self.down[box.y0 : max(box.y0, box.y1 - 1), columns],
        )


def edges_of(lab: Array, cost: float, least: float = 0.03) -> Edges:
    """Parting alike neighbours costs ``cost``, across a strong edge ``least`` of it.

    ``lab (h, w, 3)`` is CIELAB; what counts as strong is learnt from the picture, as in GrabCut.
    """
    across = np.square(lab[:, 1:] - lab[:, :-1]).sum(-1)
    down = np.square(lab[1:] - lab[:-1]).sum(-1)
    count = max(1, across.size + down.size)
    usual = max(float(across.sum() + down.sum()) / count, 1e-3)
    return Edges(_price(across, usual, cost, least), _price(down, usual, cost, least))


def _price(squared: Array, usual: float, cost: float, least: float) -> Array:
    return np.asarray(cost * (least + (1 - least) * np.exp(squared / (-2 * usual))), np.float32)


def cut(evidence: Array, edges: Edges, sweeps: int, start: Array | None = None) -> Array:
    """Share ``(h, w)`` in [0, 1] of each pixel that is object; nearly all are 0 or 1.

    ``evidence (h, w)`` speaks for the object where positive, as a log-likelihood ratio does, in the units of
    the edges' cost. ``start`` is a first guess; without one, the sign of the evidence.
    """
    share = (evidence > 0).astype(np.float32) if start is None else start.astype(np.float32)
    ahead = share.copy()
    pull = _STEP * evidence.astype(np.float32)
    left, up = np.zeros_like(edges.across), np.zeros_like(edges.down)
    for _ in range(sweeps):
        left += _STEP * (ahead[:, 1:] - ahead[:, :-1])
        np.clip(left, -edges.across, edges.across, out=left)
        up += _STEP * (ahead[1:] - ahead[:-1])
        np.clip(up, -edges.down, edges.down, out=up)
        moved = share + pull
        for flow, there, here in ((left, np.s_[:, :-1], np.s_[:, 1:]), (up, np.s_[:-1], np.s_[1:])):
            step = _STEP * flow
            moved[there] += step
            moved[here] -= step
        np.clip(moved, 0, 1, out=moved)
        np.subtract(2 * moved, share, out=ahead)
        share = moved
    return share


def reach(lab: Array, seeds: Bool, base: float = 0.3, rounds: int = 2) -> Array:
    """Length ``(h, w)`` of the shortest way from any seed: a step costs its change of colour + ``base``.

    Geodesic distance by sweeping down, up, right and left, which finds all but the most winding ways.
    Infinite-like (1e6) when there are no seeds.
    """
    found = np.where(seeds, 0, 1e6).astype(np.float32)
    down = np.sqrt(np.square(lab[1:] - lab[:-1]).sum(-1)) + np.float32(base)
    across = np.sqrt(np.square(lab[:, 1:] - lab[:, :-1]).sum(-1)) + np.float32(base)
    steps = down, np.ascontiguousarray(across.T)
    for turn in range(2 * rounds):
        _sweep(found, steps[turn % 2])
        found = np.ascontiguousarray(found.T)
    return found


def _sweep(found: Array, step: Array) -> None:
    """Carry lengths down and up again, in place; ``step (h − 1, w)`` is between rows."""
    for y in range(len(step)):
        np.minimum(found[y + 1], found[y] + step[y], out=found[y + 1])
    for y in range(len(step) - 1, -1, -1):
        np.minimum(found[y], found[y + 1] + step[y], out=found[y])
