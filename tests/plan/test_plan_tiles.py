from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.plan.windows import plan_tiles
from vinpaint_cli.types import Box


@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    overlap=st.integers(0, 12),
    more=st.integers(3, 60),
    multiple=st.sampled_from([1, 2, 4]),
    origin=st.tuples(st.integers(-50, 50), st.integers(-50, 50)),
)
def test_tiles_cover_the_region_with_weights_that_sum_to_one(
    width: int, height: int, overlap: int, more: int, multiple: int, origin: tuple[int, int]
) -> None:
    overlap *= multiple
    side = 3 * overlap + more * multiple
    region = Box(*origin, origin[0] + width * multiple, origin[1] + height * multiple)
    total = np.zeros((region.height, region.width))
    for tile in plan_tiles(region, side, overlap, multiple):
        box = tile.box
        assert region.contains(box)
        assert 0 < box.width <= side
        assert 0 < box.height <= side
        assert (box.x0 - region.x0) % multiple == (box.y0 - region.y0) % multiple == 0
        assert box.width % multiple == box.height % multiple == 0
        assert (len(tile.columns), len(tile.rows)) == (box.width, box.height)
        assert min(*tile.columns, *tile.rows) >= 0
        part = total[box.y0 - region.y0 : box.y1 - region.y0, box.x0 - region.x0 : box.x1 - region.x0]
        part += np.outer(tile.rows, tile.columns)
    np.testing.assert_allclose(total, 1, atol=1e-12)


def test_a_small_region_is_one_tile() -> None:
    (tile,) = plan_tiles(Box(8, 4, 40, 20), 64, 8, 4)
    assert tile.box == Box(8, 4, 40, 20)
    assert set(tile.columns) == set(tile.rows) == {1.0}


def test_neighbours_overlap_and_fade() -> None:
    first, second = plan_tiles(Box(0, 0, 100, 10), 60, 20)
    assert (first.box.x0, first.box.x1, second.box.x0, second.box.x1) == (0, 60, 40, 100)
    faded = list(first.columns[40:])
    assert faded == sorted(faded, reverse=True)
    assert 0 < faded[-1] < faded[0] < 1


@pytest.mark.parametrize(
    ("region", "side", "overlap", "multiple"),
    [
        (Box(0, 0, 10, 8), 32, 8, 4),
        (Box(0, 0, 8, 8), 30, 8, 4),
        (Box(0, 0, 8, 8), 20, 8, 4),
        (Box(4, 4, 4, 8), 32, 8, 4),
    ],
)
def test_what_cannot_be_tiled_is_refused(region: Box, side: int, overlap: int, multiple: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        plan_tiles(region, side, overlap, multiple)
