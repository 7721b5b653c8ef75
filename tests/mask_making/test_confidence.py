"""Where a person should look: the frames of least confidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.mask_making.confidence import (
    LOW_CONFIDENCE,
    LowConfidenceRange,
    low_confidence_notes,
    low_confidence_ranges,
    worst_frames,
)

CONFIDENCE = st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), min_size=1, max_size=80)


def test_stretches_are_worst_first_and_small_gaps_are_bridged() -> None:
    confidence = [1, 0.4, 0.9, 0.9, 0.3, 0.9, 0.9, 0.9, 0.45, 0.1, 1]
    assert low_confidence_ranges(confidence) == (
        LowConfidenceRange(8, 9, 9, 0.1),
        LowConfidenceRange(1, 4, 4, 0.3),
    )
    assert [str(stretch) for stretch in low_confidence_ranges([0.2, 1])] == ["f0 (0.20)"]
    assert low_confidence_ranges([1, LOW_CONFIDENCE]) == low_confidence_ranges([]) == ()


@given(CONFIDENCE)
def test_ranges_hold_every_frame_of_low_confidence_once(confidence: list[float]) -> None:
    found = low_confidence_ranges(confidence)
    held = [index for stretch in found for index in range(stretch.first, stretch.last + 1)]
    assert len(held) == len(set(held))
    assert {index for index, value in enumerate(confidence) if value < LOW_CONFIDENCE} <= set(held)
    assert [stretch.confidence for stretch in found] == sorted(stretch.confidence for stretch in found)
    assert all(confidence[stretch.worst] == stretch.confidence for stretch in found)


@given(CONFIDENCE, st.integers(1, 12))
def test_worst_frames_are_worst_first_and_begin_with_the_worst(confidence: list[float], most: int) -> None:
    found = worst_frames(confidence, most)
    assert len(found) == len(set(found)) == min(most, len(confidence))
    values = [confidence[index] for index in found]
    assert values == sorted(values)
    assert values[0] == min(confidence)


def test_worst_frames_show_all_the_clip() -> None:
    confidence = [0.9] * 90
    confidence[40:50] = [0.1] * 10
    found = worst_frames(confidence, 9)
    assert [index // 10 for index in sorted(found)] == list(range(9))
    assert found[0] == 40


def test_worst_frames_among_some() -> None:
    assert worst_frames([0.1, 0.5, 0.2, 0.9], 2, among=[1, 3]) == [1, 3]
    assert worst_frames([0.1], 3, among=[]) == []


def test_what_is_said_names_a_handful_and_where_to_click() -> None:
    confidence = ([0.4] * 3 + [1.0] * 5) * 6
    confidence[17] = 0.05
    (line,) = low_confidence_notes(confidence)
    assert "f16 to f18 (0.05), f0 to f2 (0.40)" in line
    assert "and 2 more" in line
    assert "--click X,Y@f17" in line
    assert low_confidence_notes([1.0] * 9) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_clips(count: int) -> None:
    assert len(worst_frames([0.5] * count, 9)) == count
