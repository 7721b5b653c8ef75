"""Typer commands from functions: their parameters come from the table of options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from keyword import iskeyword
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from vinpaint_cli import __version__
from vinpaint_cli.cli.console import console_of
from vinpaint_cli.options import Option, options_of

Command = Callable[..., None]


class PlainCommand(TyperCommand):
    """A command whose help names no Python types: flags have no value, and arguments are named already."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Options and arguments, ``--help`` among them."""
        return _plain(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """The same for a command with commands below it."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Options and arguments, ``--help`` among them."""
        return _plain(super().get_params(ctx))


def _plain(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx: None
    return parameters


def command(name: str) -> Callable[[Command], Command]:
    """Give a function the parameters that the table of options lists for a command.

    The function gets those of them that it names, by their keys, and if it names them too ``console``, ready
    for use, ``values`` of all options by key, and ``given``, those of them that stand on the command line.
    """

    def with_options(work: Command) -> Command:
        options = options_of(name)

        @wraps(work)
        def run(context: typer.Context, **parameters: Any) -> None:
            values = {option.key: _value(option, parameters[_name(option)]) for option in options}
            console = console_of(context)
            console.setup(**{key: values[key] for key in ("quiet", "verbose", "yes", "no") if key in values})
            given = {option.key: values[option.key] for option in options if _is_given(context, option)}
            offered = {**values, "console": console, "values": values, "given": given}
            work(**{wanted: offered[wanted] for wanted in inspect.signature(work).parameters})

        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        signature = inspect.Signature([context, *map(_parameter, options)])
        run.__signature__ = signature  # type: ignore[attr-defined]  # which Typer reads
        run.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
        return run

    return with_options


def add_commands(app: typer.Typer, **commands: Command) -> None:
    """Add functions that `command` made as commands, dashes for underscores in their names."""
    for name, function in commands.items():
        app.command(name.replace("_", "-"), cls=PlainCommand)(function)


def _name(option: Option) -> str:
    return f"{option.key}_" if iskeyword(option.key) else option.key


def _value(option: Option, value: Any) -> Any:
    return tuple(value or ()) if option.kind is tuple else value


def _is_given(context: typer.Context, option: Option) -> bool:
    source = context.get_parameter_source(_name(option))
    return source is not None and source.name == "COMMANDLINE"


def _parameter(option: Option) -> inspect.Parameter:
    kind: Any = list[str] if option.kind is tuple else option.kind
    return inspect.Parameter(
        _name(option),
        inspect.Parameter.KEYWORD_ONLY,
        default=_info(option),
        annotation=kind if option.default is not None else kind | None,
    )


def _info(option: Option) -> Any:
    """Typer's description of an option or argument."""
    shared: dict[str, Any] = {
        "metavar": option.metavar or None,
        "help": option.help,
        "autocompletion": _completion(option),
        "rich_help_panel": option.panel or None,
        "min": option.least,
        "max": option.most,
    }
    if option.is_argument:
        return typer.Argument(option.default, **shared)
    action = _ACTIONS.get(option.action)
    return typer.Option(
        option.default, *option.spellings, is_eager=action is not None, callback=action, **shared
    )


def _show_version(context: typer.Context, value: bool) -> None:
    if value:
        console_of(context).lines(f"vinpaint {__version__}")
        raise typer.Exit


def _show_devices(context: typer.Context, value: bool) -> None:
    if value:
        from vinpaint_cli.pipeline.device import describe_devices

        console_of(context).lines("\n".join(describe_devices()))
        raise typer.Exit


def _completion(option: Option) -> Callable[[], list[str]] | None:
    """What the shell asks for the names that a value may be; its room is loaded only then."""
    if not option.names:
        return None

    def names() -> list[str]:
        module, _, attribute = _NAMES[option.names].partition(":")
        return list(getattr(import_module(f"vinpaint_cli.{module}"), attribute)())

    return names


_NAMES = {
    "methods": "methods:method_names",
    "weights": "weights.registry:weight_names",
    "segmenters": "masks.segment:segmenter_names",
    "trackers": "masks.track:tracker_names",
    "flows": "ops.flow:flow_names",
    "completers": "ops.complete:completer_names",
}
_ACTIONS = {"version": _show_version, "devices": _show_devices}
