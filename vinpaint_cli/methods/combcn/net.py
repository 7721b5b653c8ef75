"""3DCN and CombCN (Wang, Huang, Han, Wang: AAAI 2019, arXiv 1806.08482).

The 3DCN, 12 layers, completes a window of frames at half the size: roughly, but consistent in time. The
CombCN, 17 layers, completes each frame at full size. Two convolutions take the 3DCN's picture of the frame
into it, where its features are first and last of half the size (the paper's starred layers 2 and 15).

Both see RGB and the mask. Built without arguments the layers are the paper's Table 1. What the paper does
not say: skips are concatenations (only they give its number of weights), convolutions before a
normalisation have one bias and no gain, known pixels are put back into the 3DCN's picture before it
guides, and in time kernels are 3 frames long, those of deconvolutions 4 (their surplus frame is cut off,
once at the end and once at the beginning).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.nets import BlendingConfig
from vinpaint_cli.nets.blocks import Normalised, zero_init
from vinpaint_cli.nets.conditioning import (
    CONDITIONING_CHANNELS,
    HEAD_CHANNELS,
    VIEW_CHANNELS,
    blend,
    contrast,
    make_conditioning,
    relative,
    scale_head,
    with_network_view,
)
from vinpaint_cli.nets.holes import HIDDEN, composite, smooth_start

PARTS = ("both", "volume", "frames")


class Layer(NamedTuple):
    """A row of Table 1: kernel, stride and dilation on the two axes of the picture; ``up``: deconvolution."""

    kernel: int
    stride: int
    dilation: int
    channels: int
    up: bool = False


VOLUME = (
    Layer(5, 1, 1, 16),
    Layer(3, 2, 1, 32),
    Layer(3, 1, 1, 64),
    Layer(3, 2, 1, 128),
    Layer(3, 1, 2, 256),
    Layer(3, 1, 4, 256),
    Layer(3, 1, 8, 256),
    Layer(3, 1, 1, 128),
    Layer(4, 2, 1, 64, up=True),
    Layer(3, 1, 1, 32),
    Layer(4, 2, 1, 16, up=True),
    Layer(3, 1, 1, 3),
)
"""The 3DCN's layers 1 to 12."""

VOLUME_JOINS = {9: 4, 10: 3, 11: 2}
"""Layers of the 3DCN whose input is joined with the output of another."""

FRAMES = (
    Layer(5, 1, 1, 64),
    Layer(3, 2, 1, 128),
    Layer(3, 1, 1, 128),
    Layer(3, 2, 1, 256),
    Layer(3, 1, 1, 256),
    Layer(3, 1, 1, 256),
    Layer(3, 1, 2, 256),
    Layer(3, 1, 4, 256),
    Layer(3, 1, 8, 256),
    Layer(3, 1, 16, 256),
    Layer(3, 1, 1, 256),
    Layer(3, 1, 1, 256),
    Layer(4, 2, 1, 128, up=True),
    Layer(3, 1, 1, 128),
    Layer(4, 2, 1, 64, up=True),
    Layer(3, 1, 1, 32),
    Layer(3, 1, 1, 3),
)
"""The CombCN's layers 1 to 17."""

FRAME_JOINS = {place: 17 - place for place in range(10, 17)}
"""Layers of the CombCN whose input is joined with the output of another."""

GUIDED = (2, 14)
"""Layers to whose output the 3DCN's picture is added: the entrances of what follows are the starred ones."""


