"""Gated convolutions (Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019).

As Internal Video Inpainting uses them: half of the channels decide how much of the other half passes, and
nothing is normalised.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.nets.blocks import silence

SIGNAL = 2.5
"""Standard deviation of weights, in units of one over the root of the inputs, that carries a signal on."""


class GatedConv(nn.Module):
    """``ELU(a)·sigmoid(b)`` of the two halves of a convolution's channels, or ``ReLU(a)·sigmoid(b)``.

    ``channels``: of the convolution, twice those that come out. Weights are drawn as Keras draws them
    (Glorot uniform, biases zero). Zero padding.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.conv = plain_conv(channels_in, channels, kernel, stride=stride, dilation=dilation)
        self.relu = relu

    def keep_signal(self) -> None:
        """Draw the weights anew, so that what comes out varies about as much as what comes in.

        With Glorot's weights each gate takes two thirds of it, and sixteen layers leave a hundred-millionth.
        """
        conv = self.conv
        if not conv.weight.is_meta:
            fan = conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1]
            nn.init.normal_(conv.weight, std=SIGNAL / math.sqrt(fan))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C_in, h, w)`` → ``(N, channels/2, ⌈h/stride⌉, ⌈w/stride⌉)``."""
        # Halves of channels-last pictures lie apart in memory, where CPUs compute eight times more slowly.
        both = self.conv(x)
        value, gate = (half.contiguous(memory_format=layout(both)) for half in both.chunk(2, 1))
        value = functional.relu(value) if self.relu else functional.elu(value)
        return value * gate.sigmoid()  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any


def layout(x: Tensor) -> torch.memory_format:
    """How a picture lies in memory."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


class GatedUp(nn.Module):
    """The nearest neighbour ×2, then a gated convolution."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.gated = GatedConv(channels_in, channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C_in, h, w)`` → ``(N, channels/2, 2h, 2w)``."""
        larger = functional.interpolate(x, scale_factor=2, mode="nearest")
        return self.gated(larger)  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any


def plain_conv(
    channels_in: int, channels: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A convolution with zero padding, its weights drawn Glorot uniform (none on the ``meta`` device)."""
    padding = dilation * (kernel - 1) // 2
    conv = nn.Conv2d(channels_in, channels, kernel, stride, padding, dilation)
    if not conv.weight.is_meta:
        nn.init.xavier_uniform_(conv.weight)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # there is one
    return conv


def silent_conv(channels_in: int, channels: int) -> nn.Conv2d:
    """A 3×3 convolution that gives zero until it is trained."""
    conv = plain_conv(channels_in, channels)
    silence(conv)
    return conv
