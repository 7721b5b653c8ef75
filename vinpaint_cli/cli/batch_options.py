"""Options of `vinpaint batch` alone."""

from __future__ import annotations

from typing import Annotated

import typer

_BATCH, _MASK, _OUTPUT, _RUN = "The batch", "Where the hole is", "What comes out", "The run"

Jobs = Annotated[
    list[str],
    typer.Argument(
        metavar="JOBS...",
        help="A folder of videos, a pattern in quotes ('clips/*.mp4', '**' for folders below), clips, a job "
        "file (.toml, .csv, .jsonl), or - for a list on standard input: a path or a JSON object per line.",
        show_default=False,
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        max=256,
        help="Clips at a time, each in a process of its own (default: 1, with --engine ray one for each "
        "worker); cores and memory are shared out.",
        rich_help_panel=_BATCH,
    ),
]
KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going/--fail-fast",
        metavar="",
        help="Do all jobs whatever fails (the default), or start none after the first that fails: those "
        "that run are finished, the rest is told as not run.",
        rich_help_panel=_BATCH,
    ),
]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        metavar="",
        help="Leave out jobs whose output is there: how to go on with a batch.",
        rich_help_panel=_BATCH,
    ),
]
Report = Annotated[
    str | None,
    typer.Option(
        "--report",
        metavar="DIR",
        help="Folder for results.jsonl, index.html and before/after pictures, kept up to date on the way; "
        "an earlier report there is replaced.",
        rich_help_panel=_BATCH,
    ),
]
MaskDir = Annotated[
    str | None,
    typer.Option(
        "--mask-dir",
        metavar="DIR",
        help="Folder with a mask for each clip, of the clip's name: NAME.png, NAME.mkv or NAME/.",
        rich_help_panel=_MASK,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATTERN",
        help="Where results go, such as 'out/{stem}.mkv' (default: beside each clip, with .vinpaint).",
        rich_help_panel=_OUTPUT,
    ),
]
OutputDir = Annotated[
    str | None,
    typer.Option(
        "--output-dir",
        metavar="DIR",
        help="Folder for results, under the names of the clips; made when it is not there.",
        rich_help_panel=_OUTPUT,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        metavar="",
        help="Check everything, list the jobs with their options, and stop.",
        rich_help_panel=_RUN,
    ),
]
