from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from vinpaint_cli.methods.sttn import net as sttn
from vinpaint_cli.methods.sttn.net import STTN, STTNConfig


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


small = _load("small_sttn")


def official_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]

    for b in range(8):
        for what in ("query", "value", "key"):
            conv(f"transformer.{b}.attention.{what}_embedding", 256, 256, 1, 1)
        conv(f"transformer.{b}.attention.output_linear.0", 256, 256, 3, 3)
        conv(f"transformer.{b}.feed_forward.conv.0", 256, 256, 3, 3)
        conv(f"transformer.{b}.feed_forward.conv.2", 256, 256, 3, 3)
    conv("encoder.0", 64, 3, 3, 3)
    conv("encoder.2", 64, 64, 3, 3)
    conv("encoder.4", 128, 64, 3, 3)
    conv("encoder.6", 256, 128, 3, 3)
    conv("decoder.0.conv", 128, 256, 3, 3)
    conv("decoder.2", 64, 128, 3, 3)
    conv("decoder.4.conv", 64, 64, 3, 3)
    conv("decoder.6", 3, 64, 3, 3)
    return shapes


@pytest.fixture(scope="module")
def numbered() -> dict[str, torch.Tensor]:
    """Weights by formula: every tensor is a fixed function of its place in the state dict."""
    state = {}
    for k, (name, shape) in enumerate(official_shapes().items()):
        # The formula only sees j modulo 65521, so a tensor repeats itself with that period.
        j = np.arange(min(65521, np.prod(shape)), dtype=np.int64)
        v = (j**2 * 7 + 104729 * j + 15013 * k) % 65521
        scale = 0.8 * np.sqrt(3 / np.prod(shape[1:])) if len(shape) > 1 else 0.02
        state[name] = torch.from_numpy(np.resize((scale * (v / 32760 - 1)).astype(np.float32), shape))
    return state


def official(state: dict[str, torch.Tensor], config: STTNConfig | None = None) -> STTN:
    with torch.device("meta"):
        net = STTN(config)
    net.load_state_dict(state, strict=True, assign=True)
    return net.eval().to(memory_format=torch.channels_last)


def waves(width: int, height: int, rows: slice, columns: slice) -> tuple[torch.Tensor, torch.Tensor]:
    t, c, y, x = np.ogrid[:3, :3, :height, :width]
    frames = np.sin(0.05 * y + 0.03 * x + c + 0.5 * t).astype(np.float32)
    holes = np.zeros((3, 1, height, width), np.float32)
    for i in range(3):
        holes[i, :, rows, columns.start + 20 * i : columns.stop + 20 * i] = 1
    return torch.from_numpy(frames * (1 - holes))[None], torch.from_numpy(holes)[None]


def summary(x: torch.Tensor) -> list[float]:
    return [float(f) for f in (x.mean(), x.abs().mean(), x.min(), x.max())]


def test_names_shapes_and_order_are_the_official_ones() -> None:
    with torch.device("meta"):
        state = STTN().state_dict()
    assert {name: tuple(t.shape) for name, t in state.items()} == official_shapes()
    assert list(state) == list(official_shapes())
    assert len(state) == 112
    assert sum(t.numel() for t in state.values()) == 16_556_163


def test_computes_what_the_official_network_computes(numbered: dict[str, torch.Tensor]) -> None:
    net = official(numbered)
    frames, holes = waves(432, 240, slice(80, 160), slice(108, 216))
    assert float(frames.sum(dtype=torch.float64)) == pytest.approx(-4147.6979, abs=1e-3)
    with torch.inference_mode():
        encoded = net.encode(frames[0])
        filled = net.infill(encoded[None], holes)[0]
        out = net.decode(filled)
    near = {"abs": 2e-5}
    assert summary(encoded) == pytest.approx([0.01816378, 0.02674369, -0.08358172, 0.42133343], **near)
    assert summary(filled) == pytest.approx([0.61665621, 0.62990147, -0.57025421, 3.25675249], **near)
    assert summary(out) == pytest.approx([-0.06053596, 0.07303390, -0.14909834, 0.08676975], **near)
    places = [(0, 0, 0, 0), (0, 1, 120, 216), (1, 2, 80, 138), (2, 0, 239, 431), (2, 2, 10, 425)]
    expected = [0.0158565, -0.1144603, 0.0203706, 0.0355950, -0.0003522]
    assert [float(out[i]) for i in places] == pytest.approx(expected, **near)
    places = [(0, 0, 0, 0), (1, 100, 30, 54), (2, 255, 59, 107)]
    assert [float(encoded[i]) for i in places] == pytest.approx([-0.0110976, -0.0005659, -0.0067573], **near)
    assert [float(filled[i]) for i in places] == pytest.approx([-0.0849470, 0.3456889, 0.0203698], **near)


