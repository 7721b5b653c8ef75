from __future__ import annotations

import torch
from torch import Tensor

from vinpaint_cli.nets.conditioning import (
    CONDITIONING_CHANNELS,
    HEAD_CHANNELS,
    NOT_FOUND,
    VIEW_CHANNELS,
    blend,
    make_conditioning,
    network_view,
    scale_head,
)
from vinpaint_cli.nets.holes import smooth_fill


def scene() -> tuple[Tensor, Tensor]:
    """A picture whose upper part of the hole was found well, the middle half, the lower not at all."""
    generator = torch.Generator().manual_seed(5)
    frames = torch.rand(1, 3, 32, 48, generator=generator)
    residual = torch.zeros(1, 1, 32, 48)
    for rows, share in ((slice(8, 12), 0.03), (slice(12, 18), 0.6), (slice(18, 24), 1.0)):
        residual[..., rows, 16:32] = share
    return frames, residual


def test_what_is_known_stays_whatever_the_head_says() -> None:
    frames, residual = scene()
    conditioning = make_conditioning(frames, residual)
    assert conditioning.shape == (1, CONDITIONING_CHANNELS, 32, 48)
    loud = blend(conditioning, torch.full((1, HEAD_CHANNELS, 32, 48), 9.0))
    known = (residual == 0).expand_as(frames)
    assert torch.equal(loud[known], frames[known])
    assert (loud - frames).abs()[~known].mean() > 1


def test_nothing_is_read_where_nothing_was_found() -> None:
    frames, residual = scene()
    spoilt = torch.where(residual >= NOT_FOUND, torch.nan, frames)
    assert torch.equal(make_conditioning(spoilt, residual), make_conditioning(frames, residual))


def test_a_head_of_zeros_mixes_by_the_residual() -> None:
    frames, residual = scene()
    mixture = blend(make_conditioning(frames, residual), torch.zeros(1, HEAD_CHANNELS, 32, 48))
    half = make_conditioning(frames, residual)[..., 12:18, 16:32]
    fill = (mixture[..., 12:18, 16:32] - 0.4 * frames[..., 12:18, 16:32]) / 0.6
    assert fill.std() < 0.5 * frames[..., 12:18, 16:32].std()
    assert torch.equal(half[:, 3:4], residual[..., 12:18, 16:32])


def test_what_was_found_can_be_taken_and_left() -> None:
    frames, residual = scene()
    conditioning = make_conditioning(frames, residual)
    alone = smooth_fill(frames, (1 - residual / 0.05).clamp_min(0))
    part = slice(12, 18), slice(16, 32)
    believed = torch.zeros(1, HEAD_CHANNELS, 32, 48)
    believed[:, 3] = 1.0
    more, less = blend(conditioning, believed), blend(conditioning, -believed)
    step = (frames - alone)[..., *part]
    assert torch.allclose((more - less)[..., *part], 2 * step, atol=1e-5)
    assert torch.equal(more[..., 18:24, 16:32], less[..., 18:24, 16:32])


def test_colour_rises_from_what_is_known() -> None:
    frames, residual = scene()
    head = torch.zeros(1, HEAD_CHANNELS, 32, 48)
    head[:, :3] = 1.0
    conditioning = make_conditioning(frames, residual)
    added = blend(conditioning, head) - blend(conditioning, torch.zeros_like(head))
    assert float(added[..., 8:12, :].abs().max()) == 0  # so little is left there that it counts as known
    assert torch.allclose(added[..., 14:22, 18:30], torch.ones(1, 3, 8, 12), atol=1e-5)
    far = blend(conditioning, head, 3) - blend(conditioning, torch.zeros_like(head), 3)
    assert (far <= added + 1e-6).all()
    assert 0 < float(far[0, 0, 15, 17]) < 1


def test_belief_grows_with_the_share_and_ends_where_nothing_was_found() -> None:
    frames, residual = scene()
    residual[..., 8:12, 16:32] = 0.04
    residual[..., 18:24, 16:32] = 0.96
    conditioning = make_conditioning(frames, residual)
    head = torch.zeros(1, HEAD_CHANNELS, 32, 48)
    head[:, 3] = 1.0
    believed = blend(conditioning, head) - blend(conditioning, torch.zeros_like(head))
    difference = conditioning[:, 4:]
    assert torch.allclose(believed[..., 9, 20], 0.4 * difference[..., 9, 20], atol=1e-5)
    assert torch.allclose(believed[..., 15, 20], difference[..., 15, 20], atol=1e-5)
    assert torch.allclose(believed[..., 20, 20], 0.01 / 0.15 * difference[..., 20, 20], atol=1e-4)


def test_where_nothing_is_sure_stands_what_is_half_known_and_where_nothing_is_known_grey() -> None:
    frames = torch.full((1, 3, 16, 16), 0.8)
    for share, wanted in ((0.3, 0.8), (1.0, 0.5)):
        mixture = make_conditioning(frames, torch.full((1, 1, 16, 16), share), grey=0.5)[:, :3]
        assert torch.allclose(mixture, torch.full_like(mixture, wanted), atol=1e-5)


def test_another_fill_stands_in_its_place() -> None:
    frames, residual = scene()
    other = torch.full_like(frames, 0.25)
    after = make_conditioning(frames, residual, other, 0.5)[:, :3]
    inside = (residual == 1).expand_as(frames)
    assert torch.allclose(after[inside], torch.tensor(0.25), atol=1e-5)


def test_what_is_seen_and_given_goes_with_the_contrast() -> None:
    frames, residual = scene()
    seen = network_view(make_conditioning(frames, residual))
    dull = network_view(make_conditioning(frames / 4 + 0.5, residual))
    assert seen.shape == (1, VIEW_CHANNELS, 32, 48)
    assert torch.allclose(dull[:, :7], seen[:, :7], atol=1e-3)
    assert torch.allclose(dull[:, 8], seen[:, 8])
    given = torch.ones(1, HEAD_CHANNELS, 32, 48)
    bright, faint = scale_head(seen, given), scale_head(dull, given)
    assert torch.allclose(bright[:, :3], 4 * faint[:, :3], rtol=1e-3)
    assert torch.equal(bright[:, 3:], faint[:, 3:])
    assert 0.1 < float(bright[:, :3].mean()) < 0.3  # noise in [0, 1], its three colours averaged
