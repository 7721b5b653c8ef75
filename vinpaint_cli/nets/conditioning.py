"""The conditioning of networks with a blend head, and the blend that such a head makes.

The *conditioning* is the input: a mixture of what propagation found and a smooth fill, weighted by the
residual (1 − confidence); the residual itself; and the difference between what was found and a fill from
surely known pixels alone. The *blend head* is the output, with four channels: a correction, which is a colour
to add to the mixture, and a gate, which takes more or less of what was found. Both may be coarse: they are
applied at the clip's own size, so detail that was found is kept.

Input and correction are in units of the contrast of the surroundings, so that a network changes little in a
sky and much in a crowd.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.nets.holes import smooth_fill, smooth_start

NOT_FOUND = 0.97
"""Residual from which on nothing counts as found."""

SURE = 0.05
"""Residual from which on a pixel does not count as surely known."""

OPEN = 0.1
"""Residual from which on the blend acts fully on a pixel; below, its effect falls to nothing."""

CONDITIONING_CHANNELS = 7
"""Channels of the conditioning: mixture (3), residual (1), what was found less the fill (3)."""

VIEW_CHANNELS = 9
"""Channels a network sees: the same in units of contrast, the contrast, and whether anything was found."""

FADE = 0.15
"""Span of residuals below `NOT_FOUND` over which the gate's effect falls to nothing."""

HEAD_CHANNELS = 4
"""Channels of a blend head: correction (3) and gate (1)."""

NEIGHBOURHOOD = 17
"""Pixels across of the square in which contrast is measured."""

LEAST_CONTRAST = 0.01
"""Smallest contrast (standard deviation of grey), in the units of the frames."""

USUAL = 2.0
"""Minus the logarithm of a usual contrast; added so that the contrast channel lies around zero."""


def make_conditioning(
    frames: Tensor, residual: Tensor, other: Tensor | None = None, grey: float = 0.0
) -> Tensor:
    """Conditioning ``(N, 7, h, w)`` of frames ``(N, 3, h, w)`` and their residual ``(N, 1, h, w)`` in [0, 1].

    Pixels whose residual is `NOT_FOUND` or more are not read. The mixture is the result without a network:
    what was found and, weighted by the residual, a smooth fill, which is the mean of a fill from the surely
    known pixels and of one from all that are known better than by half (together they err less than either);
    or, where it is given, an ``other`` fill ``(N, 3, h, w)``. Where nothing at all is known it is ``grey``.
    """
    something = residual < NOT_FOUND
    found = torch.where(something, frames - grey, 0.0)
    sure = (1 - residual / SURE).clamp_min(0)
    alone, start = smooth_fill(found, sure), smooth_start(found, residual)
    alone = torch.where((sure > 0).any(3, keepdim=True).any(2, keepdim=True), alone, start)
    fill = (alone + start) / 2 if other is None else other - grey
    mixture = torch.where(something, torch.lerp(found, fill, residual.expand_as(fill)), fill)
    difference = torch.where(something, found - alone, 0.0)
    return torch.cat([mixture + grey, residual, difference], 1)


def network_view(conditioning: Tensor) -> Tensor:
    """Conditioning ``(N, 7, h, w)`` as a network sees it ``(N, 9, h, w)``: relative to what is around.

    Mixture less its mean nearby (3), residual in [-1, 1] (1), what was found less the fill (3), colours in
    units of contrast; the contrast's logarithm (1); 1 where something was found (1).
    """
    mixture, residual = conditioning[:, :3], conditioning[:, 3:4]
    unit = contrast(conditioning)
    found = (residual < NOT_FOUND).to(residual.dtype)
    difference = conditioning[:, 4:] / unit
    return torch.cat(
        [relative(mixture, mixture, unit), 2 * residual - 1, difference, unit.log() + USUAL, found], 1
    )


def with_network_view(conditioning: Tensor) -> Tensor:
    """Conditioning ``(N, 7, h, w)`` followed by its `network_view`: ``(N, 16, h, w)``."""
    return torch.cat([conditioning, network_view(conditioning)], 1)


def relative(picture: Tensor, mixture: Tensor, unit: Tensor) -> Tensor:
    """A picture minus the local mean of the mixture, divided by the contrast ``unit``: ``(N, 3, h, w)``."""
    edge = NEIGHBOURHOOD // 2
    padded = functional.pad(mixture, (edge, edge, edge, edge), mode="replicate")
    return (picture - functional.avg_pool2d(padded, NEIGHBOURHOOD, 1)) / unit


def contrast(conditioning: Tensor) -> Tensor:
    """Standard deviation of grey among known pixels nearby ``(N, 1, h, w)``, carried on into holes."""
    grey = conditioning[:, :3].mean(1, keepdim=True)
    known = (conditioning[:, 3:4] < OPEN).to(grey.dtype)
    parts = torch.cat([known, known * grey, known * grey.square()], 1)
    sums = functional.avg_pool2d(parts, NEIGHBOURHOOD, 1, NEIGHBOURHOOD // 2)
    support = sums[:, :1]
    mean, square = (sums[:, i : i + 1] / support.clamp_min(1e-6) for i in (1, 2))
    spread = (square - mean.square()).clamp_min(0).sqrt()
    return smooth_fill(spread, (support * 4).clamp_max(1.0)).clamp_min(LEAST_CONTRAST)


def scale_head(seen: Tensor, given: Tensor, colours: bool = True) -> Tensor:
    """Head output ``given`` ``(N, 4, h, w)`` with its correction scaled from units of contrast to colours.

    seen: the `network_view` the network was given. Without ``colours`` the correction is zero: the network
    only decides between what was found and the fill.
    """
    unit = (seen[:, 7:8].float() - USUAL).exp() * float(colours)
    return torch.cat([given[:, :3].float() * unit, given[:, 3:].float()], 1)


def blend(conditioning: Tensor, head: Tensor, reach: int = 1) -> Tensor:
    """Apply a head output ``(N, 4, h, w)`` to conditioning ``(N, 7, h, w)``: a picture ``(N, 3, h, w)``.

    Where nothing is to be filled it is what was there, whatever the head says. So that no edge is drawn that
    is in neither, the correction rises with the distance from what is known, up to ``reach`` pixels, and the
    gate closes before the residual reaches `NOT_FOUND`.
    """
    mixture, residual, difference = conditioning[:, :3], conditioning[:, 3:4], conditioning[:, 4:]
    say = (residual / OPEN).clamp_max(1.0)
    known = functional.avg_pool2d((residual < OPEN).to(residual.dtype), 2 * reach + 1, 1, reach)
    rise = (1 - 2 * known).clamp_min(0)
    end = ((NOT_FOUND - residual) / FADE).clamp(0, 1)
    return mixture + say * (rise * head[:, :3] + end * head[:, 3:] * difference)
