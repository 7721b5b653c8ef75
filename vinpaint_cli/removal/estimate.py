"""Estimates how long a removal will take, from short trials on the clip itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.mask_making.clip import MaskedClip
from vinpaint_cli.methods import load_method
from vinpaint_cli.ops.complete import open_completer
from vinpaint_cli.ops.flow import open_flow
from vinpaint_cli.pipeline.device import frame_threads
from vinpaint_cli.pipeline.fill import wanted_places
from vinpaint_cli.pipeline.options import MINUTES, FitOptions, RemoveOptions
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.progress import Clock
from vinpaint_cli.pipeline.reader import Pictures
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.removal.forecast import cost_of
from vinpaint_cli.types import Clip, Segment
from vinpaint_cli.video.sink.write import is_folder_path, open_writer

TRIAL_PIXELS = 750_000
"""Pixels of all frames of a trial of propagation together: about two seconds of one core."""

SMALL_COSTS_MORE = 0.095
"""Measured: a pixel of a picture scaled by s costs 1 + 0.095·(1/s − 1) times one of the whole picture."""

ENCODE_SECONDS = 1.5


@dataclass(slots=True)
class Estimate:
    """Estimated seconds per stage, and notes on what they leave out."""

    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> float:
        """All stages together."""
        return sum(self.seconds.values())


def estimate(clip: MaskedClip, plan: Plan, target: str, scan_seconds: float) -> Estimate:
    """Estimate the time of each stage by running it for a moment; takes a few seconds.

    Raises what the stages raise: also options that the encoder does not take are found here.
    """
    found = Estimate({**clip.seconds, "scan": scan_seconds})
    found.seconds["encode"] = encode_seconds(clip, target) * plan.scan.frames
    if not plan.segments:
        return found
    if clip.options.propagate:
        found.seconds |= _filling_seconds(clip, plan)
    if plan.spec.fitted and clip.options.weights is None:
        _add_fit(found, clip.options.fit)
    if plan.spec.weights is not None:
        try:
            found.seconds["method"] = _method_seconds(clip, plan)
        except WeightsError as exc:
            found.notes.append(f"the network's time is not in the estimate: {exc}")
    return found


def _add_fit(found: Estimate, options: FitOptions) -> None:
    """Add the longest time that the network may be fitted for."""
    if options.steps is None:
        found.seconds["fit"] = 60 * (MINUTES if options.minutes is None else options.minutes)
    else:
        found.notes.append("the time of the fit's steps is not in the estimate; --minutes would bound it")


class _EnoughError(Exception):
    """Ends a trial of the writer, which then leaves nothing behind."""


def encode_seconds(clip: MaskedClip, target: str) -> float:
    """Seconds for a frame, from writing the first ones to a temporary folder for a moment."""
    frames, start = 0, time.perf_counter()
    ending = "/" if is_folder_path(target) else Path(target).suffix
    with (
        tempfile.TemporaryDirectory(prefix="vinpaint-") as folder,
        suppress(_EnoughError),
        open_writer(f"{folder}/trial{ending}", clip.source, clip.options.encode) as writer,
    ):
        start = time.perf_counter()
        for frame in clip.source.frames():
            writer.write(frame)
            frames += 1
            if time.perf_counter() - start > ENCODE_SECONDS:
                break
        raise _EnoughError
    return (time.perf_counter() - start) / max(1, frames)


def _filling_seconds(clip: MaskedClip, plan: Plan) -> dict[str, float]:
    """Fill the segment that costs most, scaled down; then extrapolate by what all segments cost.

    Its frames are all there, since what a pixel costs depends on how far it has to travel; those that are
    context alone are not filled here either.
    """
    costs = [cost_of(plan, segment) for segment in plan.segments]
    largest, cost = max(zip(plan.segments, costs, strict=True), key=lambda pair: pair[1].total)
    pixels = len(largest.frames) * largest.roi.area
    scale = min(1.0, (TRIAL_PIXELS / pixels) ** 0.5)
    frames, holes = _made_small(clip, plan, largest, scale)
    clock, options = Clock(), clip.options
    # What a network costs is measured apart.
    method = load_method(options.method if plan.spec.weights is None else RemoveOptions().method)
    stages = Stages(
        texture=options.texture and not (plan.spec.invents and plan.spec.weights is not None),
        estimator=open_flow(options.flow, plan.placement.device),
        completer=open_completer(options.complete),
        threads=frame_threads(largest.roi, plan.memory),
        clock=clock,
    )
    wanted = wanted_places(largest, plan.spec)
    found = stages.find(frames, holes, scale * clip.source.info.height, wanted=wanted)
    stages.fill(found.part(wanted), method, largest.frames[wanted.start : wanted.stop])
    grown = pixels / (frames.size / 3) / (1 + SMALL_COSTS_MORE * (1 / scale - 1))
    found_share = sum(one.flow + one.find for one in costs) / (cost.flow + cost.find)
    fill_share = sum(one.fill for one in costs) / cost.fill
    return {
        stage: seconds * grown * (found_share if stage == "propagate" else fill_share)
        for stage, seconds in clock.seconds.items()
    }


def _made_small(clip: MaskedClip, plan: Plan, segment: Segment, scale: float) -> tuple[Pictures, list[Any]]:
    """Frames ``(T, h, w, 3)`` and holes ``(h, w)`` of a segment, scaled."""
    import cv2

    pictures, alphas = clip.reader().read(segment)
    size = [max(16, round(scale * extent)) for extent in (segment.roi.width, segment.roi.height)]
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
    holes = [cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) > 0 for alpha in alphas]
    return np.stack(small), holes


def _method_seconds(clip: MaskedClip, plan: Plan) -> float:
    """Load the method and fill one grey window; extrapolate the filling by frames."""
    import torch

    options, placement = clip.options, plan.placement
    with _timed() as loading:
        method = load_method(
            options.method, weights=options.weights, device=placement.device, dtype=placement.precision
        )
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
