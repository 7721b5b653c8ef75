"""Region of interest: one padded rectangle per shot around the boxes of its holes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import reduce

from vinpaint_cli.types import Box

MARGIN_PIXELS = 96
MARGIN_SHARE = 0.12


def region_of_interest(
    holes: Iterable[Box],
    width: int,
    height: int,
    *,
    context: float = 1.0,
    margin: int | None = None,
    minimum: int = 128,
    multiple: int = 2,
) -> Box:
    """Smallest region that contains every hole with enough surroundings to fill it from.

    The union of the holes grows on each side by ``context`` times the extent of the largest hole along
    that axis, yet by ``margin`` pixels at least (96 or 12 % of the frame's short side, whichever is
    more): what fills a hole comes in from the sides as the camera moves. It is then grown to ``minimum``
    pixels a side, its edges moved outwards to multiples of ``multiple``, and clamped to the frame, so an
    edge is a multiple or the frame's own edge. The larger extent is taken over single holes, not over
    their union, so that a small hole that wanders does not ask for a vast border.

    Raises ValueError (no hole inside the frame).

    * ``holes``: hole boxes of one shot's frames; empty ones and parts outside the frame are left out.
    * ``width``: frame width in pixels.
    * ``height``: frame height in pixels.
    * ``context``: border in units of the hole's extent.
    * ``margin``: least border in pixels.
    * ``minimum``: least extent in pixels, as far as the frame has it.
    * ``multiple``: grid of the edges; 2 keeps 4:2:0 chroma whole.
    """
    frame = Box(0, 0, width, height)
    inside = [part for part in (hole.intersection(frame) for hole in holes) if part.area]
    if not inside:
        raise ValueError(f"no hole inside the {width}x{height} frame, so there is no region to plan")
    if margin is None:
        margin = max(MARGIN_PIXELS, round(min(width, height) * MARGIN_SHARE))
    union = reduce(Box.union, inside)
    grow_x = max(margin, math.ceil(context * max(hole.width for hole in inside)))
    grow_y = max(margin, math.ceil(context * max(hole.height for hole in inside)))
    x0, x1 = _extend(union.x0 - grow_x, union.x1 + grow_x, width, minimum, multiple)
    y0, y1 = _extend(union.y0 - grow_y, union.y1 + grow_y, height, minimum, multiple)
    return Box(x0, y0, x1, y1)


def _extend(start: int, stop: int, limit: int, minimum: int, multiple: int) -> tuple[int, int]:
    """Clamp ``[start, stop)`` to ``[0, limit)``, grown to the minimum and out to the grid."""
    start, stop = max(0, start), min(limit, stop)
    lacking = min(minimum, limit) - (stop - start)
    if lacking > 0:
        start = min(max(0, start - lacking // 2), limit - min(minimum, limit))
        stop = start + min(minimum, limit)
    start -= start % multiple
    stop += -stop % multiple
    return start, min(stop, limit)
