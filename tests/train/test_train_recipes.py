"""What the recipes of the methods besides STTN promise, on networks of a few thousand weights."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vinpaint_cli.cli.app import run as command
from vinpaint_cli.errors import InputError, UsageError
from vinpaint_cli.methods import load_method
from vinpaint_cli.nets.flow import estimate_flow
from vinpaint_cli.train import checkpoint
from vinpaint_cli.train.checkpoint import export
from vinpaint_cli.train.config import Optimisation, TrainConfig, preset_names, read_config
from vinpaint_cli.train.draw import Draws
from vinpaint_cli.train.loop import Run, RunProgress, learning_rate, train
from vinpaint_cli.train.pack import Pack
from vinpaint_cli.train.recipes import RECIPES, recipe_of
from vinpaint_cli.train.recipes.base import Stage, split
from vinpaint_cli.train.recipes.flow_recurrent import flow_estimator
from vinpaint_cli.types import Clip
from vinpaint_cli.weights.state import load_checkpoint

NEW = ("combcn", "flow-recurrent")
BOTH_WAYS = [*NEW, "combcn blend_head", "flow-recurrent blend_head"]
CPU = torch.device("cpu")
NETWORKS: dict[str, dict[str, Any]] = {
    "combcn": {"width": 4, "volume_width": 2, "prefill": True},
    "flow-recurrent": {
        "width": 4,
        "blocks": 1,
        "inpainter": [4, 8],
        "completer": [4, 8],
        "blender": [4, 4, 4],
        "prefill": True,
        "align": True,
    },
}


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on this machine changes which losses there are."""
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "store"))


def config_of(method: str, steps: int = 10, **network: Any) -> TrainConfig:
    """``method`` may have `` blend_head`` after it."""
    method, _, blend_head = method.partition(" ")
    if blend_head:
        network |= {"judges": True} | ({"residual": "inpainted"} if method == "flow-recurrent" else {})
    return TrainConfig.from_dict(
        {
            "network": NETWORKS[method] | network,
            "data": {
                "size": [48, 32],
                "batch": 2,
                "frames": [3],
                "consecutive": True,
                "hidden": 0.97 if blend_head else 0.5,
            },
            "train": {"steps": steps, "warmup": 2, "rate": 2e-3, "betas": [0.9, 0.99], "stages": [0.3]},
            "seed": 5,
        }
    )


def sit(
    config: TrainConfig, method: str, pack: Pack, out: Path, resume: Any = None, **options: Any
) -> tuple[Any, RunProgress]:
    torch.manual_seed(config.seed)
    recipe = recipe_of(method)(config, CPU)
    run = replace(Run(out, CPU, log_every=1), **options)
    return recipe, train(recipe, [pack], run, resume)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("method", NEW)
@pytest.mark.parametrize("stop", [2, 5])
def test_ten_steps_are_as_many_in_two_sittings(method: str, stop: int, pack: Pack, tmp_path: Path) -> None:
    """Whether the first sitting ends in the first stage, which is three steps long, or in the second."""
    config = config_of(method)
    sit(config, method, pack, tmp_path / "whole")
    sit(config, method, pack, tmp_path / "parts", stop_at=stop)
    half = checkpoint.read(tmp_path / "parts")
    assert half["stage"] == ([0, 0] if stop < 3 else [1, 3])
    sit(config, method, pack, tmp_path / "parts", half)
    whole, parts = (checkpoint.read(tmp_path / name) for name in ("whole", "parts"))
    for key in ("modules", "ema", "optimisers", "random", "metrics", "stage"):
        assert same(whole[key], parts[key]), key
    assert not same(half["ema"], whole["ema"])


