from __future__ import annotations

import numpy as np
import pytest
import torch

from vinpaint_cli.nets.holes import smooth_fill
from vinpaint_cli.ops.image import membrane


def hole(height: int, width: int) -> torch.Tensor:
    known = torch.ones(1, 1, height, width)
    known[..., height // 4 : 3 * height // 4, width // 3 : 2 * width // 3] = 0
    return known


@pytest.mark.parametrize("size", [(40, 60), (37, 53), (3, 5), (2, 1)])
def test_a_constant_is_continued_and_known_pixels_stay(size: tuple[int, int]) -> None:
    known = torch.ones(2, 1, *size)
    known[..., : max(1, size[0] // 2), :] = 0
    known[..., -1:, :] = 1
    filled = smooth_fill(torch.full((2, 3, *size), 0.7) * known, known)
    assert filled.shape == (2, 3, *size)
    assert torch.allclose(filled, torch.tensor(0.7), atol=1e-5)


def test_a_ramp_is_continued() -> None:
    ramp = torch.linspace(-1, 1, 60).expand(1, 3, 40, 60)
    known = hole(40, 60)
    filled = smooth_fill(torch.where(known > 0, ramp, 9.0), known)
    assert torch.equal(filled[..., :10, :], ramp[..., :10, :])
    assert (filled - ramp).abs().max() < 0.1


def test_it_does_what_the_fill_of_arrays_does() -> None:
    generator = torch.Generator().manual_seed(0)
    picture, known = torch.rand(1, 3, 45, 62, generator=generator), hole(45, 62)
    known[..., :10, :10] = 0.4
    expected = membrane(picture[0].permute(1, 2, 0).numpy(), known[0, 0].numpy())
    mine = smooth_fill(picture, known)[0].permute(1, 2, 0).numpy()
    assert np.abs(mine - expected).max() < 0.12
    assert np.abs(mine - expected).mean() < 0.004


def test_a_picture_of_which_nothing_is_known_is_grey() -> None:
    assert not smooth_fill(torch.ones(1, 3, 20, 30), torch.zeros(1, 1, 20, 30)).any()


def test_pictures_of_a_batch_do_not_touch() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(3, 3, 30, 44, generator=generator)
    known = torch.cat([hole(30, 44), torch.ones(1, 1, 30, 44), torch.zeros(1, 1, 30, 44)])
    together = smooth_fill(pictures, known)
    assert torch.equal(together[:1], smooth_fill(pictures[:1], known[:1]))
    assert torch.equal(together[1], pictures[1])
