"""``vinpaint evaluate-masks``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vinpaint_cli.cli import options as o
from vinpaint_cli.cli.console import Console, console_of

if TYPE_CHECKING:
    from vinpaint_cli.evaluate.mask_results import MaskEvaluation

Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="A tree as DAVIS has it: JPEGImages/CLIP/*.jpg and Annotations/CLIP/*.png.",
        show_default=False,
    ),
]
Segmenter = Annotated[
    str,
    typer.Option(
        "--segmenter", metavar="NAME", help="What makes a mask of a point or a box: auto, grabcut, sam …"
    ),
]
SegmenterWeights = Annotated[
    str | None,
    typer.Option("--segmenter-weights", metavar="FILE|NAME", help="For a segmenter with a network."),
]
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--tracker",
        metavar="NAME",
        help="What follows the mask. Repeatable (default: flow); warp and copy are measured beside it.",
    ),
]
Prompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        metavar="mask|box|point",
        help="What is given of the first annotated frame: its mask, the box around it, or the deepest point "
        "of its object. Repeatable (default: mask).",
    ),
]
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


def evaluate_masks(
    context: typer.Context,
    dataset: Dataset,
    prompt: Prompts = None,
    segmenter: Segmenter = "auto",
    segmenter_weights: SegmenterWeights = None,
    tracker: Trackers = None,
    clips: Clips = None,
    frames: Frames = None,
    device: o.Device = "auto",
    report: Report = None,
    as_json: o.Json = False,
    yes: o.Yes = False,
    no: o.No = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Measure masks: prompt one frame of annotated clips, follow the object, compare with the annotations."""
    from vinpaint_cli.evaluate.masks import EvaluateMasksOptions
    from vinpaint_cli.evaluate.masks import evaluate_masks as measure

    console = console_of(context)
    console.setup(quiet, verbose)
    chosen = EvaluateMasksOptions(
        segmenter=segmenter,
        segmenter_weights=segmenter_weights,
        trackers=tuple(tracker or ("flow",)),
        prompts=tuple(prompt or ("mask",)),
        clips=tuple(name.strip() for name in clips.split(",") if name.strip()) if clips else (),
        frames=frames,
        device=device,
    )
    overwrite = console.may_overwrite(yes, no, *([report] if report else []))
    found = measure(dataset, chosen, report=report, overwrite=overwrite, watcher=console.watcher())
    _tell(console, found, report, as_json)


def _tell(console: Console, evaluation: MaskEvaluation, report: str | None, as_json: bool) -> None:
    """The table, or everything as JSON, on stdout; where the report is."""
    from vinpaint_cli.evaluate.mask_results import totals_table
    from vinpaint_cli.evaluate.report import finite

    if as_json:
        console.data(finite(evaluation.to_dict()))
    else:
        console.lines("\n".join(totals_table(evaluation)))
    if report:
        console.say(f"{report}: table.md, results.json, index.html", "bold")
