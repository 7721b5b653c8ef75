"""Options by which a person points at things, each written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vinpaint_cli.cli.options import weight_names

if TYPE_CHECKING:
    from vinpaint_cli.masks.prompts import PromptOptions

_PANEL = "Pointing at it"


def _segmenters() -> list[str]:
    from vinpaint_cli.masks.segment import segmenter_names

    return list(segmenter_names())


def _trackers() -> list[str]:
    from vinpaint_cli.masks.track import tracker_names

    return list(tracker_names())


Clicks = Annotated[
    list[str] | None,
    typer.Option(
        "--click",
        metavar="[N:]X,Y[@TIME]",
        help="A point on the object to follow through the clip, on the first frame or at TIME (12.5, 1:23, "
        "f300). Repeatable, on one frame or several; N: keeps several objects apart.",
        rich_help_panel=_PANEL,
    ),
]
Excludes = Annotated[
    list[str] | None,
    typer.Option(
        "--not",
        metavar="[N:]X,Y[@TIME]",
        help="A point that is not of the object. Alone on a frame it corrects the mask followed to there.",
        rich_help_panel=_PANEL,
    ),
]
BoxPrompts = Annotated[
    list[str] | None,
    typer.Option(
        "--box-prompt",
        metavar="[N:]X,Y,W,H[@TIME]",
        help="A rectangle around the object to follow.",
        rich_help_panel=_PANEL,
    ),
]
FromFrames = Annotated[
    list[str] | None,
    typer.Option(
        "--from-frame",
        metavar="[N:]MASK[@TIME]",
        help="A mask picture drawn for one frame, to follow from there. Repeatable.",
        rich_help_panel=_PANEL,
    ),
]
Fixes = Annotated[
    list[str] | None,
    typer.Option(
        "--fix",
        metavar="fN=MASK",
        help="A mask picture that replaces the mask of frame N, and is followed from as well.",
        rich_help_panel=_PANEL,
    ),
]
SegmenterName = Annotated[
    str,
    typer.Option(
        "--segmenter",
        metavar="NAME",
        help="What finds the object under a click: auto, grabcut (no weights), sam …",
        autocompletion=_segmenters,
        rich_help_panel=_PANEL,
    ),
]
SegmenterWeights = Annotated[
    str | None,
    typer.Option(
        "--segmenter-weights",
        metavar="FILE|NAME",
        help="Its weights: a file, or a name of `vinpaint weights list`.",
        autocompletion=weight_names,
        rich_help_panel=_PANEL,
    ),
]
TrackerName = Annotated[
    str,
    typer.Option(
        "--track",
        metavar="NAME",
        help="What follows the object through the clip.",
        autocompletion=_trackers,
        rich_help_panel=_PANEL,
    ),
]


def prompts_of(
    clicks: list[str] | None,
    excludes: list[str] | None,
    boxes: list[str] | None,
    from_frames: list[str] | None,
    fixes: list[str] | None,
    segmenter: str,
    segmenter_weights: str | None,
    tracker: str,
) -> PromptOptions:
    """What was pointed at, as written."""
    from vinpaint_cli.masks.prompts import PromptOptions

    return PromptOptions(
        tuple(clicks or ()),
        tuple(excludes or ()),
        tuple(boxes or ()),
        tuple(from_frames or ()),
        tuple(fixes or ()),
        segmenter,
        segmenter_weights,
        tracker,
    )