@dataclass(frozen=True, slots=True)
class CombCNConfig(BlendingConfig):
    """The shape of both networks; the defaults are the paper's.

    ``width`` and ``volume_width``: channels of the first layer of the CombCN and of the 3DCN, the others in
    proportion. ``parts``: ``both``, or ``volume`` (the 3DCN alone, enlarged) or ``frames`` (the 2-D network
    alone), as the paper compares them. ``prefill``: correct a smooth fill, and see the residual instead of a
    mask; else holes hold the colour ``mean`` (RGB in [0, 1], the training data's). ``size``: ``(width,
    height)``, of so many pixels at most is the picture the networks are given. ``blend_head`` (``judges`` in
    files; with ``prefill``): see what propagation found too, and decide how much of it is taken
    (:mod:`vinpaint_cli.nets.conditioning`); without ``colours`` they add none. Raises ValueError for anything
    else.
    """

    title: ClassVar[str] = "a CombCN"

    width: int = 64
    volume_width: int = 16
    parts: str = "both"
    prefill: bool = False
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    size: tuple[int, int] = (432, 240)
    blend_head: bool = False
    colours: bool = True

    def __post_init__(self) -> None:
        if self.width < 2 or self.width % 2 or self.volume_width < 1:
            raise ValueError(f"widths {self.width} (even) and {self.volume_width} must be positive")
        if self.parts not in PARTS:
            raise ValueError(f"parts {self.parts!r} are not known; take {', '.join(PARTS)}")
        if self.blend_head and not self.prefill:
            raise ValueError(f"a blend head needs prefill: {self}")
        if len(self.mean) != 3 or not all(0 <= value <= 1 for value in self.mean):
            raise ValueError(f"mean {self.mean} is not a colour in [0, 1]")
        if len(self.size) != 2 or min(self.size) < 8:
            raise ValueError(f"size {self.size} is not a width and a height of 8 pixels or more")


