"""The command line: its commands, and how a run of it begins and ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from vinpaint_cli import __version__
from vinpaint_cli.cli.batch import batch
from vinpaint_cli.cli.boundary import EXIT_CODES, Boundary
from vinpaint_cli.cli.console import Console, console_of
from vinpaint_cli.cli.devices import show_devices
from vinpaint_cli.cli.evaluate import evaluate
from vinpaint_cli.cli.evaluate_masks import evaluate_masks
from vinpaint_cli.cli.info import info
from vinpaint_cli.cli.mask import mask
from vinpaint_cli.cli.methods import methods
from vinpaint_cli.cli.pick import pick
from vinpaint_cli.cli.remove import remove
from vinpaint_cli.cli.train import train_app
from vinpaint_cli.cli.train_internal import train_internal
from vinpaint_cli.cli.weights import weights_app


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    console = Console()
    with Boundary(console) as boundary:
        command = typer.main.get_command(make_app())
        boundary.run(
            lambda: command.main(
                given or ["--help"],
                prog_name="vinpaint",
                standalone_mode=False,
                obj=console,
            )
        )
    return boundary.code


def make_app() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="vinpaint",
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=EXIT_CODES,
    )
    app.callback()(main)
    app.command("remove")(remove)
    app.command("batch")(batch)
    app.command("mask")(mask)
    app.command("pick")(pick)
    app.command("info")(info)
    app.command("methods")(methods)
    app.command("evaluate")(evaluate)
    app.command("evaluate-masks")(evaluate_masks)
    app.command("train-internal")(train_internal)
    app.add_typer(train_app(), name="train")
    app.add_typer(weights_app(), name="weights")
    return app


def _version(context: typer.Context, value: bool) -> None:
    """Print the version and end, when the option is given."""
    if value:
        console_of(context).lines(f"vinpaint {__version__}")
        raise typer.Exit


def main(
    version: Annotated[
        bool,
        typer.Option("--version", metavar="", is_eager=True, callback=_version, help="Print the version."),
    ] = False,
    list_devices: Annotated[
        bool,
        typer.Option(
            "--list-devices",
            metavar="",
            is_eager=True,
            callback=show_devices,
            help="Say what --device may be.",
        ),
    ] = False,
) -> None:
    """Remove things from video: real pixels first, networks second, everything else untouched."""
