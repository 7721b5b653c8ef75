"""The method `nearest`: the same pixel of the nearest frame that shows it; a baseline.

It is right where nothing moves, and wrong elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.types import Clip, MethodSpec

if TYPE_CHECKING:
    import torch

SPEC = MethodSpec(
    name="nearest",
    title="The same pixel of the nearest frame that shows it: a floor to measure against",
    paper="none; what no frame shows is filled as by telea",
    licence="Apache-2.0, no weights",
    bytes_per_pixel=48.0,
    baseline=True,
)

HIDDEN = 0.5
"""Residual from which on a pixel is filled."""

NEVER = 1 << 24
"""A frame number beyond that of any clip."""


class NearestMethod:
    """Copies pixels along time without moving them; implements the ``Method`` protocol."""

    spec = SPEC

    def __init__(self, device: str | torch.device = "cpu", dtype: str | torch.dtype = "fp32") -> None:
        """Accept what every method accepts; the work is done on the CPU."""

    def fill(self, clip: Clip) -> torch.Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]; pixels with a residual below 0.5 keep the clip's value."""
        import torch

        from vinpaint_cli.ops.complete.smooth_fill import telea

        frames = clip.frames.detach().cpu().permute(0, 2, 3, 1).numpy()
        source = nearest_known(clip.holes.detach().cpu().numpy()[:, 0] < HIDDEN)
        filled = np.empty_like(frames)
        for t, chosen in enumerate(source):
            places = np.maximum(chosen, 0)[None, ..., None].astype(np.intp)
            filled[t] = telea(np.take_along_axis(frames, places, axis=0)[0], chosen < 0)
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
