"""``vinpaint train-internal``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vinpaint_cli.cli.boundary import interrupt_as_error
from vinpaint_cli.cli.command import command
from vinpaint_cli.cli.console import Console, duration
from vinpaint_cli.cli.progress import BarListener
from vinpaint_cli.options import Values, build

if TYPE_CHECKING:
    from vinpaint_cli.removal.train_internal import TrainInternalReport


@command("train-internal")
def train_internal(
    console: Console,
    values: Values,
    input: str,
    config: str,
    seed: int,
    out: str | None,
    resume: bool | None,
    as_json: bool,
) -> None:
    """Fit a network to one clip, for `remove --method internal --weights FILE`.

    With a mask or a box it is fitted around that hole; without, to the whole clip, for any hole later.
    Ctrl-C keeps the best there is, and the same command goes on.
    """
    from vinpaint_cli.masks.sources.options import MaskOptions
    from vinpaint_cli.removal.train_internal import TrainInternalOptions, default_fit_output, is_begun
    from vinpaint_cli.removal.train_internal import train_internal as run

    hole = build(MaskOptions, values)
    given = hole if hole != MaskOptions() else None
    target = out or str(default_fit_output(input))
    asked = () if resume or is_begun(Path(target)) else (target,)  # a stopped fit goes on in its own file
    overwrite = console.may_overwrite(*asked)
    chosen = {**values, "mask": given, "fit_config": config, "fit_seed": seed}
    options = build(TrainInternalOptions, chosen)
    with interrupt_as_error():
        report = run(
            input, target, options, overwrite=overwrite, resume=resume, listener=BarListener(console)
        )
    for line in report.warnings:
        console.warn(line)
    console.say(summary(report), "bold")
    if as_json:
        console.data(asdict(report))


def summary(report: TrainInternalReport) -> str:
    """Last line of the output: where the weights are, the steps, and the gain on held-out pixels in dB."""
    gain = report.psnr - report.smooth
    if not any(report.used):
        return (
            f"{report.output}: {report.steps} steps in {duration(report.seconds)} were too few, or gained "
            "too little on the pixels kept aside, to be used, so holes are filled without them "
            f"({report.smooth:.2f} dB); more --minutes may help"
        )
    return (
        f"{report.output}: {report.steps} steps in {duration(report.seconds)}, hidden pixels kept aside at "
        f"{report.psnr:.2f} dB ({gain:+.2f} dB over a smooth fill)"
    )
