"""What the candidates for a hidden pixel say of each other, and a small network that weighs it.

A score (`ops.fusion`) looks at one candidate alone. But candidates reach a pixel by different ways, so where
two of them show the same thing both are probably right, and where one shows what no other does it probably
is not. Here each candidate is compared with the others and with a smooth fill, over two neighbourhoods, and
a perceptron of 32 units, the same for every candidate and pixel, corrects the scores. It sees pooled what the
others look like, so their order and number do not matter (as in Zaheer et al., Deep Sets, 2017).

Its weights are in ``agreement.npz`` beside this file; `vinpaint train agreement` makes them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.fusion import KINDS, NEVER, Candidate, score
from vinpaint_cli.ops.image import Array, Bool

FEATURES = (
    *("seam", "inconsistency", "distance", "depth", "ramp"),
    *("others near", "others far", "fill near", "fill far", "texture"),
    *("count", "doubt", "score", *KINDS),
)
"""What is known of each candidate.

Logarithms of the figures of `Candidate`, and of the depth of the pixel; the logarithm of the mean difference,
in levels, to the mean of the others and to a smooth fill, each over a square of `NEAR` and of `FAR` pixels;
that of its standard deviation over the larger; how many others there are; the logarithm of the share that
scores alone leave; its own score; and its kind.
"""
NEAR, FAR = 5, 13
"""Sides in pixels at 240 lines of the squares over which differences are averaged."""
LIMIT = 20.0
"""Scores are told between this and its negative."""
STRAY = 4.0
"""Standard deviations beyond which a figure is cut off."""
AT_ONCE = 1 << 15
"""Pixels weighed together, so that a large hole takes no more memory than its candidates."""


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
    """Weights of a file that numpy reads."""
    with np.load(path) as found:
        return Weights(**{f.name: found[f.name].astype(np.float32) for f in fields(Weights)})


@functools.cache
def bundled_weights() -> Weights:
    """Those that come with the package."""
    return read_weights(Path(str(resources.files("vinpaint_cli.ops") / "agreement.npz")))


def weigh(
    candidates: Sequence[Candidate], depth: Array, around: Surroundings, weights: Weights | None = None
) -> tuple[Array, Array]:
    """``(colour (n, 3) in 0…255, confidence (n,) in [0, 1])``; colour is 0 where no candidate is valid.

    depth: in pixels at 240 lines ``(n,)``. weights: the bundled ones by default.
    """
    n = len(depth)
    colour, confidence = np.zeros((n, 3), np.float32), np.zeros(n, np.float32)
    if not candidates or not n:
        return colour, confidence
    weights = weights or bundled_weights()
    scores = np.stack([score(candidate, depth) for candidate in candidates])
    planes = features(candidates, depth, around, scores)
    for part in _parts(n):
        figures = np.stack([plane[:, part] for plane in planes], -1).astype(np.float32)
        valid = np.stack([candidate.valid[part] for candidate in candidates])
        better, none = corrected(figures, valid, scores[:, part], weights)
        top = np.maximum(better.max(0), none)
        share = np.exp(better - top)
        total = share.sum(0)
        mixed = sum(s[:, None] * c.colour[part] for s, c in zip(share, candidates, strict=True))
        colour[part] = mixed / np.maximum(total, 1e-12)[:, None]
        confidence[part] = total / (total + np.exp(none - top))
    return colour, confidence


def corrected(figures: Array, valid: Bool, scores: Array, weights: Weights) -> tuple[Array, Array]:
    """Scores of K candidates ``(K, n)`` and of "none" ``(n,)``.

    figures: ``(K, n, F)``, those of :func:`features`; valid and scores: ``(K, n)``.
    """
    known = np.clip((figures - weights.mean) / weights.deviation, -STRAY, STRAY)
    hidden = np.maximum(known @ weights.own + weights.own_bias, 0) * valid[..., None]
    count = np.maximum(valid.sum(0), 1)[:, None]
    pooled = np.concatenate([hidden.sum(0) / count, hidden.max(0)], -1)
    common = np.maximum(pooled @ weights.pool + weights.pool_bias, 0)
    told = np.maximum(hidden + common @ weights.share, 0)
    better = scores + told @ weights.out + weights.out_bias
    none = common @ weights.none + weights.none_bias
    return np.where(valid, better, NEVER).astype(np.float32), none.astype(np.float32)


def features(
    candidates: Sequence[Candidate], depth: Array, around: Surroundings, scores: Array
) -> list[npt.NDArray[np.float16]]:
    """The `FEATURES` of K candidates for n pixels, each ``(K, n)`` in half floats; scores ``(K, n)``."""
    colours = np.stack([np.clip(candidate.colour, 0, 255) for candidate in candidates])
    valid = np.stack([candidate.valid for candidate in candidates])
    own = [
        np.log1p(np.stack([c.seam for c in candidates])),
        np.log1p(np.stack([c.inconsistency for c in candidates])),
        np.log(np.maximum(np.stack([c.distance for c in candidates]), 1)),
        np.broadcast_to(np.log1p(depth), valid.shape),
        np.log(np.stack([c.ramp for c in candidates])),
    ]
    top = np.maximum(scores.max(0), 0)
    shares = np.exp(scores - top)
    left = np.exp(-top) / (shares.sum(0) + np.exp(-top))
    fill = np.abs(colours - around.fill).mean(-1)
    differences = (_to_the_others(colours, shares, fill), fill)
    area = _Area(around, valid)
    near, far = (area.side(pixels) for pixels in (NEAR, FAR))
    compared = [np.log1p(area.mean(plane, side)) for plane in differences for side in (near, far)]
    grey = colours.mean(-1)
    spread = area.mean(grey**2, far) - area.mean(grey, far) ** 2
    others = valid.sum(0) - np.ones(valid.shape, np.float32)
    doubt = np.broadcast_to(np.log(np.maximum(left, 1e-4)), valid.shape)
    kinds = [np.broadcast_to([[c.kind == kind] for c in candidates], valid.shape) for kind in KINDS]
    texture = np.log1p(np.sqrt(np.maximum(spread, 0)))
    planes = [*own, *compared, texture, others, doubt, np.clip(scores, -LIMIT, LIMIT), *kinds]
    return [plane.astype(np.float16) for plane in planes]


def _parts(n: int) -> Iterator[slice]:
    return (slice(start, start + AT_ONCE) for start in range(0, n, AT_ONCE))


def _to_the_others(colours: Array, shares: Array, fill: Array) -> Array:
    """Mean difference ``(K, n)`` to the others' mean by their shares; where there are none, to the fill."""
    total = shares.sum(0)
    mixed = (shares[..., None] * colours).sum(0)
    result = np.empty_like(fill)
    for k, (colour, share) in enumerate(zip(colours, shares, strict=True)):
        rest = total - share
        others = (mixed - share[:, None] * colour) / np.maximum(rest, 1e-9)[:, None]
        result[k] = np.where(rest > 1e-6, np.abs(colour - others).mean(-1), fill[k])
    return result


