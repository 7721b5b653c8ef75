"""Frames in, filled frames out, one by one, with what is remembered of the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vinpaint_cli.methods.flow_recurrent.net import FlowRecurrent, moved
from vinpaint_cli.nets.blocks import State
from vinpaint_cli.nets.conditioning import MAPS, OPEN, gather
from vinpaint_cli.nets.flow import grow, luma, warp
from vinpaint_cli.nets.holes import HIDDEN, smooth_start
from vinpaint_cli.nets.letterbox import GREY

Estimator = Callable[[Tensor, Tensor], Tensor]
"""Flow ``(N, 2, h, w)`` in pixels between grey pictures ``(N, 1, h, w)`` in [0, 1]."""

MARGIN = 8
"""Pixels around a hole in which the flow of the frames as they are is not trusted."""


@dataclass(frozen=True, slots=True)
class View:
    """Frames ``(N, 3, h, w)`` in [0, 1], shares ``(N, 1, h, w)``, and what H_s made of each frame alone."""

    frames: Tensor
    shares: Tensor
    inpainted: Tensor

    @property
    def hole(self) -> Tensor:
        """Float ``(N, 1, h, w)`` in {0, 1}."""
        return (self.shares >= HIDDEN).to(self.frames.dtype)

    def grey(self) -> Tensor:
        """The frames as they are, ``(N, 1, h, w)``: holes smoothed over, so that they pull no flow."""
        return luma(smooth_start(self.frames, self.shares))


def robust_flow(network: FlowRecurrent, here: View, there: View, estimate: Estimator) -> Tensor:
    """Robust flow ``(N, 2, h, w)`` from ``here`` to ``there``, in pixels."""
    inpainted = corrupted = None
    if network.config.flow != "corrupted":
        inpainted = estimate(luma(here.inpainted), luma(there.inpainted))
    if network.config.flow != "inpainted":
        corrupted = estimate(here.grey(), there.grey())
    raw = corrupted if inpainted is None else inpainted
    assert raw is not None
    corrupted = raw if corrupted is None else corrupted
    return network.robust(raw, corrupted, lost_flow(here.hole, there.hole, corrupted))


def lost_flow(here: Tensor, there: Tensor, flow: Tensor) -> Tensor:
    """Where flow between holes ``(N, 1, h, w)`` cannot be trusted: it starts or ends at one; {0, 1}."""
    ends = warp(grow(there, MARGIN), flow, "nearest")
    return grow(here, MARGIN).maximum(ends)


class Stream:
    """A clip without a cut, frame by frame; its memory is one frame and the state of the ConvLSTM.

    ``maps`` ``(1, 4, h, w)``, of networks that judge: what they did to the evidence of the last frame
    (:func:`vinpaint_cli.nets.conditioning.judge`).
    """

    def __init__(self, network: FlowRecurrent, estimate: Estimator) -> None:
        self.network, self.estimate = network, estimate
        self.reset()

    def reset(self) -> None:
        """Forget what came before, as at a cut."""
        self.maps: Tensor | None = None
        self._last: tuple[View, Tensor] | None = None
        self._state: State | None = None

    def push(self, frames: Tensor, shares: Tensor) -> Tensor:
        """The next frame ``(1, 3, h, w)`` in [0, 1] and its shares ``(1, 1, h, w)`` → the frame filled.

        Not clipped; height and width are multiples of 8. The first frame is H_s's own.
        """
        inpainted, own = self.network.propose(frames, shares)
        view = View(frames, shares, inpainted)
        output = view.inpainted
        self.maps = _maps_of(view, own) if self.network.config.judges else None
        if self._last is not None and self.network.config.recurrent:
            there, before = self._last
            if self.network.config.align:
                flow = robust_flow(self.network, view, there, self.estimate)
                before = moved(before, view.inpainted, flow)
            known = before, frames, shares, view.inpainted, self._state
            if self.maps is not None:
                output, maps, self._state = self.network.judge(*known)
                self.maps = self.maps + maps
            else:
                output, self._state = self.network.advance(*known)
        self._last = view, output
        return output


def _maps_of(view: View, own: Tensor) -> Tensor:
    """Maps ``(N, 4, h, w)`` that make of the evidence what H_s made of the frame; own: its picture."""
    mixture = gather(view.frames, view.shares, grey=GREY)[:, :3]
    added = (own - mixture) * view.shares.clamp_min(OPEN)
    return torch.cat([added, added.new_zeros(len(added), MAPS - 3, *added.shape[-2:])], 1)
