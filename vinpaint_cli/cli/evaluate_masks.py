"""``vinpaint evaluate-masks``."""

from __future__ import annotations

from vinpaint_cli.cli.command import command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.evaluate import names_of, show_evaluation
from vinpaint_cli.cli.progress import BarListener
from vinpaint_cli.options import Values, build


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
