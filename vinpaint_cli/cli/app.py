"""The Typer application: all commands, and running one command line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

import typer

from vinpaint_cli.cli.batch import batch
from vinpaint_cli.cli.boundary import EXIT_CODES, Boundary
from vinpaint_cli.cli.command import PlainGroup, add_commands, command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.evaluate import evaluate, evaluate_masks
from vinpaint_cli.cli.info import info
from vinpaint_cli.cli.mask import mask
from vinpaint_cli.cli.methods import methods
from vinpaint_cli.cli.pick import pick
from vinpaint_cli.cli.remove import remove
from vinpaint_cli.cli.train import train_app
from vinpaint_cli.cli.train_internal import train_internal
from vinpaint_cli.cli.weights import weights_app


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own, which is about to end; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    console = Console()
    # Of pictures declared enormous, and of odd tags: sizes are checked, and errors told in one line.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    with Boundary(console, leaving=arguments is None) as boundary:
        program = typer.main.get_command(make_app())
        boundary.run(
            lambda: program.main(
                given or ["--help"],
                prog_name="vinpaint",
                standalone_mode=False,
                obj=console,
            )
        )
    return boundary.code


def make_app() -> typer.Typer:
    """The application with all its commands."""
    app = typer.Typer(
        name="vinpaint",
        cls=PlainGroup,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=EXIT_CODES,
    )
    app.callback()(main)
    add_commands(app, remove=remove, batch=batch, mask=mask, pick=pick, info=info, methods=methods)
    add_commands(app, evaluate=evaluate, evaluate_masks=evaluate_masks, train_internal=train_internal)
    app.add_typer(train_app(), name="train")
    app.add_typer(weights_app(), name="weights")
    return app


@command("vinpaint")
def main() -> None:
    """Remove things from video: real pixels first, networks second, everything else untouched."""
