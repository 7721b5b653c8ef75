"""``vinpaint mask``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from vinpaint_cli.cli import options as o
from vinpaint_cli.cli import prompt_options as p
from vinpaint_cli.cli.console import Console, console_of

if TYPE_CHECKING:
    from vinpaint_cli.mask_making.run import MaskReport


def mask(
    context: typer.Context,
    path: o.Input,
    masks: o.Masks = None,
    box: o.Boxes = None,
    invert: o.Invert = False,
    mask_label: o.MaskLabel = None,
    mask_hold: o.MaskHold = False,
    mask_resize: o.MaskResize = False,
    dilate: o.Dilate = None,
    shadows: o.Shadows = False,
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
    output: o.MaskOutput = None,
    preview: o.MaskPreview = None,
    overlay: o.Overlay = None,
    memory: o.MaskMemory = None,
    as_json: o.Json = False,
    yes: o.Yes = False,
    no: o.No = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Write the hole alone, as a lossless video or a folder of pictures, or draw it on a picture or the clip.

    The hole is what masks and boxes cover, or an object that was pointed at and is followed.

    Growing and time range are in it: use it with `remove --mask mask.mkv --dilate 0`.
    """
    from vinpaint_cli.mask_making.run import default_mask_output, make_mask
    from vinpaint_cli.masks.sources.options import MaskOptions

    console = console_of(context)
    console.setup(quiet, verbose)
    prompts = p.prompts_of(click, exclude, box_prompt, from_frame, fix, segmenter, segmenter_weights, track)
    hole = MaskOptions(
        masks=tuple(masks or ()),
        boxes=tuple(box or ()),
        invert=invert,
        label=mask_label,
        dilate=dilate,
        hold=mask_hold,
        resize=mask_resize,
        start=start,
        end=end,
        prompts=prompts,
        shadows=shadows,
    )
    if output is None and preview is None and overlay is None:
        output = str(default_mask_output(path))
    targets = [target for target in (output, preview, overlay) if target is not None]
    overwrite = console.may_overwrite(yes, no, *targets)
    watcher = console.watcher()
    report = make_mask(
        path,
        output,
        hole,
        preview=preview,
        overlay=overlay,
        overwrite=overwrite,
        memory=memory,
        watcher=watcher,
    )
    tell(console, report, as_json)


def tell(console: Console, report: MaskReport, as_json: bool) -> None:
    """Warnings, where the files are, and the JSON object."""
    for line in report.warnings:
        console.warn(line)
    made = (report.output, report.preview, report.overlay)
    files = " and ".join(name for name in made if name is not None)
    console.say(
        f"{files}: hole on {report.hole_frames} of {report.frames} frames, "
        f"{report.share:.1%} of the picture on average",
        "bold",
    )
    if as_json:
        console.data(asdict(report))
