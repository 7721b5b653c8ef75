"""What propagation found, beside what a smooth fill would be, and how a network decides between them.

A network that corrects a smooth fill has a say in a pixel only as far as propagation left it open. One that
*judges* sees what was found, what a fill of the surely known pixels alone would be, and the share that
propagation left; and it changes the mixture of the two, pixel by pixel, by four maps: a colour to be added,
and how much more (or less) of what was found to believe. The maps may be coarse: they are applied to the
clip's own pixels, so detail stays where it is believed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.nets.holes import smooth_start
from vinpaint_cli.nets.smooth import smooth_fill

NOTHING = 0.97
"""Share still to be filled from which on nothing is taken to have been found."""

SURE = 0.05
"""Share from which on a pixel does not count as surely known."""

OPEN = 0.1
"""Share from which on a network decides alone; below, its say falls to nothing."""

CHANNELS = 7
"""Mixture (3), share (1), what was found less a fill of the surely known (3)."""

MAPS = 4
"""A colour to be added (3) and what is to be believed more (1)."""

NEIGHBOURHOOD = 17
"""Pixels across of the square in which contrast is measured."""

LEAST_CONTRAST = 0.01
"""Smallest standard deviation of grey, in the units of the frames."""


def gather(frames: Tensor, shares: Tensor) -> Tensor:
    """Frames ``(N, 3, h, w)`` and shares ``(N, 1, h, w)`` in [0, 1] → evidence ``(N, 7, h, w)``.

    Pixels of a share of `NOTHING` or more are not read. The mixture is what stands there without a network:
    what was found, and by its share a smooth fill, the mean of that of the surely known pixels alone and that
    of all that are known better than by half (together they err less than either).
    """
    something = shares < NOTHING
    found = torch.where(something, frames, 0.0)
    alone = smooth_fill(found, (1 - shares / SURE).clamp_min(0))
    fill = (alone + smooth_start(found, shares)) / 2
    mixture = torch.where(something, torch.lerp(found, fill, shares.expand_as(fill)), fill)
    difference = torch.where(something, found - alone, 0.0)
    return torch.cat([mixture, shares, difference], 1)


def judge(evidence: Tensor, maps: Tensor) -> Tensor:
    """The picture ``(N, 3, h, w)``: evidence as :func:`gather` gives it, maps ``(N, 4, h, w)``.

    Where nothing is to be filled it is what was there, whatever the maps say.
    """
    mixture, shares, difference = evidence[:, :3], evidence[:, 3:4], evidence[:, 4:]
    say = (shares / OPEN).clamp_max(1.0)
    return mixture + say * (maps[:, :3] + maps[:, 3:] * difference)


def in_contrast(evidence: Tensor, raw: Tensor) -> Tensor:
    """What a network gives ``(N, 4, h, w)`` as maps: its colour counts in units of the contrast around.

    So the same network adds little to a sky and much to a crowd, and it need not learn to leave flat things
    alone.
    """
    return torch.cat([raw[:, :3] * contrast(evidence), raw[:, 3:]], 1)


def contrast(evidence: Tensor) -> Tensor:
    """Standard deviation of grey among known pixels nearby ``(N, 1, h, w)``, carried on into holes."""
    grey = evidence[:, :3].mean(1, keepdim=True)
    known = (evidence[:, 3:4] < OPEN).to(grey.dtype)
    sums = functional.avg_pool2d(
        torch.cat([known, known * grey, known * grey.square()], 1), NEIGHBOURHOOD, 1, NEIGHBOURHOOD // 2
    )
    support = sums[:, :1]
    mean, square = (sums[:, i : i + 1] / support.clamp_min(1e-6) for i in (1, 2))
    spread = (square - mean.square()).clamp_min(0).sqrt()
    return smooth_fill(spread, (support * 4).clamp_max(1.0)).clamp_min(LEAST_CONTRAST)
