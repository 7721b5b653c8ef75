from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from vinpaint_cli.errors import InputError, Interrupted, OutputError
from vinpaint_cli.train import checkpoint
from vinpaint_cli.train.config import TrainConfig
from vinpaint_cli.train.draw import Batch, Draws
from vinpaint_cli.train.loop import Diverged
from vinpaint_cli.train.pack import Pack
from vinpaint_cli.train.recipes.sttn import STTNRecipe

Start = Callable[..., Any]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("adversarial", [0.0, 0.01])
def test_twenty_steps_are_ten_and_ten(
    config: TrainConfig, start: Start, tmp_path: Path, adversarial: float
) -> None:
    config = replace(config, train=replace(config.train, adversarial=adversarial, discriminator=2))
    start(config, tmp_path / "whole")
    start(config, tmp_path / "parts", stop_at=10)
    half = checkpoint.read(tmp_path / "parts")
    assert half["step"] == 10
    assert TrainConfig.from_dict(half["config"]) == config
    start(config, tmp_path / "parts", half)
    whole, parts = (checkpoint.read(tmp_path / name) for name in ("whole", "parts"))
    assert whole["step"] == 20
    for key in ("modules", "ema", "optimisers", "random", "metrics"):
        assert same(whole[key], parts[key]), key
    assert not same(half["ema"], whole["ema"])
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")


def test_a_resumed_run_cuts_off_what_it_had_not_saved(
    config: TrainConfig, start: Start, tmp_path: Path
) -> None:
    start(config, tmp_path, stop_at=8)
    state = checkpoint.read(tmp_path)
    start(config, tmp_path, state, stop_at=14)
    start(config, tmp_path, state, stop_at=12)
    assert [int(row["step"]) for row in rows(tmp_path)] == [2, 4, 6, 8, 10, 12]


def test_one_batch_can_be_learnt_by_heart(config: TrainConfig, pack: Pack) -> None:
    torch.manual_seed(0)
    recipe = STTNRecipe(config, torch.device("cpu"))
    batch = Draws([pack], config.data, 1)[3]
    before, _ = recipe.show(recipe.generator, batch)
    for number in range(40):
        numbers = recipe.step(batch, number)
    after, picture = recipe.show(recipe.generator, batch)
    assert before["psnr"] == pytest.approx(before["start"], abs=1e-3)
    assert after["psnr"] > before["psnr"] + 0.5
    assert after["start"] == before["start"]
    assert numbers["norm"] > 0
    assert picture.shape == (3, 2 * 32, 4 * 48)


def test_numbers_that_are_none_stop_the_run(
    config: TrainConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = STTNRecipe.step

    def poisoned(self: STTNRecipe, batch: Batch, number: int, stage: str) -> dict[str, float]:
        if number == 7:
            with torch.no_grad():
                self.generator.decoder.out.bias.fill_(torch.nan)
        return step(self, batch, number, stage)

    monkeypatch.setattr(STTNRecipe, "step", poisoned)
    with pytest.raises(Diverged, match=r"step 7 gave loss nan.*bad_batch\.pt"):
        start(config, tmp_path, save_every=5)
    bad = torch.load(tmp_path / "bad_batch.pt", weights_only=True)
    assert bad["step"] == 7
    assert bad["truth"].dtype == torch.uint8
    state = checkpoint.read(tmp_path)
    assert state["step"] == 5
    assert all(t.isfinite().all() for t in state["ema"].values())


def test_a_gradient_that_is_none_moves_nothing(config: TrainConfig, pack: Pack) -> None:
    recipe = STTNRecipe(config, torch.device("cpu"))
    recipe.generator.encoder[0].weight.register_hook(lambda grad: grad * torch.inf)
    before = {k: v.clone() for k, v in recipe.generator.state_dict().items()}
    with torch.no_grad():
        recipe.generator.decoder.out.weight.fill_(0.1)
        before["decoder.out.weight"].fill_(0.1)
    numbers = recipe.step(Draws([pack], config.data, 1)[0], 0)
    assert not torch.tensor(numbers["norm"]).isfinite()
    assert same(before, recipe.generator.state_dict())


def test_ctrl_c_saves(
    config: TrainConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = STTNRecipe.step

    def interrupted(self: STTNRecipe, batch: Batch, number: int, stage: str) -> dict[str, float]:
        if number == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, batch, number, stage)

    monkeypatch.setattr(STTNRecipe, "step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped at step 5; go on with --resume"):
        start(config, tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    assert checkpoint.read(tmp_path)["step"] == 5


def test_a_full_disk_leaves_the_checkpoint_before(
    config: TrainConfig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(config, tmp_path, stop_at=2)

    def full(state: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match=r"No space left.*intact"):
        start(config, tmp_path, checkpoint.read(tmp_path), stop_at=4)
    assert checkpoint.read(tmp_path)["step"] == 2
    assert not list(tmp_path.glob("*.part"))


def test_what_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint to go on from"):
        checkpoint.read(tmp_path)
    (tmp_path / "last.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="no checkpoint to go on from"):
        checkpoint.read(tmp_path)
    torch.save({"step": 1}, tmp_path / "last.pt")
    with pytest.raises(InputError, match="not a checkpoint of"):
        checkpoint.read(tmp_path)


def test_a_run_can_be_looked_at(config: TrainConfig, start: Start, tmp_path: Path) -> None:
    lines: list[str] = []
    start(config, tmp_path, stop_at=4, say=lines.append)
    assert {"step", "rate", "loss", "hole", "valid", "psnr", "norm"} <= set(rows(tmp_path)[0])
    assert lines[0].startswith("step 2 ")
    assert (tmp_path / "config.json").is_file()
