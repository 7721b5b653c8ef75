"""The U-Net of the paper: its size, its shapes, and that every part of it learns."""

from __future__ import annotations

import pytest
import torch

from vinpaint_cli.nets.blocks import MULTIPLE, UNet


def count(net: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_the_default_is_the_papers() -> None:
    with torch.device("meta"):
        assert count(UNet()) == 31_032_837


def test_a_narrow_one_is_small() -> None:
    assert count(UNet(16)) < 2_000_000


@pytest.mark.parametrize("size", [(MULTIPLE, MULTIPLE), (48, 80)])
def test_it_answers_for_every_pixel(size: tuple[int, int]) -> None:
    odds = UNet(4)(torch.rand(2, 3, *size) * 2 - 1)
    assert odds.shape == (2, 1, *size)
    assert torch.isfinite(odds).all()


def test_every_layer_gets_a_gradient() -> None:
    torch.manual_seed(0)
    net = UNet(4, last=4)
    net(torch.randn(1, 3, 32, 48)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in net.parameters())


def test_a_far_pixel_is_heard_through_the_coarse_levels() -> None:
    torch.manual_seed(0)
    net = UNet(4, last=4).eval()
    picture = torch.rand(1, 3, 96, 96, requires_grad=True)
    net(picture)[0, 0, 48, 48].backward()
    assert picture.grad is not None
    assert picture.grad[0, :, 48, 8].any()


def test_dropout_is_for_learning_alone() -> None:
    torch.manual_seed(0)
    net, picture = UNet(4), torch.rand(1, 3, 32, 32)
    assert not torch.equal(net(picture), net(picture))
    net.eval()
    assert torch.equal(net(picture), net(picture))


def test_the_same_seed_gives_the_same_network() -> None:
    nets = []
    for _ in range(2):
        torch.manual_seed(3)
        nets.append(UNet(4))
    assert all(
        torch.equal(one, other) for one, other in zip(*(net.parameters() for net in nets), strict=True)
    )
