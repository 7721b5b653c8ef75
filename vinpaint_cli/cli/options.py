"""Options that several commands share, each written once."""

from __future__ import annotations

from typing import Annotated

import typer

from vinpaint_cli.cli.devices import show_devices

_MASK, _WORK, _OUTPUT, _RUN = "Where the hole is", "How it is filled", "What comes out", "The run"


def _methods() -> list[str]:
    from vinpaint_cli.methods import method_names

    return list(method_names())


def weight_names() -> list[str]:
    """Names for shell completion."""
    from vinpaint_cli.weights.registry import entries

    return [entry.name for entry in entries()]


Input = Annotated[
    str,
    typer.Argument(metavar="INPUT", help="A video, or a folder of png or jpg pictures.", show_default=False),
]
Masks = Annotated[
    list[str] | None,
    typer.Option(
        "--mask",
        metavar="PATH",
        help="White = remove: a picture held for all frames, a folder of pictures (one per frame), "
        "or a video. Repeatable; all are united.",
        rich_help_panel=_MASK,
    ),
]
Boxes = Annotated[
    list[str] | None,
    typer.Option(
        "--box",
        metavar="X,Y,W,H[@START-END]",
        help="Rectangle in pixels or percents (10%,80%,25%,12%), for a range of time or always. Repeatable.",
        rich_help_panel=_MASK,
    ),
]
Invert = Annotated[
    bool,
    typer.Option("--invert", metavar="", help="Black is the hole instead of white.", rich_help_panel=_MASK),
]
MaskLabel = Annotated[
    int | None,
    typer.Option(
        "--mask-label", metavar="N", help="Only index N of indexed or grey pictures.", rich_help_panel=_MASK
    ),
]
MaskHold = Annotated[
    bool,
    typer.Option(
        "--mask-hold",
        metavar="",
        help="Hold the last mask when there are fewer than frames.",
        rich_help_panel=_MASK,
    ),
]
MaskResize = Annotated[
    bool,
    typer.Option(
        "--mask-resize", metavar="", help="Scale masks to the size of the video.", rich_help_panel=_MASK
    ),
]
Dilate = Annotated[
    int | None,
    typer.Option(
        "--dilate",
        metavar="PIXELS",
        help="Grow the holes of masks, not of boxes (default: 4 at 240 lines, in proportion).",
        rich_help_panel=_MASK,
    ),
]
Shadows = Annotated[
    bool,
    typer.Option(
        "--shadows",
        metavar="",
        help="Shadows of it go too, where other frames show the ground without; takes 2 to 3 times as long.",
        rich_help_panel=_MASK,
    ),
]
Feather = Annotated[
    int | None,
    typer.Option(
        "--feather",
        metavar="PIXELS",
        help="Soft edge around the hole (default: 2 at 240 lines, 4 at 1080).",
        rich_help_panel=_MASK,
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        metavar="TIME",
        help="Nothing is removed before: seconds, HH:MM:SS.mmm or a frame (f300).",
        rich_help_panel=_MASK,
    ),
]
End = Annotated[
    str | None,
    typer.Option("--end", metavar="TIME", help="Nothing is removed from here on.", rich_help_panel=_MASK),
]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="NAME",
        help="See `vinpaint methods`.",
        autocompletion=_methods,
        rich_help_panel=_WORK,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE|NAME",
        help="A .pth or .safetensors file, or a name of `vinpaint weights list`.",
        autocompletion=weight_names,
        rich_help_panel=_WORK,
    ),
]
Propagate = Annotated[
    bool,
    typer.Option(
        "--propagate/--no-propagate",
        metavar="",
        help="Bring in real pixels from other frames before the network.",
        rich_help_panel=_WORK,
    ),
]
Texture = Annotated[
    bool,
    typer.Option(
        "--texture/--no-texture",
        metavar="",
        help="After propagation: texture from around for what no frame shows and the method leaves smooth.",
        rich_help_panel=_WORK,
    ),
]
Device = Annotated[
    str,
    typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where networks run.", rich_help_panel=_WORK),
]
ListDevices = Annotated[
    bool,
    typer.Option(
        "--list-devices",
        metavar="",
        is_eager=True,
        callback=show_devices,
        help="Say what --device may be, and stop.",
        rich_help_panel=_WORK,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision", metavar="auto|fp32|bf16|fp16", help="Numbers of networks.", rich_help_panel=_WORK
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Most memory to take: 8G, 512M or 50% of what is free (default: 60%).",
        rich_help_panel=_WORK,
    ),
]
MaskMemory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Most memory to take to look for shadows: 8G, 512M or 50% of what is free (default: 60%).",
        rich_help_panel=_RUN,
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        "--minutes",
        metavar="M",
        help="How long `--method internal` fits its network to the clip (default: 5).",
        rich_help_panel=_WORK,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps", metavar="N", help="The same in steps, for a result that repeats.", rich_help_panel=_WORK
    ),
]
FitConfig = Annotated[
    str,
    typer.Option(
        "--fit-config",
        metavar="NAME|FILE",
        help="What is fitted, as in `train-internal --config`.",
        rich_help_panel=_WORK,
    ),
]
FitSeed = Annotated[
    int,
    typer.Option(
        "--fit-seed", metavar="N", help="Of everything a fit draws at random.", rich_help_panel=_WORK
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="A video by its suffix, or a folder of pictures (default: INPUT's name with .vinpaint).",
        rich_help_panel=_OUTPUT,
    ),
]
MaskOutput = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="A lossless video (.mkv), or a folder of pictures (default: INPUT's name with .mask.mkv).",
        rich_help_panel=_OUTPUT,
    ),
]
Codec = Annotated[
    str | None,
    typer.Option(
        "--codec",
        metavar="NAME",
        help="h264, hevc, vp9, av1, prores, ffv1 … (default: INPUT's).",
        rich_help_panel=_OUTPUT,
    ),
]
Crf = Annotated[
    float | None,
    typer.Option(
        "--crf",
        metavar="N",
        help="Quality in the codec's measure (default: visually lossless).",
        rich_help_panel=_OUTPUT,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", metavar="NAME", help="The encoder's speed preset.", rich_help_panel=_OUTPUT),
]
PixFmt = Annotated[
    str | None,
    typer.Option(
        "--pix-fmt", metavar="NAME", help="Pixel format (default: INPUT's).", rich_help_panel=_OUTPUT
    ),
]
Lossless = Annotated[
    bool,
    typer.Option(
        "--lossless", metavar="", help="Mathematically lossless mode of the codec.", rich_help_panel=_OUTPUT
    ),
]
Preview = Annotated[
    str | None,
    typer.Option(
        "--preview",
        metavar="PICTURE",
        help="Draw the hole over a few frames, and stop.",
        rich_help_panel=_RUN,
    ),
]
MaskPreview = Annotated[
    str | None,
    typer.Option(
        "--preview", metavar="PICTURE", help="Draw the hole over a few frames.", rich_help_panel=_OUTPUT
    ),
]
Overlay = Annotated[
    str | None,
    typer.Option(
        "--overlay",
        metavar="VIDEO",
        help="Write the clip with the hole tinted, to look through.",
        rich_help_panel=_OUTPUT,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        metavar="",
        help="Say what would be done and about how long it takes, and stop.",
        rich_help_panel=_RUN,
    ),
]
WorkDir = Annotated[
    str | None,
    typer.Option(
        "--work-dir",
        metavar="DIR",
        help="Where finished parts are kept until the output is whole (default: hidden beside it).",
        rich_help_panel=_RUN,
    ),
]
KeepWork = Annotated[
    bool,
    typer.Option("--keep-work", metavar="", help="Keep finished parts after that too.", rich_help_panel=_RUN),
]
Resume = Annotated[
    bool | None,
    typer.Option(
        "--resume/--no-resume",
        metavar="",
        help="Demand that a stopped run is gone on with, or start afresh (default: go on if there is one).",
        rich_help_panel=_RUN,
        show_default=False,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", metavar="", help="One JSON object on stdout.", rich_help_panel=_RUN)
]
Yes = Annotated[bool, typer.Option("-y", metavar="", help="Overwrite without asking.", rich_help_panel=_RUN)]
No = Annotated[bool, typer.Option("-n", metavar="", help="Never overwrite, never ask.", rich_help_panel=_RUN)]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", metavar="", help="Say nothing but errors.", rich_help_panel=_RUN)
]
Verbose = Annotated[
    bool,
    typer.Option(
        "-v", "--verbose", metavar="", help="Say more; show where errors come from.", rich_help_panel=_RUN
    ),
]
