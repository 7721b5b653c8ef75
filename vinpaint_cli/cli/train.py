"""``vinpaint train pack|sttn|combcn|flow-recurrent|internal|export|agreement``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vinpaint_cli.cli import options as o
from vinpaint_cli.cli.console import console_of
from vinpaint_cli.errors import InputError, OutputError, UsageError

if TYPE_CHECKING:
    from vinpaint_cli.train.config import TrainConfig
    from vinpaint_cli.train.progress import Run
    from vinpaint_cli.train.recipe import Recipe

Sources = Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Folders or files.")]
Out = Annotated[str, typer.Option("--out", "-o", metavar="PATH", help="Where the result goes.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Seed of everything drawn at random.")]
Data = Annotated[
    list[str], typer.Option("--data", metavar="PACK|FOLDER", help="Packs, or folders of them; repeatable.")
]
Minutes = Annotated[
    float | None, typer.Option(min=0, metavar="M", help="Length of the run instead of steps.")
]
Size = Annotated[str | None, typer.Option(metavar="WxH", help="Size of the clips trained on.")]

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
    app = typer.Typer(help="Train networks: pack data, train, export weights.")
    app.command("pack")(pack)
    for method, title in NETWORKS.items():
        app.command(method, help=f"{title} {TRAINING}")(_trainer(method))
    app.command("export")(export)
    app.command("agreement")(agreement)
    return app


def pack(
    context: typer.Context,
    sources: Sources,
    out: Out = "data.vpack",
    propagated: Annotated[int, typer.Option(min=0, metavar="N", help="Samples with propagated holes.")] = 0,
    photos: Annotated[bool, typer.Option(help="Pack photos.")] = True,
    shots: Annotated[bool, typer.Option(help="Pack shots of videos.")] = True,
    photos_per_source: Annotated[
        int, typer.Option(min=0, metavar="N", help="Most photos of one source, 0 = all.")
    ] = 0,
    photo_side: Annotated[int, typer.Option(min=64, metavar="PX", help="Longest side of photos.")] = 640,
    shot_frames: Annotated[int, typer.Option(min=24, metavar="N", help="Most frames of one video.")] = 240,
    shot_run: Annotated[int, typer.Option(min=5, metavar="N", help="Frames of a shot.")] = 24,
    sample_frames: Annotated[int, typer.Option(min=1, metavar="N", help="Frames of a sample.")] = 6,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of the jpegs.")] = 90,
    still: Annotated[str, typer.Option(metavar="PATTERN", help="Sources of standing cameras.")] = "intel",
    licence: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE=LICENCE", help="Licence of a source; repeatable.")
    ] = None,
    seed: Seed = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Put photos and videos into one file that training reads anywhere.

    The source of a file is its name before `__`, else its folder. With --propagated, holes are drawn over
    clips and filled by optical flow as `remove` does it, so that a network learns what is left to do.
    """
    from vinpaint_cli.train.build import PackOptions, build

    console = console_of(context)
    console.setup(quiet, verbose)
    options = PackOptions(
        propagated=propagated,
        photos=photos,
        shots=shots,
        photos_per_source=photos_per_source,
        photo_side=photo_side,
        frames_per_video=shot_frames,
        run=shot_run,
        frames=sample_frames,
        quality=quality,
        still_groups=still,
        seed=seed or 0,
    )
    build(sources, out, options, _pairs(licence or []), console.detail)
    console.say(f"{out}: {Path(out).stat().st_size / 2**20:.1f} MiB", "bold")


