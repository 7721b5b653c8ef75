"""Fills a clip with networks fitted to it, or with the network that fits start from; from coarse to fine.

Frames are filled one by one: what other frames show has been brought in by propagation, and what the fit
has learned from them is in the weights. There is one network per scale, run in feathered tiles around the
hole. The coarsest starts from a smooth fill. Each finer one starts from what the one before it made: the
difference of that from a smooth fill is enlarged and added to the smooth fill of the finer scale, so that
the hole's border is as sharp as the frame (after the paper's figure of its 4K scheme, whose code was never
published).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vinpaint_cli.methods.common import check_finite, dtype_of, fill_clip, fill_frame, rebuild
from vinpaint_cli.methods.internal import SPEC
from vinpaint_cli.methods.internal.net import MULTIPLE, InternalConfig, InternalNet, Pyramid
from vinpaint_cli.nets.holes import composite, smooth_start
from vinpaint_cli.nets.letterbox import Letterbox
from vinpaint_cli.plan.windows import Tile, plan_tiles
from vinpaint_cli.types import Box, Clip, MethodSpec

CONTEXT = 64
"""Pixels around the hole that a network sees at least, as far as there are any."""

TILE, OVERLAP = 384, 32
"""Side of a tile and what neighbours share, in pixels of the scale: they bound the memory of any frame."""

UNFITTED_PIXELS = 1024 * 576
"""Most pixels of the picture that a network which was not fitted is given."""

Scale = tuple[Letterbox, Tensor]
"""The clip laid out at a scale, and the picture ``(1, 3, H, W)`` in [-1, 1] made of a frame there."""


class InternalMethod:
    """Fills holes with networks fitted to the clip; implements the ``Method`` protocol.

    weights: a file of `vinpaint train-internal`, or one of `vinpaint train export` that a fit would start
    from (used as it is, at one scale), or a name of weights.toml, or networks that were just fitted.
    device: where the networks run. dtype: ``fp32``, ``bf16`` or ``fp16``.

    Raises WeightsError when the weights are missing, damaged or of another network, UsageError for an
    unknown dtype.
    """

    def __init__(
        self,
        weights: str | Path | Pyramid | None = None,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = "fp32",
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype_of(dtype, "internal learning")
        found = weights if isinstance(weights, Pyramid) else load_network(weights)
        network = found.eval().requires_grad_(False)
        network = network.to(self.device, self.dtype).to(memory_format=torch.channels_last)
        self._nets: list[nn.Module] = list(network.nets) if isinstance(network, Pyramid) else [network]
        self._factors = network.factors if isinstance(network, Pyramid) else None
        self._prefill = bool(network.config.prefill)

    @property
    def spec(self) -> MethodSpec:
        """What the method can do; networks that add nothing to a smooth fill do not invent."""
        nets = [net for net in self._nets if isinstance(net, InternalNet)]
        return replace(SPEC, invents=not all(net.adds_nothing for net in nets))

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]: the network's values where ``holes`` > 0, else the clip's.

        Values of hidden pixels (residual of 0.5 or more) are not read. Networks that add nothing are not
        run: then it is the fill of `propagate`. Raises UsageError when float16 overflows.
        """
        if not self.spec.invents:
            return fill_clip(clip)
        result = clip.frames.to(torch.float32, copy=True)
        marked = (clip.holes.flatten(1) > 0).any(dim=1).nonzero().flatten().tolist()
        pictures = fill_frames(self._nets, self._factors or (_factor(clip),), clip, marked)
        for index, (letterbox, picture) in zip(marked, pictures, strict=True):
            check_finite(picture, self.dtype)
            shown = letterbox.restore(index, (picture[0] + 1) / 2)
            if self._prefill:
                shown = (shown + _beyond_smooth(clip, index)).clamp(0.0, 1.0)
            result[index] = torch.where(clip.holes[index] > 0, shown, result[index])
        return result


def _beyond_smooth(clip: Clip, index: int) -> Tensor:
    """What the fill of `propagate` adds to the smooth fill that a network starts from, ``(3, h, w)``.

    Added to the network's picture: so a network that adds nothing leaves what `propagate` makes.
    """
    frame, residual = clip.frames[index].float(), clip.holes[index].float()
    start = smooth_start(frame[None] * 2 - 1, residual[None])[0]
    return fill_frame(frame, residual) - (start + 1) / 2