def test_computes_the_wide_variant(numbered: dict[str, torch.Tensor]) -> None:
    config = STTNConfig(patches=((80, 15), (32, 6), (10, 5), (5, 3)), size=(640, 120))
    net = official(numbered, config)
    frames, holes = waves(640, 120, slice(40, 80), slice(160, 320))
    assert float(frames.sum(dtype=torch.float64)) == pytest.approx(1439.2119, abs=1e-3)
    with torch.inference_mode():
        out = net(frames, holes)[0]
    near = {"abs": 2e-5}
    assert summary(out)[:2] == pytest.approx([-0.05888344, 0.06924536], **near)
    places = [(0, 0, 0, 0), (0, 1, 60, 320), (1, 2, 40, 190), (2, 0, 119, 639), (2, 2, 10, 633)]
    expected = [0.0159827, -0.1136771, 0.0127677, 0.0306577, -0.0055095]
    assert [float(out[i]) for i in places] == pytest.approx(expected, **near)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_holes_have_influence_only_when_asked() -> None:
    frames, holes = noise(1, 4, 3, 32, 48), torch.zeros(1, 4, 1, 32, 48)
    holes[:, :2, :, :20, :20] = 1
    plain = small.network()
    assert torch.equal(plain(frames, holes), plain(frames))
    masking = small.network(STTNConfig(8, 2, ((12, 8), (4, 4)), (48, 32), mask_attention=True))
    masking.load_state_dict(plain.state_dict())
    assert torch.allclose(masking(frames, torch.zeros_like(holes)), plain(frames), atol=1e-6)
    assert (masking(frames, holes) - plain(frames)).abs().max() > 1e-3
    assert masking(frames, torch.ones_like(holes)).isfinite().all()


def test_keys_in_the_hole_are_not_seen() -> None:
    config = STTNConfig(8, 1, ((4, 4), (4, 4)), (48, 32), mask_attention=True)
    net = small.network(config)
    features, holes = noise(1, 3, 8, 8, 12), torch.zeros(1, 3, 1, 8, 12)
    holes[:, 1] = 1
    other = features.clone()
    other[:, 1] += 1
    assert torch.allclose(net.infill(features, holes)[:, ::2], net.infill(other, holes)[:, ::2], atol=1e-6)


def test_kept_frames_do_not_depend_on_how_many_are_kept() -> None:
    net, features = small.network(), noise(2, 5, 8, 8, 12)
    whole = net.infill(features)
    kept = net.infill(features, keep=2)
    assert kept.shape == (2, 2, 8, 8, 12)
    assert torch.allclose(kept, whole[:, :2], atol=1e-6)


def test_forward_is_encode_infill_decode_and_does_not_know_the_order() -> None:
    net, frames = small.network(), noise(1, 3, 3, 32, 48)
    out = net(frames)
    parts = net.decode(net.infill(net.encode(frames[0])[None])[0])
    assert torch.allclose(out[0], parts, atol=1e-6)
    assert torch.allclose(net(frames.flip(1)), out.flip(1), atol=1e-5)
    assert out.std() > 1e-2


def test_layout_in_memory_changes_nothing() -> None:
    frames = noise(1, 3, 3, 32, 48)
    out = small.network()(frames)
    assert torch.allclose(small.network().to(memory_format=torch.channels_last)(frames), out, atol=1e-6)


def test_attention_in_parts_is_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = noise(2, 10, 7), noise(2, 9, 7, seed=1), noise(2, 9, 7, seed=2)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    assert torch.allclose(sttn.attend(query, key, value, None), expected, atol=1e-6)
    monkeypatch.setattr(sttn, "SCORES_AT_ONCE", 60)
    assert torch.allclose(sttn.attend(query, key, value, None), expected, atol=1e-6)


def test_gradients_reach_every_parameter() -> None:
    net = small.network().requires_grad_(True).train()
    net(noise(1, 2, 3, 32, 48)).square().mean().backward()
    # A key's bias adds the same to all scores of a query, which softmax cannot see.
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [n for n in silent if not n.endswith("key_embedding.bias")] == []


def test_new_network_starts_small() -> None:
    net = STTN(small.CONFIG)
    weights = torch.cat([p.detach().flatten() for n, p in net.named_parameters() if n.endswith("weight")])
    assert 0.019 < float(weights.std()) < 0.021
    assert all(not p.any() for n, p in net.named_parameters() if n.endswith("bias"))


@pytest.mark.parametrize("size", [(448, 256), (432, 242), (0, 0), (431, 240)])
def test_sizes_that_do_not_split_are_refused(size: tuple[int, int]) -> None:
    assert not STTNConfig().fits(*size)
    with pytest.raises(ValueError, match="tile"):
        STTNConfig(size=size)


def test_forward_refuses_a_frame_that_does_not_split() -> None:
    with pytest.raises(ValueError, match="52x32 does not split"):
        small.network()(noise(1, 1, 3, 32, 52))


def test_integer_multiples_fit() -> None:
    assert STTNConfig().fits(864, 480)
    assert small.network()(noise(1, 2, 3, 64, 96)).shape == (1, 2, 3, 64, 96)


def test_configuration_survives_a_dictionary() -> None:
    config = STTNConfig(16, 3, ((6, 4), (3, 2)), (48, 32), True)
    assert STTNConfig.from_dict(config.to_dict()) == config
    assert STTNConfig.from_dict({}) == STTNConfig()


@pytest.mark.parametrize("values", [{"patches": 3}, {"channels": 10}, {"size": [4]}, {"blocks": None}])
def test_unreadable_configuration_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"configuration of an STTN|divide"):
        STTNConfig.from_dict(values)


def test_shapes_tell_channels_and_blocks() -> None:
    with torch.device("meta"):
        state = STTN(STTNConfig(channels=64, blocks=3)).state_dict()
    config = STTNConfig.from_shapes({name: t.shape for name, t in state.items()})
    assert config == STTNConfig(channels=64, blocks=3)
