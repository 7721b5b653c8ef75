"""Generators of Internal Video Inpainting (Ouyang, Wang, Chen: ICCV 2021, arXiv 2108.01912).

A coarse network of gated convolutions, and after it, depending on the model, a finer one that sees the
frame with the coarse picture in its hole: one encoder with plain convolutions (``stack``), or that and a
second one with dilated convolutions (``refine``, the authors' default). Built without arguments the network
has the 4 051 278 weights of the authors' RefineModel.

Two things may differ from theirs (`InternalConfig`): with ``prefill`` the network is given a smooth fill
and corrects it, so that an untrained one gives the smooth fill itself (its weights are drawn wider, too: the
authors' initial values let no signal through, which costs them many steps); and convolutions pad evenly on
both sides, where TensorFlow pads more at the end when the stride is 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.nets import NetworkConfig
from vinpaint_cli.nets.blocks import GatedConv, GatedUp, plain_conv, zero_conv, zero_init
from vinpaint_cli.nets.holes import HIDDEN, composite, mask_hidden, smooth_start

MODELS = ("base", "stack", "refine")
MULTIPLE = 4
"""Sides of a picture must be multiples of this."""

PAPERS_WIDTH = 48
_MOST_SCALES = 16
REACH = 4
"""Pixels over which a correction rises from the border of the hole."""


class Layer(NamedTuple):
    """A gated convolution at the authors' width: channels before halving, kernel, stride, dilation."""

    channels: int
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    relu: bool = False
    up: bool = False


HEAD = (Layer(48, 5), Layer(96, stride=2), Layer(96), Layer(192, stride=2), Layer(192), Layer(192))
DILATED = tuple(Layer(192, dilation=rate) for rate in (2, 4, 8, 16))
TAIL = (Layer(192), Layer(192), Layer(96, up=True), Layer(96), Layer(48, up=True), Layer(24))

COARSE = (*HEAD, *DILATED, *TAIL)
"""Layers 1 to 16 of the coarse network; a plain convolution to RGB follows."""
WIDE = (Layer(48, 5), Layer(48, stride=2), Layer(96), Layer(96, stride=2), Layer(192), Layer(192), *DILATED)
"""The finer network's encoder A."""
NEAR = (
    *(Layer(48, 5), Layer(48, stride=2), Layer(96), Layer(192, stride=2)),
    *(Layer(192), Layer(192, relu=True), Layer(192), Layer(192)),
)
"""The finer network's encoder B."""


@dataclass(frozen=True, slots=True)
class InternalConfig(NetworkConfig):
    """The shape of the network; the defaults are the authors'.

    model: ``base`` (the coarse network alone), ``stack`` or ``refine``. width: of the first layer before
    halving, 48 in the paper, a multiple of 4; the others in proportion. prefill: correct a smooth fill, and
    see the residual instead of a mask. Raises ValueError for anything else.
    """

    title: ClassVar[str] = "an internal network"

    model: str = "refine"
    width: int = PAPERS_WIDTH
    prefill: bool = False

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"model {self.model!r} is not known; take {', '.join(MODELS)}")
        if self.width < 4 or self.width % 4:
            raise ValueError(f"width {self.width} must be a positive multiple of 4")


class FineNet(nn.Module):
    """The second network: one or two encoders that see RGB ``(N, 3, h, w)``, and a decoder."""

    def __init__(self, model: str, width: int, last: nn.Module) -> None:
        super().__init__()
        rows = (WIDE, NEAR) if model == "refine" else (NEAR,)
        self.encoders = nn.ModuleList(_layers(layers, 3, width) for layers in rows)
        features = _halved(WIDE[-1].channels, width) * len(rows)
        self.decoder = nn.Sequential(*_layers(TAIL, features, width), last)

    def forward(self, x: Tensor) -> Tensor:
        """Complete pictures ``(N, 3, h, w)``; returns ``(N, 3, h, w)`` before the tanh."""
        concatenated = torch.cat([encoder(x) for encoder in self.encoders], 1)
        return self.decoder(concatenated)  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any


