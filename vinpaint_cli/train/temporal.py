"""Losses between frames, along optical flow (Ding et al., 2019, section 3.3).

Pictures ``(B, T, 3, h, w)``, shares ``(B, T, 1, h, w)`` in [0, 1]. ``back[:, t]`` is the flow from frame
t + 1 to t and ``ahead[:, t]`` that from t to t + 1, ``(B, T − 1, 2, h, w)`` in pixels.

Differences are means over the pixels of holes, where the paper has sums. Where a later frame is brought to
an earlier one, its hole is brought along: the paper's M_t lies in the frame it came from.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vinpaint_cli.nets.flow import chain, lands_inside, warp
from vinpaint_cli.nets.holes import HIDDEN


def short_term(outputs: Tensor, shares: Tensor, back: Tensor) -> Tensor:
    """L_s: each frame's hole against the frame before, brought here; that one gets no gradient."""
    before = outputs[:, :-1].detach()
    hole = (shares[:, 1:] >= HIDDEN).to(outputs.dtype)
    there = warp(before.flatten(0, 1), back.flatten(0, 1)).view_as(before)
    inside = lands_inside(back.flatten(0, 1)).view_as(hole)
    return masked_l1(outputs[:, 1:], there, hole * inside)


def reverse_term(outputs: Tensor, shares: Tensor, ahead: Tensor) -> Tensor:
    """L_r: each frame, brought to the one before, against that one (which gets no gradient)."""
    here = outputs[:, 1:].flatten(0, 1)
    flow = ahead.flatten(0, 1)
    hole = (shares[:, 1:] >= HIDDEN).to(outputs.dtype).flatten(0, 1)
    return masked_l1(outputs[:, :-1].detach().flatten(0, 1), warp(here, flow), _brought(hole, flow))


def long_term(outputs: Tensor, shares: Tensor, back: Tensor, ahead: Tensor) -> Tensor:
    """L_l: every frame, brought to the first and to the last, against those (which get no gradient).

    Flow over many frames is chained from that of neighbours, without gradient.
    """
    frames = outputs.shape[1]
    hole = (shares >= HIDDEN).to(outputs.dtype)
    terms = []
    for anchor, flows in ((0, _chained(ahead)), (frames - 1, _chained(back.flip(1)))):
        order = range(1, frames) if anchor == 0 else range(frames - 2, -1, -1)
        for t, flow in zip(order, flows, strict=True):
            there = warp(outputs[:, t], flow)
            terms.append(masked_l1(outputs[:, anchor].detach(), there, _brought(hole[:, t], flow)))
    return torch.stack(terms).mean() * 2  # two anchors: the sum of both means


def masked_l1(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference ``(…, C, h, w)`` where the mask ``(…, 1, h, w)`` is 1; 0 where it never is."""
    error = (first - second).abs().mean(-3, keepdim=True)
    return (error * mask).sum() / mask.sum().clamp_min(1.0)


def roughness(picture: Tensor, shares: Tensor) -> Tensor:
    """Mean absolute difference of neighbours where at least one of the two is hidden (TV of PConv)."""
    hole = (shares >= HIDDEN).to(picture.dtype)
    across = hole[..., 1:].maximum(hole[..., :-1])
    down = hole[..., 1:, :].maximum(hole[..., :-1, :])
    return masked_l1(picture[..., 1:], picture[..., :-1], across) + masked_l1(
        picture[..., 1:, :], picture[..., :-1, :], down
    )


def _brought(hole: Tensor, flow: Tensor) -> Tensor:
    """Where the flow ends in a hole ``(N, 1, h, w)``, inside the picture."""
    return warp(hole, flow, "nearest") * lands_inside(flow)


def _chained(flows: Tensor) -> list[Tensor]:
    """Flow over 1, 2, … frames from that over one, ``(B, T, 2, h, w)``."""
    chained = [flows[:, 0].detach()]
    for t in range(1, flows.shape[1]):
        chained.append(chain(chained[-1], flows[:, t].detach()))
    return chained
