"""Convolution blocks that more than one network is made of. Pure: no I/O, no state but parameters."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

LEAK = 0.2


def leaky() -> nn.LeakyReLU:
    """Leaky ReLU of slope 0.2 that overwrites its input (a convolution does not need its output back)."""
    return nn.LeakyReLU(LEAK, inplace=True)


class UpConv(nn.Module):
    """Bilinear ×2 with aligned corners, then a 3×3 convolution with zero padding."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C_in, h, w)`` → ``(N, C_out, 2h, 2w)``."""
        larger = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.conv(larger)  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any
