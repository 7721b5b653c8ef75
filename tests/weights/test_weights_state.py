from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from vinpaint_cli.errors import OutputError, WeightsError
from vinpaint_cli.weights.state import canonical, load_checkpoint, load_into, save_checkpoint


def tiny() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.Linear(4, 5, bias=False))


class Harmful:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.mark,))  # type: ignore[return-value]  # what a hostile pickle would do


def test_safetensors_there_and_back(tmp_path: Path) -> None:
    net = tiny()
    config = {"channels": 8, "patches": [[1, 2]]}
    save_checkpoint(tmp_path / "deep" / "net.safetensors", net, {"config": config, "step": 7})
    found = load_checkpoint(tmp_path / "deep" / "net.safetensors")
    assert found.config == config
    assert found.metadata["step"] == 7
    other = tiny()
    load_into(other, found, "net")
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["net.safetensors"]


def test_pth_with_the_network_under_a_key(tmp_path: Path) -> None:
    state = tiny().state_dict()
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save(
        {"netG": wrapped, "config": {"blocks": 2}, "step": 3, "optimizer": {0: torch.ones(1)}}, tmp_path / "a"
    )
    found = load_checkpoint(tmp_path / "a")
    assert list(found.tensors) == list(state)
    assert found.config == {"blocks": 2}
    assert found.metadata["step"] == 3
    assert "optimizer" not in found.metadata


@pytest.mark.parametrize("zipped", [True, False])
def test_bare_state_dict_in_both_pickle_layouts(tmp_path: Path, zipped: bool) -> None:
    torch.save(tiny().state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    found = load_checkpoint(tmp_path / "a.pth")
    assert set(found.tensors) == {"0.weight", "0.bias", "1.weight"}
    assert found.config is None


def test_prefixes_go_only_when_all_names_have_them() -> None:
    one = torch.ones(1)
    assert list(canonical({"module._orig_mod.a": one, "module._orig_mod.b": one})) == ["a", "b"]
    assert list(canonical({"module.a": one, "b": one})) == ["module.a", "b"]


def test_half_precision_is_widened(tmp_path: Path) -> None:
    net = tiny()
    save_checkpoint(tmp_path / "h.safetensors", net.half(), {})
    with torch.device("meta"):
        other = tiny()
    load_into(other, load_checkpoint(tmp_path / "h.safetensors"), "h")
    assert all(p.dtype == torch.float32 and p.device.type == "cpu" for p in other.parameters())


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, zipped: bool) -> None:
    path, mark = tmp_path / "evil.pth", tmp_path / "ran"
    torch.save({"netG": Harmful(mark)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="source you trust"):
        load_checkpoint(path)
    assert not mark.exists()


def test_plain_pickle_with_code_is_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "evil.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Harmful(mark)))
    with pytest.raises(WeightsError, match=r"evil\.pkl"):
        load_checkpoint(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\n <!DOCTYPE html><html><body>quota exceeded</body></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"", "neither a PyTorch checkpoint nor safetensors"),
        (b"RIFF....", "neither a PyTorch checkpoint nor safetensors"),
        (b"PK\x03\x04 and then nothing of use", "damaged"),
        (b"\x80\x02broken", "damaged"),
        (b"\x20\0\0\0\0\0\0\0{ not json", "damaged"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=told) as caught:
        load_checkpoint(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_truncated_files_are_damaged(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"w.{suffix}"
    if suffix == "pth":
        torch.save({"netG": tiny().state_dict()}, path)
    else:
        save_checkpoint(path, tiny(), {"config": {"channels": 8}})
    whole = path.read_bytes()
    path.write_bytes(whole[: max(9, int(len(whole) * share))])
    with pytest.raises(WeightsError, match="damaged") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        load_checkpoint(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="cannot read"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {"netG": {}}, {"step": 3}, torch.ones(3)])
def test_a_checkpoint_without_named_tensors(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"no tensors|not a network"):
        load_checkpoint(tmp_path / "w.pth")


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    torch.save({"a": torch.tensor([1.0, float("nan")])}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="a holds values that are not finite"):
        load_checkpoint(tmp_path / "w.pth")


def test_another_network_is_told_by_names_and_shapes(tmp_path: Path) -> None:
    state = tiny().state_dict()
    del state["0.bias"]
    state["1.weight"] = torch.zeros(5, 5)
    state["extra"] = torch.zeros(1)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        load_into(tiny(), load_checkpoint(tmp_path / "w.pth"), "w.pth")
    told = str(caught.value)
    assert "1 missing (0.bias)" in told
    assert "1 unexpected (extra)" in told
    assert "1.weight (5, 5) instead of (5, 4)" in told


def test_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write weights"):
        save_checkpoint(tmp_path / "file" / "net.safetensors", tiny(), {})
