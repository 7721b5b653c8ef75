from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.plan.shots import shots_from_cuts, split_shots


@given(st.integers(1, 200), st.sets(st.integers(1, 199)))
def test_shots_hold_every_frame_once_and_begin_at_the_cuts(frames: int, marks: set[int]) -> None:
    cuts = sorted(mark for mark in marks if mark < frames)
    shots = shots_from_cuts(frames, cuts)
    assert [index for shot in shots for index in shot] == list(range(frames))
    assert [shot.start for shot in shots] == [0, *cuts]


def test_an_empty_clip_has_no_shot() -> None:
    assert shots_from_cuts(0, []) == ()


@pytest.mark.parametrize("cuts", [[0], [10], [5, 5], [7, 3], [-1]])
def test_impossible_cuts_are_refused(cuts: list[int]) -> None:
    with pytest.raises(ValueError, match="must"):
        shots_from_cuts(10, cuts)


def test_shots_are_split_where_asked_and_nowhere_else() -> None:
    shots = (range(10), range(10, 20))
    assert split_shots(shots, [4, 10, 15, 4, 25]) == (range(4), range(4, 10), range(10, 15), range(15, 20))
    assert split_shots(shots, []) == shots
