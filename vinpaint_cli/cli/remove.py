"""``vinpaint remove``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from vinpaint_cli.cli import options as o
from vinpaint_cli.cli import prompt_options as p
from vinpaint_cli.cli import ray_options as r
from vinpaint_cli.cli.boundary import stops_told
from vinpaint_cli.cli.console import Console, console_of, duration
from vinpaint_cli.types import EncodeOptions

if TYPE_CHECKING:
    from vinpaint_cli.batch.ray.cluster import RayOptions
    from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
    from vinpaint_cli.removal.report import RemoveReport


def remove(
    context: typer.Context,
    path: o.Input,
    mask: o.Masks = None,
    box: o.Boxes = None,
    invert: o.Invert = False,
    mask_label: o.MaskLabel = None,
    mask_hold: o.MaskHold = False,
    mask_resize: o.MaskResize = False,
    dilate: o.Dilate = None,
    shadows: o.Shadows = False,
    feather: o.Feather = None,
    start: o.Start = None,
    end: o.End = None,
    click: p.Clicks = None,
    exclude: p.Excludes = None,
    box_prompt: p.BoxPrompts = None,
    from_frame: p.FromFrames = None,
    fix: p.Fixes = None,
    segmenter: p.SegmenterName = "auto",
    segmenter_weights: p.SegmenterWeights = None,
    track: p.TrackerName = "flow",
    method: o.Method = "propagate",
    weights: o.Weights = None,
    propagate: o.Propagate = True,
    texture: o.Texture = True,
    device: o.Device = "auto",
    list_devices: o.ListDevices = False,
    precision: o.Precision = "auto",
    memory: o.Memory = None,
    minutes: o.Minutes = None,
    steps: o.Steps = None,
    fit_config: o.FitConfig = "quick",
    fit_seed: o.FitSeed = 0,
    output: o.Output = None,
    codec: o.Codec = None,
    crf: o.Crf = None,
    preset: o.Preset = None,
    pix_fmt: o.PixFmt = None,
    lossless: o.Lossless = False,
    work_dir: o.WorkDir = None,
    keep_work: o.KeepWork = False,
    resume: o.Resume = None,
    engine: r.Engine = "local",
    address: r.Address = None,
    shards: r.Shards = None,
    cpus_per_worker: r.CpusPerWorker = None,
    gpus_per_worker: r.GpusPerWorker = None,
    preview: o.Preview = None,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
    yes: o.Yes = False,
    no: o.No = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Remove what a mask, a box or a click names from a video; everything else stays as it is.

    The hole is filled with real pixels that other frames show, and what none shows by the method.

    Audio, subtitles, times, colours and rotation are kept. The output appears only when it is whole.
    Whatever stops the run, the same command goes on where it was.
    """
    from vinpaint_cli.masks.sources.options import MaskOptions
    from vinpaint_cli.pipeline.options import FitOptions, RemoveOptions, WorkOptions

    console = console_of(context)
    console.setup(quiet, verbose)
    prompts = p.prompts_of(click, exclude, box_prompt, from_frame, fix, segmenter, segmenter_weights, track)
    hole = MaskOptions(
        masks=tuple(mask or ()),
        boxes=tuple(box or ()),
        invert=invert,
        label=mask_label,
        dilate=dilate,
        hold=mask_hold,
        resize=mask_resize,
        start=start,
        end=end,
        prompts=prompts,
        shadows=shadows,
    )
    encode = EncodeOptions(codec, crf, preset, pix_fmt, lossless)
    options = RemoveOptions(
        mask=hole,
        method=method,
        weights=weights,
        device=device,
        precision=precision,
        propagate=propagate,
        texture=texture,
        feather=feather,
        memory=memory,
        fit=FitOptions(minutes, steps, fit_config, fit_seed),
        encode=encode,
    )
    work = WorkOptions(work_dir, keep_work, resume)
    ray = r.ray_options(engine, address, shards, cpus_per_worker, gpus_per_worker)
    if preview is not None:
        _preview(console, path, options, preview, console.may_overwrite(yes, no, preview), as_json)
    elif dry_run:
        from vinpaint_cli.cli.dry_run import dry_run as show

        show(console, path, output, options, work, as_json)
    else:
        _remove(console, path, output, options, work, ray, (yes, no), as_json)


def _remove(
    console: Console,
    path: str,
    output: str | None,
    options: RemoveOptions,
    work: WorkOptions,
    ray: RayOptions | None,
    answers: tuple[bool, bool],
    as_json: bool,
) -> None:
    from vinpaint_cli.pipeline.options import check_options
    from vinpaint_cli.pipeline.output import check_output
    from vinpaint_cli.removal.run import remove as run
    from vinpaint_cli.resume.work import is_whole

    check_options(options)
    target = check_output(path, output, overwrite=True)
    asked = () if is_whole(work, target) else (target,)  # one that is whole is not written again
    overwrite = console.may_overwrite(*answers, *asked)
    with stops_told(), r.crew_for(ray, options) as (crew, followed):
        report = run(
            path, output, followed, overwrite=overwrite, watcher=console.watcher(), work=work, crew=crew
        )
    for line in report.warnings:
        console.warn(line)
    _details(console, report)
    console.say(summary(report), "bold")
    if as_json:
        console.data(asdict(report))


def _preview(
    console: Console, path: str, options: RemoveOptions, preview: str, overwrite: bool, as_json: bool
) -> None:
    from vinpaint_cli.cli.mask import tell
    from vinpaint_cli.mask_making.run import make_mask
    from vinpaint_cli.pipeline.options import check_options

    check_options(options)
    report = make_mask(
        path,
        None,
        options.mask,
        preview=preview,
        overwrite=overwrite,
        memory=options.memory,
        device=options.device,
        watcher=console.watcher(),
    )
    tell(console, report, as_json)


def _details(console: Console, report: RemoveReport) -> None:
    from vinpaint_cli.plan.memory import format_bytes

    console.detail(
        f"{report.method} on {report.device} ({report.precision}), {report.shots} shot(s), "
        f"{report.segments} segment(s), at most {format_bytes(report.peak_memory)} of memory"
    )
    spent = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.seconds.items())
    console.detail(f"seconds: {spent}")


def summary(report: RemoveReport) -> str:
    """The last line: what was done and where it is."""
    took = duration(sum(report.seconds.values()))
    if not report.hole_frames:
        return f"{report.output}: {report.frames} frames as they were, {took}"
    return (
        f"{report.output}: hole filled on {report.hole_frames} of {report.frames} frames, "
        f"{report.by_propagation:.0%} with pixels of other frames, {report.by_method:.0%} by "
        f"{_filler(report)}; {took}"
    )


def _filler(report: RemoveReport) -> str:
    """Who invented what no frame shows."""
    return "filling from around" if report.method == "propagate" else report.method
