"""Completes one picture: the function that puts the parts together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.complete.patch_completion import fill_with_patches
from vinpaint_cli.ops.complete.smooth_fill import fill_smoothly
from vinpaint_cli.ops.image import Array, Bool

Displacement = npt.NDArray[np.int32]

NOT_COPIED = 0.3
"""Share that neither is replaced nor may be copied."""


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
    if not hole.any():
        return Completed(picture.copy(), displacement, True)
    share = hole.astype(np.float32)
    smooth = np.where(hole[..., None], fill_smoothly(picture, share), picture)
    allowed = ~hole if source is None else source & ~hole
    filled, _ = fill_with_patches(smooth, np.where(hole | allowed, share, np.float32(NOT_COPIED)))
    return Completed(np.where(hole[..., None], filled, picture), displacement, bool(allowed.any()))
