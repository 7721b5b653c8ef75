from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vinpaint_cli.cli.app import run
from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods.sttn.method import load_network
from vinpaint_cli.methods.sttn.net import STTN, STTNConfig
from vinpaint_cli.train import checkpoint
from vinpaint_cli.train.checkpoint import export
from vinpaint_cli.train.config import TrainConfig, changed, preset_names, read_config
from vinpaint_cli.weights.state import load_checkpoint

Start = Callable[..., Any]


def test_the_file_rebuilds_the_averaged_network(config: TrainConfig, start: Start, tmp_path: Path) -> None:
    start(config, tmp_path / "run", stop_at=3)
    path = export(tmp_path / "run", tmp_path / "w.safetensors", "Apache-2.0", {"davis": 30.0})
    network = load_network(path)
    ema = checkpoint.read(tmp_path / "run")["ema"]
    assert network.config == STTNConfig.from_dict(config.network)
    assert all(torch.equal(t, ema[name].half().float()) for name, t in network.state_dict().items())
    stored = load_checkpoint(path)
    assert all(t.dtype == torch.float16 for t in stored.tensors.values())
    told = stored.metadata
    assert told["licence"] == "Apache-2.0"
    assert told["metrics"]["davis"] == 30.0
    assert told["step"] == 3
    assert {"name": "flowers", "licence": "CC0-1.0"} in told["data"]
    assert TrainConfig.from_dict(told["training"]) == config


@pytest.mark.parametrize("name", preset_names("sttn"))
def test_presets_build_networks(name: str) -> None:
    config = read_config(name)
    with torch.device("meta"):
        network = STTN(STTNConfig.from_dict(config.network))
    assert network.config.fits(*config.data.size)
    weights = sum(p.numel() for p in network.parameters())
    assert weights == 16_556_163 if name == "base" else weights <= 5_000_000


def test_a_file_changes_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('preset = "small"\nseed = 7\n[train]\nrate = 0.25\n[data]\nsize = [216, 120]\n')
    config = read_config(str(path))
    assert (config.train.rate, config.seed, config.data.size) == (0.25, 7, (216, 120))
    small = read_config("small")
    assert config.network == small.network
    assert config.train.valid == small.train.valid
    assert changed(config, {"batch": 2, "size": None}, {"steps": 9}).data.batch == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[train]\nspeed = 1\n", "speed"),
        ("[optimiser]\nrate = 1\n", "optimiser"),
        ('preset = "huge"\n', "no preset 'huge'"),
        ("[[[", "cannot read"),
        ('precision = "int4"\n', "fp32 or bf16"),
        ("[data]\nframes = [1, 2]\n", "equally long"),
    ],
)
def test_configurations_that_mean_nothing_are_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(UsageError, match=told):
        read_config(str(tmp_path / "bad.toml"))


def test_png_is_a_png(tmp_path: Path) -> None:
    from PIL import Image

    picture = torch.rand(3, 5, 7)
    checkpoint.write_png(tmp_path / "p.png", picture)
    with Image.open(tmp_path / "p.png") as read:
        pixels = torch.tensor(list(read.get_flattened_data())).view(5, 7, 3)
    assert torch.equal(pixels, picture.mul(255).round().permute(1, 2, 0).long())


def test_the_command_line_packs_trains_goes_on_and_exports(
    material: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = "[network]\nchannels = 8\nblocks = 1\npatches = [[3, 2], [3, 2]]\nsize = [48, 32]\nreduction = 8\n"
    mine += "prefill = true\n[data]\nsize = [48, 32]\nframes = [2]\n[train]\nadversarial = 0.0\n"
    Path("mine.toml").write_text(mine)
    assert run(["train", "pack", str(material), "-o", "d.vpack", "--licence", "views=CC0-1.0", "-q"]) == 0
    common = ["--data", "d.vpack", "--out", "run", "--device", "cpu", "--workers", "0", "-q"]
    assert run(["train", "sttn", *common, "--config", "mine.toml", "--steps", "2", "--batch", "1"]) == 0
    assert run(["train", "sttn", *common, "--resume", "run", "--steps", "3"]) == 0
    assert checkpoint.read("run")["step"] == 3
    assert run(["train", "export", "run", "-o", "w.safetensors", "-q"]) == 0
    assert load_network("w.safetensors").config.channels == 8
    assert run(["train", "sttn", *common, "--size", "50x32", "--config", "mine.toml"]) == 2
    assert run(["train", "sttn", "--data", "none.vpack", "--out", "r", "-q"]) == 3
