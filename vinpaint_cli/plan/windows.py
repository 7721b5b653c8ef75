"""Windows in time and tiles in space that overlap: their frames or boxes, and blend weights that sum to one.

Every method walks through a clip by one plan of windows, so an overlap is blended in one way only: by weights
that depend on the distance to a window's centre and never on the order of visiting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vinpaint_cli.types import Box, Window


def plan_windows(
    frames: int,
    *,
    radius: int,
    stride: int,
    reference_stride: int = 0,
    max_references: int | None = None,
) -> tuple[Window, ...]:
    """Cover a clip of ``frames`` frames with overlapping windows.

    Windows are centred at 0, ``stride``, 2·``stride`` … and hold the frames within ``radius`` of their
    centre; one more is centred at the last frame when these do not reach it. Windows of the same frames
    are merged. References are those of the frames 0, ``reference_stride``, … that lie outside the window
    (STTN's test procedure: radius 5, stride 5, reference stride 10), at most ``max_references``: the
    nearest one and an even spread of the others. Half-overlapped windows have ``radius == stride``.

    For each frame the weights of its windows sum to one; ``frames`` 0 gives no window.

    Raises ValueError (a negative figure, or a stride that would leave frames uncovered).
    """
    _check(frames, radius, stride, reference_stride, max_references)
    centres = _centres(frames, radius, stride)
    spans = [range(max(0, c - radius), min(frames, c + radius + 1)) for c in centres]
    raw = [_profile(span, c, radius) for span, c in zip(spans, centres, strict=True)]
    totals = [0.0] * frames
    for span, weights in zip(spans, raw, strict=True):
        for index, weight in zip(span, weights, strict=True):
            totals[index] += weight
    merged: dict[range, list[float]] = {}
    for span, weights in zip(spans, raw, strict=True):
        sums = merged.setdefault(span, [0.0] * len(span))
        for place, (index, weight) in enumerate(zip(span, weights, strict=True)):
            sums[place] += weight / totals[index]
    return tuple(
        Window(span, _references(frames, span, reference_stride, max_references), tuple(weights))
        for span, weights in merged.items()
    )


def _check(frames: int, radius: int, stride: int, reference_stride: int, max_references: int | None) -> None:
    """Refuse plans that cannot cover a clip."""
    if frames < 0 or radius < 0 or reference_stride < 0 or (max_references or 0) < 0:
        raise ValueError(
            f"frames {frames}, radius {radius}, reference stride {reference_stride} and "
            f"references {max_references} must not be negative"
        )
    if not 1 <= stride <= 2 * radius + 1:
        raise ValueError(f"stride {stride} must be 1 to {2 * radius + 1} for windows of radius {radius}")


def _centres(frames: int, radius: int, stride: int) -> list[int]:
    """Centres in order; the last frame becomes one when it would else stay uncovered."""
    centres = list(range(0, frames, stride))
    if centres and centres[-1] + radius < frames - 1:
        centres.append(frames - 1)
    return centres


def _profile(span: range, centre: int, radius: int) -> list[float]:
    """Raised cosine over the distance to the centre, positive at every frame of the window."""
    return [0.5 + 0.5 * math.cos(math.pi * (index - centre) / (radius + 1)) for index in span]


def _references(frames: int, span: range, stride: int, most: int | None) -> tuple[int, ...]:
    """Reference frames outside the window, thinned to ``most``."""
    if stride == 0:
        return ()
    candidates = [index for index in range(0, frames, stride) if index not in span]
    if most is None or len(candidates) <= most:
        return tuple(candidates)
    if most == 0:
        return ()
    nearest = min(candidates, key=lambda index: _distance(index, span))
    others = [index for index in candidates if index != nearest]
    return tuple(sorted([nearest, *_spread(others, most - 1)]))


def _distance(index: int, span: range) -> int:
    """Frames between a reference and the window."""
    return max(span.start - index, index - span.stop + 1)


def _spread(items: list[int], count: int) -> list[int]:
    """``count`` items at even steps, the first and the last included when there are two or more."""
    if count == 0:
        return []
    if count == 1:
        return [items[len(items) // 2]]
    return [items[round(step * (len(items) - 1) / (count - 1))] for step in range(count)]


@dataclass(frozen=True, slots=True)
class Tile:
    """A piece of a region, with its blend weights.

    The weight of the pixel ``(x0 + i, y0 + j)`` of ``box`` is ``columns[i] · rows[j]``; over all tiles of a
    plan the weights of a pixel sum to one.
    """

    box: Box
    columns: tuple[float, ...]
    rows: tuple[float, ...]


def plan_tiles(region: Box, side: int, overlap: int, multiple: int = 1) -> tuple[Tile, ...]:
    """Cut a region into as few equal tiles as possible, of at most ``side`` pixels a side.

    Neighbours overlap by ``overlap`` pixels, over which one fades into the other. Sides of the region,
    ``side`` and ``overlap`` are multiples of ``multiple``, and so are the edges of tiles relative to the
    region's. Raises ValueError when something is not, or when ``side`` is less than three overlaps.
    """
    odd = [n for n in (region.width, region.height, side, overlap) if n % multiple]
    if odd or not region.area:
        raise ValueError(f"{region}, side {side} and overlap {overlap} must be multiples of {multiple}")
    if overlap < 0 or side < max(1, 3 * overlap):
        raise ValueError(f"side {side} must be at least three overlaps of {overlap}")
    across = _pieces(region.width, side, overlap, multiple)
    down = _pieces(region.height, side, overlap, multiple)
    columns, rows = _weights(across), _weights(down)
    return tuple(
        Tile(Box(region.x0 + x.start, region.y0 + y.start, region.x0 + x.stop, region.y0 + y.stop), wx, wy)
        for y, wy in zip(down, rows, strict=True)
        for x, wx in zip(across, columns, strict=True)
    )


def _pieces(length: int, side: int, overlap: int, multiple: int) -> list[range]:
    """Pieces of ``[0, length)``, nearly equal, each reaching ``overlap`` into the next."""
    if length <= side:
        return [range(length)]
    count = -(-(length - overlap) // (side - overlap))
    edges = [(length - overlap) // multiple * place // count * multiple for place in range(count + 1)]
    return [range(start, stop + overlap) for start, stop in pairwise(edges)]


def _weights(pieces: Sequence[range]) -> list[tuple[float, ...]]:
    """Per piece the weight of each place: one, but rising and falling where it meets its neighbours."""
    found = []
    for number, piece in enumerate(pieces):
        lead = pieces[number - 1].stop - piece.start if number else 0
        trail = piece.stop - pieces[number + 1].start if number + 1 < len(pieces) else 0
        rise = [(place + 0.5) / lead for place in range(lead)]
        fall = [1 - (place + 0.5) / trail for place in range(trail)]
        found.append((*rise, *[1.0] * (len(piece) - lead - trail), *fall))
    return found
