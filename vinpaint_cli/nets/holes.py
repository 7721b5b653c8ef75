"""What every network of the project agrees on about holes: which pixels it sees, and what is shown."""

from __future__ import annotations

import torch
from torch import Tensor

from vinpaint_cli.nets.smooth import smooth_fill

HIDDEN = 0.5
"""Share still to be filled from which on a network does not see a pixel."""


def seen(frames: Tensor, shares: Tensor, instead: float = 0.0) -> Tensor:
    """Frames ``(…, C, h, w)`` with ``instead`` where shares ``(…, 1, h, w)`` hide them."""
    return torch.where(shares >= HIDDEN, instead, frames)


def composite(frames: Tensor, filled: Tensor, shares: Tensor) -> Tensor:
    """``frames·(1 − shares) + filled·shares``, but nothing of a hidden pixel; shapes as in :func:`seen`."""
    filled = filled.to(frames.dtype)  # mixed precision may have made halves of it
    mixed = torch.lerp(seen(frames, shares), filled, shares.expand_as(filled))
    return torch.where(shares >= HIDDEN, filled, mixed)


def smooth_start(frames: Tensor, shares: Tensor) -> Tensor:
    """A smooth fill ``(N, C, h, w)`` of what is hidden; shares ``(N, 1, h, w)`` in [0, 1], 1 = fill.

    A pixel counts as known as far as it is known better than by half.
    """
    return smooth_fill(seen(frames, shares), (1 - 2 * shares).clamp_min(0))
