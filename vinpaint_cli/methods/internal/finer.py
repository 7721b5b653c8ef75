"""What a finer scale is fitted to: shadows, with the picture that the coarser scales make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from vinpaint_cli.methods.internal.net import MULTIPLE, InternalNet
from vinpaint_cli.methods.internal.pyramid import fill_frames, start_of
from vinpaint_cli.methods.internal.samples import Footage, Sample, planes, scale_sample, thinned
from vinpaint_cli.nets.letterbox import Sheet
from vinpaint_cli.types import Clip

MOST = 6
"""Frames of a shadow that finer scales look at: each costs the coarser networks a whole frame."""


def finer_sample(footage: Footage, nets: Sequence[nn.Module], factors: Sequence[float]) -> Sample:
    """A shadow at the last of the scales ``factors``; the ``nets`` before the last are fitted.

    Networks are run as they are in use, frame by frame, on `MOST` frames spread over the shadow.
    """
    footage = thinned(footage, MOST)
    sample = scale_sample(footage, factors[-1])
    starts = [_start(footage, t, nets, factors) for t in range(len(sample))]
    return replace(sample, start=torch.cat(starts))


def _start(footage: Footage, t: int, nets: Sequence[nn.Module], factors: Sequence[float]) -> Tensor:
    """uint8 ``(1, 3, H, W)``."""
    found, shares = planes(footage.found[t : t + 1]), planes(footage.shares[t : t + 1, ..., None])
    clip = Clip(found, shares, (t,))
    ((sheet, picture),) = fill_frames(nets[:-1], factors[:-1], clip, [0])
    network = nets[-1]
    assert isinstance(network, InternalNet)
    start = start_of(network, Sheet.scaled(clip, factors[-1], MULTIPLE), 0, (sheet, picture))
    return start.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
