from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vinpaint_cli.train import losses as temporal


def scene(frames: int = 4, step: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A texture that moves to the left, the hole of each frame, and the flow back and ahead."""
    generator = torch.Generator().manual_seed(1)
    wide = torch.rand(3, 16, 24 + step * frames, generator=generator)
    clip = torch.stack([wide[..., step * t : step * t + 24] for t in range(frames)])[None]
    residual = torch.zeros(1, frames, 1, 16, 24)
    residual[..., 4:10, 6:14] = 1
    back = torch.zeros(1, frames - 1, 2, 16, 24)
    back[:, :, 0] = step
    return clip, residual, back, -back


def test_what_moves_along_the_flow_costs_nothing() -> None:
    clip, residual, back, ahead = scene()
    assert float(temporal.short_term(clip, residual, back)) < 1e-6
    assert float(temporal.reverse_term(clip, residual, ahead)) < 1e-6
    assert float(temporal.long_term(clip, residual, back, ahead)) < 1e-6
    assert float(temporal.short_term(clip, residual, ahead)) > 0.1
    assert float(temporal.reverse_term(clip, residual, back)) > 0.1


def test_only_holes_count() -> None:
    clip, residual, back, ahead = scene()
    other = torch.where(residual > 0, clip, clip + 1)
    other[:, :-1] = clip[:, :-1]
    assert float(temporal.short_term(other, residual, back)) < 1e-6
    worse = torch.where(residual > 0, clip + 0.5, clip)
    worse[:, :-1] = clip[:, :-1]
    assert float(temporal.short_term(worse, residual, back)) == pytest.approx(0.5 / 3, rel=1e-3)
    assert float(temporal.reverse_term(worse, residual, ahead)) == pytest.approx(0.5 / 3, rel=1e-3)


def test_the_frames_compared_with_get_no_gradient() -> None:
    clip, residual, back, ahead = scene()
    clip.requires_grad_(True)
    losses = (
        (temporal.short_term(clip, residual, ahead), 0),
        (temporal.reverse_term(clip, residual, back), 0),
    )
    for loss, still in losses:
        clip.grad = None
        loss.backward()
        assert clip.grad is not None
        assert not clip.grad[:, still].any()
        assert clip.grad[:, 1:].any()


def test_the_flow_gets_a_gradient_from_neighbours_but_not_over_many_frames() -> None:
    clip, residual, back, ahead = scene()
    back.requires_grad_(True)
    temporal.short_term(clip, residual, back * 0.7).backward()
    assert back.grad is not None
    assert back.grad.any()
    assert not temporal.long_term(clip, residual, back, ahead).requires_grad


def test_the_last_frame_is_an_anchor_too() -> None:
    clip, residual, back, ahead = scene(5)
    changed = clip.clone()
    changed[:, -1] += 0.5
    expected = 0.5 * (1 / 8 + 4 / 8) * 2  # one term of four against the first frame, all against the last
    assert float(temporal.long_term(changed, residual, back, ahead)) == pytest.approx(expected, rel=0.05)


def test_roughness_is_that_of_the_hole() -> None:
    picture, residual = torch.zeros(1, 1, 3, 4, 6), torch.zeros(1, 1, 1, 4, 6)
    picture[..., 3:] = 1.0
    assert float(temporal.roughness(picture, residual)) == 0
    residual[..., 2:4] = 1
    # Three of the five columns of differences touch the hole, one of them steps by one.
    assert float(temporal.roughness(picture, residual)) == pytest.approx(1 / 3)
