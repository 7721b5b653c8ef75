from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vinpaint_cli.nets.blocks import PartialConv, PartialUNet


def test_is_the_formula_of_the_paper_with_a_mask_per_channel() -> None:
    generator = torch.Generator().manual_seed(1)
    conv = PartialConv(6, 4, 3, stride=2)
    torch.nn.init.normal_(conv.bias, generator=generator)
    x = torch.rand(1, 6, 9, 10, generator=generator)
    first, second = ((torch.rand(1, 1, 9, 10, generator=generator) > 0.7).float() for _ in range(2))
    mask = torch.cat([first.expand(1, 4, 9, 10), second.expand(1, 2, 9, 10)], 1)
    total = functional.conv2d(mask, torch.ones(1, 6, 3, 3), stride=2, padding=1)
    inside = conv.conv(x * mask) * (6 * 9 / total.clamp_min(1e-6)) + conv.bias.view(1, -1, 1, 1)
    y, known = conv(x * mask, mask.mean(1, keepdim=True))
    assert 0 < float((total > 0).float().mean()) < 1
    assert torch.allclose(y, torch.where(total > 0, inside, 0.0), atol=1e-5)
    assert torch.equal(known, (total > 0).float())


def test_a_flat_picture_comes_out_as_flat_as_it_went_in() -> None:
    conv = PartialConv(3, 1, 5)
    known = torch.zeros(1, 1, 16, 16)
    known[..., ::3, ::3] = 1
    torch.nn.init.constant_(conv.conv.weight, 0.1)
    y, there = conv(torch.full((1, 3, 16, 16), 0.5) * known, known)
    assert there.all()
    assert torch.allclose(y, torch.full_like(y, 0.5 * 0.1 * 75), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (37, 53), (64, 32)])
def test_takes_any_size_and_reads_nothing_unknown(size: tuple[int, int]) -> None:
    torch.manual_seed(2)
    net = PartialUNet((4, 8, 8, 8)).eval()
    x = torch.rand(2, 3, *size)
    known = (torch.rand(2, 1, *size) > 0.4).float()
    with torch.no_grad():
        y = net(x, known)
        poisoned = net(torch.where(known > 0, x, torch.nan), known)
    assert y.shape == x.shape
    assert torch.equal(y, poisoned)
    assert not net(x, torch.zeros_like(known)).any()


def test_every_weight_learns() -> None:
    torch.manual_seed(3)
    net = PartialUNet((4, 8, 8))
    net(torch.rand(2, 3, 32, 32), (torch.rand(2, 1, 32, 32) > 0.5).float()).square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_has_the_layers_of_the_paper() -> None:
    net = PartialUNet((64, 128, 256, 512, 512, 512, 512))
    shapes = [tuple(layer.conv.weight.shape[:3]) for layer in (*net.down, *net.up)]
    assert shapes == [
        (64, 3, 7),
        (128, 64, 5),
        (256, 128, 5),
        (512, 256, 3),
        *[(512, 512, 3)] * 3,
        *[(512, 1024, 3)] * 3,
        (256, 768, 3),
        (128, 384, 3),
        (64, 192, 3),
        (3, 67, 3),
    ]
    assert (len(net.down_norms), len(net.up_norms)) == (6, 6)  # none on the first layer and on the last
