"""Optical flow on tensors: warping along it, chaining it, and a small estimator that needs torch alone.

Flow ``(N, 2, h, w)`` is ``(dx, dy)`` in pixels and takes a point of the first picture to the second, so
``warp(second, flow)`` looks like the first, as in ``ops.flow``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 6
"""Most levels of the pyramid; each halves the picture, down to 8 pixels a side."""

SWEEPS = 4
"""Times the flow is corrected on each level."""

WINDOW = 7
"""Side in pixels of the window that is assumed to move as one."""

DAMPING = 5e-5
"""Added to a window's structure: what has hardly any keeps the flow of the level above."""

LEAST_STRUCTURE = 1e-4
LEAST_MISS = 0.01
"""Added to a window's structure and to the difference it leaves, before they weigh its flow."""

LUMA = (0.299, 0.587, 0.114)


def warp(picture: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Picture ``(N, C, h, w)`` sampled where the flow ``(N, 2, h, w)`` points; the border is repeated."""
    height, width = flow.shape[-2:]
    size = flow.new_tensor([width, height]).view(1, 2, 1, 1)
    grid = ((_positions(flow) * 2 + 1) / size - 1).permute(0, 2, 3, 1)
    return functional.grid_sample(picture, grid, mode=mode, padding_mode="border", align_corners=False)


def lands_inside(flow: Tensor) -> Tensor:
    """1 where the flow ``(N, 2, h, w)`` ends inside the picture, else 0: float ``(N, 1, h, w)``."""
    height, width = flow.shape[-2:]
    ends = _positions(flow)
    x, y = ends[:, :1], ends[:, 1:]
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).to(flow.dtype)


def chain(first: Tensor, second: Tensor) -> Tensor:
    """Flow a → c ``(N, 2, h, w)``, chained from flow a → b and flow b → c."""
    return first + warp(second, first)


def dilate(mask: Tensor, radius: int) -> Tensor:
    """Mask ``(N, 1, h, w)`` dilated by ``radius`` pixels each way (a square)."""
    return functional.max_pool2d(mask, 2 * radius + 1, 1, radius)


def luma(pictures: Tensor) -> Tensor:
    """RGB ``(N, 3, h, w)`` → grey ``(N, 1, h, w)``, Rec. 601 weights."""
    return (pictures * pictures.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


@torch.no_grad()
def estimate_flow(first: Tensor, second: Tensor) -> Tensor:
    """Flow ``(N, 2, h, w)`` between grey pictures ``(N, 1, h, w)`` in [0, 1], from first to second.

    Lucas and Kanade (1981) in every window, iterated on a pyramid from coarse to fine (Bouguet 2001), and
    evened out after each correction, windows of much structure and little difference counting most.
    Deterministic, of one cost for any picture, and on any device: what training takes its flow from, where
    neither OpenCV nor a learned estimator is at hand.
    """
    levels = [(first.float(), second.float())]
    while len(levels) < LEVELS and min(levels[-1][0].shape[-2:]) >= 16:
        here, there = levels[-1]
        levels.append((_halved(here), _halved(there)))
    flow = first.new_zeros(len(first), 2, *levels[-1][0].shape[-2:], dtype=torch.float32)
    for here, there in reversed(levels):
        flow = _enlarged(flow, here.shape[-2:])
        for _ in range(SWEEPS):
            flow = _smoothed(_corrected(flow, here, there), here, there)
    return flow


def _corrected(flow: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """The flow plus each window's shift that best explains the difference that is left."""
    there = warp(there, flow)
    dx, dy = _slopes((here + there) / 2)
    dt = there - here
    sums = _mean(torch.cat([dx * dx, dy * dy, dx * dy, dx * dt, dy * dt], 1))
    xx, yy, xy, xt, yt = (sums[:, i : i + 1] for i in range(5))
    xx, yy = xx + DAMPING, yy + DAMPING
    step = torch.cat([xy * yt - yy * xt, xy * xt - xx * yt], 1) / (xx * yy - xy * xy)
    return flow + step.clamp(-1.0, 1.0)


def _smoothed(flow: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """The flow averaged over each window, weighted by structure and by how well it fits."""
    dx, dy = _slopes(here)
    miss = _mean((here - warp(there, flow)).abs()) + LEAST_MISS
    weight = (_mean(dx * dx + dy * dy) + LEAST_STRUCTURE) / miss.square()
    return _mean(flow * weight) / _mean(weight)


def _slopes(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along x and y."""
    padded = functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    dx = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    dy = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return dx / 2, dy / 2


def _mean(x: Tensor) -> Tensor:
    """Mean over the window around each pixel, borders left out of the count."""
    return functional.avg_pool2d(x, WINDOW, 1, WINDOW // 2, count_include_pad=False)


def _halved(picture: Tensor) -> Tensor:
    height, width = picture.shape[-2:]
    even = functional.pad(picture, (0, width % 2, 0, height % 2), mode="replicate")
    return functional.avg_pool2d(even, 2)


def _enlarged(flow: Tensor, size: torch.Size) -> Tensor:
    """Flow of a coarser level at ``(height, width)``; its unit is that level's pixel."""
    if flow.shape[-2:] == size:
        return flow
    larger = functional.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=False) * 2
    return larger[..., : size[0], : size[1]]


def _positions(flow: Tensor) -> Tensor:
    """Where each pixel's flow ends, ``(N, 2, h, w)`` in pixels."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    y = torch.arange(height, device=flow.device, dtype=flow.dtype).view(-1, 1)
    return torch.stack([flow[:, 0] + x, flow[:, 1] + y], 1)
