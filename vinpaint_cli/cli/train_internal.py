"""``vinpaint train-internal``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vinpaint_cli.cli import options as o
from vinpaint_cli.cli import prompt_options as p
from vinpaint_cli.cli.boundary import stops_told
from vinpaint_cli.cli.console import console_of, duration

if TYPE_CHECKING:
    from vinpaint_cli.removal.train_internal import TrainInternalReport

Config = Annotated[
    str,
    typer.Option(
        "--config",
        metavar="NAME|FILE",
        help="quick: from bundled weights; refine, stack, base: the paper's, from nothing; or a TOML file.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option("--out", "-o", metavar="FILE", help="Default: INPUT's name with .internal.safetensors."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of everything drawn at random.")]
Resume = Annotated[
    bool | None,
    typer.Option(
        "--resume/--no-resume",
        help="Demand that a fit was stopped here, or start afresh (default: go on when one was).",
    ),
]


def train_internal(
    context: typer.Context,
    path: o.Input,
    mask: o.Masks = None,
    box: o.Boxes = None,
    invert: o.Invert = False,
    mask_label: o.MaskLabel = None,
    mask_hold: o.MaskHold = False,
    mask_resize: o.MaskResize = False,
    dilate: o.Dilate = None,
    start: o.Start = None,
    end: o.End = None,
    click: p.Clicks = None,
    exclude: p.Excludes = None,
    box_prompt: p.BoxPrompts = None,
    from_frame: p.FromFrames = None,
    fix: p.Fixes = None,
    segmenter: p.SegmenterName = "auto",
    segmenter_weights: p.SegmenterWeights = None,
    track: p.TrackerName = "flow",
    minutes: o.Minutes = None,
    steps: o.Steps = None,
    config: Config = "quick",
    seed: Seed = 0,
    propagate: o.Propagate = True,
    device: o.Device = "auto",
    out: Out = None,
    resume: Resume = None,
    as_json: o.Json = False,
    yes: o.Yes = False,
    no: o.No = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Fit a network to one clip, for `remove --method internal --weights FILE`.

    With a mask or a box it is fitted around that hole; without, to the whole clip, for any hole later.
    Ctrl-C keeps the best there is, and the same command goes on.
    """
    from vinpaint_cli.masks.sources.options import MaskOptions
    from vinpaint_cli.pipeline.options import FitOptions
    from vinpaint_cli.removal.train_internal import TrainInternalOptions, default_fit_output, is_begun
    from vinpaint_cli.removal.train_internal import train_internal as run

    console = console_of(context)
    console.setup(quiet, verbose)
    prompts = p.prompts_of(click, exclude, box_prompt, from_frame, fix, segmenter, segmenter_weights, track)
    hole = MaskOptions(
        masks=tuple(mask or ()),
        boxes=tuple(box or ()),
        invert=invert,
        label=mask_label,
        dilate=dilate,
        hold=mask_hold,
        resize=mask_resize,
        start=start,
        end=end,
        prompts=prompts,
    )
    given = hole if hole != MaskOptions() else None
    target = out or str(default_fit_output(path))
    asked = () if resume or is_begun(Path(target)) else (target,)  # a stopped fit goes on in its own file
    overwrite = console.may_overwrite(yes, no, *asked)
    options = TrainInternalOptions(given, FitOptions(minutes, steps, config, seed), device, propagate)
    with stops_told():
        report = run(path, target, options, overwrite=overwrite, resume=resume, watcher=console.watcher())
    for line in report.warnings:
        console.warn(line)
    console.say(summary(report), "bold")
    if as_json:
        console.data(asdict(report))


def summary(report: TrainInternalReport) -> str:
    """The last line."""
    gain = report.psnr - report.smooth
    if not any(report.used):
        return (
            f"{report.output}: {report.steps} steps in {duration(report.seconds)} were too few, or gained "
            "too little on the pixels kept aside, to be used, so holes are filled without them "
            f"({report.smooth:.2f} dB); more --minutes may help"
        )
    return (
        f"{report.output}: {report.steps} steps in {duration(report.seconds)}, hidden pixels kept aside at "
        f"{report.psnr:.2f} dB ({gain:+.2f} dB over a smooth fill)"
    )
