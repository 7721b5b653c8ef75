"""The time that is said to be left: of a clock that the test moves, as stages of many speeds would."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.methods import method_spec
from vinpaint_cli.pipeline.device import Placement
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.pipeline.scan import Scan
from vinpaint_cli.plan.segments import SegmentLimits, plan_segments
from vinpaint_cli.removal.forecast import Forecast, SegmentCost, cost_of
from vinpaint_cli.removal.run import remove
from vinpaint_cli.types import Box

LOGO, CAPTION = Box(60, 50, 260, 120), Box(500, 900, 1300, 1000)


def planned(frames: int, caption: range = range(0)) -> Plan:
    boxes = tuple((LOGO, CAPTION) if t in caption else (LOGO,) for t in range(frames))
    scan = Scan(frames, (range(frames),), boxes, 0)
    segments = plan_segments(scan.shots, boxes, 1920, 1080, limits=SegmentLimits(48, 16))
    return Plan(scan, segments, 1 << 33, 4, Placement("cpu", "fp32"), method_spec("propagate"))


def run(plan: Plan, speeds: SegmentCost, encode: float, resumed: int = 0) -> list[tuple[float, float]]:
    """Share of the run that is over and what was said to be left over what was, at each report.

    speeds: how much slower each stage is than it is taken to be. encode: seconds for a frame.
    """
    now, told = [0.0], []
    segments = sorted(plan.segments, key=lambda one: one.shown.start)[resumed:]
    costs = [cost_of(plan, segment) for segment in segments]
    frames = plan.scan.frames
    forecast = Forecast(
        segments, costs, frames, 0.02, lambda left: told.append((now[0], left)), lambda: now[0]
    )
    written = 0
    for segment, cost in zip(segments, costs, strict=True):
        while written < segment.shown.start:
            now[0] += encode
            forecast.wrote(encode)
            written += 1
        pairs = len(segment.frames) - 1
        for _ in range(pairs):
            now[0] += cost.flow * speeds.flow / pairs
            forecast.tick()
        for _ in segment.frames:
            now[0] += cost.find * speeds.find / (pairs + 1)
            forecast.tick()
        now[0] += cost.fill * speeds.fill
        propagate = cost.flow * speeds.flow + cost.find * speeds.find
        forecast.filled({"propagate": propagate, "method": cost.fill * speeds.fill})
    for _ in range(written, frames):
        now[0] += encode
        forecast.wrote(encode)
    end = now[0]
    return [(at / end, left / (end - at)) for at, left in told if end - at > 1e-6]


@pytest.mark.parametrize("speed", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("encode", [0.002, 0.02, 0.2])
def test_a_machine_of_any_speed_is_foretold_after_a_tenth(speed: float, encode: float) -> None:
    said = run(planned(1000), SegmentCost(speed, speed, speed), encode * speed)
    assert len(said) > 1000
    assert all(1 / 1.5 < ratio < 1.5 for share, ratio in said if 0.1 < share < 0.95)


@pytest.mark.parametrize(("flow", "find", "fill"), [(4, 1, 1), (1, 4, 1), (1, 1, 8), (0.2, 1, 0.2)])
def test_stages_of_another_cost_are_learned_from_the_first_segments(
    flow: float, find: float, fill: float
) -> None:
    said = run(planned(1000), SegmentCost(flow, find, fill), 0.05)
    assert all(1 / 1.5 < ratio < 1.5 for share, ratio in said if 0.1 < share < 0.95)


def test_frames_without_work_do_not_count_as_work() -> None:
    plan = planned(4000)
    few = Plan(
        Scan(4000, plan.scan.shots, tuple((LOGO,) if t < 60 else () for t in range(4000)), 0),
        plan.segments[:1],
        *(plan.memory, plan.feather, plan.placement, plan.spec),
    )
    said = run(few, SegmentCost(1, 1, 1), 0.025)
    assert all(1 / 1.5 < ratio < 1.5 for share, ratio in said if 0.1 < share < 0.95)


def test_a_caption_costs_more_than_the_logo_beside_it() -> None:
    said = run(planned(1000, range(700, 790)), SegmentCost(2, 2, 2), 0.02)
    assert all(1 / 1.5 < ratio < 1.5 for share, ratio in said if 0.1 < share < 0.95)


def test_what_an_earlier_run_has_filled_is_not_counted() -> None:
    said = run(planned(1000), SegmentCost(3, 3, 3), 0.02, resumed=15)
    assert all(1 / 1.5 < ratio < 1.5 for share, ratio in said if 0.5 < share < 0.95)


def test_frames_that_are_context_alone_cost_flow_and_no_filling() -> None:
    plan = planned(100)
    (segment,) = plan.segments[:1]
    short = replace(segment, core=segment.core[:20], trail=0)
    whole, part = cost_of(plan, segment), cost_of(plan, short)
    assert part.flow == whole.flow
    assert part.fill == pytest.approx(whole.fill * 20 / len(segment.shown))
    assert cost_of(plan, segment, propagates=False).total == whole.fill


class Expects(SilentListener):
    """Writes down what is said to be left of the filling, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[float, float]] = []

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Expects]:
        yield self

    def advance(self, n: int = 1) -> bool:
        return True

    def expect(self, seconds: float) -> None:
        self.told.append((time.perf_counter(), seconds))


def test_a_removal_says_what_is_left_at_every_step(clip: Callable[..., Path], tmp_path: Path) -> None:
    listener = Expects()
    mask = MaskOptions(boxes=("24,16,16,16",))
    remove(clip(codec="ffv1", frames=12), tmp_path / "out.mkv", RemoveOptions(mask), listener=listener)
    assert len(listener.told) == 2 * 12 - 1 + 1 + 12, "each tick, the segment, each frame"
    assert listener.told[-1][1] == pytest.approx(0, abs=1e-6)
    assert all(left > 0 for _, left in listener.told[:-1])
