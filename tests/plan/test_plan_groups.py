"""Which holes are filled together: near ones, lasting ones, and those that cost no more so."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vinpaint_cli.plan.segments import SegmentLimits, plan_segments
from vinpaint_cli.types import Box, Segment

WIDTH, HEIGHT = 1920, 1080
LOGO = Box(60, 50, 260, 120)
CLOCK = Box(1660, 960, 1860, 1030)
CAPTION = Box(500, 900, 1300, 1000)


def plan(holes: list[list[Box]], **options: bool) -> tuple[Segment, ...]:
    limits = SegmentLimits(48, 16)
    return plan_segments([range(len(holes))], holes, WIDTH, HEIGHT, limits=limits, **options)


def work(segments: tuple[Segment, ...]) -> int:
    return sum(len(segment.frames) * segment.roi.area for segment in segments)


def test_holes_in_two_corners_cost_their_sum() -> None:
    one, other, both = plan([[LOGO]] * 100), plan([[CLOCK]] * 100), plan([[LOGO, CLOCK]] * 100)
    assert work(both) == work(one) + work(other)
    assert {segment.roi for segment in both} == {one[0].roi, other[0].roi}
    assert [segment.shown.start for segment in both] == sorted(segment.shown.start for segment in both)


def test_a_caption_costs_its_own_time() -> None:
    shown = range(100, 175)
    segments = plan([[LOGO, CAPTION] if t in shown else [LOGO] for t in range(1000)])
    captions = [segment for segment in segments if segment.own == CAPTION]
    assert [index for segment in captions for index in segment.core] == list(shown)
    assert work(segments) - work(plan([[LOGO]] * 1000)) <= (75 + 4 * 16) * captions[0].roi.area


def test_near_holes_share_a_region() -> None:
    beside = LOGO.moved(LOGO.width + 60, 0)
    (segment,) = plan([[LOGO, beside]] * 40)
    assert segment.own == LOGO.union(beside)


def test_what_walks_past_a_hole_joins_it() -> None:
    """Else a pixel could be of two groups in one frame."""
    walker = [Box(200 + 30 * t, 60, 260 + 30 * t, 120) for t in range(40)]
    assert len({segment.roi for segment in plan([[LOGO, box] for box in walker])}) == 1


def test_a_hole_that_flickers_is_one() -> None:
    assert len(plan([[LOGO] if t % 3 else [] for t in range(60)])) == 1


def test_ungrouped_holes_have_one_region() -> None:
    assert len({segment.roi for segment in plan([[LOGO, CLOCK]] * 90, grouped=False)}) == 1


@st.composite
def films(draw: st.DrawFn) -> list[list[Box]]:
    holes: list[list[Box]] = [[] for _ in range(120)]
    for _ in range(draw(st.integers(1, 6))):
        x, y = draw(st.integers(0, WIDTH - 200)), draw(st.integers(0, HEIGHT - 100))
        step, start = draw(st.integers(-9, 9)), draw(st.integers(0, 119))
        for t in range(start, min(120, start + draw(st.integers(1, 60)))):
            box = Box(x, y, x + 90, y + 60).moved(step * (t - start), 0)
            holes[t] += [box] if box.x0 >= 0 and box.x1 <= WIDTH else []
    return holes


@settings(deadline=None, max_examples=50)
@given(films())
def test_every_hole_is_of_one_segment_or_of_two_that_blend(holes: list[list[Box]]) -> None:
    segments = plan(holes)
    for index, boxes in enumerate(holes):
        for box in boxes:
            owners = [one for one in segments if index in one.shown and one.own and one.own.contains(box)]
            others = [one for one in segments if index in one.shown and one not in owners]
            assert sum(one.weight(index) for one in owners) == pytest.approx(1)
            assert len({one.own for one in owners}) == 1
            assert not any(one.own and one.own.intersection(box).area for one in others)
            assert all(
                one.roi.contains(box.grown(40).intersection(Box(0, 0, WIDTH, HEIGHT))) for one in owners
            )
