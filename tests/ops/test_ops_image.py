from __future__ import annotations

import numpy as np
import pytest
from scenes import block

from vinpaint_cli.ops.image import (
    coordinate_grid,
    depth_inside,
    dilate,
    dilate_by_thickness,
    dilate_exact,
    enlarged,
    luma,
    mean_around,
    membrane,
    sample,
    shrunk,
    to_levels,
)


def ramp(height: int = 40, width: int = 56) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.dstack([x, 2 * y, x - y])


def test_membrane_continues_a_ramp() -> None:
    values = ramp()
    hole = block(40, 56, (12, 10, 44, 30))
    spoilt = np.where(hole[..., None], 999, values).astype(np.float32)
    filled = membrane(spoilt, (~hole).astype(np.float32))
    assert np.abs(filled - values)[hole].max() < 2.5
    assert np.array_equal(filled[~hole], values[~hole])


def test_membrane_of_a_constant_is_that_constant() -> None:
    hole = block(33, 47, (0, 5, 47, 30))
    filled = membrane(np.full((33, 47, 1), 7.0, np.float32), (~hole).astype(np.float32))
    assert np.allclose(filled, 7, atol=1e-4)


def test_membrane_trusts_by_weight() -> None:
    values = np.zeros((16, 16, 1), np.float32)
    values[:, 8:] = 100
    weights = np.full((16, 16), 0.2, np.float32)
    weights[:, :4] = 1
    filled = membrane(values, weights)
    assert filled[:, 12:].mean() < values[:, 12:].mean()
    assert np.allclose(filled[:, :4], 0)


def test_membrane_leaves_its_input_alone() -> None:
    values, weights = ramp(), np.ones((40, 56), np.float32)
    weights[5:9, 5:9] = 0
    before = values.copy()
    membrane(values, weights)
    assert np.array_equal(values, before)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_sample_at_whole_pixels_gives_the_picture(order: int) -> None:
    picture = ramp()
    grid = coordinate_grid(20, 30, x0=4, y0=7)
    assert np.allclose(sample(picture, grid, order=order), picture[7:27, 4:34], atol=1e-4)


def test_sample_of_points_agrees_with_sample_of_a_grid() -> None:
    picture = ramp()
    grid = coordinate_grid(10, 12) + np.float32(3.25)
    points = sample(picture, grid.reshape(-1, 2), order=3)
    assert np.allclose(points.reshape(10, 12, 3), sample(picture, grid, order=3), atol=1e-5)


def test_sample_takes_more_points_than_the_library() -> None:
    points = np.zeros((70_000, 2), np.float32)
    points[:, 0] = np.arange(70_000) % 56
    assert np.allclose(sample(ramp(), points)[:, 0], points[:, 0], atol=1e-4)


def test_sample_outside_is_the_edge_or_zero() -> None:
    picture = np.full((4, 4), 5.0, np.float32)
    far = np.full((1, 1, 2), -10, np.float32)
    assert sample(picture, far)[0, 0] == 5
    assert sample(picture, far, outside="zero")[0, 0] == 0


def test_depth_counts_from_the_edge() -> None:
    depth = depth_inside(block(20, 20, (5, 5, 15, 15)))
    assert depth[5, 5] == pytest.approx(1, abs=0.1)
    assert depth[10, 10] == pytest.approx(5, abs=0.5)
    assert depth[0, 0] == 0


def test_dilate_is_a_disc() -> None:
    spot = block(21, 21, (10, 10, 11, 11))
    grown = dilate(spot, 4)
    assert grown[10, 14]
    assert grown[6, 10]
    assert not grown[14, 14]
    assert np.array_equal(dilate(spot, 0), spot)


def test_levels_of_every_depth_agree() -> None:
    eight = np.arange(256, dtype=np.uint8).reshape(1, 256, 1)
    assert np.array_equal(to_levels(eight), eight.astype(np.float32))
    assert np.allclose(to_levels(eight.astype(np.uint16) * 257), eight, atol=1e-4)
    assert np.allclose(to_levels(eight.astype(np.float32) / 255), eight, atol=1e-4)


def test_luma_weighs_green_most() -> None:
    colours = np.eye(3, dtype=np.float32)[None] * 255
    assert luma(colours).tolist() == [[76, 150, 29]]


@pytest.mark.parametrize("step", [2, 3])
def test_what_is_hidden_has_no_part_in_a_smaller_picture(step: int) -> None:
    hole = block(40, 57, (12, 10, 44, 30))
    flat = np.where(hole[..., None], 99, 0.25).astype(np.float32).repeat(3, -1)
    small, hidden = shrunk(flat, hole, step)
    assert small.shape[:2] == hidden.shape == (40 // step, 57 // step)
    assert set(np.unique(hidden)) == {0, 1}
    assert np.allclose(small[hidden == 0], 0.25, atol=1e-5)
    assert not small[hidden == 1].any()
    assert enlarged(small, hole.shape).shape == (40, 57, 3)


def test_a_mask_grows_by_exactly_what_is_near_enough() -> None:
    mask = np.zeros((21, 31), np.bool_)
    mask[10, 3] = True
    rows, columns = np.mgrid[:21, :31]
    apart = np.hypot(rows - 10, columns - 3)
    for radius in (0.5, 1, 2.5, 7):
        assert np.array_equal(dilate_exact(mask, radius), apart <= radius)
    assert not dilate_exact(np.zeros_like(mask), 3).any()
    same = dilate_exact(mask, 0)
    same[0, 0] = True
    assert not mask[0, 0]


def test_a_mean_around_is_of_what_has_weight() -> None:
    values = np.arange(48, dtype=np.float32).reshape(6, 8)
    weight = np.zeros((6, 8), np.float32)
    weight[2, 3], weight[3, 4] = 1, 3
    mean = mean_around(values, weight, 1)
    assert mean[2, 4] == pytest.approx((values[2, 3] + 3 * values[3, 4]) / 4)
    assert mean[1, 2] == pytest.approx(values[2, 3])
    assert mean[5, 7] == 0
    assert np.array_equal(mean_around(np.dstack([values, values]), weight, 1)[..., 1], mean)


def test_thick_parts_are_dilated_in_full_and_thin_ones_by_less() -> None:
    mask = np.zeros((120, 200), bool)
    mask[40:80, 20:60] = True
    mask[20:100, 120:124] = True
    found = dilate_by_thickness(mask, 12)
    assert found[60, 8:72].all()
    assert not found[60, 7]
    assert found[60, 116:128].all()
    assert not found[60, 115]
    assert not found[60, 128]


def test_a_part_at_the_border_is_as_thick_as_it_goes_on_there() -> None:
    mask = np.zeros((60, 90), bool)
    mask[:, :16] = True
    assert dilate_by_thickness(mask, 12)[30, :28].all()


@pytest.mark.parametrize("value", [False, True])
def test_nothing_and_all_stay(value: bool) -> None:
    mask = np.full((8, 9), value)
    np.testing.assert_array_equal(dilate_by_thickness(mask, 4), mask)