@pytest.mark.parametrize(
    ("method", "first", "second"),
    [
        ("combcn", {"volume"}, {"volume", "frames"}),
        ("flow-recurrent", {"inpainter", "completer"}, {"temporal", "blender"}),
    ],
)
def test_a_stage_moves_its_own_networks(
    method: str, first: set[str], second: set[str], pack: Pack, tmp_path: Path
) -> None:
    recipe = recipe_of(method)(config_of(method), CPU)
    batch = Draws([pack], recipe.config.data, 1)[0]

    def moved_by(stage: str) -> set[str]:
        before = {k: v.clone() for k, v in recipe.generator.state_dict().items()}
        for number in range(2):
            recipe.step(batch, number, stage)
        after = recipe.generator.state_dict()
        return {
            name.partition(".")[0] for name, value in after.items() if not torch.equal(value, before[name])
        }

    assert [moved_by(stage.name) for stage in recipe.stages] == [first, second]


@pytest.mark.parametrize("method", BOTH_WAYS)
def test_one_batch_can_be_learnt_by_heart(method: str, pack: Pack) -> None:
    torch.manual_seed(0)
    recipe = recipe_of(method.split()[0])(config_of(method), CPU)
    batch = Draws([pack], recipe.config.data, 1)[3]
    for stage in recipe.stages:
        numbers = [recipe.step(batch, number, stage.name) for number in range(15)]
        early, late = (np.mean([each["loss"] for each in part]) for part in (numbers[:5], numbers[-5:]))
        assert late < early, stage
        assert all(numbers[-1].keys() == each.keys() for each in numbers)
    shown, picture = recipe.show(recipe.generator.eval(), batch)
    assert shown["psnr"] > shown["start"]
    assert picture.shape == (3, 2 * 32, 4 * 48)