def _factor(clip: Clip) -> float:
    """The scale at which a network that was not fitted sees the clip."""
    height, width = clip.frames.shape[-2:]
    return min(1.0, math.sqrt(UNFITTED_PIXELS / (width * height)))


def load_network(weights: str | Path | None = None) -> Pyramid | InternalNet:
    """Networks of a file, shaped by its metadata; WeightsError when they cannot be used."""
    return rebuild(
        weights,
        SPEC,
        lambda config: (
            Pyramid.from_dict(config)
            if "factors" in config
            else InternalNet(InternalConfig.from_dict(config))
        ),
    )


def fill_frames(
    nets: Sequence[nn.Module], factors: Sequence[float], clip: Clip, indices: Sequence[int]
) -> Iterator[Scale]:
    """For each frame of ``indices`` the finest scale's letterbox and picture ``(1, 3, H, W)`` in [-1, 1].

    Values of hidden pixels (residual of 0.5 or more) are not read. Networks run on their own device and in
    their own number format; pictures come on the clip's device, float32.
    """
    letterboxes = [Letterbox.scaled(clip, factor, MULTIPLE) for factor in factors]
    for index in indices:
        coarser: Scale | None = None
        for network, letterbox in zip(nets, letterboxes, strict=True):
            assert isinstance(network, InternalNet)
            coarser = letterbox, _fill_scale(network, letterbox, index, coarser)
        assert coarser is not None  # there is one scale at least
        yield coarser


def start_of(network: InternalNet, letterbox: Letterbox, index: int, coarser: Scale | None) -> Tensor:
    """What a network starts from in frame ``index``, ``(1, 3, H, W)`` in [-1, 1]; coarser: None at first."""
    frames, residual = (part.float() for part in letterbox.network_input([index]))
    smooth = network.start(frames * 2 - 1, residual)
    if coarser is None:
        return smooth
    below, picture = coarser
    hole = (residual > 0).float()
    frames, residual = (part.float() for part in below.network_input([index]))
    return smooth + hole * below.transfer(picture - network.start(frames * 2 - 1, residual), letterbox)


def _fill_scale(network: InternalNet, letterbox: Letterbox, index: int, coarser: Scale | None) -> Tensor:
    frames, residual = (part.float() for part in letterbox.network_input([index]))
    start = start_of(network, letterbox, index, coarser)
    box = surroundings(residual[0, 0] > 0)
    if box is None:
        return start
    result = start.clone()
    rows, columns = box.slices()
    result[..., rows, columns] = 0
    for tile in plan_tiles(box, TILE, OVERLAP, MULTIPLE):
        part = _fill_part(network, frames * 2 - 1, residual, start, tile.box)
        rows, columns = tile.box.slices()
        result[..., rows, columns] += _weight(tile).to(part) * part
    return composite(start, result, (residual > 0).float())


def _fill_part(network: InternalNet, frames: Tensor, residual: Tensor, start: Tensor, box: Box) -> Tensor:
    """The network's last picture of a part of a frame, float32 on the frame's device."""
    given = next(network.parameters())
    rows, columns = box.slices()
    parts = [x[..., rows, columns].to(given.device, given.dtype) for x in (frames, residual, start)]
    layout = [part.contiguous(memory_format=torch.channels_last) for part in parts]
    with torch.no_grad():
        return network(*layout)[-1].to(frames.device, torch.float32)  # type: ignore[no-any-return]


def surroundings(hole: Tensor, context: int = CONTEXT) -> Box | None:
    """What a network looks at: the box of the hole ``(H, W)`` and ``context`` pixels around it.

    H and W are multiples of 4, and so are the edges; None without a hole.
    """
    height, width = hole.shape
    rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
    if not len(rows):
        return None
    x0, x1 = _edges(int(columns[0]), int(columns[-1]) + 1, width, context)
    y0, y1 = _edges(int(rows[0]), int(rows[-1]) + 1, height, context)
    return Box(x0, y0, x1, y1)


def _edges(start: int, stop: int, limit: int, context: int) -> tuple[int, int]:
    start, stop = max(0, start - context), min(limit, stop + context)
    return start - start % MULTIPLE, stop + -stop % MULTIPLE


def _weight(tile: Tile) -> Tensor:
    return torch.tensor(tile.rows)[:, None] * torch.tensor(tile.columns)
