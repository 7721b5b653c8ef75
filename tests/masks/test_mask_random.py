"""Random blobs: their shape, their walk, and that a seed fixes them."""

from __future__ import annotations

import numpy as np
import pytest
from scenes import block

from vinpaint_cli.masks.sources.random import _filled, _winding, blob, moving_holes, shifted, stationary_holes

HEIGHT, WIDTH = 240, 432


def corner(hole: np.ndarray) -> tuple[int, int]:
    return int(np.flatnonzero(hole.any(1))[0]), int(np.flatnonzero(hole.any(0))[0])


def cut(hole: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    return hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_a_blob_is_tight_and_in_one_piece() -> None:
    import cv2

    for seed in range(40):
        shape = blob(np.random.default_rng(seed), HEIGHT, WIDTH)
        assert shape.dtype == np.bool_
        assert shape.shape[0] < HEIGHT
        assert shape.shape[1] < WIDTH
        for edge in (shape[0], shape[-1], shape[:, 0], shape[:, -1]):
            assert edge.any()
        _, labels, stats, _ = cv2.connectedComponentsWithStats(shape.astype(np.uint8), connectivity=8)
        assert stats[1:, cv2.CC_STAT_AREA].max() > 0.9 * labels.astype(bool).sum()


def test_blobs_are_as_large_as_those_of_the_paper() -> None:
    """Drawn with the plotting library that the paper's code uses, forty shapes covered 8.3 % on average."""
    shares = [
        blob(np.random.default_rng(seed), HEIGHT, WIDTH).sum() / (HEIGHT * WIDTH) for seed in range(120)
    ]
    assert 0.07 < np.mean(shares) < 0.095
    assert min(shares) > 0.01
    assert max(shares) < 0.3


def test_a_shape_is_solid_where_its_outline_runs_twice() -> None:
    """The non-zero rule: two turns around a square fill it, where even and odd would leave it empty."""
    square = np.array([[2, 2], [8, 2], [8, 7], [2, 7]], float)
    twice = np.concatenate([square, square])
    there_and_back = np.concatenate([square, square[:1], square[::-1]])
    assert set(np.unique(_winding(twice, 10, 12))) in ({0, 2}, {0, -2})
    assert (_winding(twice, 10, 12) != 0).sum() == 30
    assert not _winding(there_and_back, 10, 12).any()


def test_the_picture_of_an_outline_is_filled() -> None:
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    drawn = _filled(np.concatenate([square, square]), square, 77, 100)
    assert drawn.sum() == pytest.approx(77 * 100 * 0.775 * 0.77 / 1.1**2, rel=0.05)


def test_stationary_holes_stand_still() -> None:
    holes = stationary_holes(np.random.default_rng(5), 4, HEIGHT, WIDTH)
    assert holes.shape == (4, HEIGHT, WIDTH)
    assert holes[0].any()
    assert all(np.array_equal(hole, holes[0]) for hole in holes)


def test_stationary_holes_come_to_lie_anywhere() -> None:
    places = np.array(
        [corner(stationary_holes(np.random.default_rng(seed), 1, HEIGHT, WIDTH)[0]) for seed in range(60)]
    )
    assert places[:, 0].min() < 20
    assert places[:, 0].max() > 120
    assert places[:, 1].min() < 40
    assert places[:, 1].max() > 250


def test_moving_holes_keep_their_shape_and_wander_slowly() -> None:
    travelled = []
    for seed in range(8):
        holes = moving_holes(np.random.default_rng(seed), 60, HEIGHT, WIDTH)
        assert all(np.array_equal(cut(hole), cut(holes[0])) for hole in holes)
        places = np.array([corner(hole) for hole in holes])
        steps = np.abs(np.diff(places, axis=0))
        assert np.median(steps.max(1)) <= 6
        travelled.append(np.ptp(places, axis=0).max())
    assert np.mean(travelled) > 25


def test_a_seed_fixes_the_holes_and_their_beginning() -> None:
    one, again, other = (moving_holes(np.random.default_rng(seed), 9, 60, 80) for seed in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.array_equal(moving_holes(np.random.default_rng(3), 5, 60, 80), one[:5])


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (8, 8), (9, 30)])
def test_tiny_frames_have_holes_too(size: tuple[int, int]) -> None:
    for seed in range(20):
        for make in (stationary_holes, moving_holes):
            holes = make(np.random.default_rng(seed), 3, *size)
            assert holes.shape == (3, *size)
            assert holes.any((1, 2)).all()


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-5, 7), (10, 0), (0, -12), (40, 40)])
def test_a_shifted_hole_is_where_it_should_be(shift: tuple[int, int]) -> None:
    hole = block(10, 12, (4, 3, 8, 6))
    expected = np.zeros_like(hole)
    for y, x in zip(*np.nonzero(hole), strict=True):
        if 0 <= y + shift[0] < 10 and 0 <= x + shift[1] < 12:
            expected[y + shift[0], x + shift[1]] = True
    assert np.array_equal(shifted(hole, *shift), expected)
    assert np.array_equal(shifted(np.stack([hole, ~hole]), *shift)[0], expected)
