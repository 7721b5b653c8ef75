"""U-Net that segments one object from everything else.

The one that internal video inpainting learns a mask with (Ouyang, Wang and Chen, ICCV 2021), after
Ronneberger, Fischer and Brox (MICCAI 2015).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 5
"""Scales the network works at; each has half the side of the one before and twice the channels."""

MULTIPLE = 2 ** (LEVELS - 1)
"""What height and width of a picture must be divisible by."""


class UNet(nn.Module):
    """Two 3×3 convolutions a level, down by 2×2 maxima and up by nearest neighbours, with skips between.

    The defaults are the paper's: 64-128-256-512-1024 channels, 31 032 837 parameters, dropout on the two
    coarsest levels on the way down. It is initialised as He et al. (ICCV 2015) have it, from the random
    state of torch.
    """

    def __init__(self, width: int = 64, channels_in: int = 3, last: int = 2, dropout: float = 0.5) -> None:
        """``width``: channels of the finest level; ``last``: of the layer before the answer."""
        super().__init__()
        widths = [width * 2**level for level in range(LEVELS)]
        coarse = [0.0] * (LEVELS - 2) + [dropout] * 2
        self.down = nn.ModuleList(
            _Pair(before, after, share)
            for (before, after), share in zip(pairwise([channels_in, *widths]), coarse, strict=True)
        )
        self.up = nn.ModuleList(_Up(coarser, finer) for coarser, finer in pairwise(reversed(widths)))
        self.end = nn.Conv2d(width, last, 3, padding=1)
        self.answer = nn.Conv2d(last, 1, 1)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``(N, C, h, w)`` in [−1, 1] → logits ``(N, 1, h, w)``.

        ``h`` and ``w`` are multiples of `MULTIPLE`.
        """
        kept: list[Tensor] = []
        for level, down in enumerate(self.down):
            x = down(functional.max_pool2d(x, 2) if level else x)
            kept.append(x)
        for up, skip in zip(self.up, reversed(kept[:-1]), strict=True):
            x = up(x, skip)
        odds: Tensor = self.answer(functional.relu(self.end(x)))
        return odds


class _Pair(nn.Module):
    """Two 3×3 convolutions with ReLU, and dropout after them."""

    def __init__(self, channels_in: int, channels_out: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.second(functional.relu(self.first(x))))
        return functional.dropout(y, self.dropout, self.training) if self.dropout else y


class _Up(nn.Module):
    """Nearest ×2 and a 2×2 convolution to half the channels, joined with the skip, then a pair."""

    def __init__(self, coarser: int, finer: int) -> None:
        super().__init__()
        self.shrink = nn.Conv2d(coarser, finer, 2)
        self.pair = _Pair(2 * finer, finer)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        # An even kernel keeps the size with one more row and column on the far side, as TensorFlow pads.
        larger = functional.pad(functional.interpolate(x, scale_factor=2.0), (0, 1, 0, 1))
        joined: Tensor = self.pair(torch.cat([skip, functional.relu(self.shrink(larger))], 1))
        return joined


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d) and not layer.weight.is_meta:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
