from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
import torch

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.methods.sttn.method import STTNMethod
from vinpaint_cli.methods.sttn.net import STTN, STTNConfig
from vinpaint_cli.nets.letterbox import Letterbox, mirror
from vinpaint_cli.plan.windows import plan_windows
from vinpaint_cli.types import Clip
from vinpaint_cli.weights.state import save_checkpoint


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


small = _load("small_sttn")


@pytest.fixture
def method(tmp_path: Path) -> STTNMethod:
    return STTNMethod(small.write_weights(tmp_path))


def clip_of(frames: int, height: int, width: int, dirty: range | None = None) -> Clip:
    generator = torch.Generator().manual_seed(3)
    pictures = torch.rand(frames, 3, height, width, generator=generator)
    holes = torch.zeros(frames, 1, height, width)
    for t in range(frames) if dirty is None else dirty:
        holes[t, :, height // 4 : height // 2, width // 4 + t % 4 : width // 2 + t % 4] = 1
    return Clip(pictures, holes, tuple(range(frames)))


def test_windows_are_blended_by_their_weights(method: STTNMethod) -> None:
    clip = clip_of(23, 32, 48)
    masked = (clip.frames * 2 - 1) * (1 - clip.holes)
    expected = torch.zeros_like(clip.frames)
    for window in plan_windows(23, radius=5, stride=5, reference_stride=10, max_references=12):
        order = [*window.frames, *window.references]
        out = (method.network(masked[order][None])[0] + 1) / 2
        for place, index in enumerate(window.frames):
            expected[index] += window.weights[place] * out[place]
    expected = torch.where(clip.holes > 0, expected, clip.frames)
    assert torch.allclose(method.fill(clip), expected, atol=1e-5)


def test_known_pixels_and_whole_frames_come_back_untouched(method: STTNMethod) -> None:
    clip = clip_of(9, 50, 90, dirty=range(3, 5))
    filled = method.fill(clip)
    known = clip.holes.expand_as(filled) == 0
    assert torch.equal(filled[known], clip.frames[known])
    assert not torch.equal(filled[3], clip.frames[3])


@pytest.mark.parametrize("size", [(32, 48), (20, 70), (64, 20), (97, 131)])
def test_what_stands_in_the_hole_is_never_read(method: STTNMethod, size: tuple[int, int]) -> None:
    clip = clip_of(3, *size)
    poisoned = Clip(torch.where(clip.holes > 0, torch.nan, clip.frames), clip.holes, clip.indices)
    filled = method.fill(poisoned)
    assert filled.isfinite().all()
    assert torch.equal(filled, method.fill(clip))


def test_pixels_that_are_half_unknown_are_hidden(method: STTNMethod) -> None:
    clip = clip_of(2, 32, 48)
    faint = Clip(clip.frames, clip.holes * 0.5, clip.indices)
    assert torch.equal(method.fill(faint), method.fill(clip))


def test_pixels_that_are_mostly_known_are_kept(method: STTNMethod) -> None:
    clip = clip_of(2, 32, 48)
    faint = Clip(clip.frames, clip.holes * 0.49, clip.indices)
    assert torch.equal(method.fill(faint), clip.frames)


def test_each_frame_is_encoded_once(method: STTNMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clip_of(24, 32, 48)
    seen: Counter[bytes] = Counter()
    encode = method.network.encode

    def counting(frames: torch.Tensor) -> torch.Tensor:
        seen.update(frame.contiguous().numpy().tobytes() for frame in frames)
        return encode(frames)

    monkeypatch.setattr(method.network, "encode", counting)
    method.fill(clip)
    assert sorted(seen.values()) == [1] * 24


def test_only_what_a_hole_needs_is_computed(method: STTNMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = 0
    encode = method.network.encode

    def counting(frames: torch.Tensor) -> torch.Tensor:
        nonlocal encoded
        encoded += len(frames)
        return encode(frames)

    monkeypatch.setattr(method.network, "encode", counting)
    method.fill(clip_of(60, 32, 48, dirty=range(0)))
    assert encoded == 0
    method.fill(clip_of(60, 32, 48, dirty=range(20, 21)))
    # The three windows around frame 20 hold frames 10 … 30; of the references 40 and 50 and 0 are outside.
    assert encoded == 21 + 3


def test_features_kept_do_not_grow_with_the_clip(method: STTNMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    def most_kept(frames: int) -> int:
        most = 0
        window = method._window

        def watching(features, *rest):  # type: ignore[no-untyped-def]  # passes through
            nonlocal most
            most = max(most, len(features))
            return window(features, *rest)

        monkeypatch.setattr(method, "_window", watching)
        method.fill(clip_of(frames, 32, 48))
        monkeypatch.setattr(method, "_window", window)
        return most

    method.max_references = 0
    assert most_kept(26) == most_kept(61) <= 17


def test_lines_are_mirrored_around_the_picture() -> None:
    assert mirror(4, 2, 9).tolist() == [2, 1, 0, 1, 2, 3, 2, 1, 0]
    assert mirror(1, 3, 5).tolist() == [0] * 5
    assert mirror(2, 3, 8).tolist() == [1, 0, 1, 0, 1, 0, 1, 0]


def test_a_clip_is_scaled_evenly_and_centred() -> None:
    letterbox = Letterbox.fitted(clip_of(1, 100, 100), (48, 32))
    assert letterbox.inner == (32, 32)
    assert letterbox.origin == (0, 8)
    frames, holes = letterbox.network_input([0])
    assert frames.shape == (1, 3, 32, 48)
    assert holes.shape == (1, 1, 32, 48)
    assert torch.equal(frames[..., 7], frames[..., 9])
    assert (frames[holes.expand_as(frames) > 0] == 0.5).all()


def test_going_to_the_network_size_and_back_keeps_the_picture() -> None:
    height, width = 45, 50
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 3, width), indexing="ij")
    picture = torch.stack([y.sin(), x.cos().abs(), (x + y).sin().abs()])[None] * 0.8 + 0.1
    clip = Clip(picture, torch.zeros(1, 1, height, width), (0,))
    letterbox = Letterbox.fitted(clip, (48, 32))
    back = letterbox.enlarge(0, letterbox.network_input([0])[0][0])
    assert (back - picture[0]).abs().mean() < 0.01


def test_a_network_of_the_clips_colour_is_put_where_the_hole_is(tmp_path: Path) -> None:
    net = small.network()
    for parameter in net.decoder[-1].parameters():
        parameter.zero_()
    save_checkpoint(tmp_path / "grey.safetensors", net, {"config": small.CONFIG.to_dict()})
    clip = clip_of(4, 61, 83)
    flat = Clip(torch.full_like(clip.frames, 0.5), clip.holes, clip.indices)
    filled = STTNMethod(tmp_path / "grey.safetensors").fill(flat)
    assert torch.allclose(filled, flat.frames, atol=1e-6)


def test_bf16_is_near_fp32(tmp_path: Path) -> None:
    weights, clip = small.write_weights(tmp_path), clip_of(5, 32, 48)
    exact, rough = (STTNMethod(weights, dtype=d).fill(clip) for d in ("fp32", "bf16"))
    assert rough.dtype == torch.float32
    assert 0 < (exact - rough).abs().max() < 0.03


def test_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fp32, bf16, fp16"):
        STTNMethod(small.write_weights(tmp_path), dtype="int8")


def test_overflow_is_told(tmp_path: Path) -> None:
    net = small.network()
    net.encoder[0].weight *= 1e6
    save_checkpoint(tmp_path / "loud.safetensors", net, {"config": small.CONFIG.to_dict()})
    with pytest.raises(UsageError, match="--precision bf16 or fp32"):
        STTNMethod(tmp_path / "loud.safetensors", dtype="fp16").fill(clip_of(1, 32, 48))


def test_spec_carries_the_size_of_the_loaded_network(method: STTNMethod) -> None:
    assert method.spec.size == (48, 32)
    assert method.spec.name == "sttn"


def test_official_layout_loads(tmp_path: Path) -> None:
    path = tmp_path / "gen.pth"
    config = STTNConfig(channels=8, blocks=1)
    with torch.device("cpu"):
        state = STTN(config).state_dict()
    torch.save({"netG": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    method = STTNMethod(path)
    assert method.network.config == config
    assert torch.equal(method.network.encoder[0].weight, state["encoder.0.weight"])


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    torch.save({"netG": {"conv.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"112 missing.*1 unexpected \(conv.weight\)"):
        STTNMethod(tmp_path / "other.pth")


def test_a_configuration_that_makes_no_network_is_told(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    save_checkpoint(path, small.network(), {"config": {"channels": 10}})
    with pytest.raises(WeightsError, match="does not describe an STTN"):
        STTNMethod(path)


def test_weights_that_are_not_here_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    with pytest.raises(WeightsError, match="vinpaint weights pull sttn-official"):
        STTNMethod("sttn-official")
