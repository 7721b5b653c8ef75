"""Halves of segments: nothing is lost, nothing counts twice, and there is an end to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.plan.segments import SegmentLimits, halve, plan_segments
from vinpaint_cli.types import Box, Segment


@st.composite
def planned(draw: st.DrawFn) -> tuple[Segment, ...]:
    """The segments of a clip of one shot whose every frame has a hole, or only some."""
    frames = draw(st.integers(1, 120))
    first = draw(st.integers(0, frames - 1))
    last = draw(st.integers(first, frames - 1))
    holes = [[Box(0, 0, 8, 8)] if first <= index <= last else [] for index in range(frames)]
    limits = SegmentLimits(draw(st.integers(1, 60)), draw(st.integers(0, 16)))
    return plan_segments([range(frames)], holes, 64, 48, limits=limits)


def smallest(segment: Segment) -> Iterator[Segment]:
    """What halving ends with."""
    parts = halve(segment)
    if not parts:
        yield segment
    for part in parts:
        yield from smallest(part)


@given(planned(), st.data())
def test_weights_of_every_frame_sum_to_one_with_the_neighbours(
    segments: tuple[Segment, ...], data: st.DataObject
) -> None:
    halved = data.draw(st.sets(st.sampled_from(segments)))
    total: dict[int, float] = {}
    for segment in segments:
        parts = halve(segment) if segment in halved else ()
        for index in segment.shown:
            share = sum(part.weight(index) for part in parts if index in part.shown) if parts else 1.0
            total[index] = total.get(index, 0.0) + share * segment.weight(index)
    assert all(weight == pytest.approx(1) for weight in total.values())


@given(planned())
def test_halves_partition_what_is_shown_and_are_smaller(segments: tuple[Segment, ...]) -> None:
    for segment in segments:
        parts = halve(segment)
        if parts:
            assert [index for part in parts for index in part.core] == list(segment.shown)
        for part in parts:
            assert len(part.frames) < len(segment.frames)
            assert set(part.shown) <= set(part.frames) <= set(segment.frames)
            assert set(part.shown) <= set(segment.shown)
            assert part.lead + part.trail <= len(part.core)
            assert (part.roi, part.size, part.index) == (segment.roi, segment.size, segment.index)


@given(planned())
def test_halving_ends_with_a_few_frames(segments: tuple[Segment, ...]) -> None:
    for segment in segments:
        parts = list(smallest(segment))
        assert all(len(part.frames) <= 3 for part in parts)
        assert {index for part in parts for index in part.shown} == set(segment.shown)


def test_halves_of_a_long_segment_see_a_little_beyond_themselves() -> None:
    whole = Segment(4, range(16, 64), range(80), Box(0, 0, 8, 8), (8, 8), 8, 8)
    left, right = halve(whole)
    assert (left.core, left.frames, left.lead, left.trail) == (range(8, 40), range(48), 0, 8)
    assert (right.core, right.frames, right.lead, right.trail) == (range(40, 72), range(32, 80), 8, 0)
    assert halve(Segment(0, range(2), range(3), whole.roi, whole.size)) == ()
