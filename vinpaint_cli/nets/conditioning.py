"""What propagation found, beside what a smooth fill would be, and how a network decides between them.

A network that corrects a smooth fill has a say in a pixel only as far as propagation left it open. One that
*judges* sees what was found, what a fill of the surely known pixels alone would be, and the share that
propagation left; and it changes the mixture of the two, pixel by pixel, by four maps: a colour to be added,
and how much more (or less) of what was found to believe. The maps may be coarse: they are applied to the
clip's own pixels, so detail stays where it is believed.

It sees and adds in units of the contrast around, so the same network changes little in a sky and much in a
crowd, and need not learn to leave flat things alone.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.nets.holes import smooth_fill, smooth_start

NOTHING = 0.97
"""Share still to be filled from which on nothing is taken to have been found."""

SURE = 0.05
"""Share from which on a pixel does not count as surely known."""

OPEN = 0.1
"""Share from which on a network decides alone; below, its say falls to nothing."""

EVIDENCE = 7
"""Channels of evidence: mixture (3), share (1), what was found less a fill of the surely known (3)."""

SEEN = 9
"""Channels a network sees: the same in units of contrast, the contrast, and whether anything was found."""

FADE = 0.15
"""Length of the span of shares below `NOTHING` over which what was found ceases to be believed more."""

MAPS = 4
"""A colour to be added (3) and what is to be believed more (1)."""

NEIGHBOURHOOD = 17
"""Pixels across of the square in which contrast is measured."""

LEAST_CONTRAST = 0.01
"""Smallest standard deviation of grey, in the units of the frames."""

USUAL = 2.0
"""Less the logarithm of a usual contrast, so that the channel lies around zero."""


def gather(frames: Tensor, shares: Tensor, other: Tensor | None = None, grey: float = 0.0) -> Tensor:
    """Frames ``(N, 3, h, w)`` and shares ``(N, 1, h, w)`` in [0, 1] → evidence ``(N, 7, h, w)``.

    Pixels of a share of `NOTHING` or more are not read. The mixture is what stands there without a network:
    what was found, and by its share a smooth fill, the mean of that of the surely known pixels alone and that
    of all that are known better than by half (together they err less than either); or, where it is given, an
    ``other`` fill ``(N, 3, h, w)``. Where nothing at all is known stands ``grey``.
    """
    something = shares < NOTHING
    found = torch.where(something, frames - grey, 0.0)
    sure = (1 - shares / SURE).clamp_min(0)
    alone, start = smooth_fill(found, sure), smooth_start(found, shares)
    alone = torch.where((sure > 0).any(3, keepdim=True).any(2, keepdim=True), alone, start)
    fill = (alone + start) / 2 if other is None else other - grey
    mixture = torch.where(something, torch.lerp(found, fill, shares.expand_as(fill)), fill)
    difference = torch.where(something, found - alone, 0.0)
    return torch.cat([mixture + grey, shares, difference], 1)


def look(evidence: Tensor) -> Tensor:
    """Evidence ``(N, 7, h, w)`` as a network sees it ``(N, 9, h, w)``: relative to what is around.

    Mixture less its mean nearby (3), share in [-1, 1] (1), what was found less the fill (3), colours in
    units of contrast; the contrast's logarithm (1); 1 where something was found (1).
    """
    mixture, shares = evidence[:, :3], evidence[:, 3:4]
    unit = contrast(evidence)
    found = (shares < NOTHING).to(shares.dtype)
    difference = evidence[:, 4:] / unit
    return torch.cat(
        [relative(mixture, mixture, unit), 2 * shares - 1, difference, unit.log() + USUAL, found], 1
    )


def with_view(evidence: Tensor) -> Tensor:
    """Evidence ``(N, 7, h, w)`` and, after it, how a network sees it: ``(N, 16, h, w)``."""
    return torch.cat([evidence, look(evidence)], 1)


def relative(picture: Tensor, mixture: Tensor, unit: Tensor) -> Tensor:
    """A picture less the mean of the mixture nearby, in units of contrast; ``(N, 3, h, w)``."""
    edge = NEIGHBOURHOOD // 2
    padded = functional.pad(mixture, (edge, edge, edge, edge), mode="replicate")
    return (picture - functional.avg_pool2d(padded, NEIGHBOURHOOD, 1)) / unit


def contrast(evidence: Tensor) -> Tensor:
    """Standard deviation of grey among known pixels nearby ``(N, 1, h, w)``, carried on into holes."""
    grey = evidence[:, :3].mean(1, keepdim=True)
    known = (evidence[:, 3:4] < OPEN).to(grey.dtype)
    parts = torch.cat([known, known * grey, known * grey.square()], 1)
    sums = functional.avg_pool2d(parts, NEIGHBOURHOOD, 1, NEIGHBOURHOOD // 2)
    support = sums[:, :1]
    mean, square = (sums[:, i : i + 1] / support.clamp_min(1e-6) for i in (1, 2))
    spread = (square - mean.square()).clamp_min(0).sqrt()
    return smooth_fill(spread, (support * 4).clamp_max(1.0)).clamp_min(LEAST_CONTRAST)


def maps_of(seen: Tensor, given: Tensor, colours: bool = True) -> Tensor:
    """What a network that saw ``seen`` (of :func:`look`) gives ``(N, 4, h, w)``, as maps: in colours.

    Without ``colours`` none is added: the network only decides between what is there.
    """
    unit = (seen[:, 7:8].float() - USUAL).exp() * float(colours)
    return torch.cat([given[:, :3].float() * unit, given[:, 3:].float()], 1)


def judge(evidence: Tensor, maps: Tensor, reach: int = 1) -> Tensor:
    """The picture ``(N, 3, h, w)``: evidence as :func:`gather` gives it, maps ``(N, 4, h, w)``.

    Where nothing is to be filled it is what was there, whatever the maps say. So that no edge is drawn that
    is in neither, colour is added the more the further a pixel lies from what is known, up to ``reach``
    pixels, and belief ends before `NOTHING` does.
    """
    mixture, shares, difference = evidence[:, :3], evidence[:, 3:4], evidence[:, 4:]
    say = (shares / OPEN).clamp_max(1.0)
    known = functional.avg_pool2d((shares < OPEN).to(shares.dtype), 2 * reach + 1, 1, reach)
    rise = (1 - 2 * known).clamp_min(0)
    end = ((NOTHING - shares) / FADE).clamp(0, 1)
    return mixture + say * (rise * maps[:, :3] + end * maps[:, 3:] * difference)
