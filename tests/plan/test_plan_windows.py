from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.plan.windows import plan_windows


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, int, int]:
    radius = draw(st.integers(0, 20))
    return draw(st.integers(0, 150)), radius, draw(st.integers(1, 2 * radius + 1))


@given(shapes())
def test_weights_of_every_frame_sum_to_one(shape: tuple[int, int, int]) -> None:
    frames, radius, stride = shape
    totals = [0.0] * frames
    for window in plan_windows(frames, radius=radius, stride=stride):
        assert len(window.weights) == len(window.frames) <= 2 * radius + 1
        assert min(window.weights) > 0
        for index, weight in zip(window.frames, window.weights, strict=True):
            totals[index] += weight
    assert all(abs(total - 1) < 1e-9 for total in totals)


@given(shapes(), st.integers(1, 30), st.none() | st.integers(0, 8))
def test_references_lie_on_the_stride_outside_the_window(
    shape: tuple[int, int, int], step: int, most: int | None
) -> None:
    frames, radius, stride = shape
    for window in plan_windows(
        frames, radius=radius, stride=stride, reference_stride=step, max_references=most
    ):
        free = [index for index in range(0, frames, step) if index not in window.frames]
        assert set(window.references) <= set(free)
        assert list(window.references) == sorted(set(window.references))
        assert len(window.references) == (len(free) if most is None else min(most, len(free)))


def test_the_plan_of_the_paper() -> None:
    plan = plan_windows(23, radius=5, stride=5, reference_stride=10)
    assert [window.frames for window in plan] == [
        range(6),
        range(11),
        range(5, 16),
        range(10, 21),
        range(15, 23),
    ]
    assert [window.references for window in plan] == [(10, 20), (20,), (0, 20), (0,), (0, 10)]


def test_half_overlapped_windows_cross_fade() -> None:
    plan = plan_windows(64, radius=16, stride=16)
    assert [window.frames.start for window in plan] == [0, 0, 16, 32]
    third = dict(zip(plan[2].frames, plan[2].weights, strict=True))
    assert third[17] < third[24] < third[32]
    assert third[32] > third[40] > third[47]
    assert abs(third[24] - 0.5) < 0.05


def test_thinned_references_keep_the_nearest_and_the_far_ends() -> None:
    plan = plan_windows(400, radius=5, stride=5, reference_stride=10, max_references=4)
    middle = next(window for window in plan if window.frames == range(195, 206))
    assert len(middle.references) == 4
    assert {0, 390} <= set(middle.references)
    assert 190 in middle.references or 210 in middle.references


def test_windows_of_the_same_frames_are_merged() -> None:
    plan = plan_windows(6, radius=5, stride=5)
    assert [window.frames for window in plan] == [range(6)]
    assert all(abs(weight - 1) < 1e-9 for weight in plan[0].weights)


def test_the_tail_gets_a_window_of_its_own() -> None:
    plan = plan_windows(10, radius=2, stride=5)
    assert [window.frames for window in plan] == [range(3), range(3, 8), range(7, 10)]


@pytest.mark.parametrize(
    ("frames", "radius", "stride", "references"), [(-1, 5, 5, 0), (9, 2, 6, 0), (9, 2, 0, 0), (9, 2, 2, -1)]
)
def test_plans_that_cannot_cover_are_refused(frames: int, radius: int, stride: int, references: int) -> None:
    with pytest.raises(ValueError, match="must"):
        plan_windows(frames, radius=radius, stride=stride, reference_stride=references)
