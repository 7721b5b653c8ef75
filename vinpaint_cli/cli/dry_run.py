"""Output of ``remove --dry-run``: the plan and a time estimate."""

from __future__ import annotations

import time
from typing import Any

from vinpaint_cli.cli.console import Console, duration
from vinpaint_cli.cli.progress import BarListener
from vinpaint_cli.mask_making.clip import MaskedClip, open_clip
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions, check_options
from vinpaint_cli.pipeline.output import check_output, spelled
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.plan.memory import format_bytes
from vinpaint_cli.removal.estimate import Estimate, estimate
from vinpaint_cli.resume.work import find_kept
from vinpaint_cli.types import Box, Segment

MOST_LINES = 12


def dry_run(
    console: Console,
    path: str,
    output: str | None,
    options: RemoveOptions,
    work: WorkOptions,
    as_json: bool,
) -> None:
    """Print the plan and a time estimate from short trials; raises what planning and the trials raise."""
    target = spelled(check_output(path, output, overwrite=True), path, output)
    check_options(options)
    clip = open_clip(path, options, BarListener(console))
    start = time.perf_counter()
    plan = clip.plan(BarListener(console))
    found = estimate(clip, plan, target, time.perf_counter() - start)
    for line in [*clip.notes(), *found.notes]:
        console.warn(line)
    kept = find_kept(work, target)
    for line in describe(clip, plan, found, target):
        console.say(line)
    if kept is not None:
        console.say(
            f"kept       {kept.finished} of {kept.segments} segments of an earlier run, in {kept.folder}; "
            "the same command without --dry-run goes on from there"
        )
    if as_json:
        there = None if kept is None else str(kept.folder)
        reused = 0 if kept is None else kept.finished
        console.data({**as_dict(clip, plan, found, target), "work": there, "segments_reused": reused})


def describe(clip: MaskedClip, plan: Plan, found: Estimate, target: str) -> list[str]:
    """The plan for a person, one line each."""
    info, scan = clip.source.info, plan.scan
    marked = sum(box is not None for box in scan.holes)
    method = plan.spec.name + (f" with {_weights(clip, plan)}" if _weights(clip, plan) else "")
    lines = [
        f"{info.path}: {info.width}x{info.height}, {scan.frames} frames in {len(scan.shots)} shot(s)",
        f"hole       {_hole(scan.hole_pixels, marked, info.width * info.height)}",
        f"method     {method}, on {plan.placement.device} ({plan.placement.precision})",
        f"edge       {plan.feather} pixels of feather",
        f"memory     a budget of {format_bytes(plan.memory)}, of which only what is needed is taken",
        f"segments   {len(plan.segments)}",
        *[f"  {_segment(segment)}" for segment in plan.segments[:MOST_LINES]],
    ]
    if len(plan.segments) > MOST_LINES:
        lines.append(f"  … and {len(plan.segments) - MOST_LINES} more; --json names them all")
    stages = ", ".join(f"{name} {duration(seconds)}" for name, seconds in found.seconds.items())
    lines.append(f"time       about {duration(found.total)}, an estimate from short trials ({stages})")
    lines.append(f"output     {target}; nothing was written")
    return lines


def as_dict(clip: MaskedClip, plan: Plan, found: Estimate, target: str) -> dict[str, Any]:
    """The plan for a program; ranges are half-open, boxes in pixels, memory in bytes, times in seconds."""
    return {
        "input": str(clip.path),
        "output": target,
        "dry_run": True,
        "frames": plan.scan.frames,
        "hole_frames": sum(box is not None for box in plan.scan.holes),
        "hole_pixels": plan.scan.hole_pixels,
        "method": plan.spec.name,
        "weights": _weights(clip, plan),
        "device": plan.placement.device,
        "precision": plan.placement.precision,
        "feather": plan.feather,
        "memory": plan.memory,
        "shots": [[shot.start, shot.stop] for shot in plan.scan.shots],
        "segments": [_segment_dict(segment) for segment in plan.segments],
        "estimated_seconds": {name: round(seconds, 3) for name, seconds in found.seconds.items()},
        "estimated_total": round(found.total, 3),
        "warnings": [*clip.notes(), *found.notes],
    }


def _segment_dict(segment: Segment) -> dict[str, Any]:
    return {
        "index": segment.index,
        "core": [segment.core.start, segment.core.stop],
        "frames": [segment.frames.start, segment.frames.stop],
        "region": _box(segment.roi),
        "size": list(segment.size),
    }


def _box(box: Box) -> dict[str, int]:
    return {"x": box.x0, "y": box.y0, "width": box.width, "height": box.height}


def _segment(segment: Segment) -> str:
    core, frames, roi = segment.core, segment.frames, segment.roi
    return (
        f"{segment.index}: frames {core.start} to {core.stop - 1}, seen with "
        f"{frames.start} to {frames.stop - 1}, region {roi.width}x{roi.height} at {roi.x0},{roi.y0}"
    )


def _hole(pixels: int, marked: int, area: int) -> str:
    if not marked:
        return "none, so the clip would be copied as it is"
    return f"on {marked} frames, {pixels / marked / area:.1%} of the picture on average"


def _weights(clip: MaskedClip, plan: Plan) -> str | None:
    return clip.options.weights or plan.spec.weights
