"""Completes one picture: the function that puts the parts together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.complete import Completer
from vinpaint_cli.ops.complete.blend import blend
from vinpaint_cli.ops.complete.displacements import candidates
from vinpaint_cli.ops.complete.ground import pyramid, smooth
from vinpaint_cli.ops.complete.shift_map import label, refine
from vinpaint_cli.ops.image import Array, Bool, box_around

Displacement = npt.NDArray[np.int32]

CONTEXT = 64
"""Least distance in pixels from which is copied; else the length of the hole."""

NODES = 5_000
"""Hole pixels up to which pieces are found from scratch; of more, the size is halved."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A completed picture.

    picture: float32 ``(h, w, 3)`` in [0, 1], outside the hole exactly what was given. displacement: int32
    ``(h, w, 2)``, (dy, dx) from each hole pixel to the pixel it was copied from; 0 elsewhere. found: False if
    there was nothing to copy, so that the hole holds a smooth fill.
    """

    picture: Array
    displacement: Displacement
    found: bool


def open_patches() -> Completer:
    """`complete_picture` as a completer."""
    return lambda picture, hole, guide: complete_picture(picture, hole, guide=guide).picture


def complete_picture(
    picture: Array,
    hole: Bool,
    *,
    source: Bool | None = None,
    guide: Array | None = None,
    seed: int = 0,
) -> Completed:
    """Fill the hole of one picture with what the rest of it shows.

    picture: float32 ``(h, w, 3)`` in [0, 1], not read in the hole. hole: bool ``(h, w)``, True = fill.
    source: bool ``(h, w)``, True = may be copied; all that is not hole by default. guide: float32
    ``(h, w, 3)``, a coarse picture whose low frequencies are followed. The same seed gives the same result.
    """
    displacement = np.zeros((*hole.shape, 2), np.int32)
    known = ~hole
    allowed = known if source is None else source & known
    if not hole.any() or not allowed.any():
        return Completed(smooth(picture, hole, known), displacement, not hole.any())
    box = _surroundings(hole, allowed)
    grounds = pyramid(picture[box], hole[box], allowed[box], None if guide is None else guide[box], NODES)
    random = np.random.default_rng(seed)
    offsets, unusual = candidates(grounds[-1])
    shift = label(replace(grounds[-1], unusual=unusual), offsets, random)
    for ground in grounds[-2::-1]:
        shift = refine(ground, shift, random)
    inside = slice(hole[box].shape[0]), slice(hole[box].shape[1])
    result = picture.copy()
    result[box] = blend(grounds[0].picture[inside], hole[box], known[box], shift[inside])
    displacement[box] = shift[inside]
    return Completed(result, displacement, True)


def _surroundings(hole: Bool, source: Bool) -> tuple[slice, slice]:
    """Rows and columns around the hole that are looked at: all where there is little to copy near by."""
    rows, columns = np.nonzero(hole)
    box = box_around(hole, max(CONTEXT, int(np.ptp(rows)), int(np.ptp(columns))))
    enough = np.count_nonzero(source[box]) >= np.count_nonzero(hole)
    return box if enough else (slice(0, hole.shape[0]), slice(0, hole.shape[1]))
