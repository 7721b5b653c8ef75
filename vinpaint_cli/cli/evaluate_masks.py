"""``vinpaint evaluate-masks``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vinpaint_cli.cli.command import command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.evaluate import names_of
from vinpaint_cli.options import Values, build

if TYPE_CHECKING:
    from vinpaint_cli.evaluate.mask_results import MaskEvaluation


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
    from vinpaint_cli.evaluate.masks import EvaluateMasksOptions
    from vinpaint_cli.evaluate.masks import evaluate_masks as measure

    options = build(EvaluateMasksOptions, {**values, "clips": names_of(clips)})
    overwrite = console.may_overwrite(report)
    found = measure(dataset, options, report=report, overwrite=overwrite, listener=console.listener())
    _tell(console, found, report, as_json)


def _tell(console: Console, evaluation: MaskEvaluation, report: str | None, as_json: bool) -> None:
    """The table, or everything as JSON, on stdout; where the report is."""
    from vinpaint_cli.evaluate.mask_results import totals_table
    from vinpaint_cli.evaluate.report import finite

    if as_json:
        console.data(finite(evaluation.to_dict()))
    else:
        console.lines("\n".join(totals_table(evaluation)))
    if report:
        console.say(f"{report}: table.md, results.json, index.html", "bold")