class InternalNet(nn.Module):
    """The whole generator. ``forward`` gives the pictures of its stages, the best last."""

    def __init__(self, config: InternalConfig | None = None) -> None:
        super().__init__()
        self.config = config or InternalConfig()
        model, width = self.config.model, self.config.width
        self.coarse = nn.Sequential(*_layers(COARSE, 4, width), self._last())
        self.fine = FineNet(model, width, self._last()) if model != "base" else None
        if self.config.prefill:
            for module in self.modules():
                if isinstance(module, GatedConv):
                    module.init_keeping_variance()

    def _last(self) -> nn.Conv2d:
        channels = _halved(TAIL[-1].channels, self.config.width)
        return (zero_conv if self.config.prefill else plain_conv)(channels, 3)

    def zero_output(self) -> None:
        """Zero the output layers, so that no stage adds anything to its input; only with ``prefill``."""
        for network in (self.coarse, self.fine.decoder if self.fine is not None else None):
            if isinstance(network, nn.Sequential):
                zero_init(network[-1])

    @property
    def adds_nothing(self) -> bool:
        """Whether it gives back the picture it starts from, since all its output layers are zero."""
        last = [*self.coarse[-1].parameters()]
        if self.fine is not None:
            last += self.fine.decoder[-1].parameters()
        return self.config.prefill and not any(bool(values.any()) for values in last)

    def start(self, frames: Tensor, residual: Tensor) -> Tensor:
        """Frames with hidden pixels replaced as the network expects: by 0, or with ``prefill`` smoothly.

        frames ``(N, 3, h, w)`` in [-1, 1], hidden pixels are not read; residual ``(N, 1, h, w)`` in [0, 1].
        """
        return smooth_start(frames, residual) if self.config.prefill else mask_hidden(frames, residual)

    def forward(self, frames: Tensor, residual: Tensor, start: Tensor | None = None) -> tuple[Tensor, ...]:
        """Pictures ``(N, 3, h, w)`` in [-1, 1] of one or two stages; h and w are multiples of 4.

        frames in [-1, 1], hidden pixels are not read; residual ``(N, 1, h, w)`` in [0, 1], 1 = fill. start:
        see :meth:`start`; a picture that was made at a smaller scale may take its place.
        """
        if start is None:
            start = self.start(frames, residual)
        inside = depth(residual) if self.config.prefill else residual
        mask = residual if self.config.prefill else (residual >= HIDDEN).to(frames.dtype)
        coarse = self._shown(start, self.coarse(torch.cat([start, mask], 1)), inside)
        if self.fine is None:
            return (coarse,)
        concatenated = composite(frames, coarse, mask)
        return coarse, self._shown(concatenated, self.fine(concatenated), inside)

    def _shown(self, given: Tensor, answer: Tensor, inside: Tensor) -> Tensor:
        """The picture of a stage: its tanh, or what that adds to the picture it was ``given``."""
        picture = answer.float().tanh()
        return (given.float() + inside * picture).clamp(-1, 1) if self.config.prefill else picture


class Pyramid(nn.Module):
    """Networks of one shape, one per scale.

    factors: rising, in (0, 1]: size of the picture each network sees in units of the clip's. Raises
    ValueError for anything else, and for finer scales without ``prefill``.
    """

    def __init__(self, config: InternalConfig, factors: Sequence[float]) -> None:
        super().__init__()
        rising = all(a < b for a, b in pairwise(factors))
        if not 1 <= len(factors) <= _MOST_SCALES or not rising or factors[0] <= 0 or factors[-1] > 1:
            raise ValueError(f"scales {list(factors[:9])} must rise within (0, 1], {_MOST_SCALES} at most")
        if len(factors) > 1 and not config.prefill:
            raise ValueError("only networks with prefill can start from the picture of a coarser one")
        self.config, self.factors = config, tuple(factors)
        self.nets = nn.ModuleList(InternalNet(config) for _ in factors)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the metadata of a file."""
        return self.config.to_dict() | {"factors": list(self.factors)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Pyramid:
        """Inverse of :meth:`to_dict`; ValueError when unreadable."""
        network = {key: value for key, value in values.items() if key != "factors"}
        try:
            factors = [float(factor) for factor in values["factors"]]
        except (KeyError, TypeError) as exc:
            raise ValueError(f"not a fitted network: {str(dict(values))[:200]}") from exc
        return cls(InternalConfig.from_dict(network), factors)


def depth(residual: Tensor) -> Tensor:
    """Depth of a pixel in the hole ``(N, 1, h, w)``: 0 at a straight border, 1 from `REACH` pixels on.

    A correction is weighted by it, so that whatever a network says, no seam can come of it: at the border
    a smooth fill is right.
    """
    side = 2 * REACH + 1
    hole_surroundings = functional.avg_pool2d(residual.float(), side, 1, REACH, count_include_pad=False)
    return (2 * hole_surroundings - 1).clamp(0, 1)


def _layers(layers: tuple[Layer, ...], channels: int, width: int) -> nn.Sequential:
    """Gated convolutions in sequence, for an input of so many ``channels``."""
    made: list[nn.Module] = []
    for layer in layers:
        wide = 2 * _halved(layer.channels, width)
        if layer.up:
            made.append(GatedUp(channels, wide))
        else:
            made.append(
                GatedConv(
                    *(channels, wide, layer.kernel),
                    stride=layer.stride,
                    dilation=layer.dilation,
                    relu=layer.relu,
                )
            )
        channels = wide // 2
    return nn.Sequential(*made)


def _halved(channels: int, width: int) -> int:
    """Output channels of a gated convolution that has ``channels`` at the authors' width."""
    return channels * width // (2 * PAPERS_WIDTH)
