from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers_methods import clip_of, load_small, outside, poisoned

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.methods.internal.method import InternalMethod, fill_frames, surroundings
from vinpaint_cli.methods.internal.net import InternalConfig, InternalNet, Pyramid
from vinpaint_cli.methods.propagate import PropagateMethod
from vinpaint_cli.nets.holes import smooth_start
from vinpaint_cli.types import Box
from vinpaint_cli.weights.state import save_checkpoint

small = load_small("internal")


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_an_untrained_network_leaves_what_propagate_makes(factor: float) -> None:
    clip = clip_of(2, 40, 56)
    clip.holes[1] *= 0.4
    method = InternalMethod(Pyramid(InternalConfig("base", 4, prefill=True), (factor,)))
    torch.testing.assert_close(method.fill(clip), PropagateMethod().fill(clip), atol=1e-5, rtol=0)


def test_what_a_network_adds_is_added_to_that() -> None:
    clip = clip_of(1, 40, 56)
    network = small.network(factors=(1.0,))
    with torch.no_grad():
        own = network.nets[0](clip.frames * 2 - 1, clip.holes)[-1]
    added = (own - smooth_start(clip.frames * 2 - 1, clip.holes)) / 2
    assert added.abs().max() > 1e-3
    expected = (PropagateMethod().fill(clip) + added).clamp(0, 1)
    filled = InternalMethod(network).fill(clip)
    torch.testing.assert_close(filled[~outside(clip)], expected[~outside(clip)], atol=1e-5, rtol=0)


def test_scales_pass_their_picture_on() -> None:
    """Silent finer networks leave what the coarser one made, enlarged."""
    clip = clip_of(1, 64, 96)
    coarse = small.network(factors=(0.5,))
    both = small.network(factors=(0.5, 1.0))
    both.nets[0].load_state_dict(coarse.nets[0].state_dict())
    both.nets[1].load_state_dict(InternalNet(InternalConfig("base", 8, prefill=True)).state_dict())
    torch.testing.assert_close(
        InternalMethod(both).fill(clip), InternalMethod(coarse).fill(clip), atol=2e-3, rtol=0
    )


def test_outside_and_frames_without_a_hole_are_the_clips_own() -> None:
    clip = clip_of(3, 40, 56, dirty=range(1, 2))
    filled = InternalMethod(small.network()).fill(clip)
    assert torch.equal(filled[outside(clip)], clip.frames[outside(clip)])
    assert not torch.equal(filled[1], clip.frames[1])


def test_hidden_values_are_not_read() -> None:
    clip = clip_of(2, 40, 56)
    method = InternalMethod(small.network())
    inside = ~outside(clip)
    assert torch.equal(method.fill(clip)[inside], method.fill(poisoned(clip))[inside])


def test_tiles_give_what_one_piece_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that looks one pixel far sees no difference in the middle of a tile."""
    import vinpaint_cli.methods.internal.method as adapter

    clip = clip_of(1, 96, 128)
    nets = small.network(factors=(1.0,))
    whole = InternalMethod(nets).fill(clip)
    monkeypatch.setattr(adapter, "TILE", 48)
    monkeypatch.setattr(adapter, "OVERLAP", 16)
    monkeypatch.setattr(adapter, "CONTEXT", 32)
    tiled = InternalMethod(nets).fill(clip)
    inside = ~outside(clip)
    error = (tiled - whole)[inside].abs().mean()
    assert 0 < float(error) < 0.1 * float((whole - PropagateMethod().fill(clip))[inside].abs().mean())


def test_a_far_away_hole_costs_no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clip_of(1, 400, 400)
    clip.holes.zero_()
    clip.holes[..., 200:210, 300:320] = 1
    sizes: list[tuple[int, ...]] = []
    nets = small.network(factors=(1.0,))
    nets.nets[0].register_forward_pre_hook(lambda _, given: sizes.append(tuple(given[0].shape[-2:])))
    list(fill_frames(list(nets.nets), (1.0,), clip, [0]))
    assert len(sizes) == 1
    assert max(sizes[0]) <= 20 + 2 * 64 + 8


def test_surroundings_are_multiples_of_four_within_the_picture() -> None:
    hole = torch.zeros(80, 60, dtype=torch.bool)
    hole[70:75, 3:9] = True
    assert surroundings(hole, 10) == Box(0, 60, 20, 80)
    assert surroundings(torch.zeros(8, 8, dtype=torch.bool)) is None


def test_a_file_of_a_fit_is_read_back(tmp_path: Path) -> None:
    clip = clip_of(1, 40, 56)
    path = small.write_weights(tmp_path)
    assert torch.equal(InternalMethod(path).fill(clip), InternalMethod(small.network()).fill(clip))


def test_a_file_that_was_not_fitted_is_used_at_one_scale(tmp_path: Path) -> None:
    network = InternalNet(InternalConfig("base", 8, prefill=True))
    path = tmp_path / "start.safetensors"
    save_checkpoint(path, network, {"config": network.config.to_dict()})
    clip = clip_of(1, 40, 56)
    torch.testing.assert_close(
        InternalMethod(path).fill(clip), PropagateMethod().fill(clip), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("factors", [[], [1.0, 0.5], [0.0, 1.0], [1.5], "wide"])
def test_scales_that_mean_nothing_are_refused(tmp_path: Path, factors: object) -> None:
    made = small.network()
    path = tmp_path / "bad.safetensors"
    save_checkpoint(path, made, {"config": made.to_dict() | {"factors": factors}})
    with pytest.raises(WeightsError, match="does not describe"):
        InternalMethod(path)


def test_finer_scales_need_prefill() -> None:
    with pytest.raises(ValueError, match="prefill"):
        Pyramid(InternalConfig("base", 4), (0.5, 1.0))
