"""Estimates how long a removal will take, from short trials on the clip itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
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
from vinpaint_cli.pipeline.stages import Filling, Stages
from vinpaint_cli.removal.forecast import cost_of
from vinpaint_cli.types import Clip, Segment
from vinpaint_cli.video.sink.write import is_folder_path, open_writer

TRIAL_FRAMES, TRIAL_FILLED = 16, 4
"""Frames that a trial looks at, and those of them that it fills."""

MOST_PIXELS, SMALL_PIXELS = 1_500_000, 600_000
"""Pixels of the region of all frames of a trial together, at most: a few seconds of one core each."""

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
    """Try two things on the segment that costs most, and extrapolate by what all segments cost.

    Propagation is tried on a few frames as large as they are. How much no frame shows depends on how far
    all frames reach, so what fills that is tried on all of them, small.
    """
    costs = [cost_of(plan, segment) for segment in plan.segments]
    place = max(range(len(costs)), key=lambda place: costs[place].total)
    largest, cost = plan.segments[place], costs[place]
    seen = _amid(largest.shown, largest.frames, TRIAL_FRAMES)
    few = replace(largest, frames=seen, core=_amid(seen, seen, TRIAL_FILLED), lead=0, trail=0)
    near, far = _Trial(clip, plan, few, MOST_PIXELS), _Trial(clip, plan, largest, SMALL_PIXELS)
    flow, find = near.propagate()
    tried = cost_of(plan, few)
    flow *= sum(one.flow for one in costs) / max(tried.flow, 1e-9)
    find *= sum(one.find for one in costs) / tried.find
    filled = far.fill() if plan.spec.weights is None or not plan.spec.invents else {}
    share = sum(one.fill for one in costs) / cost.fill
    return {"propagate": flow + find, **{stage: seconds * share for stage, seconds in filled.items()}}


class _Trial:
    """A segment, scaled to have ``most`` pixels in all frames together at most."""

    def __init__(self, clip: MaskedClip, plan: Plan, segment: Segment, most: int) -> None:
        self._clip, self._plan, self._segment = clip, plan, segment
        self._scale: float = min(1.0, (most / (len(segment.frames) * segment.roi.area)) ** 0.5)
        self._clock, self._ticks = Clock(), [0.0]

    @property
    def _grown(self) -> float:
        """By which the seconds of a trial are multiplied for those of the segment as it is."""
        return float(self._scale**-2) / (1 + SMALL_COSTS_MORE * (1 / self._scale - 1))

    def _stages(self) -> Stages:
        options = self._clip.options
        return Stages(
            texture=options.texture,
            estimator=open_flow(options.flow, self._plan.placement.device),
            completer=open_completer(options.complete),
            threads=frame_threads(self._segment.roi, self._plan.memory),
            clock=self._clock,
        )

    def _find(self, stages: Stages, wanted: range) -> Filling:
        pictures, holes = _made_small(self._clip, self._segment, self._scale)
        height = self._scale * self._clip.source.info.height
        self._ticks = [time.perf_counter()]
        return stages.find(pictures, holes, height, wanted=wanted, tick=self._tick)

    def _tick(self) -> None:
        self._ticks.append(time.perf_counter())

    def propagate(self) -> tuple[float, float]:
        """Seconds of optical flow, and of all else that propagation does."""
        self._find(self._stages(), wanted_places(self._segment, self._plan.spec))
        flow = self._ticks[len(self._segment.frames) - 1] - self._ticks[0]
        return self._grown * flow, self._grown * (self._clock.seconds["propagate"] - flow)

    def fill(self) -> dict[str, float]:
        """Seconds of the stages after propagation, without a network: what that costs is measured apart."""
        spec = self._plan.spec
        method = load_method(spec.name if spec.weights is None else RemoveOptions().method)
        stages, wanted = self._stages(), wanted_places(self._segment, method.spec)
        found = self._find(stages, wanted)
        frames = self._segment.frames[wanted.start : wanted.stop]
        stages.fill(found.part(wanted), method, frames)
        return {
            stage: self._grown * seconds
            for stage, seconds in self._clock.seconds.items()
            if stage != "propagate"
        }


def _amid(frames: range, within: range, count: int) -> range:
    """So many frames around the middle of ``frames``, as far as they are ``within``."""
    count = min(count, len(within))
    start = min(max(frames.start + (len(frames) - count) // 2, within.start), within.stop - count)
    return range(start, start + count)


def _made_small(clip: MaskedClip, segment: Segment, scale: float) -> tuple[Pictures, list[Any]]:
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
