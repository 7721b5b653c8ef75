from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers_methods import as_they_learnt

from vinpaint_cli.methods.sttn.method import STTNMethod
from vinpaint_cli.methods.sttn.net import STTN, STTNConfig
from vinpaint_cli.nets.holes import smooth_fill
from vinpaint_cli.types import Clip
from vinpaint_cli.weights.state import save_checkpoint

CONFIG = STTNConfig(8, 2, ((3, 2), (3, 2)), (48, 32), reduction=8, prefill=True)


def network(config: STTNConfig = CONFIG, loud: bool = True) -> STTN:
    torch.manual_seed(4)
    net = STTN(config).eval().requires_grad_(False)
    if loud:
        torch.nn.init.normal_(net.decoder.out.weight, 0.0, 0.1)
    return net


def method(folder: Path, net: STTN) -> STTNMethod:
    save_checkpoint(folder / "w.safetensors", net, {"config": net.config.to_dict()})
    return STTNMethod(folder / "w.safetensors")


def clip_of(frames: int, height: int, width: int) -> Clip:
    generator = torch.Generator().manual_seed(3)
    residual = torch.zeros(frames, 1, height, width)
    middle = slice(height // 4, height // 2), slice(width // 4, width // 2)
    residual[..., *middle] = torch.rand(frames, 1, height // 2 - height // 4, width // 2 - width // 4)
    pictures = torch.rand(frames, 3, height, width, generator=generator)
    return Clip(pictures, residual, tuple(range(frames)))


def start(clip: Clip) -> torch.Tensor:
    frames = torch.where(clip.holes >= 0.5, 0.5, clip.frames)
    return (smooth_fill(frames * 2 - 1, (1 - 2 * clip.holes).clamp_min(0)) + 1) / 2


def test_a_new_network_gives_the_smooth_fill(tmp_path: Path) -> None:
    clip = clip_of(3, 50, 70)
    filled = method(tmp_path, network(loud=False)).fill(clip)
    assert torch.allclose(filled, torch.where(clip.holes > 0, start(clip), clip.frames), atol=1e-5)


@pytest.mark.parametrize("config", [CONFIG, STTNConfig(8, 1, ((6, 4), (3, 2)), (48, 32), prefill=True)])
def test_one_window_is_the_networks_forward(tmp_path: Path, config: STTNConfig) -> None:
    clip = clip_of(4, 32, 48)
    net = network(config)
    expected = (net(clip.frames[None] * 2 - 1, clip.holes[None])[0] + 1) / 2
    filled = method(tmp_path, net).fill(clip)
    assert torch.allclose(filled, torch.where(clip.holes > 0, expected.clamp(0, 1), clip.frames), atol=1e-5)
    assert (filled - start(clip)).abs().max() > 0.02


def test_hidden_pixels_are_never_read(tmp_path: Path) -> None:
    clip = clip_of(3, 40, 90)
    poisoned = Clip(torch.where(clip.holes >= 0.5, torch.nan, clip.frames), clip.holes, clip.indices)
    filler = method(tmp_path, network())
    filled, again = filler.fill(clip), filler.fill(poisoned)
    inside = clip.holes.expand_as(filled) > 0
    assert torch.equal(filled[inside], again[inside])
    assert torch.equal(filled[~inside], clip.frames[~inside])


def test_a_larger_clip_keeps_its_sharp_border(tmp_path: Path) -> None:
    clip = clip_of(2, 96, 144)
    filled = method(tmp_path, network()).fill(clip)
    faint = (clip.holes > 0) & (clip.holes < 0.02)
    assert faint.any()
    step = (filled - start(clip)).abs()
    assert step.max() > 0.02  # the network has its say, but smoothly
    assert (step[..., 1:, :] - step[..., :-1, :]).abs().max() < step.max()


def test_decoding_needs_the_frames() -> None:
    net = network()
    with pytest.raises(ValueError, match="frames prepared"):
        net.decode(torch.zeros(1, 8, 4, 6))
    with pytest.raises(ValueError, match="told the holes"):
        net(torch.zeros(1, 1, 3, 32, 48))


def test_an_eighth_needs_prefill_and_names_its_sizes() -> None:
    with pytest.raises(ValueError, match="prefill"):
        STTNConfig(reduction=8)
    with pytest.raises(ValueError, match="1/4 or 1/8"):
        STTNConfig(reduction=5)
    assert not CONFIG.fits(52, 32)
    assert STTNConfig.from_dict(CONFIG.to_dict()) == CONFIG


def test_gradients_reach_every_parameter() -> None:
    net = network().requires_grad_(True)
    clip = clip_of(2, 32, 48)
    net(clip.frames[None], clip.holes[None]).square().mean().backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [n for n in silent if not n.endswith("key_embedding.bias")] == []


JUDGE = replace(CONFIG, blend_head=True)


def test_one_with_a_blend_head_is_the_networks_forward_and_mixes_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_they_learnt(monkeypatch)
    clip = clip_of(4, 32, 48)
    net = network(JUDGE)
    expected = (net(clip.frames[None] * 2 - 1, clip.holes[None])[0] + 1) / 2
    judging = method(tmp_path, net)
    assert not judging.spec.mixes
    filled = judging.fill(clip)
    assert torch.allclose(filled, torch.where(clip.holes > 0, expected.clamp(0, 1), clip.frames), atol=1e-5)
    assert method(tmp_path, network()).spec.mixes


def test_one_with_a_blend_head_sees_what_was_half_found_but_not_what_was_not(tmp_path: Path) -> None:
    clip = clip_of(3, 50, 70)
    judging = method(tmp_path, network(JUDGE))
    filled = judging.fill(clip)
    hidden = clip.holes >= 0.97
    hidden[:, :, 20, 20] = True
    holes = torch.where(hidden, 1.0, clip.holes)
    whole = Clip(clip.frames, holes, clip.indices)
    spoilt = Clip(torch.where(hidden, torch.nan, clip.frames), holes, clip.indices)
    assert torch.equal(judging.fill(spoilt), judging.fill(whole))
    half = (clip.holes > 0.5) & (clip.holes < 0.97)
    other = Clip(torch.where(half, 1 - clip.frames, clip.frames), clip.holes, clip.indices)
    assert (judging.fill(other) - filled)[half.expand_as(filled)].abs().mean() > 0.02


def test_judging_needs_a_fill_to_start_from() -> None:
    with pytest.raises(ValueError, match="needs prefill"):
        STTNConfig(blend_head=True)
