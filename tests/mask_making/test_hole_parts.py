from __future__ import annotations

import numpy as np
import pytest

from vinpaint_cli.mask_making.cast_shadows import (
    MAX_PARTS,
    match_parts,
    move_with_parts,
    part_motions,
    parts_of,
    unmatched,
)

SIZE = 60, 120


def hole(*corners: tuple[int, int]) -> np.ndarray:
    """Squares of 10 pixels at rows and columns."""
    mask = np.zeros(SIZE, np.bool_)
    for row, column in corners:
        mask[row : row + 10, column : column + 10] = True
    return mask


def test_parts_are_what_lies_apart() -> None:
    assert len(parts_of(hole((20, 20), (20, 60))).numbers) == 2
    assert len(parts_of(hole((20, 20), (20, 34))).numbers) == 1
    assert len(parts_of(hole((20, 20), (20, 44)), scale=4).numbers) == 1
    parts = parts_of(hole((20, 20), (20, 60)))
    assert sorted(parts.centres[1:].tolist()) == [[24.5, 24.5], [24.5, 64.5]]
    assert parts.nearest[5, 5] == parts.nearest[24, 24] != parts.nearest[50, 119]


def test_each_goes_its_own_way() -> None:
    before, now = parts_of(hole((20, 20), (20, 60))), parts_of(hole((24, 20), (20, 66)))
    carried = move_with_parts(hole((35, 22), (35, 62)), before, now)
    assert np.array_equal(carried, hole((39, 22), (35, 68)))
    assert not unmatched(before, now).any()


def test_one_alone_is_the_same_however_far_it_goes() -> None:
    before, now = parts_of(hole((20, 20))), parts_of(hole((20, 90)))
    assert match_parts(now, before) == {1: 1}
    assert np.array_equal(move_with_parts(hole((35, 22)), before, now), hole((35, 92)))


def test_what_lies_on_the_ground_goes_to_the_side_only() -> None:
    before, now = parts_of(hole((20, 20))), parts_of(hole((5, 30)))
    assert np.array_equal(move_with_parts(hole((35, 22)), before, now, horizontal=True), hole((35, 32)))


def test_what_appears_takes_nothing_along() -> None:
    before, now = parts_of(hole((20, 20))), parts_of(hole((20, 22), (20, 90)))
    assert np.array_equal(move_with_parts(hole((35, 22)), before, now), hole((35, 24)))
    strange = unmatched(before, now)
    assert strange[24, 94]
    assert not strange[24, 26]
    assert unmatched(parts_of(hole((20, 20), (20, 90))), parts_of(hole((45, 50), (2, 2)))).all()


def test_the_way_of_what_leaves_the_picture_is_not_known() -> None:
    before, now = parts_of(hole((20, 100))), parts_of(hole((20, 112)))
    assert part_motions(before, now) == {}
    assert not move_with_parts(hole((35, 90)), before, now).any()


def test_of_what_falls_apart_the_larger_part_stays_it() -> None:
    before, now = parts_of(hole((20, 20), (20, 28), (20, 36))), parts_of(hole((20, 18), (20, 40)))
    assert len(before.numbers) == 1
    assert match_parts(now, before) == {now.nearest[24, 22]: 1}


@pytest.mark.parametrize("count", [MAX_PARTS, MAX_PARTS + 1])
def test_many_parts_are_one_thing(count: int) -> None:
    wide = np.zeros((60, 400), np.bool_)
    for number in range(count):
        wide[20:30, 5 + 40 * number : 15 + 40 * number] = True
    assert len(parts_of(wide).numbers) == (count if count <= MAX_PARTS else 1)