class VolumeNet(nn.Module):
    """The 3-D network (3DCN), which completes a window of frames at half size.

    ``width``: channels of its first layer, 16 in the paper. ``ends``: channels of its input and output.
    """

    def __init__(self, width: int = 16, ends: tuple[int, int] = (4, 3)) -> None:
        super().__init__()
        channels = _channels(VOLUME, width, ends)
        convs = [_volume_conv(*row) for row in _rows(VOLUME, channels, VOLUME_JOINS)]
        self.layers = nn.ModuleList(Normalised(conv, nn.BatchNorm3d) for conv in convs[:-1])
        self.last = convs[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Complete windows ``(B, 4, T, h, w)``: returns ``(B, 3, T, h, w)``; h and w are multiples of 4."""
        kept: dict[int, Tensor] = {}
        for place, layer in enumerate(self.layers, 1):
            if place in VOLUME_JOINS:
                x = torch.cat([x, kept.pop(VOLUME_JOINS[place])], 1)
            x = layer(x)
            # A kernel of 4 frames makes one frame too many; it leaves at either end in turn.
            if VOLUME[place - 1].up:
                x = x[:, :, :-1] if place == 9 else x[:, :, 1:]
            if place in VOLUME_JOINS.values():
                kept[place] = x
        return self.last(x)  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any


class FrameNet(nn.Module):
    """The 2-D network of the CombCN, which completes each frame at full size.

    ``width``: channels of its first layer, 64 in the paper. ``guided``: whether it takes the 3DCN's picture.
    ``ends``: channels of its input and output.
    """

    def __init__(self, width: int = 64, guided: bool = True, ends: tuple[int, int] = (4, 3)) -> None:
        super().__init__()
        channels = _channels(FRAMES, width, ends)
        convs = [_frame_conv(*row) for row in _rows(FRAMES, channels, FRAME_JOINS)]
        self.layers = nn.ModuleList(Normalised(conv, nn.BatchNorm2d) for conv in convs[:-1])
        self.last = convs[-1]
        places = GUIDED if guided else ()
        self.guides = nn.ModuleDict({str(p): nn.Conv2d(3, channels[p], 3, padding=1) for p in places})

    def forward(self, x: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Complete frames ``(N, 4, h, w)``, guided by the 3DCN's pictures ``(N, 3, h/2, w/2)``.

        Returns ``(N, 3, h, w)``; h and w are multiples of 4.
        """
        kept: dict[int, Tensor] = {}
        for place, layer in enumerate(self.layers, 1):
            if place in FRAME_JOINS:
                x = torch.cat([x, kept.pop(FRAME_JOINS[place])], 1)
            x = layer(x)
            if guidance is not None and str(place) in self.guides:
                x = x + self.guides[str(place)](guidance)
            if place in FRAME_JOINS.values():
                kept[place] = x
        return self.last(x)  # type: ignore[no-any-return]  # as above


class CombCN(nn.Module):
    """Both networks. ``prepare`` → ``structure`` → ``detail``; ``forward`` runs all three.

    They are apart so that the 3-D network sees windows and the 2-D one a few frames at a time.
    """

    def __init__(self, config: CombCNConfig | None = None) -> None:
        super().__init__()
        self.config = config or CombCNConfig()
        parts = self.config.parts
        ends = (VIEW_CHANNELS, HEAD_CHANNELS) if self.config.blend_head else (4, 3)
        self.volume = VolumeNet(self.config.volume_width, ends) if parts != "frames" else None
        self.frames = FrameNet(self.config.width, parts == "both", ends) if parts != "volume" else None
        if self.config.prefill:
            for network in (self.volume, self.frames):
                if network is not None:
                    zero_init(network.last)

    def prepare(self, frames: Tensor, residual: Tensor) -> Tensor:
        """Network input ``(N, 4, H, W)``: RGB in [-1, 1] with its hidden pixels replaced, and the mask.

        frames: ``(N, 3, H, W)`` in [-1, 1], hidden pixels are not read; residual: ``(N, 1, H, W)`` in [0, 1].
        With ``blend_head`` it is the conditioning and its network view, ``(N, 16, H, W)``.
        """
        if self.config.blend_head:
            return with_network_view(make_conditioning(frames, residual))
        if self.config.prefill:
            return torch.cat([smooth_start(frames, residual), residual], 1)
        hidden = residual >= HIDDEN
        mean = frames.new_tensor(self.config.mean).mul(2).sub(1).view(1, 3, 1, 1)
        return torch.cat([torch.where(hidden, mean, frames), hidden.to(frames.dtype)], 1)

    def structure(self, prepared: Tensor) -> Tensor:
        """The 3DCN's pictures of a window: prepared ``(B, T, 4 or 16, H, W)`` → ``(B, T, 3, H/2, W/2)``.

        In [-1, 1], not clipped; known pixels are put back.
        """
        if self.volume is None:
            raise ValueError("this CombCN was built without its 3-D network")
        half = _halved(prepared)
        if self.config.blend_head:
            half = with_network_view(half.flatten(0, 1).float()).view(*half.shape[:2], -1, *half.shape[3:])
            seen = half[:, :, CONDITIONING_CHANNELS:].to(prepared.dtype)
            given = self.volume(seen.transpose(1, 2)).transpose(1, 2)
            head = scale_head(seen.flatten(0, 1), given.flatten(0, 1), self.config.colours)
            return blend(half[:, :, :CONDITIONING_CHANNELS].flatten(0, 1), head).view(
                *half.shape[:2], 3, *half.shape[3:]
            )
        filled = self.volume(half.transpose(1, 2)).transpose(1, 2)
        frames, residual = half[:, :, :3], half[:, :, 3:]
        if self.config.prefill:
            filled = frames + filled
        return composite(frames, filled, residual)

    def detail(self, prepared: Tensor, structure: Tensor | None) -> Tensor:
        """The 2-D network's pictures: prepared ``(N, 4 or 16, H, W)``, structure ``(N, 3, H/2, W/2)``.

        Result ``(N, 3, H, W)`` in [-1, 1], not clipped; with ``prefill`` it is a correction, to be added to
        the smooth fill, with ``blend_head`` its output ``(N, 4, H, W)``. Without its 2-D network the
        structure is enlarged.
        """
        if self.frames is not None:
            if not self.config.blend_head:
                return self.frames(prepared, structure)  # type: ignore[no-any-return]  # as above
            seen = prepared[:, CONDITIONING_CHANNELS:]
            given = self.frames(seen, self._guidance(prepared, structure))
            return scale_head(seen, given, self.config.colours)
        if structure is None:
            raise ValueError("the 3-D network alone needs its own result to enlarge")
        size = prepared.shape[-2:]
        large = functional.interpolate(structure, size=size, mode="bilinear", align_corners=False)
        if not self.config.prefill:
            return large
        correction = large - prepared[:, :3]
        if not self.config.blend_head:
            return correction
        return torch.cat([correction, torch.zeros_like(correction[:, :1])], 1)

    def _guidance(self, prepared: Tensor, structure: Tensor | None) -> Tensor | None:
        """The structure in units of the contrast of the frame at half its size."""
        if structure is None:
            return None
        half = _halved(prepared[None])[0].float()
        return relative(structure.float(), half[:, :3], contrast(half)).to(prepared.dtype)

    def forward(self, frames: Tensor, residual: Tensor) -> tuple[Tensor, Tensor | None]:
        """Frames ``(B, T, 3, H, W)`` in [-1, 1] and residual ``(B, T, 1, H, W)``, both multiples of 8.

        Returns filled frames ``(B, T, 3, H, W)`` and the 3DCN's ``(B, T, 3, H/2, W/2)`` (None without it).
        """
        prepared = self.prepare(frames.flatten(0, 1), residual.flatten(0, 1))
        structure = None
        if self.volume is not None:
            structure = self.structure(prepared.view(*frames.shape[:2], *prepared.shape[1:]))
        filled = self.detail(prepared, None if structure is None else structure.flatten(0, 1))
        if self.config.blend_head:
            filled = blend(prepared[:, :CONDITIONING_CHANNELS].float(), filled)
        elif self.config.prefill:
            filled = prepared[:, :3] + filled
        return filled.view_as(frames), structure


def half_size(frames: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    """Halve frames ``(…, C, H, W)`` by their means and the residual ``(…, 1, H, W)`` by its maxima."""
    return _pooled(frames, functional.avg_pool2d), _pooled(residual, functional.max_pool2d)


def _halved(prepared: Tensor) -> Tensor:
    """Prepared frames at half the size, without their network view."""
    frames, residual = half_size(prepared[:, :, :3], prepared[:, :, 3:4])
    found = prepared[:, :, 4:CONDITIONING_CHANNELS]
    parts = [_pooled(found, functional.avg_pool2d)] if found.shape[2] else []
    return torch.cat([frames, residual, *parts], 2)


def _pooled(x: Tensor, pool: Any) -> Tensor:
    y: Tensor = pool(x.flatten(0, 1), 2)
    return y.view(*x.shape[:2], *y.shape[1:])


def _channels(table: tuple[Layer, ...], width: int, ends: tuple[int, int]) -> list[int]:
    """Channels of the input and of each layer's output, in proportion to the first layer's."""
    scaled = [layer.channels * width // table[0].channels for layer in table[:-1]]
    return [ends[0], *scaled, ends[1]]


def _rows(
    table: tuple[Layer, ...], channels: list[int], joins: Mapping[int, int]
) -> list[tuple[Layer, int, int]]:
    """Each layer with its channels in, what is joined included, and out."""
    return [
        (layer, before + (channels[joins[place]] if place in joins else 0), after)
        for place, (layer, (before, after)) in enumerate(zip(table, pairwise(channels), strict=True), 1)
    ]


def _volume_conv(layer: Layer, before: int, after: int) -> nn.Conv3d | nn.ConvTranspose3d:
    """Stride and dilation act on the picture alone."""
    k, s, d = layer.kernel, layer.stride, layer.dilation
    if layer.up:
        return nn.ConvTranspose3d(before, after, (4, k, k), (1, s, s), 1)
    return nn.Conv3d(before, after, (3, k, k), (1, s, s), (1, d * (k // 2), d * (k // 2)), (1, d, d))


def _frame_conv(layer: Layer, before: int, after: int) -> nn.Conv2d | nn.ConvTranspose2d:
    if layer.up:
        return nn.ConvTranspose2d(before, after, layer.kernel, layer.stride, 1)
    padding = layer.dilation * (layer.kernel // 2)
    return nn.Conv2d(before, after, layer.kernel, layer.stride, padding, layer.dilation)
