"""``vinpaint weights list|path|pull|verify|import``."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from vinpaint_cli.cli.command import PlainGroup, add_commands, command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.progress import BarListener
from vinpaint_cli.errors import WeightsError

if TYPE_CHECKING:
    from vinpaint_cli.types import WeightEntry


def weights_app() -> typer.Typer:
    """The commands below ``vinpaint weights``."""
    app = typer.Typer(
        cls=PlainGroup, help="Learned weights: what there is, where it lies, download and check."
    )
    add_commands(app, list=list_weights, path=show_path, pull=pull_weights, verify=verify_weights)
    add_commands(app, **{"import": import_weights})
    return app


@command("weights-list")
def list_weights(console: Console, as_json: bool) -> None:
    """List the weights that vinpaint knows, with their licences, and which are on this machine."""
    from vinpaint_cli.weights.registry import entries

    found = [(entry, *_state(entry)) for entry in entries()]
    if as_json:
        console.data([{**asdict(entry), "state": state, "path": path} for entry, state, path in found])
        return
    console.table([(e.name, state, f"{_size(e):>10}", f"for {e.method}", e.licence) for e, state, _ in found])


@command("weights-path")
def show_path(console: Console, name: str) -> None:
    """Print where a file of weights lies, or where `pull` would put it."""
    from vinpaint_cli.weights import registry, store

    state, path = _state(registry.entry(name))
    if state != "here":
        console.warn(f"the weights {name} are {state}; run `vinpaint weights pull {name}`")
    console.lines(path or str(store.path(name)))


@command("weights-pull")
def pull_weights(console: Console, name: str, as_json: bool) -> None:
    """Download weights; they are used only when their SHA-256 is right."""
    from vinpaint_cli.weights import registry, store

    entry = registry.entry(name)
    console.say(f"{name}: {_size(entry)} from {entry.source}, licence: {entry.licence}")
    if not console.shows_bars:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with BarListener(console).stage(f"pulling {name}", entry.size_bytes or None) as progress:
        path = store.pull(name, progress)
    _done(console, name, str(path), "here and right", as_json)


@command("weights-verify")
def verify_weights(console: Console, names: tuple[str, ...], as_json: bool) -> None:
    """Hash files of weights anew; fails when one is corrupt, or missing though it was named."""
    from vinpaint_cli.weights import registry, store

    checked = [store.verify(name) for name in names or [entry.name for entry in registry.entries()]]
    wrong = [one for one in checked if one.state == "corrupt" or (names and one.state == "missing")]
    rows = [(one.entry.name, one.state, None if one.path is None else str(one.path)) for one in checked]
    if as_json:
        console.data([{"name": name, "state": state, "path": path} for name, state, path in rows])
    else:
        console.table([(name, state, path or "") for name, state, path in rows])
    if wrong:
        told = ", ".join(f"{one.entry.name} is {one.state}" for one in wrong)
        raise WeightsError(f"{told}; run `vinpaint weights pull {wrong[0].entry.name}`")


@command("weights-import")
def import_weights(console: Console, name: str, file: str, as_json: bool) -> None:
    """Take in a file of weights got by other means, when its SHA-256 is right."""
    from vinpaint_cli.weights import store

    _done(console, name, str(store.import_file(name, file)), "imported", as_json)


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
