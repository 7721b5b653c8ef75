"""Candidate scorer: a small network that compares the candidates for a pixel and corrects their scores.

A score (`fusion`) looks at one candidate alone. But candidates come from different frames and paths, so where
two of them agree both are probably right, and one that differs from all others is probably wrong.
Here each candidate is compared with the others and with a smooth fill, over two neighbourhoods, and
a perceptron of 32 units, the same for every candidate and pixel, corrects the scores. It sees the features of
the others pooled, so their order and number do not matter (as in Zaheer et al., Deep Sets, 2017).

Its weights are in ``scorer.npz`` beside this file; `vinpaint train agreement` makes them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.image import Array, Bool
from vinpaint_cli.ops.propagate.fusion import KINDS, NEVER, Candidate, score

FEATURES = (
    *("seam", "inconsistency", "distance", "depth", "ramp"),
    *("others near", "others far", "fill near", "fill far", "texture"),
    *("count", "doubt", "score", *KINDS),
)
"""What is known of each candidate.

Logarithms of the figures of `Candidate`, and of the depth of the pixel; the logarithm of the mean difference,
in levels, to the mean of the others and to a smooth fill, each over a square of `NEAR` and of `FAR` pixels;
that of the standard deviation of its grey levels over the larger; how many others are valid; the logarithm of
the share that scores alone leave; its own score; and its kind.
"""
NEAR, FAR = 5, 13
"""Sides in pixels at 240 lines of the squares over which differences are averaged."""
LIMIT = 20.0
"""Scores are told between this and its negative."""
STRAY = 4.0
"""Standard deviations beyond which a figure is cut off."""
AT_ONCE = 1 << 13
"""Pixels weighed together, so that what the perceptron needs does not grow with the hole."""


Half = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where n hidden pixels of a frame lie: ``rows`` and ``columns`` ``(n,)``.

    fill: float32 ``(n, 3)`` in 0…255, what a smooth fill makes of them. unit: frame height in 240 lines.
    """

    rows: npt.NDArray[np.integer]
    columns: npt.NDArray[np.integer]
    fill: Array
    unit: float = 1.0


@dataclass(frozen=True, slots=True)
class Weights:
    """The perceptron: F features, H units.

    ``mean`` and ``deviation`` ``(F,)`` standardise. ``own (F, H)`` and its ``own_bias``: of each candidate;
    ``pool (2H, H)``, ``pool_bias``: of the mean and the largest of all; ``share (H, H)``: what each is told
    of that; ``out (H,)``, ``out_bias``: the correction of its score; ``none (H,)``, ``none_bias``: the score
    of there being no good one.
    """

    mean: Array
    deviation: Array
    own: Array
    own_bias: Array
    pool: Array
    pool_bias: Array
    share: Array
    out: Array
    out_bias: Array
    none: Array
    none_bias: Array


def read_weights(path: Path) -> Weights:
    """Read weights from an ``.npz`` file."""
    with np.load(path) as found:
        return Weights(**{f.name: found[f.name].astype(np.float32) for f in fields(Weights)})


@functools.cache
def bundled_weights() -> Weights:
    """The weights bundled with the package (``scorer.npz``)."""
    return read_weights(Path(str(resources.files("vinpaint_cli.ops.propagate") / "scorer.npz")))


def weigh(
    candidates: Sequence[Candidate], depth: Array, around: Surroundings, weights: Weights | None = None
) -> Array:
    """Shares ``(K, n)`` of K candidates in [0, 1]; the rest of 1 is that of "none", invalid ones have 0.

    depth: in pixels at 240 lines ``(n,)``. weights: the bundled ones by default.
    """
    shares = np.zeros((len(candidates), len(depth)), np.float32)
    if not shares.size:
        return shares
    weights = weights or bundled_weights()
    scores = np.stack([score(candidate, depth) for candidate in candidates])
    planes = features(candidates, depth, around, scores)
    anywhere = np.flatnonzero(np.any([candidate.valid for candidate in candidates], 0))
    for part in _parts(anywhere):
        figures = np.stack([plane[:, part] for plane in planes], -1).astype(np.float32)
        valid = np.stack([candidate.valid[part] for candidate in candidates])
        better, none = corrected(figures, valid, scores[:, part], weights)
        top = np.maximum(better.max(0), none)
        share = np.exp(better - top)
        shares[:, part] = share / (share.sum(0) + np.exp(none - top))
    return shares


def corrected(figures: Array, valid: Bool, scores: Array, weights: Weights) -> tuple[Array, Array]:
    """Scores of K candidates ``(K, n)`` and of "none" ``(n,)``.

    figures: ``(K, n, F)``, those of :func:`features`; valid and scores: ``(K, n)``.
    """
    hidden = np.subtract(figures, weights.mean)
    hidden /= weights.deviation
    hidden = np.clip(hidden, -STRAY, STRAY, out=hidden) @ weights.own
    hidden += weights.own_bias
    np.maximum(hidden, 0, out=hidden)
    hidden *= valid[..., None]
    count = np.maximum(valid.sum(0), 1).astype(np.float32)[:, None]
    pooled = np.concatenate([hidden.sum(0) / count, hidden.max(0)], -1)
    common = np.maximum(pooled @ weights.pool + weights.pool_bias, 0)
    hidden += common @ weights.share
    told = np.maximum(hidden, 0, out=hidden)
    better = scores + told @ weights.out + weights.out_bias
    none = common @ weights.none + weights.none_bias
    return np.where(valid, better, NEVER).astype(np.float32), none.astype(np.float32)


