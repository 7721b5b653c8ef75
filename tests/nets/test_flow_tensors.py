from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.nets.flow import chain, dilate, estimate_flow, lands_inside, luma, warp
from vinpaint_cli.ops.image import coordinate_grid, sample


def picture(height: int = 96, width: int = 128, seed: int = 0) -> Tensor:
    """Soft noise of several scales, grey ``(1, 1, h, w)`` in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    layers = [torch.rand(1, 1, height // s, width // s, generator=generator) for s in (4, 8, 16)]
    size = (height, width)
    return sum(functional.interpolate(x, size=size, mode="bicubic") for x in layers).div(3).clamp(0, 1)


def field(size: tuple[int, int], scale: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 2, 3, 4, generator=generator) * scale
    return functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)


def test_warps_as_the_arrays_do() -> None:
    second, flow = picture(), field((96, 128), 3.0, 1)
    array = second[0, 0].numpy()
    expected = sample(array, coordinate_grid(96, 128) + flow[0].permute(1, 2, 0).numpy())
    # OpenCV rounds positions to a 32nd of a pixel.
    assert np.abs(warp(second, flow)[0, 0].numpy() - expected).max() < 0.02


@pytest.mark.parametrize(("scale", "allowed"), [(1.0, 0.25), (4.0, 0.5)])
def test_finds_a_motion_that_is_known(scale: float, allowed: float) -> None:
    second, flow = picture(), field((96, 128), scale, 2)
    found = estimate_flow(warp(second, flow), second)
    error = (found - flow).norm(dim=1)[..., 8:-8, 8:-8].mean()
    assert float(error) < allowed < float(flow.norm(dim=1).mean()) / 2
    assert torch.equal(found, estimate_flow(warp(second, flow), second))


def test_pictures_of_a_batch_do_not_know_each_other() -> None:
    pairs = [(warp(picture(seed=s), field((96, 128), 2.0, s)), picture(seed=s)) for s in (1, 2)]
    both = estimate_flow(*(torch.cat(part) for part in zip(*pairs, strict=True)))
    assert torch.allclose(both[1:], estimate_flow(*pairs[1]), atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (33, 50)])
def test_still_pictures_of_any_size_do_not_move(size: tuple[int, int]) -> None:
    still = torch.rand(1, 1, *size)
    flow = estimate_flow(still, still)
    assert flow.shape == (1, 2, *size)
    assert float(flow.abs().max()) < 1e-4


def test_two_steps_make_one() -> None:
    ones = torch.ones(1, 1, 8, 8)
    first, second = torch.cat([2 * ones, 0 * ones], 1), torch.cat([ones, -ones], 1)
    assert torch.allclose(chain(first, second), torch.cat([3 * ones, -ones], 1), atol=1e-5)


def test_tells_what_leaves_the_picture() -> None:
    flow = torch.zeros(1, 2, 4, 6)
    flow[:, 0] = 2.0
    assert lands_inside(flow)[0, 0].tolist() == [[1, 1, 1, 1, 0, 0]] * 4


def test_a_hole_grows_by_its_radius() -> None:
    hole = torch.zeros(1, 1, 9, 9)
    hole[..., 4, 4] = 1
    assert int(dilate(hole, 2).sum()) == 25


def test_grey_is_that_of_the_arrays() -> None:
    rgb = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1)
    assert float(luma(rgb)) == pytest.approx(0.2 * 0.299 + 0.5 * 0.587 + 0.9 * 0.114)
