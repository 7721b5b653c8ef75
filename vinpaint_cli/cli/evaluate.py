"""``vinpaint evaluate``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from vinpaint_cli.cli import options as o
from vinpaint_cli.cli.console import Console, console_of
from vinpaint_cli.errors import UsageError

if TYPE_CHECKING:
    from vinpaint_cli.evaluate.results import Evaluation

Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="A tree as DAVIS has it (JPEGImages/CLIP/*.jpg, Annotations/CLIP/*.png), or a folder of videos.",
        show_default=False,
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", metavar="NAME", help="See `vinpaint methods`. Repeatable (default: propagate)."),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--masks",
        metavar="KIND|FOLDER",
        help="stationary, moving, box, moving-ellipse, objects (of another clip), or a folder with masks "
        "for each clip. Repeatable (default: stationary).",
    ),
]
Size = Annotated[
    str, typer.Option("--size", metavar="WxH|native", help="Size that clips are scaled to before all else.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Other seeds make other holes.")]
Clips = Annotated[
    str | None, typer.Option("--clips", metavar="A,B,…", help="Only these clips (default: all).")
]
Frames = Annotated[
    int | None, typer.Option("--frames", metavar="N", help="At most the first N frames of each clip.")
]
Report = Annotated[
    str | None,
    typer.Option(
        "--report",
        metavar="DIR",
        help="Folder for table.md, results.json and index.html with pictures to look at.",
    ),
]

NATIVE = "native"
_SIZE = re.compile(r"(\d{1,5})[x×](\d{1,5})", re.IGNORECASE)


def evaluate(
    context: typer.Context,
    dataset: Dataset,
    method: Methods = None,
    weights: o.Weights = None,
    masks: Kinds = None,
    size: Size = "432x240",
    seed: Seed = 0,
    clips: Clips = None,
    frames: Frames = None,
    propagate: o.Propagate = True,
    texture: o.Texture = True,
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    minutes: o.Minutes = None,
    steps: o.Steps = None,
    fit_config: o.FitConfig = "quick",
    fit_seed: o.FitSeed = 0,
    report: Report = None,
    as_json: o.Json = False,
    yes: o.Yes = False,
    no: o.No = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Measure methods: holes are made in clips whose truth is known, filled, and compared with it.

    The baselines telea and nearest run without propagation before them, so that every table has a floor.
    """
    from vinpaint_cli.evaluate.run import EvaluateOptions, evaluate_methods
    from vinpaint_cli.pipeline.options import FitOptions

    console = console_of(context)
    console.setup(quiet, verbose)
    chosen = EvaluateOptions(
        methods=tuple(method or ("propagate",)),
        weights=weights,
        masks=tuple(masks or ("stationary",)),
        size=parse_size(size),
        seed=seed,
        clips=tuple(name.strip() for name in clips.split(",") if name.strip()) if clips else (),
        frames=frames,
        propagate=propagate,
        texture=texture,
        device=device,
        precision=precision,
        fit=FitOptions(minutes, steps, fit_config, fit_seed),
    )
    overwrite = console.may_overwrite(yes, no, *([report] if report else []))
    found = evaluate_methods(dataset, chosen, report=report, overwrite=overwrite, watcher=console.watcher())
    _tell(console, found, report, as_json)


def _tell(console: Console, evaluation: Evaluation, report: str | None, as_json: bool) -> None:
    """The table, or everything as JSON, on stdout; where the report is."""
    from vinpaint_cli.evaluate.report import finite
    from vinpaint_cli.evaluate.table import totals_table

    for line in evaluation.absent:
        console.say(line)
    if as_json:
        console.data(finite(evaluation.to_dict()))
    else:
        console.lines("\n".join(totals_table(evaluation)))
    if report:
        console.say(f"{report}: table.md, results.json, index.html", "bold")


def parse_size(text: str) -> tuple[int, int] | None:
    """``432x240`` as ``(width, height)``, None for ``native``; UsageError for anything else."""
    if text == NATIVE:
        return None
    found = _SIZE.fullmatch(text.strip())
    if found is None or not (int(found[1]) and int(found[2])):
        raise UsageError(f"--size {text!r} cannot be read; give WIDTHxHEIGHT such as 432x240, or {NATIVE}")
    return int(found[1]), int(found[2])
