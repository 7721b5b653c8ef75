from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.masks.segment import open_segmenter, sam2

INSTALLED = importlib.util.find_spec("sam2") is not None
NEEDS_PACKAGE = pytest.mark.skipif(not INSTALLED, reason="the optional package sam2 is not installed")


@pytest.mark.skipif(INSTALLED, reason="the optional package sam2 is installed")
def test_without_its_package_it_says_how_to_get_it() -> None:
    with pytest.raises(UsageError, match=r"pip install 'vinpaint\[sam2\]'"):
        open_segmenter("sam2", "anything.pt")


def test_without_weights_it_asks_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sam2, "find_spec", lambda name: object())
    with pytest.raises(WeightsError, match="--segmenter-weights"):
        open_segmenter("sam2")


def test_another_networks_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sam2, "find_spec", lambda name: object())
    torch.save({"model": {"weight": torch.zeros(3)}}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="not describe a SAM 2 network"):
        open_segmenter("sam2", str(tmp_path / "other.pt"))


@pytest.mark.parametrize(
    ("width", "blocks", "letter"), [(96, 12, "t"), (96, 16, "s"), (112, 24, "b+"), (144, 48, "l")]
)
@pytest.mark.parametrize("release", ["sam2", "sam2.1"])
def test_shapes_tell_size_and_release(width: int, blocks: int, letter: str, release: str) -> None:
    trunk = "image_encoder.trunk."
    shapes: dict[str, tuple[int, ...]] = {f"{trunk}patch_embed.proj.weight": (width, 3, 7, 7)}
    shapes |= {f"{trunk}blocks.{i}.norm1.weight": (width,) for i in range(blocks)}
    if release == "sam2.1":
        shapes["no_obj_embed_spatial"] = (1, 64)
    assert sam2.find_config(shapes) == f"configs/{release}/{release}_hiera_{letter}.yaml"
    del shapes[f"{trunk}blocks.{blocks - 1}.norm1.weight"]
    assert sam2.find_config(shapes) is None


@NEEDS_PACKAGE
@pytest.mark.filterwarnings("ignore")  # what the package and its own dependencies say of each other
@pytest.mark.timeout(600)
def test_a_checkpoint_of_the_smallest_size_is_loaded_and_asked(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = sam2._build("configs/sam2.1/sam2.1_hiera_t.yaml")
    torch.save({"model": network.state_dict()}, tmp_path / "sam2.1_hiera_tiny.pt")
    segmenter = open_segmenter("sam2", str(tmp_path / "sam2.1_hiera_tiny.pt"), "cpu")
    loaded = segmenter._network.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(value, loaded[name]) for name, value in network.state_dict().items())
    rgb = np.random.default_rng(1).integers(0, 256, (30, 50, 3), np.uint8)
    found = segmenter.segment(rgb, [(20, 10), (40, 20)], [True, False], None)[0].probability
    assert (found.shape, found.dtype) == ((30, 50), np.float32)
    assert found[10, 20] == 1
    assert found[20, 40] == 0
    refined = segmenter.refine(rgb, found)
    assert refined.shape == (30, 50)
    assert 0 <= refined.min() <= refined.max() <= 1
