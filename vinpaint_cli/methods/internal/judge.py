"""PSNR of what was kept aside: the figure by which a fit keeps its best weights, and stops."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from vinpaint_cli.methods.internal.pyramid import surroundings
from vinpaint_cli.methods.internal.samples import Pieces, Sample, cut
from vinpaint_cli.nets.holes import composite, smooth_start

MOST = 10
"""Frames that are judged."""


class Judge:
    """Judges on a few frames of the samples kept aside, spread over the clip."""

    def __init__(self, kept: Sequence[Sample]) -> None:
        places = [(sample, t) for sample in kept for t in range(len(sample)) if sample.judged[t].any()]
        chosen = places[:: max(1, -(-len(places) // MOST))]
        self._pieces = [piece for sample, t in chosen if (piece := _around_hole(sample, t)) is not None]

    def __call__(self, network: nn.Module | None) -> float:
        """PSNR in dB of the hidden pixels of known truth, over all frames; NaN when nothing was kept.

        ``network`` None judges what networks start from.
        """
        wrong, count = 0.0, 0.0
        for pieces in self._pieces:
            error, pixels = _error(network, pieces)
            wrong, count = wrong + error, count + pixels
        return 10 * math.log10(count / max(wrong, 1e-9)) if count else math.nan


@torch.no_grad()
def _error(network: nn.Module | None, pieces: Pieces) -> tuple[float, float]:
    """Sum of squared errors in units of the range, and the number of pixels, of one frame."""
    if network is None:
        picture = smooth_start(pieces.frames, pieces.shares) if pieces.start is None else pieces.start
    else:
        pieces = pieces.to(next(network.parameters()).device)
        picture = network(pieces.frames, pieces.shares, pieces.start)[-1]
    shown = composite(pieces.frames, picture.float(), pieces.shares)
    square = ((shown.clamp(-1, 1) - pieces.truth) / 2).square().mean(1, keepdim=True)
    return float((square * pieces.judged).sum()), float(pieces.judged.sum())


def _around_hole(sample: Sample, t: int) -> Pieces | None:
    """A frame's hole and what is around it."""
    box = surroundings(sample.judged[t, 0] > 0)
    return None if box is None else cut(sample, t, box)