@pytest.mark.parametrize("named", BOTH_WAYS)
def test_what_is_exported_fills_as_what_was_trained(named: str, pack: Pack, tmp_path: Path) -> None:
    method = named.split()[0]
    sit(config_of(named, 4), method, pack, tmp_path / "run")
    state = checkpoint.read(tmp_path / "run")
    path = export(tmp_path / "run", tmp_path / "w.safetensors", "Apache-2.0")
    told = load_checkpoint(path)
    assert all(t.dtype == torch.float16 for t in told.tensors.values() if t.is_floating_point())
    assert TrainConfig.from_dict(told.metadata["training"]) == config_of(named, 4)
    method_of_file = load_method(method, weights=path)
    network = recipe_of(method).build(state["network"])
    network.load_state_dict(state["ema"])
    rounded = {k: v.half().float() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    assert same(dict(method_of_file.network.state_dict()), rounded)
    clip = Clip(torch.rand(3, 3, 32, 48), torch.zeros(3, 1, 32, 48), (0, 1, 2))
    clip.holes[..., 8:20, 8:20] = 1
    assert method_of_file.spec.mixes is (named == method)
    filled = method_of_file.fill(clip)
    method_of_file.network.load_state_dict(network.state_dict())
    assert float((method_of_file.fill(clip) - filled).abs().max()) < 0.01


@pytest.mark.parametrize("method", NEW)
def test_half_precision_trains_and_is_judged(method: str, pack: Pack) -> None:
    torch.manual_seed(0)
    recipe = recipe_of(method)(replace(config_of(method), precision="bf16"), CPU)
    batch = Draws([pack], recipe.config.data, 1)[0]
    for stage in recipe.stages:
        numbers = recipe.step(batch, 0, stage.name)
        assert all(torch.tensor(value).isfinite() for value in numbers.values())
        assert numbers["norm"] > 0
    assert recipe.show(recipe.generator.eval(), batch)[0]["psnr"] > 5


def test_perceptual_losses_come_with_the_features(pack: Pack) -> None:
    recipe = recipe_of("flow-recurrent")(config_of("flow-recurrent"), CPU)
    batch = Draws([pack], recipe.config.data, 1)[0]
    without = [set(recipe.step(batch, 0, stage.name)) for stage in recipe.stages]
    recipe.features = lambda pictures: [pictures, pictures[..., ::2, ::2]]
    having = [recipe.step(batch, 1, stage.name) for stage in recipe.stages]
    assert set(having[0]) - without[0] == {"features", "style"}
    assert set(having[1]) - without[1] == {"perceptual"}
    assert having[1]["perceptual"] > 0


@pytest.mark.parametrize("method", RECIPES.names)
def test_every_recipe_takes_a_perceptual_loss_on_efficientnet(
    method: str, pack: Pack, config: TrainConfig
) -> None:
    """With a weight so large that it alone moves the network, towards what looks like the truth."""
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra perceptual is not installed")
    if method == "internal":
        config = replace(config, network={"model": "base", "width": 4, "prefill": True})
    elif method != "sttn":
        config = config_of(method)
    weight = 1e4
    config = replace(config, train=replace(config.train, features="efficientnet-lite0", clip=1e9))
    if method == "sttn":
        config = replace(config, train=replace(config.train, perceptual=weight))
    else:
        config = replace(config, losses={"perceptual": weight})
    torch.manual_seed(0)
    recipe = recipe_of(method)(config, CPU)
    assert recipe.notes == ()
    batch = Draws([pack], config.data, 1)[0]
    told = [recipe.step(batch, number, recipe.stages[-1].name) for number in range(6)]
    assert told[0]["loss"] == pytest.approx(weight * told[0]["perceptual"], rel=0.1)
    assert told[-1]["perceptual"] < told[0]["perceptual"]


def test_the_error_counts_in_both_stages_when_it_has_a_weight(pack: Pack) -> None:
    configs = (config_of("flow-recurrent"), replace(config_of("flow-recurrent"), losses={"error": 2.0}))
    without, having = (recipe_of("flow-recurrent")(config, CPU) for config in configs)
    batch = Draws([pack], without.config.data, 1)[0]
    for stage in without.stages:
        assert "error" not in without.step(batch, 0, stage.name)
        assert having.step(batch, 0, stage.name)["error"] < 0


def test_flow_in_training_is_what_remove_uses_where_opencv_is(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(3)
    smooth = torch.nn.functional.interpolate(
        torch.rand(1, 1, 6, 8, generator=generator), size=(48, 64), mode="bicubic"
    ).clamp(0, 1)
    shifted = smooth.roll(2, 3)
    found = flow_estimator(CPU)(smooth, shifted)
    assert found.shape == (1, 2, 48, 64)
    assert found[0, 0, 16:32, 16:48].mean() == pytest.approx(2, abs=0.3)
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert flow_estimator(CPU) is estimate_flow
    monkeypatch.undo()
    assert flow_estimator(torch.device("meta")) is estimate_flow


def test_losses_of_every_stage_are_in_the_log(pack: Pack, tmp_path: Path) -> None:
    said: list[str] = []
    sit(config_of("flow-recurrent", 6), "flow-recurrent", pack, tmp_path, say=said.append)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["completer"]) for row in rows] == [True] * 2 + [False] * 4
    assert [bool(row["short"]) for row in rows] == [False] * 2 + [True] * 4
    assert "perceptual losses are left out" in said[0]
    assert "vinpaint weights pull vgg16" in said[0]
    assert float(rows[0]["rate"]) == pytest.approx(2 * 2e-3 / 2)  # a rate of its own, warming up


def test_each_stage_has_a_warm_up_and_a_cosine_of_its_own() -> None:
    settings = Optimisation(steps=100, rate=1.0, warmup=10, floor=0.0)
    stages = Stage("a", 0.4, 2.0), Stage("b")
    progress, rates = RunProgress(), []
    for step in range(100):
        progress.step = step
        progress.enter(stages, settings)
        rates.append(learning_rate(settings, progress, stages))
    assert progress.stage == 1
    assert progress.began == 40
    assert rates[0] == pytest.approx(0.2)
    assert rates[20] == pytest.approx(1.0)
    assert rates[39] < 0.01
    assert rates[40] == pytest.approx(0.1)
    assert rates[70] == pytest.approx(0.5)


