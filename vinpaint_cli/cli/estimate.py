"""How long a removal may take, from short trials on the clip itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from vinpaint_cli.engine.fill import read_segment
from vinpaint_cli.engine.remove import Job, Plan
from vinpaint_cli.errors import WeightsError
from vinpaint_cli.ops.propagate import PropagateOptions, propagate
from vinpaint_cli.types import Clip, Segment
from vinpaint_cli.video.write import open_writer

TRIAL_FRAMES = 3
LONGER_CHAINS = 1.6
"""Measured on whole segments: a frame costs this much more there, where pixels travel further."""

ENCODE_SECONDS = 1.5


@dataclass(slots=True)
class Estimate:
    """Seconds per stage, and what is not in them."""

    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> float:
        """All stages together."""
        return sum(self.seconds.values())


def estimate(job: Job, plan: Plan, target: Path, scan_seconds: float) -> Estimate:
    """Try each stage for a moment and extrapolate; takes a few seconds.

    Raises what the stages raise: also options that the encoder does not take are found here.
    """
    found = Estimate({"scan": scan_seconds})
    found.seconds["encode"] = _encode_seconds(job, plan, target)
    if not plan.segments:
        return found
    if job.options.propagate:
        found.seconds["propagate"] = _propagate_seconds(job, plan)
    if plan.spec.weights is not None:
        try:
            found.seconds["method"] = _method_seconds(job, plan)
        except WeightsError as exc:
            found.notes.append(f"the network's time is not in the estimate: {exc}")
    return found


class _EnoughError(Exception):
    """Ends a trial of the writer, which then leaves nothing behind."""


def _encode_seconds(job: Job, plan: Plan, target: Path) -> float:
    """Write the first frames to a temporary folder for a moment."""
    frames, start = 0, time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="vinpaint-") as folder,
        suppress(_EnoughError),
        open_writer(Path(folder) / f"trial{target.suffix}", job.source, job.options.encode) as writer,
    ):
        start = time.perf_counter()
        for frame in job.source.frames():
            writer.write(frame)
            frames += 1
            if time.perf_counter() - start > ENCODE_SECONDS:
                break
        raise _EnoughError
    return (time.perf_counter() - start) * plan.scan.frames / max(1, frames)


def _propagate_seconds(job: Job, plan: Plan) -> float:
    """Propagate over a few frames of the largest region, then by pixels."""
    widest = max(plan.segments, key=lambda segment: segment.roi.area)
    few = _few_frames(widest)
    pictures, alphas = read_segment(few, job.source, job.mask, plan.feather)
    unit = job.source.info.height / 240
    with _timed() as took:
        propagate(pictures, [alpha > 0 for alpha in alphas], PropagateOptions(unit=unit, reaches=(1,)))
    per_pixel = took[0] / (len(few.frames) * few.roi.area)
    return LONGER_CHAINS * per_pixel * sum(len(s.frames) * s.roi.area for s in plan.segments)


def _few_frames(segment: Segment) -> Segment:
    stop = min(segment.frames.stop, segment.core.start + TRIAL_FRAMES)
    few = range(max(segment.frames.start, stop - TRIAL_FRAMES), stop)
    return Segment(segment.index, few, few, segment.roi, segment.size)


def _method_seconds(job: Job, plan: Plan) -> float:
    """Fill one window of grey, then by frames; loading is counted as it is."""
    import torch

    with _timed() as loading:
        method = job.load_method(plan.placement)
    segment, length = plan.segments[0], plan.spec.window
    shape = (length, 1, segment.roi.height, segment.roi.width)
    frames = torch.full((length, 3, *shape[2:]), 0.5)
    with _timed() as filling:
        method.fill(Clip(frames, torch.ones(shape), tuple(range(length))))
    return loading[0] + filling[0] / length * sum(len(s.frames) for s in plan.segments)


@contextmanager
def _timed() -> Iterator[list[float]]:
    """A list that holds the seconds of the block after it."""
    took: list[float] = []
    start = time.perf_counter()
    yield took
    took.append(time.perf_counter() - start)
