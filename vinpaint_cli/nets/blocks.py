"""Blocks that networks are made of: gated and partial convolutions, ConvLSTM, U-Nets, T-PatchGAN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

LEAK = 0.2

Convolution = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d


def leaky() -> nn.LeakyReLU:
    """Leaky ReLU of slope 0.2 that overwrites its input (a convolution does not need its output back)."""
    return nn.LeakyReLU(LEAK, inplace=True)


def zero_init(layer: nn.Module) -> None:
    """Set a layer's parameters to zero, so that it gives zero until trained (not on the ``meta`` device)."""
    for parameter in layer.parameters():
        if not parameter.is_meta:
            nn.init.zeros_(parameter)


class UpConv(nn.Module):
    """Bilinear upsampling ×2 with aligned corners, then a 3×3 convolution with zero padding."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C_in, h, w)`` → ``(N, C_out, 2h, 2w)``."""
        larger = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.conv(larger)  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any


class Normalised(nn.Module):
    """Convolution, batch normalisation without a gain, bias and ReLU.

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


State = tuple[Tensor, Tensor]
"""Hidden and cell ``(N, C, h, w)`` of a ConvLSTM."""


class ConvLSTM(nn.Module):
    """Convolutional LSTM: one step in time of a feature map, by one convolution with zero padding."""

    def __init__(self, channels: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        self.gates = nn.Conv2d(channels + hidden, 4 * hidden, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """Input ``(N, C, h, w)`` and last state (None: zero) → new state; its hidden part is the output."""
        if state is None:
            zero = x.new_zeros(len(x), self.gates.out_channels // 4, *x.shape[-2:])
            state = zero, zero
        hidden, cell = state
        gates = self.gates(torch.cat([x, hidden], 1)).chunk(4, dim=1)
        let_in, keep, let_out = (gate.sigmoid() for gate in gates[:3])
        cell = keep * cell + let_in * gates[3].tanh()
        return let_out * cell.tanh(), cell


SIGNAL = 2.5
"""Standard deviation of weights, in units of one over the root of the inputs, that carries a signal on."""


class GatedConv(nn.Module):
    """Gated convolution: ``ELU(a)·sigmoid(b)``, or ``ReLU(a)·sigmoid(b)``, of the halves of its channels.

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

    def init_keeping_variance(self) -> None:
        """Draw the weights anew, so that the output varies about as much as the input.

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
        value, gate = (half.contiguous(memory_format=memory_format_of(both)) for half in both.chunk(2, 1))
        value = functional.relu(value) if self.relu else functional.elu(value)
        return value * gate.sigmoid()  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any


def memory_format_of(x: Tensor) -> torch.memory_format:
    """Whether a tensor ``(N, C, h, w)`` lies channels last or channels first in memory."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


class GatedUp(nn.Module):
    """Upsampling ×2 by the nearest neighbour, then a gated convolution."""

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


def zero_conv(channels_in: int, channels: int) -> nn.Conv2d:
    """A 3×3 convolution that gives zero until it is trained."""
    conv = plain_conv(channels_in, channels)
    zero_init(conv)
    return conv


class PartialConv(nn.Module):
    """Partial convolution (Liu et al., ECCV 2018): reads known pixels alone and rescales by their share.

    ``W·x · (k²/Σ) + b``, Σ the known share of the window; 0 where nothing of it is known. The picture's
    surroundings count as unknown.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
        self.bias = nn.Parameter(torch.zeros(channels_out))

    def forward(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(N, C, h, w)``, 0 where unknown, and known ``(N, 1, h, w)`` → both after this layer.

        ``known`` is in [0, 1], the share of the channels that are known; afterwards it is 0 or 1.
        """
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        count = functional.avg_pool2d(known.float(), kernel, stride, kernel // 2)  # of k², borders included
        alive = (count > 0).to(x.dtype)
        ratio = (alive / count.clamp_min(1e-6)).to(x.dtype)
        y = self.conv(x) * ratio + self.bias.view(-1, 1, 1)
        return y * alive, alive


class PartialUNet(nn.Module):
    """U-Net of partial convolutions: stride 2 down, nearest ×2 and skips up (Liu et al., section 3.2).

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
        """The output layer."""
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


class TemporalPatchGAN(nn.Module):
    """Discriminator of clips: six 3-D convolutions, spectral norm on all but the last (STTN, ECCV 2020).

    ``channels``: width of the first layer, 64 in the paper; the widest have four times as many.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        widths = [3, channels, 2 * channels, 4 * channels, 4 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for place, (before, after) in enumerate(pairwise(widths)):
            padding = (1, 1, 1) if place == 0 else (1, 2, 2)
            conv = nn.Conv3d(before, after, (3, 5, 5), (1, 2, 2), padding, bias=False)
            layers += [spectral_norm(conv), leaky()]
        layers.append(nn.Conv3d(widths[-1], widths[-1], (3, 5, 5), (1, 2, 2), (1, 2, 2)))
        self.layers = nn.Sequential(*layers)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips ``(B, T, 3, H, W)`` in [-1, 1] → scores ``(B, T, C, H/64, W/64)``, larger = more real."""
        return self.layers(clips.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]  # typed Any


LEVELS = 5
"""Scales the network works at; each has half the side of the one before and twice the channels."""

MULTIPLE = 2 ** (LEVELS - 1)
"""What height and width of a picture must be divisible by."""


class UNet(nn.Module):
    """The U-Net that internal video inpainting learns a mask with (Ouyang, Wang and Chen, ICCV 2021).

    After Ronneberger, Fischer and Brox (MICCAI 2015): two 3×3 convolutions a level, down by 2×2 maxima and up
    by nearest neighbours, with skips between.

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
            _TwoConvs(before, after, share)
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


class _TwoConvs(nn.Module):
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
        self.pair = _TwoConvs(2 * finer, finer)

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