def _trainer(method: str) -> Callable[..., None]:
    """The command that trains one method; they differ in presets and recipe alone."""

    def train_one(
        context: typer.Context,
        data: Data,
        out: Out,
        config: Annotated[
            str, typer.Option(metavar="NAME|FILE", help="small, base (sttn also tiny) or a TOML file.")
        ] = "small",
        steps: Annotated[int | None, typer.Option(min=0, metavar="N", help="Length of the run.")] = None,
        minutes: Minutes = None,
        batch: Annotated[int | None, typer.Option(min=1, metavar="N", help="Clips in a batch.")] = None,
        size: Size = None,
        rate: Annotated[float | None, typer.Option(min=0, help="Highest learning rate.")] = None,
        device: o.Device = "auto",
        precision: Annotated[str | None, typer.Option(metavar="P", help="fp32 or bf16.")] = None,
        workers: Annotated[int | None, typer.Option(min=0, help="Processes that draw batches.")] = None,
        compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
        resume: Annotated[str | None, typer.Option(metavar="DIR", help="Go on from this run.")] = None,
        seed: Seed = None,
        quiet: o.Quiet = False,
        verbose: o.Verbose = False,
    ) -> None:
        from vinpaint_cli.train.config import changed
        from vinpaint_cli.util.cpu import allowed_cores

        console = console_of(context)
        console.setup(quiet, verbose)
        settings, state = _settings(method, config, resume)
        length: dict[str, Any] = {"steps": steps, "minutes": minutes, "rate": rate}
        if minutes is not None:
            length["steps"] = steps or 0
        drawn = {"batch": batch, "size": _size(size)}
        settings = changed(settings, drawn, length, precision=precision, seed=seed)
        recipe, chosen = _recipe(method, settings, device, compiled)
        if workers is None:
            workers = max(1, min(12, allowed_cores() - 2)) if chosen != "cpu" else 1
        _train(recipe, data, _run(out, chosen, workers, console.say), state)

    return train_one


def export(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run, or a checkpoint.")],
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="PATH", help="Default: METHOD.safetensors.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "Apache-2.0",
    quiet: o.Quiet = False,
) -> None:
    """Write the weights of a run as float16 safetensors for `--weights`."""
    from vinpaint_cli.train.export import export as write

    console = console_of(context)
    console.setup(quiet, False)
    path = write(run, out, licence)
    console.say(f"{path}: {path.stat().st_size / 2**20:.1f} MiB", "bold")


def agreement(
    context: typer.Context,
    sources: Sources,
    out: Out = "agreement.npz",
    clips: Annotated[int, typer.Option(min=1, metavar="N", help="Clips drawn from the sources.")] = 500,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Steps of 8 frames.")] = 1600,
    seed: Seed = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Fit the weights by which propagation weighs what its candidates say of each other.

    The file belongs at vinpaint_cli/ops/propagate/scorer.npz. A clip takes about three seconds of one core.
    """
    from vinpaint_cli.train.agreement import fit, gather, write_weights

    console = console_of(context)
    console.setup(quiet, verbose)
    if not Path(out).parent.is_dir():
        raise OutputError(f"the folder of {out} does not exist; make it first")
    examples = gather(sources, clips, seed or 0, console.detail)
    console.say(f"{len(examples)} frames of {clips} clips")

    def tell(step: int, loss: float) -> None:
        if step % 100 == 0:
            console.say(f"step {step}: {loss:.2f} dB")

    write_weights(fit(examples, steps, seed or 0, tell), Path(out))
    console.say(out, "bold")


def _settings(method: str, config: str, resume: str | None) -> tuple[TrainConfig, dict[str, Any] | None]:
    """The configuration, and the checkpoint to go on from."""
    from vinpaint_cli.train import checkpoint
    from vinpaint_cli.train.config import TrainConfig, read_config

    if resume is None:
        return read_config(config, method), None
    state = checkpoint.read(resume)
    if state["method"] != method:
        raise InputError(f"{resume} trained {state['method']}; go on with `vinpaint train {state['method']}`")
    return TrainConfig.from_dict(state["config"]), state


def _recipe(method: str, settings: TrainConfig, device: str, compiled: bool) -> tuple[Recipe, str]:
    import torch

    from vinpaint_cli.pipeline.device import place
    from vinpaint_cli.train.recipe import recipe_of

    chosen = place(device).device
    torch.manual_seed(settings.seed)
    return recipe_of(method)(settings, torch.device(chosen), compiled), chosen


def _train(recipe: Recipe, data: list[str], run: Run, state: dict[str, Any] | None) -> None:
    from vinpaint_cli.train.loop import train
    from vinpaint_cli.train.pack import open_packs

    progress = train(recipe, open_packs(data), run, state)
    minutes = progress.seconds / 60
    run.say(f"{run.out}: {progress.step} steps, {minutes:.0f} minutes, {progress.metrics}")


def _run(out: str, device: str, workers: int, say: Callable[[str], None]) -> Run:
    import torch

    from vinpaint_cli.train.progress import Run

    return Run(Path(out), torch.device(device), workers, say=say)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, mark, height = text.lower().partition("x")
    if not (mark and width.isdigit() and height.isdigit()):
        raise UsageError(f"--size {text!r} is not a size; write it like 432x240")
    return int(width), int(height)


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if not all(pairs.values()):
        raise UsageError("--licence is written SOURCE=LICENCE, like kodak=unrestricted")
    return pairs
