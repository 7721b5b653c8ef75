"""The same pixel in the nearest frame that shows it: right where nothing moves, wrong elsewhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vinpaint_cli.methods.nearest.spec import SPEC
from vinpaint_cli.ops.complete.smooth_fill import telea
from vinpaint_cli.types import Clip, MethodSpec

HIDDEN = 0.5

NEVER = 1 << 24
"""A frame number beyond that of any clip."""


class NearestMethod:
    """Copies pixels along time without moving them; implements the ``Method`` protocol."""

    def __init__(self, device: str | torch.device = "cpu", dtype: str | torch.dtype = "fp32") -> None:
        """Accept what every method accepts; the work is done on the CPU."""

    @property
    def spec(self) -> MethodSpec:
        """What it can do."""
        return SPEC

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]; pixels with a residual below 0.5 keep the clip's value."""
        frames = clip.frames.detach().cpu().permute(0, 2, 3, 1).numpy()
        holes = clip.holes.detach().cpu().numpy()[:, 0] >= HIDDEN
        source = nearest_known(~holes)
        filled = np.empty_like(frames)
        for t, chosen in enumerate(source):
            copied = np.take_along_axis(
                frames, np.maximum(chosen, 0)[None, ..., None].astype(np.intp), axis=0
            )[0]
            filled[t] = telea(copied, chosen < 0)
        return torch.from_numpy(filled).permute(0, 3, 1, 2).clamp(0, 1).to(clip.frames.device)


def nearest_known(known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Nearest frame in which each pixel is known, the earlier one of two equally near.

    known: bool ``(T, h, w)``. Returns frame numbers ``(T, h, w)``, −1 where no frame knows the pixel.
    """
    count = len(known)
    chosen = np.empty(known.shape, np.int32)  # first the next frame that knows the pixel, then the nearest
    later = np.full(known.shape[1:], NEVER, np.int32)
    for t in reversed(range(count)):
        later[known[t]] = t
        chosen[t] = later
    earlier = np.full(known.shape[1:], -NEVER, np.int32)
    for t in range(count):
        earlier[known[t]] = t
        nearest = np.where(t - earlier <= chosen[t] - t, earlier, chosen[t])
        chosen[t] = np.where((nearest < 0) | (nearest >= count), -1, nearest)
    return chosen
