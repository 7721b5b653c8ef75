"""Convolution blocks that more than one network is made of. Pure: no I/O, no state but parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAK = 0.2

Convolution = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d


def leaky() -> nn.LeakyReLU:
    """Leaky ReLU of slope 0.2 that overwrites its input (a convolution does not need its output back)."""
    return nn.LeakyReLU(LEAK, inplace=True)


def silence(layer: nn.Module) -> None:
    """Let a layer give zero until it is trained; nothing on the ``meta`` device."""
    for parameter in layer.parameters():
        if not parameter.is_meta:
            nn.init.zeros_(parameter)


class UpConv(nn.Module):
    """Bilinear ×2 with aligned corners, then a 3×3 convolution with zero padding."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C_in, h, w)`` → ``(N, C_out, 2h, 2w)``."""
        larger = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.conv(larger)  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any


class Normalised(nn.Module):
    """A convolution, batch normalisation without a gain, and ReLU.

    The convolution's own bias would be lost in the normalisation and comes after it instead; a gain would
    be lost in the convolution that follows the ReLU.
    """

    def __init__(self, conv: Convolution, norm: type[nn.BatchNorm2d] | type[nn.BatchNorm3d]) -> None:
        super().__init__()
        conv.register_parameter("bias", None)
        self.conv = conv
        self.norm = norm(conv.out_channels, affine=False)
        self.bias = nn.Parameter(torch.zeros(conv.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C_in, …)`` → ``(N, C_out, …)``, never negative."""
        y: Tensor = self.norm(self.conv(x))
        return functional.relu(y + self.bias.view(-1, *[1] * (y.dim() - 2)), inplace=True)