class _Area:
    """The box of n pixels, for means over squares of what is known of K candidates where they are valid."""

    def __init__(self, around: Surroundings, valid: Bool) -> None:
        rows, columns = around.rows, around.columns
        self._at = rows - int(rows.min()), columns - int(columns.min())
        self._shape = int(self._at[0].max()) + 1, int(self._at[1].max()) + 1
        self._valid, self._unit = valid, around.unit
        self._support: dict[int, Array] = {}

    def side(self, pixels: int) -> int:
        """A side at 240 lines in pixels of this frame: odd; grows with the square root beyond that."""
        growth: float = max(1.0, self._unit) ** 0.5
        return 2 * round(pixels // 2 * growth) + 1

    def mean(self, plane: Array, side: int) -> Array:
        """Means ``(K, n)`` over squares of a ``side``."""
        if side not in self._support:
            self._support[side] = self._blurred(self._valid.astype(np.float32), side)
        means = self._blurred(np.where(self._valid, plane, 0).astype(np.float32), side)
        return np.asarray(means / np.maximum(self._support[side], 1e-4), np.float32)

    def _blurred(self, plane: Array, side: int) -> Array:
        import cv2

        result = np.empty_like(plane)
        for k, values in enumerate(plane):
            sheet = np.zeros(self._shape, np.float32)
            sheet[self._at] = values
            result[k] = cv2.blur(sheet, (side, side), borderType=cv2.BORDER_CONSTANT)[self._at]
        return result
