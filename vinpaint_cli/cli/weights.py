"""``vinpaint weights list|path|pull|verify|import``."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vinpaint_cli.cli import options as o
from vinpaint_cli.cli.console import Console, console_of
from vinpaint_cli.errors import WeightsError

if TYPE_CHECKING:
    from vinpaint_cli.types import WeightEntry

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A name of `vinpaint weights list`.", autocompletion=o.weight_names),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...", help="Names; all that are here by default.", autocompletion=o.weight_names
    ),
]


def weights_app() -> typer.Typer:
    """The commands below ``vinpaint weights``."""
    app = typer.Typer(help="Learned weights: what there is, where it lies, download and check.")
    app.command("list")(list_weights)
    app.command("path")(show_path)
    app.command("pull")(pull_weights)
    app.command("verify")(verify_weights)
    app.command("import")(import_weights)
    return app


def list_weights(context: typer.Context, as_json: o.Json = False) -> None:
    """List the weights that vinpaint knows, with their licences, and which are on this machine."""
    from vinpaint_cli.weights.registry import entries

    console = console_of(context)
    found = [(entry, *_state(entry)) for entry in entries()]
    if as_json:
        console.data([{**asdict(entry), "state": state, "path": path} for entry, state, path in found])
        return
    for entry, state, _ in found:
        console.lines(f"{entry.name:<16}{state:<10}{_size(entry):>10}  for {entry.method:<12}{entry.licence}")


def show_path(context: typer.Context, name: Name) -> None:
    """Print where a file of weights lies, or where `pull` would put it."""
    from vinpaint_cli.weights import registry, store

    console = console_of(context)
    state, path = _state(registry.entry(name))
    if state != "here":
        console.warn(f"the weights {name} are {state}; run `vinpaint weights pull {name}`")
    console.lines(path or str(store.path(name)))


def pull_weights(
    context: typer.Context,
    name: Name,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Download weights; they are used only when their SHA-256 is right."""
    from vinpaint_cli.weights import registry, store

    console = console_of(context)
    console.setup(quiet, verbose)
    entry = registry.entry(name)
    console.say(f"{name}: {_size(entry)} from {entry.source}, licence: {entry.licence}")
    if not console.shows_bars:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with console.watcher().stage(f"pulling {name}", entry.size_bytes or None) as progress:
        path = store.pull(name, progress)
    _done(console, name, str(path), "here and right", as_json)


def verify_weights(context: typer.Context, names: Names = None, as_json: o.Json = False) -> None:
    """Hash files of weights anew; fails when one is corrupt, or missing though it was named."""
    from vinpaint_cli.weights import registry, store

    console = console_of(context)
    checked = [store.verify(name) for name in names or [entry.name for entry in registry.entries()]]
    wrong = [one for one in checked if one.state == "corrupt" or (names and one.state == "missing")]
    rows = [(one.entry.name, one.state, None if one.path is None else str(one.path)) for one in checked]
    if as_json:
        console.data([{"name": name, "state": state, "path": path} for name, state, path in rows])
    else:
        console.lines("\n".join(f"{name:<16}{state:<10}{path or ''}".rstrip() for name, state, path in rows))
    if wrong:
        told = ", ".join(f"{one.entry.name} is {one.state}" for one in wrong)
        raise WeightsError(f"{told}; run `vinpaint weights pull {wrong[0].entry.name}`")


def import_weights(
    context: typer.Context,
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file got by other means.")],
    as_json: o.Json = False,
) -> None:
    """Take in a file of weights got by other means, when its SHA-256 is right."""
    from vinpaint_cli.weights import store

    _done(console_of(context), name, str(store.import_file(name, file)), "imported", as_json)


def _done(console: Console, name: str, path: str, what: str, as_json: bool) -> None:
    console.say(f"{name}: {what}, {path}", "bold")
    if as_json:
        row: dict[str, Any] = {"name": name, "path": path}
        console.data(row)


def _state(entry: WeightEntry) -> tuple[str, str | None]:
    """``here``, ``corrupt`` or ``missing``, and the path of what is there."""
    from vinpaint_cli.weights import store

    try:
        return "here", str(store.resolve(entry.name))
    except WeightsError:
        path = store.path(entry.name)
        return ("corrupt", str(path)) if path.is_file() else ("missing", None)


def _size(entry: WeightEntry) -> str:
    from vinpaint_cli.plan.memory import format_bytes

    return format_bytes(entry.size_bytes) if entry.size_bytes else "?"