def features(
    candidates: Sequence[Candidate], depth: Array, around: Surroundings, scores: Array
) -> list[Half]:
    """The `FEATURES` of K candidates for n pixels, each ``(K, n)`` in half floats; scores ``(K, n)``.

    Half floats, and views where candidates or pixels are all alike: a hole may have millions of pixels.
    """
    valid = np.stack([candidate.valid for candidate in candidates])
    top = np.maximum(scores.max(0), 0)
    shares = np.exp(scores - top)
    left = np.exp(-top) / (shares.sum(0) + np.exp(-top))
    figures = (
        *(_half(np.log1p([getattr(c, name) for c in candidates])) for name in ("seam", "inconsistency")),
        _half(np.log(np.maximum([c.distance for c in candidates], 1))),
        _half(np.log1p(depth)),
        _half(np.log([c.ramp for c in candidates])),
        *_compared(candidates, valid, shares, around),
        _half(valid.sum(0) - 1),
        _half(np.log(np.maximum(left, 1e-4))),
        _half(np.clip(scores, -LIMIT, LIMIT)),
        *(_half([[c.kind == kind] for c in candidates]) for kind in KINDS),
    )
    return [np.broadcast_to(figure, valid.shape) for figure in figures]


def _half(values: npt.ArrayLike) -> Half:
    return np.asarray(values, np.float16)


def _compared(
    candidates: Sequence[Candidate], valid: Bool, shares: Array, around: Surroundings
) -> list[Half]:
    """Differences of each candidate to the others and to the fill, in two windows; then its texture."""
    fill = np.stack([_apart(candidate, around.fill) for candidate in candidates])
    others = _to_the_others(candidates, shares, fill)
    area = Area(around)
    near, far = (area.side(pixels) for pixels in (NEAR, FAR))
    figures = np.empty((5, *valid.shape), np.float16)
    for k, candidate in enumerate(candidates):
        means = area.means(valid[k], {near: (others[k], fill[k]), far: (others[k], fill[k])})
        grey = np.clip(candidate.colour, 0, 255).mean(-1)
        level, square = area.means(valid[k], {far: (grey, grey**2)})
        texture = np.sqrt(np.maximum(square - level**2, 0))
        for place, values in enumerate((means[0], means[2], means[1], means[3], texture)):
            figures[place, k] = np.log1p(values)
    return list(figures)


def _apart(candidate: Candidate, colour: Array) -> Array:
    """Mean absolute difference ``(n,)`` of a candidate, clipped to 0…255, to colours."""
    return np.asarray(np.abs(np.clip(candidate.colour, 0, 255) - colour).mean(-1), np.float32)


def _parts(places: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
    return (places[start : start + AT_ONCE] for start in range(0, len(places), AT_ONCE))


def _to_the_others(candidates: Sequence[Candidate], shares: Array, fill: Array) -> Array:
    """Mean difference ``(K, n)`` to the others' mean by their shares; where there are none, to the fill."""
    total = shares.sum(0)
    mixed = sum(
        share[:, None] * np.clip(c.colour, 0, 255) for share, c in zip(shares, candidates, strict=True)
    )
    result = np.empty_like(fill)
    for k, (candidate, share) in enumerate(zip(candidates, shares, strict=True)):
        rest = total - share
        own = share[:, None] * np.clip(candidate.colour, 0, 255)
        others = (mixed - own) / np.maximum(rest, 1e-9)[:, None]
        result[k] = np.where(rest > 1e-6, _apart(candidate, others), fill[k])
    return result


class Area:
    """The box of n pixels, for means over squares of what is known of them."""

    def __init__(self, around: Surroundings) -> None:
        rows, columns = (at - int(at.min()) for at in (around.rows, around.columns))
        self._shape = int(rows.max()) + 1, int(columns.max()) + 1
        self._places = rows * self._shape[1] + columns
        self._unit = around.unit

    def side(self, pixels: int) -> int:
        """A side at 240 lines in pixels of this frame, odd."""
        return 2 * self.pixels(pixels // 2) + 1

    def pixels(self, length: int) -> int:
        """A length at 240 lines in pixels of this frame; grows with the square root beyond that."""
        growth: float = max(1.0, self._unit) ** 0.5
        return round(length * growth)

    def means(self, valid: Bool, values: Mapping[int, Sequence[Array]]) -> list[Array]:
        """Means ``(n,)`` of values ``(n,)``, where they are valid, over squares; the keys are their sides."""
        return [self.mean(plane, valid, side) for side, planes in values.items() for plane in planes]

    def mean(self, values: Array, valid: Bool, side: int) -> Array:
        """Means ``(n,)`` of values ``(n,)``, where they are valid, over squares."""
        support = np.maximum(self._blurred(valid.astype(np.float32), side), 1e-4)
        return np.asarray(self._blurred(np.where(valid, values, 0), side) / support, np.float32)

    def _blurred(self, values: Array, side: int) -> Array:
        import cv2

        sheet = np.zeros(self._shape, np.float32)
        sheet.ravel()[self._places] = values
        soft = cv2.blur(sheet, (side, side), borderType=cv2.BORDER_CONSTANT)
        return np.asarray(soft.ravel().take(self._places), np.float32)
