"""Frames filled from coarse to fine: one network per scale, in feathered tiles around the hole.

The first network starts from a smooth fill. Each finer one starts from what the one before it made,
enlarged: its difference from a smooth fill is enlarged and added to the smooth fill of the finer scale, so
that the hole's border is as sharp as the frame (after the paper's figure of its 4K scheme, whose code was
never published).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from vinpaint_cli.methods.internal.net import MULTIPLE, InternalConfig, InternalNet
from vinpaint_cli.nets.holes import composite
from vinpaint_cli.nets.letterbox import Sheet
from vinpaint_cli.plan.tiles import Tile, plan_tiles
from vinpaint_cli.types import Box, Clip

CONTEXT = 64
"""Pixels around the hole that a network sees at least, as far as there are any."""

TILE, OVERLAP = 384, 32
"""Side of a tile and what neighbours share, in pixels of the scale: they bound the memory of any frame."""


class Pyramid(nn.Module):
    """Networks of one shape, one per scale.

    factors: rising, in (0, 1]: size of the picture each network sees in units of the clip's. Raises
    ValueError for anything else, and for finer scales without ``prefill``.
    """

    def __init__(self, config: InternalConfig, factors: Sequence[float]) -> None:
        super().__init__()
        rising = all(a < b for a, b in pairwise(factors))
        if not factors or not rising or factors[0] <= 0 or factors[-1] > 1:
            raise ValueError(f"scales {list(factors)} must rise within (0, 1]")
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
            raise ValueError(f"not a fitted network: {dict(values)}") from exc
        return cls(InternalConfig.from_dict(network), factors)


def fill_frames(
    nets: Sequence[nn.Module], factors: Sequence[float], clip: Clip, indices: Sequence[int]
) -> Iterator[tuple[Sheet, Tensor]]:
    """Per frame of ``indices`` the finest scale's sheet and its picture ``(1, 3, H, W)`` in [-1, 1].

    Values of hidden pixels (share 0.5 or more) are not read. Networks run on their own device and in their
    own number format; pictures come on the clip's device, float32.
    """
    sheets = [Sheet.scaled(clip, factor, MULTIPLE) for factor in factors]
    for index in indices:
        below: tuple[Sheet, Tensor] | None = None
        for network, sheet in zip(nets, sheets, strict=True):
            assert isinstance(network, InternalNet)
            below = sheet, _fill_scale(network, sheet, index, below)
        assert below is not None  # there is one scale at least
        yield sheets[-1], below[1]


def start_of(network: InternalNet, sheet: Sheet, index: int, below: tuple[Sheet, Tensor] | None) -> Tensor:
    """What a network starts from, ``(1, 3, H, W)`` in [-1, 1].

    below: sheet and picture of the coarser scale, None for the coarsest.
    """
    frames, shares = (part.float() for part in sheet.shrink([index]))
    smooth = network.start(frames * 2 - 1, shares)
    if below is None:
        return smooth
    coarse, picture = below
    hole = (shares > 0).float()
    frames, shares = (part.float() for part in coarse.shrink([index]))
    return smooth + hole * coarse.carry(picture - network.start(frames * 2 - 1, shares), sheet)


def _fill_scale(network: InternalNet, sheet: Sheet, index: int, below: tuple[Sheet, Tensor] | None) -> Tensor:
    frames, shares = (part.float() for part in sheet.shrink([index]))
    start = start_of(network, sheet, index, below)
    box = surroundings(shares[0, 0] > 0)
    if box is None:
        return start
    result = start.clone()
    rows, columns = box.slices()
    result[..., rows, columns] = 0
    for tile in plan_tiles(box, TILE, OVERLAP, MULTIPLE):
        part = fill_part(network, frames * 2 - 1, shares, start, tile.box)
        weight = _weight(tile).to(part)
        rows, columns = tile.box.slices()
        result[..., rows, columns] += weight * part
    return composite(start, result, (shares > 0).float())


def fill_part(network: InternalNet, frames: Tensor, shares: Tensor, start: Tensor, box: Box) -> Tensor:
    """The network's last picture of a part of a frame, float32 on the frame's device."""
    given = next(network.parameters())
    rows, columns = box.slices()
    parts = [x[..., rows, columns].to(given.device, given.dtype) for x in (frames, shares, start)]
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
