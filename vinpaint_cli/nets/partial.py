"""Partial convolutions (Liu et al., ECCV 2018) and the U-Net made of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.nets.blocks import leaky


class PartialConv(nn.Module):
    """A convolution that sees known pixels alone and makes up for those it does not see.

    ``W·x · (k²/Σ) + b``, Σ the known share of the window; 0 where nothing of it is known. The picture's
    surroundings count as unknown.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
        self.bias = nn.Parameter(torch.zeros(channels_out))

    def forward(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, C, h, w)``, 0 where unknown, and known ``(N, 1, h, w)`` → the same after this layer.

        ``known`` is in [0, 1], the share of the channels that are known; afterwards it is 0 or 1.
        """
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        count = functional.avg_pool2d(known.float(), kernel, stride, kernel // 2)  # of k², borders included
        alive = (count > 0).to(x.dtype)
        ratio = (alive / count.clamp_min(1e-6)).to(x.dtype)
        y = self.conv(x) * ratio + self.bias.view(-1, 1, 1)
        return y * alive, alive


class PartialUNet(nn.Module):
    """Partial convolutions of stride 2 down, nearest ×2 and a skip up (Liu et al., section 3.2).

    ``widths``: channels of each level, the first of kernel 7, two of 5, the others of 3. Takes three
    channels and gives three, of any size.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        kernels = [7, 5, 5, *[3] * len(widths)]
        steps = list(zip(pairwise([3, *widths]), kernels, strict=False))
        self.down = nn.ModuleList(PartialConv(a, b, kernel, 2) for (a, b), kernel in steps)
        self.down_norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        skips = [*reversed(widths[:-1]), 3]
        ups = list(zip([widths[-1], *skips[:-1]], skips, strict=True))
        self.up = nn.ModuleList(PartialConv(below + skip, skip, 3) for below, skip in ups)
        self.up_norms = nn.ModuleList(nn.BatchNorm2d(skip) for skip in skips[:-1])
        self.activate = leaky()

    @property
    def last(self) -> nn.Module:
        """The layer that gives the result."""
        return self.up[-1]

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """``(N, 3, h, w)`` and known ``(N, 1, h, w)`` in {0, 1} → ``(N, 3, h, w)``; unknown is not read."""
        skips = [(torch.where(known > 0, x, 0.0), known.to(x.dtype))]
        for level, conv in enumerate(self.down):
            below, known = conv(*skips[-1])
            below = below if level == 0 else self.down_norms[level - 1](below)
            skips.append((functional.relu(below) * known, known))
        y, there = skips.pop()
        for level, conv in enumerate(self.up):
            y, there = conv(*_joined(y, there, *skips.pop()))
            if level < len(self.up_norms):
                y = self.activate(self.up_norms[level](y)) * there
        return y


def _joined(below: Tensor, there: Tensor, skip: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """What comes from below, twice as large, beside the skip; known is the mean over all channels."""
    height, width = skip.shape[-2:]
    larger, there = (functional.interpolate(part, scale_factor=2, mode="nearest") for part in (below, there))
    x = torch.cat([larger[..., :height, :width], skip], 1)
    share = below.shape[1] / x.shape[1]
    return x, there[..., :height, :width] * share + known * (1 - share)
