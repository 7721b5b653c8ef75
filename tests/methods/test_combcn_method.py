from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers_methods import as_they_learnt, clip_of, load_small, outside, poisoned

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.methods.combcn.method import CombCNMethod, load_network
from vinpaint_cli.plan.windows import plan_windows
from vinpaint_cli.types import Clip
from vinpaint_cli.weights.state import save_checkpoint

small = load_small("combcn")


@pytest.fixture(scope="module")
def method(tmp_path_factory: pytest.TempPathFactory) -> CombCNMethod:
    return CombCNMethod(small.write_weights(tmp_path_factory.mktemp("combcn")))


def test_windows_overlap_by_half_and_guide_by_their_weights(method: CombCNMethod) -> None:
    clip = clip_of(40, 16, 16)
    network = method.network
    prepared = network.prepare(clip.frames * 2 - 1, clip.holes)
    windows = plan_windows(40, radius=16, stride=16)
    assert [len(window.frames) for window in windows] == [17, 33, 24]
    guidance = torch.zeros(40, 3, 8, 8)
    for window in windows:
        part = network.structure(prepared[list(window.frames)][None])[0]
        guidance[list(window.frames)] += part * torch.tensor(window.weights).view(-1, 1, 1, 1)
    expected = ((network.detail(prepared, guidance) + 1) / 2).clamp(0, 1)
    expected = torch.where(clip.holes > 0, expected, clip.frames)
    assert torch.allclose(method.fill(clip), expected, atol=1e-5)


def test_each_frame_with_a_hole_is_painted_once(
    method: CombCNMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: Counter[bytes] = Counter()
    detail = method.network.detail

    def counting(prepared: torch.Tensor, structure: torch.Tensor | None) -> torch.Tensor:
        painted.update(frame.contiguous().numpy().tobytes() for frame in prepared)
        return detail(prepared, structure)

    monkeypatch.setattr(method.network, "detail", counting)
    clip = clip_of(40, 16, 16, dirty=range(10, 21))
    filled = method.fill(clip)
    assert sorted(painted.values()) == [1] * 11
    assert torch.equal(filled[:10], clip.frames[:10])
    assert not torch.equal(filled[10], clip.frames[10])


@pytest.mark.parametrize("size", [(32, 48), (19, 70), (97, 131)])
def test_what_stands_in_the_hole_is_never_read(method: CombCNMethod, size: tuple[int, int]) -> None:
    clip = clip_of(3, *size)
    filled = method.fill(poisoned(clip))
    assert torch.equal(filled, method.fill(clip))
    assert torch.equal(filled[outside(clip)], clip.frames[outside(clip)])


@pytest.mark.parametrize("told", [True, False])
def test_large_pictures_are_worked_on_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    config = replace(small.CONFIG, size=(432, 240) if told else (32, 24))
    save_checkpoint(tmp_path / "w.safetensors", small.network(config), {"config": config.to_dict()})
    method = CombCNMethod(tmp_path / "w.safetensors", size=(32, 24) if told else None)
    assert method.spec.size == (32, 24)
    sizes = []
    structure = method.network.structure
    monkeypatch.setattr(
        method.network, "structure", lambda x: sizes.append(tuple(x.shape[-2:])) or structure(x)
    )
    filled = method.fill(clip_of(2, 96, 128))
    assert sizes == [(24, 32)]
    assert filled.shape == (2, 3, 96, 128)


@pytest.mark.parametrize("parts", ["both", "volume", "frames"])
@pytest.mark.parametrize(("prefill", "blend_head"), [(False, False), (True, False), (True, True)])
def test_every_variant_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: str, prefill: bool, blend_head: bool
) -> None:
    as_they_learnt(monkeypatch)
    config = replace(small.CONFIG, parts=parts, prefill=prefill, blend_head=blend_head)
    save_checkpoint(tmp_path / "w.safetensors", small.network(config), {"config": config.to_dict()})
    method = CombCNMethod(tmp_path / "w.safetensors")
    clip = clip_of(3, 32, 48)
    assert method.spec.mixes is not blend_head
    if blend_head:
        clip.holes.mul_(torch.rand(clip.holes.shape, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        expected, _ = method.network(clip.frames[None] * 2 - 1, clip.holes[None])
    expected = torch.where(clip.holes > 0, ((expected[0] + 1) / 2).clamp(0, 1), clip.frames)
    assert torch.allclose(method.fill(clip), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_is_close(method: CombCNMethod, tmp_path: Path, dtype: str) -> None:
    clip = clip_of(2, 16, 24)
    half = CombCNMethod(small.write_weights(tmp_path), dtype=dtype).fill(clip)
    assert float((half - method.fill(clip)).abs().max()) < 0.05


def test_weights_that_overflow_are_told(tmp_path: Path) -> None:
    network = small.network()
    network.frames.last.bias.fill_(60_000.0)
    network.frames.last.weight.fill_(60_000.0)
    save_checkpoint(tmp_path / "w.safetensors", network, {"config": small.CONFIG.to_dict()})
    with pytest.raises(UsageError, match="overflow"):
        CombCNMethod(tmp_path / "w.safetensors", dtype="fp16").fill(clip_of(1, 16, 16))


def test_a_number_format_that_is_not_known_is_told() -> None:
    with pytest.raises(UsageError, match="precision 'int8'"):
        CombCNMethod(dtype="int8")


def test_files_of_something_else_are_told(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, small.network(), {})
    with pytest.raises(WeightsError, match="does not say how its network is built"):
        load_network(path)
    save_checkpoint(path, small.network(), {"config": {"channels": 3}})
    with pytest.raises(WeightsError, match="does not describe a combcn network"):
        load_network(path)
    save_checkpoint(path, small.network(), {"config": {"width": 8, "volume_width": 2}})
    with pytest.raises(WeightsError, match="another network"):
        load_network(path)


def test_frames_of_a_clip_without_holes_cost_nothing(method: CombCNMethod) -> None:
    clip = clip_of(3, 16, 16, dirty=range(0))
    spoiled = Clip(clip.frames * torch.nan, clip.holes, clip.indices)
    assert method.fill(spoiled).isnan().all()
