from __future__ import annotations

import pytest
import torch

from vinpaint_cli.nets.holes import composite, mask_hidden, smooth_start
from vinpaint_cli.nets.letterbox import Letterbox, hole_surroundings
from vinpaint_cli.types import Clip


def clip_of(height: int, width: int) -> Clip:
    generator = torch.Generator().manual_seed(6)
    holes = torch.zeros(2, 1, height, width)
    holes[..., height // 3 : height // 2, width // 3 : width // 2] = 1
    return Clip(torch.rand(2, 3, height, width, generator=generator), holes, (0, 1))


@pytest.mark.parametrize("size", [(37, 53), (40, 56), (1, 9)])
def test_a_small_clip_is_padded_and_comes_back_as_it_was(size: tuple[int, int]) -> None:
    clip = clip_of(*size)
    letterbox = Letterbox.within(clip, 10_000, 8)
    frames, residual = letterbox.network_input([1])
    assert all(
        side % 8 == 0 and 0 <= side - own < 8 for side, own in zip(frames.shape[-2:], size, strict=True)
    )
    assert torch.equal(letterbox.restore(1, frames[0]), torch.where(clip.holes[1] > 0, 0.5, clip.frames[1]))
    assert float(residual.sum()) >= float(clip.holes[1].sum())


def test_a_large_clip_keeps_its_shape_and_shrinks() -> None:
    letterbox = Letterbox.within(clip_of(200, 400), 5_000, 8)
    assert letterbox.inner == (50, 100)
    assert (len(letterbox.rows), len(letterbox.columns)) == (56, 104)


def test_what_is_enlarged_keeps_the_border_of_the_hole() -> None:
    """A ramp is smooth: whatever the scale, filling it smoothly gives it back, sharp up to the hole."""
    ramp = torch.linspace(0.1, 0.9, 160).expand(1, 3, 120, 160)
    holes = torch.zeros(1, 1, 120, 160)
    holes[..., 40:80, 60:100] = 1
    clip = Clip(ramp.contiguous(), holes, (0,))
    letterbox = Letterbox.within(clip, 60 * 80, 8)
    frames, residual = letterbox.network_input([0])
    small = (smooth_start(frames * 2 - 1, residual)[0] + 1) / 2
    hole = (holes[0] > 0).expand(3, -1, -1)
    assert float((letterbox.restore(0, small) - ramp[0])[hole].abs().max()) < 0.02


def test_nothing_of_a_hidden_pixel_is_shown() -> None:
    frames = torch.tensor([torch.nan, torch.nan, 0.2, 0.2]).view(1, 1, 1, 4)
    residual = torch.tensor([1.0, 0.5, 0.25, 0.0]).view(1, 1, 1, 4)
    shown = composite(frames, torch.ones(1, 1, 1, 4), residual)
    assert shown.flatten().tolist() == pytest.approx([1.0, 1.0, 0.4, 0.2])
    assert mask_hidden(frames, residual).flatten().tolist() == pytest.approx([0.0, 0.0, 0.2, 0.2])


def test_the_part_around_a_hole_grows_with_it() -> None:
    hole = torch.zeros(200, 300, dtype=torch.bool)
    assert hole_surroundings(hole) is None
    hole[90:100, 120:140] = True
    assert hole_surroundings(hole) == (slice(50, 140), slice(80, 180))
    hole[0, 0] = True
    assert hole_surroundings(hole) == (slice(0, 200), slice(0, 300))
