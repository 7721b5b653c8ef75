from __future__ import annotations

import torch
from torch import Tensor

from vinpaint_cli.nets.conditioning import EVIDENCE, MAPS, NOTHING, SEEN, gather, judge, look, maps_of
from vinpaint_cli.nets.holes import smooth_fill


def scene() -> tuple[Tensor, Tensor]:
    """A picture whose upper part of the hole was found well, the middle half, the lower not at all."""
    generator = torch.Generator().manual_seed(5)
    frames = torch.rand(1, 3, 32, 48, generator=generator)
    shares = torch.zeros(1, 1, 32, 48)
    for rows, share in ((slice(8, 12), 0.03), (slice(12, 18), 0.6), (slice(18, 24), 1.0)):
        shares[..., rows, 16:32] = share
    return frames, shares


def test_what_is_known_stays_whatever_the_maps_say() -> None:
    frames, shares = scene()
    evidence = gather(frames, shares)
    assert evidence.shape == (1, EVIDENCE, 32, 48)
    loud = judge(evidence, torch.full((1, MAPS, 32, 48), 9.0))
    known = (shares == 0).expand_as(frames)
    assert torch.equal(loud[known], frames[known])
    assert (loud - frames).abs()[~known].mean() > 1


def test_nothing_is_read_where_nothing_was_found() -> None:
    frames, shares = scene()
    spoilt = torch.where(shares >= NOTHING, torch.nan, frames)
    assert torch.equal(gather(spoilt, shares), gather(frames, shares))


def test_without_maps_the_share_mixes() -> None:
    frames, shares = scene()
    mixture = judge(gather(frames, shares), torch.zeros(1, MAPS, 32, 48))
    half = gather(frames, shares)[..., 12:18, 16:32]
    fill = (mixture[..., 12:18, 16:32] - 0.4 * frames[..., 12:18, 16:32]) / 0.6
    assert fill.std() < 0.5 * frames[..., 12:18, 16:32].std()
    assert torch.equal(half[:, 3:4], shares[..., 12:18, 16:32])


def test_what_was_found_can_be_taken_and_left() -> None:
    frames, shares = scene()
    evidence = gather(frames, shares)
    alone = smooth_fill(frames, (1 - shares / 0.05).clamp_min(0))
    part = slice(12, 18), slice(16, 32)
    believed = torch.zeros(1, MAPS, 32, 48)
    believed[:, 3] = 1.0
    more, less = judge(evidence, believed), judge(evidence, -believed)
    step = (frames - alone)[..., *part]
    assert torch.allclose((more - less)[..., *part], 2 * step, atol=1e-5)
    assert torch.equal(more[..., 18:24, 16:32], less[..., 18:24, 16:32])


def test_colour_rises_from_what_is_known() -> None:
    frames, shares = scene()
    maps = torch.zeros(1, MAPS, 32, 48)
    maps[:, :3] = 1.0
    evidence = gather(frames, shares)
    added = judge(evidence, maps) - judge(evidence, torch.zeros_like(maps))
    assert float(added[..., 8:12, :].abs().max()) == 0  # so little is left there that it counts as known
    assert torch.allclose(added[..., 14:22, 18:30], torch.ones(1, 3, 8, 12), atol=1e-5)
    far = judge(evidence, maps, 3) - judge(evidence, torch.zeros_like(maps), 3)
    assert (far <= added + 1e-6).all()
    assert 0 < float(far[0, 0, 15, 17]) < 1


def test_belief_grows_with_the_share_and_ends_where_nothing_was_found() -> None:
    frames, shares = scene()
    shares[..., 8:12, 16:32] = 0.04
    shares[..., 18:24, 16:32] = 0.96
    evidence = gather(frames, shares)
    maps = torch.zeros(1, MAPS, 32, 48)
    maps[:, 3] = 1.0
    believed = judge(evidence, maps) - judge(evidence, torch.zeros_like(maps))
    difference = evidence[:, 4:]
    assert torch.allclose(believed[..., 9, 20], 0.4 * difference[..., 9, 20], atol=1e-5)
    assert torch.allclose(believed[..., 15, 20], difference[..., 15, 20], atol=1e-5)
    assert torch.allclose(believed[..., 20, 20], 0.01 / 0.15 * difference[..., 20, 20], atol=1e-4)


def test_where_nothing_is_sure_stands_what_is_half_known_and_where_nothing_is_known_grey() -> None:
    frames = torch.full((1, 3, 16, 16), 0.8)
    for share, wanted in ((0.3, 0.8), (1.0, 0.5)):
        mixture = gather(frames, torch.full((1, 1, 16, 16), share), grey=0.5)[:, :3]
        assert torch.allclose(mixture, torch.full_like(mixture, wanted), atol=1e-5)


def test_another_fill_stands_in_its_place() -> None:
    frames, shares = scene()
    other = torch.full_like(frames, 0.25)
    after = gather(frames, shares, other, 0.5)[:, :3]
    inside = (shares == 1).expand_as(frames)
    assert torch.allclose(after[inside], torch.tensor(0.25), atol=1e-5)


def test_what_is_seen_and_given_goes_with_the_contrast() -> None:
    frames, shares = scene()
    seen = look(gather(frames, shares))
    dull = look(gather(frames / 4 + 0.5, shares))
    assert seen.shape == (1, SEEN, 32, 48)
    assert torch.allclose(dull[:, :7], seen[:, :7], atol=1e-3)
    assert torch.allclose(dull[:, 8], seen[:, 8])
    given = torch.ones(1, MAPS, 32, 48)
    bright, faint = maps_of(seen, given), maps_of(dull, given)
    assert torch.allclose(bright[:, :3], 4 * faint[:, :3], rtol=1e-3)
    assert torch.equal(bright[:, 3:], faint[:, 3:])
    assert 0.1 < float(bright[:, :3].mean()) < 0.3  # noise in [0, 1], its three colours averaged
