"""``vinpaint train pack|sttn|combcn|flow-recurrent|internal|export|agreement``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vinpaint_cli.cli.command import PlainCommand, PlainGroup, add_commands, command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.errors import InputError, OutputError, UsageError
from vinpaint_cli.options import Values, build

if TYPE_CHECKING:
    from vinpaint_cli.train.config import TrainConfig

NETWORKS = {
    "sttn": "Train an STTN.",
    "combcn": "Train a CombCN: its 3-D network alone first, then both together.",
    "flow-recurrent": "Train the frame-recurrent networks: frame by frame first, then on sequences.",
    "internal": "Train what `train-internal` starts from, on many clips instead of one.",
}
"""What can be trained, and what the help says of it."""

TRAINING = """Ctrl-C saves; `--resume` goes on exactly where it stopped.

Options given with --resume change the run's own; without any it goes on as it was.
"""


def train_app() -> typer.Typer:
    """The commands below ``vinpaint train``."""
    app = typer.Typer(cls=PlainGroup, help="Train networks: pack data, train, export weights.")
    add_commands(app, pack=pack)
    for method, title in NETWORKS.items():
        app.command(method, cls=PlainCommand, help=f"{title} {TRAINING}")(_trainer(method))
    add_commands(app, export=export, agreement=agreement)
    return app


@command("train-pack")
def pack(
    console: Console,
    values: Values,
    sources: tuple[str, ...],
    out: str,
    licence: tuple[str, ...],
    seed: int | None,
) -> None:
    """Put photos and videos into one file that training reads anywhere.

    The source of a file is its name before `__`, else its folder. With --propagated, holes are drawn over
    clips and filled by optical flow as `remove` does it, so that a network learns what is left to do.
    """
    from vinpaint_cli.train.build import PackOptions
    from vinpaint_cli.train.build import build as pack_up

    options = build(PackOptions, {**values, "seed": seed or 0})
    pack_up(sources, out, options, _pairs(licence), console.detail)
    console.say(f"{out}: {Path(out).stat().st_size / 2**20:.1f} MiB", "bold")


def _trainer(method: str) -> Callable[..., None]:
    """The command that trains one method; they differ in presets and recipe alone."""

    @command("train-network")
    def train_one(
        console: Console,
        values: Values,
        data: tuple[str, ...],
        out: str,
        device: str,
        workers: int | None,
        compile: bool,
    ) -> None:
        import torch

        from vinpaint_cli.pipeline.device import place
        from vinpaint_cli.train.loop import Run, train
        from vinpaint_cli.train.pack import open_packs
        from vinpaint_cli.train.recipes import recipe_of
        from vinpaint_cli.util import allowed_cores

        settings, state = _settings(method, values)
        chosen = torch.device(place(device).device)
        torch.manual_seed(settings.seed)
        recipe = recipe_of(method)(settings, chosen, compile)
        if workers is None:
            workers = max(1, min(12, allowed_cores() - 2)) if chosen.type != "cpu" else 1
        run = Run(Path(out), chosen, workers, say=console.say)
        progress = train(recipe, open_packs(data), run, state)
        minutes = progress.seconds / 60
        console.say(f"{out}: {progress.step} steps, {minutes:.0f} minutes, {progress.metrics}")

    return train_one


def _settings(method: str, values: Values) -> tuple[TrainConfig, dict[str, Any] | None]:
    """The configuration with what is changed of it, and the checkpoint to go on from."""
    from vinpaint_cli.train import checkpoint
    from vinpaint_cli.train.config import TrainConfig, changed, read_config

    resume, state = values["resume"], None
    if resume is None:
        settings = read_config(values["config"], method)
    else:
        state = checkpoint.read(resume)
        trained = state["method"]
        if trained != method:
            raise InputError(f"{resume} trained {trained}; go on with `vinpaint train {trained}`")
        settings = TrainConfig.from_dict(state["config"])
    length = {key: values[key] for key in ("steps", "minutes", "rate")}
    if values["minutes"] is not None:
        length["steps"] = values["steps"] or 0
    drawn = {"batch": values["batch"], "size": _size(values["size"])}
    return changed(settings, drawn, length, precision=values["precision"], seed=values["seed"]), state


@command("train-export")
def export(console: Console, run: str, out: str | None, licence: str) -> None:
    """Write the weights of a run as float16 safetensors for `--weights`."""
    from vinpaint_cli.train.checkpoint import export as write

    path = write(run, out, licence)
    console.say(f"{path}: {path.stat().st_size / 2**20:.1f} MiB", "bold")


@command("train-agreement")
def agreement(
    console: Console, sources: tuple[str, ...], out: str, clips: int, steps: int, seed: int | None
) -> None:
    """Fit the weights by which propagation weighs what its candidates say of each other.

    The file belongs at vinpaint_cli/ops/propagate/scorer.npz. A clip takes about three seconds of one core.
    """
    from vinpaint_cli.train.candidate_scorer import collect_examples, fit_scorer, write_weights

    if not Path(out).parent.is_dir():
        raise OutputError(f"the folder of {out} does not exist; make it first")
    examples = collect_examples(sources, clips, seed or 0, console.detail)
    console.say(f"{len(examples)} frames of {clips} clips")

    def tell(step: int, loss: float) -> None:
        if step % 100 == 0:
            console.say(f"step {step}: {loss:.2f} dB")

    write_weights(fit_scorer(examples, steps, seed or 0, tell), Path(out))
    console.say(out, "bold")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, mark, height = text.lower().partition("x")
    if not (mark and width.isdigit() and height.isdigit()):
        raise UsageError(f"--size {text!r} is not a size; write it like 432x240")
    return int(width), int(height)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if not all(pairs.values()):
        raise UsageError("--licence is written SOURCE=LICENCE, like kodak=unrestricted")
    return pairs
