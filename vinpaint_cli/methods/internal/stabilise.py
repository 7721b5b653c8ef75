"""Stabilisation loss of Internal Video Inpainting (Ouyang, Wang, Chen: ICCV 2021, arXiv 2108.01912).

Where a frame moves a little, what fills its hole should move with it: the network sees a frame and a
slightly warped copy, and its answers must differ as the true frames do. Written from a description of the
method, not from its code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

STABILISATION = 0.2
"""Weight of this loss beside the reconstruction's."""

SHIFT = 2.0
"""Pixels by which a picture is shifted at most, along each axis."""

TURN = math.radians(1.0)
"""Angle by which a picture is turned at most, and sheared."""

ZOOM = 0.03
"""Share by which a picture is made larger or smaller at most."""

Mode = Literal["bilinear", "nearest", "touched"]

Fill = Callable[[Tensor, Tensor], Sequence[Tensor]]
"""Frames ``(N, 3, h, w)`` in [-1, 1] and holes ``(N, 1, h, w)``, 1 = fill → a picture of each stage."""


def stabilisation_loss(
    fill: Fill,
    frames: Tensor,
    truth: Tensor,
    unknown: Tensor,
    hidden: Tensor,
    shown: Sequence[Tensor],
    matrices: Tensor,
) -> Tensor:
    """Sum over stages s of ``mean(|(Tx_s − x_s) − (T(gt) − gt)|·(1 − (M ∪ T(M))))``, a scalar.

    fill is called once, with the warped frames and holes; ``shown`` holds what it made of the frames as
    they are, pictures ``(N, 3, h, w)`` in [-1, 1] per stage. frames: what the network is given, hidden
    pixels included, and truth: what is compared with, both ``(N, 3, h, w)`` in [-1, 1]. unknown: M
    ``(N, 1, h, w)``, 1 = the truth is not known; hidden: m likewise, 1 = hidden from the network, which
    covers M. matrices: T, see :func:`random_affine`. The gradient goes through ``fill`` and ``shown``.

    The paper warps masks to the nearest pixel; here a pixel counts as hole as soon as its warped colour
    took something from one, so that nothing of what is unknown is compared or seen.
    """
    with torch.no_grad():
        moved = warp(truth, matrices) - truth
        compared = 1 - torch.maximum(unknown, warp(unknown, matrices, "touched"))
        warped, covered = warp(frames, matrices), warp(hidden, matrices, "touched")
    pairs = zip(fill(warped, covered), shown, strict=True)
    return torch.stack([((after - before - moved).abs() * compared).mean() for after, before in pairs]).sum()


def random_affine(rng: torch.Generator, count: int) -> Tensor:
    """Small warps ``(count, 2, 3)`` float32 on the generator's device, uniform in each of their parts.

    A matrix takes a pixel of the warped picture to where it is read in the picture, both (x, y) in pixels
    from the centre: turned by up to 1°, sheared by up to 1°, zoomed by 0.97 to 1.03, the same along both
    axes, and shifted by up to 2 pixels each way.
    """
    drawn = torch.rand(count, 5, generator=rng, device=rng.device) * 2 - 1
    angle, shear, zoom = drawn[:, 0] * TURN, drawn[:, 1] * TURN, 1 + drawn[:, 2] * ZOOM
    sine, cosine, slope = angle.sin(), angle.cos(), shear.tan()
    across = torch.stack([cosine, cosine * slope - sine], 1)
    down = torch.stack([sine, sine * slope + cosine], 1)
    linear = torch.stack([across, down], 1) * zoom.view(-1, 1, 1)
    return torch.cat([linear, drawn[:, 3:].unsqueeze(2) * SHIFT], 2)


def warp(pictures: Tensor, matrices: Tensor, mode: Mode = "bilinear") -> Tensor:
    """``(N, C, h, w)`` read where ``matrices`` ``(N, 2, 3)`` say; see :func:`random_affine`.

    ``bilinear`` is for pictures, their border repeated outside. The others are for holes ``(N, 1, h, w)``,
    1 = hole, and outside there is hole: ``nearest`` takes one pixel, ``touched`` the largest value of those
    that ``bilinear`` reads there. Shifts by whole pixels are exact, for any size: ``grid_sample`` rounds
    positions unless sides are powers of two, so pixels are picked and mixed here.
    """
    x, y = _positions(matrices.to(pictures.device), *pictures.shape[-2:])
    if mode != "bilinear":
        pictures, x, y = functional.pad(pictures, (1, 1, 1, 1), value=1.0), x + 1, y + 1
    if mode == "nearest":
        return _pick(pictures, (x + 0.5).floor(), (y + 0.5).floor())
    left, right, top, bottom = x.floor(), x.ceil(), y.floor(), y.ceil()
    corners = [_pick(pictures, column, row) for row in (top, bottom) for column in (left, right)]
    if mode == "touched":
        return torch.stack(corners).amax(0)
    along, down = (part.unsqueeze(1).to(pictures.dtype) for part in (x - left, y - top))
    upper, lower = (torch.lerp(a, b, along) for a, b in (corners[:2], corners[2:]))
    return torch.lerp(upper, lower, down)


def _positions(matrices: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Columns and rows ``(N, h, w)`` in pixels at which each pixel of the warped picture is read."""
    middle = (width - 1) / 2, (height - 1) / 2
    x = torch.arange(width, device=matrices.device, dtype=matrices.dtype) - middle[0]
    y = (torch.arange(height, device=matrices.device, dtype=matrices.dtype) - middle[1]).view(-1, 1)
    rows = matrices.unsqueeze(-1).unsqueeze(-1).unbind(1)  # of each matrix; products by hand stay exact
    across, down = (
        row[:, 0] * x + row[:, 1] * y + row[:, 2] + m for row, m in zip(rows, middle, strict=True)
    )
    return across, down


def _pick(pictures: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Pixels ``(N, C, h, w)`` at whole columns and rows ``(N, h, w)``, the nearest of the border outside."""
    height, width = pictures.shape[-2:]
    places = y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()
    spread = places.flatten(1).unsqueeze(1).expand(-1, pictures.shape[1], -1)
    return pictures.flatten(2).gather(2, spread).view(*pictures.shape[:2], *x.shape[1:])
