"""``vinpaint methods``."""

from __future__ import annotations

from dataclasses import asdict

from vinpaint_cli.cli.command import command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.types import MethodSpec


@command("methods")
def methods(console: Console, as_json: bool) -> None:
    """List the methods that fill holes."""
    from vinpaint_cli.methods import method_names, method_spec

    specs = [method_spec(name) for name in method_names()]
    if as_json:
        console.data([asdict(spec) for spec in specs])
    else:
        console.lines("\n\n".join(_describe(spec) for spec in specs))


def _describe(spec: MethodSpec) -> str:
    size = (
        "the region's own size"
        if spec.size is None
        else f"{spec.size[0]}x{spec.size[1]}, or at what its weights were made for"
    )
    return "\n".join(
        [
            f"{spec.name}",
            f"    {spec.title}",
            f"    {spec.paper}",
            f"    works at {size}; in {', '.join(spec.dtypes)}",
            f"    weights: {_weights(spec)}",
            f"    licence: {spec.licence}",
        ]
    )


def _weights(spec: MethodSpec) -> str:
    if spec.fitted:
        return f"fitted to each clip, from {spec.weights}"
    return (
        "none needed" if spec.weights is None else spec.weights or "none yet; train them, give --weights FILE"
    )
