"""``vinpaint evaluate`` and ``vinpaint evaluate-masks``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vinpaint_cli.cli.command import command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.progress import BarListener
from vinpaint_cli.errors import UsageError
from vinpaint_cli.options import Values, build

NATIVE = "native"
_SIZE = re.compile(r"(\d{1,5})[x×](\d{1,5})", re.IGNORECASE)


@command("evaluate")
def evaluate(
    console: Console,
    values: Values,
    dataset: str,
    size: str,
    clips: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Measure methods: holes are made in clips whose truth is known, filled, and compared with it.

    The baselines telea and nearest run without propagation before them, so that every table has a floor.
    """
    from vinpaint_cli.evaluate.results import totals_table
    from vinpaint_cli.evaluate.run import EvaluateOptions, evaluate_methods

    options = build(EvaluateOptions, {**values, "size": parse_size(size), "clips": names_of(clips)})
    overwrite = console.may_overwrite(report)
    found = evaluate_methods(
        dataset, options, report=report, overwrite=overwrite, listener=BarListener(console)
    )
    for line in found.absent:
        console.say(line)
    show_evaluation(console, found.to_dict(), totals_table(found), report, as_json)


def show_evaluation(
    console: Console, found: Mapping[str, Any], table: Sequence[str], report: str | None, as_json: bool
) -> None:
    """Everything as JSON or the table on stdout, and where the report is."""
    from vinpaint_cli.evaluate.report import finite

    if as_json:
        console.data(finite(found))
    else:
        console.lines("\n".join(table))
    if report:
        console.say(f"{report}: table.md, results.json, index.html", "bold")


def names_of(text: str | None) -> tuple[str, ...]:
    """The names in a list with commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def parse_size(text: str) -> tuple[int, int] | None:
    """``432x240`` as ``(width, height)``, None for ``native``; UsageError for anything else."""
    if text == NATIVE:
        return None
    found = _SIZE.fullmatch(text.strip())
    if found is None or not (int(found[1]) and int(found[2])):
        raise UsageError(f"--size {text!r} cannot be read; give WIDTHxHEIGHT such as 432x240, or {NATIVE}")
    return int(found[1]), int(found[2])


@command("evaluate-masks")
def evaluate_masks(
    console: Console,
    values: Values,
    dataset: str,
    clips: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Measure masks: prompt one frame of annotated clips, follow the object, compare with the annotations."""
    from vinpaint_cli.evaluate.mask_results import totals_table
    from vinpaint_cli.evaluate.masks import EvaluateMasksOptions
    from vinpaint_cli.evaluate.masks import evaluate_masks as measure

    options = build(EvaluateMasksOptions, {**values, "clips": names_of(clips)})
    overwrite = console.may_overwrite(report)
    found = measure(dataset, options, report=report, overwrite=overwrite, listener=BarListener(console))
    show_evaluation(console, found.to_dict(), totals_table(found), report, as_json)
