from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.plan.segments import SegmentLimits, plan_segments
from vinpaint_cli.plan.shots import shots_from_cuts
from vinpaint_cli.types import Box, Segment

HOLE = Box(100, 60, 140, 90)


def boxes(holes: list[Box | None]) -> list[list[Box]]:
    return [[hole] if hole else [] for hole in holes]


def plan(
    holes: list[Box | None], core: int, context: int, cuts: list[int] | None = None
) -> tuple[Segment, ...]:
    shots = shots_from_cuts(len(holes), cuts or [])
    return plan_segments(shots, boxes(holes), 640, 360, limits=SegmentLimits(core, context))


@st.composite
def clips(draw: st.DrawFn) -> tuple[list[Box | None], list[int]]:
    holes: list[Box | None] = []
    for _ in range(draw(st.integers(1, 6))):
        holes += [HOLE if draw(st.booleans()) else None] * draw(st.integers(1, 60))
    cuts = draw(st.sets(st.integers(1, max(1, len(holes) - 1)), max_size=4))
    return holes, sorted(cut for cut in cuts if cut < len(holes))


@given(clips(), st.integers(1, 30), st.integers(0, 12))
def test_every_hole_frame_is_in_one_core_and_no_segment_crosses_a_cut(
    clip: tuple[list[Box | None], list[int]], core: int, context: int
) -> None:
    holes, cuts = clip
    shots = shots_from_cuts(len(holes), cuts)
    segments = plan(holes, core, context, cuts)
    answered = [index for segment in segments for index in segment.core]
    assert answered == sorted(set(answered))
    assert {index for index, hole in enumerate(holes) if hole} <= set(answered)
    assert [segment.index for segment in segments] == list(range(len(segments)))
    for segment in segments:
        shot = next(shot for shot in shots if segment.core.start in shot)
        assert set(segment.core) <= set(segment.frames) <= set(shot)
        assert len(segment.frames) <= core + 2 * context
        assert segment.frames.start <= max(shot.start, segment.core.start - context)
        assert segment.frames.stop >= min(shot.stop, segment.core.stop + context)
        assert holes[segment.core[0]] is not None
        assert holes[segment.core[-1]] is not None


@given(st.integers(1, 3000), st.integers(2, 60), st.integers(0, 20))
def test_cores_of_a_long_shot_are_balanced(frames: int, core: int, context: int) -> None:
    lengths = [len(segment.core) for segment in plan([HOLE] * frames, core, context)]
    assert sum(lengths) == frames
    assert max(lengths) - min(lengths) <= 1


def test_a_shot_that_fits_is_one_segment() -> None:
    (segment,) = plan([HOLE] * 80, 48, 16)
    assert segment.core == segment.frames == range(80)
    assert len(plan([HOLE] * 81, 48, 16)) == 2


def test_context_reaches_into_frames_without_a_hole() -> None:
    holes: list[Box | None] = [None] * 200
    holes[100:110] = [HOLE] * 10
    (segment,) = plan(holes, 48, 16)
    assert (segment.core, segment.frames) == (range(100, 110), range(84, 126))


def test_context_lost_at_a_cut_is_given_to_the_other_side() -> None:
    holes: list[Box | None] = [None] * 200
    holes[100:110] = [HOLE] * 10
    (segment,) = plan(holes, 48, 16, [95])
    assert segment.frames == range(95, 137)


def test_close_runs_are_joined_and_far_ones_are_not() -> None:
    holes: list[Box | None] = [None] * 100
    holes[10] = holes[17] = HOLE
    assert [segment.core for segment in plan(holes, 20, 4)] == [range(10, 18)]
    assert [segment.core for segment in plan(holes, 20, 3)] == [range(10, 11), range(17, 18)]


def test_one_region_per_shot_and_limits_by_region() -> None:
    holes: list[Box | None] = [Box(10 + index, 10, 30 + index, 30) for index in range(60)]
    asked: list[Box] = []

    def limits(region: Box) -> SegmentLimits:
        asked.append(region)
        return SegmentLimits(10, 2)

    shots = shots_from_cuts(60, [30])
    segments = plan_segments(shots, boxes(holes), 4000, 3000, limits=limits, size=(432, 240))
    assert len({segment.roi for segment in segments if segment.core.stop <= 30}) == 1
    assert [segment.roi for segment in (segments[0], segments[-1])] == asked
    assert {segment.size for segment in segments} == {(432, 240)}


def test_size_defaults_to_the_region() -> None:
    (segment,) = plan([HOLE], 8, 2)
    assert segment.size == (segment.roi.width, segment.roi.height)


def test_no_hole_no_segment() -> None:
    assert plan([None, Box(4, 4, 4, 9), None], 8, 2) == ()


@pytest.mark.parametrize("shots", [[range(5), range(4, 8)], [range(9)], [range(0, 8, 2)]])
def test_impossible_shots_are_refused(shots: list[range]) -> None:
    with pytest.raises(ValueError, match="must"):
        plan_segments(shots, [[HOLE]] * 8, 640, 360, limits=SegmentLimits(4, 1))


@given(clips(), st.integers(1, 30), st.integers(0, 12))
def test_blended_joins_give_every_frame_weights_that_sum_to_one(
    clip: tuple[list[Box | None], list[int]], core: int, context: int
) -> None:
    holes, cuts = clip
    segments = plan(holes, core, context, cuts)
    total: dict[int, float] = {}
    for segment in segments:
        assert set(segment.core) <= set(segment.shown) <= set(segment.frames)
        for index in segment.shown:
            weight = segment.weight(index)
            assert 0 < weight <= 1
            total[index] = total.get(index, 0.0) + weight
    assert all(abs(weight - 1) < 1e-9 for weight in total.values())
    starts = [segment.shown.start for segment in segments]
    assert starts == sorted(starts)


def test_neighbours_share_eight_frames_on_either_side() -> None:
    first, second = plan([HOLE] * 100, 48, 16)
    assert (first.core, first.shown) == (range(50), range(58))
    assert (second.core, second.shown) == (range(50, 100), range(42, 100))
    assert first.weight(0) == second.weight(99) == 1
    assert first.weight(49) + second.weight(49) == pytest.approx(1)
    assert first.weight(42) > first.weight(57)
