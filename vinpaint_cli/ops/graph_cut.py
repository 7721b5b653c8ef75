"""Binary segmentation by a minimum graph cut, for any log-odds of a pixel belonging to the object.

OpenCV's GrabCut (Rother et al., SIGGRAPH 2004) computes its log-odds from colour alone; here the caller gives
them. The cut is solved as the convex relaxation of Chan, Esedoglu and Nikolova (SIAM J. Appl. Math. 2006),
which has the same optimum, by primal-dual steps (Chambolle and Pock, J. Math. Imaging Vis. 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vinpaint_cli.ops.image import Array, Bool
from vinpaint_cli.types import Box

_STEP = np.float32(1 / np.sqrt(8))


@dataclass(frozen=True, slots=True)
class EdgeWeights:
    """Costs of a boundary between neighbours: ``across (h, w − 1)`` in rows, ``down (h − 1, w)``."""

    across: Array
    down: Array

    def crop(self, box: Box) -> EdgeWeights:
        """The weights inside a box."""
        rows, columns = box.slices()
        return EdgeWeights(
            self.across[rows, box.x0 : max(box.x0, box.x1 - 1)],
            self.down[box.y0 : max(box.y0, box.y1 - 1), columns],
        )


def edge_weights(lab: Array, cost: float, least: float = 0.03) -> EdgeWeights:
    """Weights from colour: ``cost`` between equal neighbours, ``least`` of it across a strong edge.

    ``lab (h, w, 3)`` is CIELAB; the scale of differences is their mean over the image, as in GrabCut.
    """
    across = np.square(lab[:, 1:] - lab[:, :-1]).sum(-1)
    down = np.square(lab[1:] - lab[:-1]).sum(-1)
    count = max(1, across.size + down.size)
    usual = max(float(across.sum() + down.sum()) / count, 1e-3)
    return EdgeWeights(_price(across, usual, cost, least), _price(down, usual, cost, least))


def _price(squared: Array, usual: float, cost: float, least: float) -> Array:
    return np.asarray(cost * (least + (1 - least) * np.exp(squared / (-2 * usual))), np.float32)


def graph_cut(log_odds: Array, edges: EdgeWeights, sweeps: int, start: Array | None = None) -> Array:
    """Object mask float32 ``(h, w)`` in [0, 1], nearly all 0 or 1, after ``sweeps`` primal-dual steps.

    ``log_odds (h, w)``, positive for the object, are in the units of the edges' cost. ``start`` is a first
    guess; by default the sign of the log-odds.
    """
    share = (log_odds > 0).astype(np.float32) if start is None else start.astype(np.float32)
    ahead = share.copy()
    pull = _STEP * log_odds.astype(np.float32)
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


def geodesic_distance(lab: Array, sources: Bool, base: float = 0.3, rounds: int = 2) -> Array:
    """Geodesic distance ``(h, w)`` from ``sources (h, w)``: a step costs its colour change + ``base``.

    Computed by sweeps down, up, right and left, which find all but the most winding paths. 1e6 without
    sources.
    """
    found = np.where(sources, 0, 1e6).astype(np.float32)
    down = np.sqrt(np.square(lab[1:] - lab[:-1]).sum(-1)) + np.float32(base)
    across = np.sqrt(np.square(lab[:, 1:] - lab[:, :-1]).sum(-1)) + np.float32(base)
    steps = down, np.ascontiguousarray(across.T)
    for turn in range(2 * rounds):
        _sweep(found, steps[turn % 2])
        found = np.ascontiguousarray(found.T)
    return found


def _sweep(found: Array, step: Array) -> None:
    """Propagate lengths down and up, in place; ``step (h − 1, w)`` is the cost between rows."""
    for y in range(len(step)):
        np.minimum(found[y + 1], found[y] + step[y], out=found[y + 1])
    for y in range(len(step) - 1, -1, -1):
        np.minimum(found[y], found[y + 1] + step[y], out=found[y])
