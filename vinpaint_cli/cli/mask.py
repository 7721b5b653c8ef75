"""``vinpaint mask``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from vinpaint_cli.cli.command import command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.progress import BarListener
from vinpaint_cli.options import Values, build

if TYPE_CHECKING:
    from vinpaint_cli.mask_making.run import MaskReport


@command("mask")
def mask(
    console: Console,
    values: Values,
    input: str,
    output: str | None,
    preview: str | None,
    overlay: str | None,
    events: str | None,
    memory: str | None,
    allow_playlists: bool,
    as_json: bool,
) -> None:
    """Write the hole alone, as a lossless video or a folder of pictures, or draw it on a picture or the clip.

    The hole is what masks and boxes cover, an object that was pointed at and is followed, or text.

    Growing and time range are in it: use it with `remove --mask mask.mkv --dilate 0`.
    """
    from vinpaint_cli.mask_making.run import default_mask_output, make_mask
    from vinpaint_cli.masks.sources.options import MaskOptions

    if output is None and preview is None and overlay is None and events is None:
        output = str(default_mask_output(input))
    report = make_mask(
        input,
        output,
        build(MaskOptions, values),
        preview=preview,
        overlay=overlay,
        events=events,
        overwrite=console.may_overwrite(output, preview, overlay, events),
        memory=memory,
        playlists=allow_playlists,
        listener=BarListener(console),
    )
    show_report(console, report, as_json)


def show_report(console: Console, report: MaskReport, as_json: bool) -> None:
    """Print warnings, where the files are, and the JSON object if it was asked for."""
    for line in report.warnings:
        console.warn(line)
    made = (report.output, report.preview, report.overlay, report.events)
    files = " and ".join(name for name in made if name is not None)
    console.say(
        f"{files}: hole on {report.hole_frames} of {report.frames} frames, "
        f"{report.share:.1%} of the picture on average",
        "bold",
    )
    if as_json:
        told = asdict(report)
        prompt_frames = told.pop("prompt_frames")
        console.data({**told, "seeds": prompt_frames})
