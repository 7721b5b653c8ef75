"""``vinpaint remove``."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from vinpaint_cli.cli.boundary import interrupt_as_error
from vinpaint_cli.cli.command import command
from vinpaint_cli.cli.console import Console, duration
from vinpaint_cli.cli.progress import BarListener
from vinpaint_cli.cli.ray_options import executor_for, ray_options
from vinpaint_cli.options import Values, build

if TYPE_CHECKING:
    from vinpaint_cli.batch.ray.cluster import RayOptions
    from vinpaint_cli.mask_making.clip import MaskedClip
    from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
    from vinpaint_cli.pipeline.progress import Listener
    from vinpaint_cli.removal.job import RemoveReport


@command("remove")
def remove(
    console: Console,
    values: Values,
    input: str,
    output: str | None,
    preview: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove text, or what a mask, a box or a click names, from a video; everything else stays as it is.

    The hole is filled with real pixels that other frames show, and what none shows by the method.

    Audio, subtitles, times, colours and rotation are kept. The output appears only when it is whole.
    Whatever stops the run, the same command goes on where it was.
    """
    from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions

    options, work = build(RemoveOptions, values), build(WorkOptions, values)
    ray = ray_options(values)
    if preview is not None:
        _preview(console, input, options, preview, as_json)
    elif dry_run:
        from vinpaint_cli.cli.dry_run import dry_run as show

        show(console, input, output, options, work, as_json)
    else:
        _remove(console, input, output, options, work, ray, as_json)


def _remove(
    console: Console,
    path: str,
    output: str | None,
    options: RemoveOptions,
    work: WorkOptions,
    ray: RayOptions | None,
    as_json: bool,
) -> None:
    from vinpaint_cli.removal.job import check_job
    from vinpaint_cli.removal.run import run_job

    job = check_job(path, output, options, work, console.may_overwrite)
    with interrupt_as_error(), executor_for(ray, options) as (executor, followed):
        listener = BarListener(console)
        report = run_job(
            replace(job, options=followed), listener, executor, partial(_agrees, console, listener)
        )
    for line in report.warnings:
        console.warn(line)
    _details(console, report)
    console.say(summary(report), "bold")
    if as_json:
        console.data(asdict(report))


def _agrees(console: Console, listener: Listener, clip: MaskedClip) -> bool:
    """Whether to go on: asked on a terminal, with a preview, where a mask just followed is uncertain."""
    from vinpaint_cli.mask_making.confidence import low_confidence_notes
    from vinpaint_cli.mask_making.preview import count_holes, write_preview

    tracked = clip.tracked
    if tracked is None or not console.asks:
        return True
    uncertain = low_confidence_notes(tracked.confidence, tracked.segmenter)
    if not uncertain:
        return True
    with TemporaryDirectory(prefix="vinpaint-") as folder:
        picture = Path(folder) / "preview.png"
        count = count_holes(clip.source, clip.mask, listener)
        write_preview(clip.source, clip.mask, count, picture, tracked)
        console.warn(uncertain[0])
        return console.ask(f"{picture} shows the mask; go on with it?")


def _preview(console: Console, path: str, options: RemoveOptions, preview: str, as_json: bool) -> None:
    from vinpaint_cli.cli.mask import show_report
    from vinpaint_cli.mask_making.run import make_mask
    from vinpaint_cli.pipeline.options import check_options

    overwrite = console.may_overwrite(preview)
    check_options(options)
    report = make_mask(
        path,
        None,
        options.mask,
        preview=preview,
        overwrite=overwrite,
        memory=options.memory,
        device=options.device,
        playlists=options.playlists,
        listener=BarListener(console),
    )
    show_report(console, report, as_json)


def _details(console: Console, report: RemoveReport) -> None:
    from vinpaint_cli.plan.memory import format_bytes

    console.detail(
        f"{report.method} on {report.device} ({report.precision}), {report.shots} shot(s), "
        f"{report.segments} segment(s), at most {format_bytes(report.peak_memory)} of memory"
    )
    spent = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.seconds.items())
    console.detail(f"seconds: {spent}")


def summary(report: RemoveReport) -> str:
    """Last line of the output: what was done and where the result is."""
    took = duration(sum(report.seconds.values()))
    if not report.hole_frames:
        return f"{report.output}: {report.frames} frames as they were, {took}"
    return (
        f"{report.output}: hole filled on {report.hole_frames} of {report.frames} frames, "
        f"{report.by_propagation:.0%} with pixels of other frames, {report.by_method:.0%} by "
        f"{_filler(report)}; {took}"
    )


def _filler(report: RemoveReport) -> str:
    """What filled what no frame shows."""
    from vinpaint_cli.methods import method_spec

    return report.method if method_spec(report.method).invents else "filling from around"