def test_stages_end_where_they_are_told() -> None:
    stages = Stage("a", 0.4), Stage("b")
    assert split(stages, ()) == stages
    assert [stage.until for stage in split(stages, (0.7,))] == [0.7, 1.0]
    for ends in ((0.2, 0.5), (0.0,), (1.0,)):
        with pytest.raises(UsageError, match=r"2 stages \(a, b\)"):
            split(stages, ends)


@pytest.mark.parametrize("method", NEW)
def test_presets_build_networks_and_small_ones_can_travel(method: str) -> None:
    for name in preset_names(method):
        config = read_config(name, method)
        with torch.device("meta"):
            network = recipe_of(method).build(config.network)
        values = sum(t.numel() for t in network.state_dict().values())
        assert all(side % 8 == 0 for side in config.data.size)
        assert config.data.consecutive
        assert name == "base" or values * 2 < 8_000_000


def test_base_is_the_papers() -> None:
    with torch.device("meta"):
        networks = [recipe_of(name).build(read_config("base", name).network) for name in NEW]
    counts = [sum(p.numel() for p in n.parameters()) for n in (networks[0], networks[1].temporal)]
    assert counts == [15_494_838, 2_947_011]
    assert not networks[1].config.align


@pytest.mark.parametrize(
    ("method", "changes", "told"),
    [
        ("combcn", {"data": {"size": [50, 32]}}, "multiples of 8"),
        ("combcn", {"losses": {"style": 1.0}}, "no such key"),
        ("combcn", {"network": {"parts": "none"}}, "cannot be built"),
        ("flow-recurrent", {"data": {"frames": [1], "size": [48, 32]}}, "2 frames or more"),
        ("flow-recurrent", {"network": {"flow": "none"}}, "cannot be built"),
        ("combcn", {"network": {"prefill": True, "judges": True}}, "set hidden = 0.97"),
        ("combcn", {"data": {"hidden": 0.97}}, "set hidden = 0.5"),
        ("flow-recurrent", {"train": {"stages": [0.5, 0.7]}}, "2 stages"),
        ("sttn", {"losses": {"hole": 1.0}}, "table `train`"),
    ],
)
def test_configurations_that_cannot_be_trained_are_told(
    method: str, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        recipe_of(method)(TrainConfig.from_dict({"network": {}, **changes}), CPU)


@pytest.mark.parametrize(("method", "parts"), [("combcn", "volume"), ("combcn", "frames")])
def test_one_network_alone_has_one_stage(method: str, parts: str, pack: Pack) -> None:
    config = config_of(method, parts=parts)
    recipe = recipe_of(method)(replace(config, train=replace(config.train, stages=())), CPU)
    assert len(recipe.stages) == 1
    batch = Draws([pack], config.data, 1)[0]
    assert recipe.step(batch, 0, recipe.stages[0].name)["loss"] > 0
    assert {"psnr", "start"} <= set(recipe.show(recipe.generator, batch)[0])


@pytest.mark.parametrize("changes", [{"recurrent": False}, {"flow": "inpainted"}, {"flow": "corrupted"}])
def test_every_ablation_can_be_trained(changes: dict[str, Any], pack: Pack) -> None:
    config = config_of("flow-recurrent", **changes)
    recipe = recipe_of("flow-recurrent")(replace(config, train=replace(config.train, stages=())), CPU)
    assert len(recipe.stages) == (1 if "recurrent" in changes else 2)
    batch = Draws([pack], config.data, 1)[0]
    for stage in recipe.stages:
        assert recipe.step(batch, 0, stage.name)["loss"] > 0
    shown, _ = recipe.show(recipe.generator.eval(), batch)
    assert (shown["psnr"] == shown["alone"]) is ("recurrent" in changes)


def test_clips_of_frames_that_follow_each_other(pack: Pack) -> None:
    """The texture of the shots moves by two pixels a frame, less when they are zoomed out of."""
    mix = replace(config_of("combcn").data, propagated=0.0, photos=0.0, shots=1.0, batch=1)
    with_gaps, without = (Draws([pack], replace(mix, consecutive=c), 1) for c in (False, True))
    spans = [max(_spans(draws, pack)) for draws in (with_gaps, without)]
    assert spans[0] > 2
    assert spans[1] == 2


def _spans(draws: Draws, pack: Pack) -> list[int]:
    """Frames between the first and the last of each clip drawn."""
    spans: list[int] = []
    blobs = {blob: place for shot in pack.index.shots for place, blob in enumerate(shot.blobs)}
    original = Pack.picture
    seen: list[int] = []

    def looking(self: Pack, span: tuple[int, int]) -> Any:
        seen.append(blobs[span])
        return original(self, span)

    Pack.picture = looking  # type: ignore[method-assign]
    try:
        for step in range(20):
            seen.clear()
            draws[step]
            spans.append(max(seen) - min(seen))
    finally:
        Pack.picture = original  # type: ignore[method-assign]
    return spans


@pytest.mark.parametrize("method", NEW)
def test_the_command_line_trains_goes_on_and_exports(
    method: str, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{k} = {str(v).lower() if isinstance(v, bool) else v!r}" for k, v in NETWORKS[method].items()]
    data = "[data]\nsize = [48, 32]\nframes = [2]\nconsecutive = true\n"
    Path("mine.toml").write_text("\n".join(["[network]", *lines, data]))
    common = ["--data", str(pack.path), "--out", "run", "--device", "cpu", "--workers", "0", "-q"]
    assert command(["train", method, *common, "--config", "mine.toml", "--steps", "2", "--batch", "1"]) == 0
    assert command(["train", method, *common, "--resume", "run", "--steps", "3"]) == 0
    assert checkpoint.read("run")["step"] == 3
    assert command(["train", "sttn", *common, "--resume", "run"]) == 3
    assert command(["train", "export", "run", "-q"]) == 0
    assert load_method(method, weights=f"{method}.safetensors").spec.name == method


def test_nobody_trains_what_is_not_known() -> None:
    with pytest.raises(InputError, match=r"there is no training recipe 'raft'; choose one of .*combcn"):
        recipe_of("raft")


def test_training_needs_neither_av_nor_cv2(pack: Pack, tmp_path: Path) -> None:
    sttn = {
        "channels": 8,
        "blocks": 1,
        "patches": [[3, 2], [3, 2]],
        "size": [48, 32],
        "reduction": 8,
        "prefill": True,
    }
    program = f"""
import sys
for name in ("av", "cv2", "typer", "rich", "scenedetect"):
    sys.modules[name] = None
import pathlib, torch
from vinpaint_cli.train import build
from vinpaint_cli.train.config import TrainConfig
from vinpaint_cli.train.checkpoint import export
from vinpaint_cli.train.loop import train
from vinpaint_cli.train.pack import open_packs
from vinpaint_cli.train.loop import Run
from vinpaint_cli.train.recipes import recipe_of
torch.set_num_threads(1)
cpu = torch.device("cpu")
data = dict(size=[48, 32], batch=1, frames=[2], consecutive=True)
for name, network in {NETWORKS | {"sttn": sttn}!r}.items():
    out = pathlib.Path({str(tmp_path)!r}) / name
    config = TrainConfig.from_dict(dict(network=network, data=data, train=dict(steps=2, adversarial=0.0)))
    train(recipe_of(name)(config, cpu), open_packs([{str(pack.path)!r}]), Run(out, cpu))
    export(out, out / "w.safetensors", "none")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_method_with_a_network_can_be_trained() -> None:
    from vinpaint_cli.methods import method_names, method_spec

    assert {name for name in method_names() if method_spec(name).weights is not None} == set(RECIPES.names)
    assert all(preset_names(name) for name in RECIPES.names)
