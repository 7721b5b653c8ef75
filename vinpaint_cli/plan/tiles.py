"""Spatial tiles: overlapping pieces of a region too large to process at once; blend weights sum to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vinpaint_cli.types import Box


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
