"""PSNR, SSIM and L1 against values worked out by hand or by a slow, plain formula."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from vinpaint_cli.metrics.image import (
    PSNR_CAP,
    l1,
    largest_window,
    psnr,
    sharpness,
    ssim,
    ssim_hole,
    ssim_map,
)


def grey(value: float, height: int = 12, width: int = 10) -> np.ndarray:
    return np.full((height, width, 3), value)


def noise(seed: int, height: int = 20, width: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def plain_ssim(x: np.ndarray, y: np.ndarray, window: int) -> np.ndarray:
    """The formula of Wang et al. at every place where the window fits, by loops."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    height, width = x.shape[:2]
    result = np.empty((height - window + 1, width - window + 1, 3))
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            for c in range(3):
                a = x[row : row + window, column : column + window, c].astype(float).ravel()
                b = y[row : row + window, column : column + window, c].astype(float).ravel()
                covariance = np.cov(a, b, ddof=1)
                above = (2 * a.mean() * b.mean() + c1) * (2 * covariance[0, 1] + c2)
                below = (a.mean() ** 2 + b.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
                result[row, column, c] = above / below
    return result


def test_psnr_by_hand() -> None:
    assert psnr(grey(100), grey(110)) == pytest.approx(20 * math.log10(255 / 10))
    one = grey(50)
    one[0, 0, 0] = 80  # one sample of 360 is off by 30: MSE 2.5
    assert psnr(one, grey(50)) == pytest.approx(10 * math.log10(255**2 / 2.5))


def test_equal_pictures_score_the_cap_and_hardly_unequal_ones_no_more() -> None:
    assert psnr(grey(7), grey(7)) == PSNR_CAP
    assert psnr(grey(7.000001), grey(7)) == PSNR_CAP


def test_the_hole_alone_counts_its_own_pixels() -> None:
    hole = np.zeros((12, 10), bool)
    hole[2:5, 3:7] = True
    one = grey(90)
    one[hole] = 96
    one[11, 9] = 0  # far outside: must not count
    assert psnr(one, grey(90), hole) == pytest.approx(20 * math.log10(255 / 6))
    assert l1(one, grey(90), hole) == pytest.approx(6)
    assert l1(one, grey(90)) == pytest.approx((12 * 6 + 90) / 120)


def test_bytes_do_not_wrap_around() -> None:
    dark, bright = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert psnr(dark, bright) == pytest.approx(0)
    assert l1(dark, bright) == 255


@pytest.mark.parametrize("window", [3, 7, 11])
def test_ssim_is_the_plain_formula(window: int) -> None:
    one, other = noise(1), noise(2)
    other = ((one.astype(int) + other) // 2).astype(np.uint8)
    expected = plain_ssim(one, other, window)
    assert ssim(one, other, window) == pytest.approx(expected.mean(), abs=1e-12)
    edge = window // 2
    inner = ssim_map(one, other, window)[edge:-edge, edge:-edge]
    assert np.allclose(inner, expected, atol=1e-10)


def test_ssim_of_flat_pictures_by_hand() -> None:
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1)
    assert ssim(grey(100), grey(120), 7) == pytest.approx(expected)


def test_ssim_of_equal_pictures_is_one() -> None:
    assert ssim(noise(3), noise(3), 19) == pytest.approx(1)


def test_ssim_in_the_hole_reads_its_places_only() -> None:
    truth = noise(4, 40, 40)
    spoiled = truth.copy()
    spoiled[30:, 30:] = 128
    near, far = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    near[33:37, 33:37] = True
    far[5:9, 5:9] = True
    assert ssim_hole(spoiled, truth, far) == pytest.approx(1)
    assert ssim_hole(spoiled, truth, near) < 0.2


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr(grey(1), grey(1, 5, 5))
    nothing = np.zeros((12, 10), bool)
    for measure in (psnr, l1, ssim_hole):
        with pytest.raises(ValueError, match="no pixel"):
            measure(grey(1), grey(1), nothing)
    for window in (4, 1, 13):
        with pytest.raises(ValueError, match=f"window {window}"):
            ssim(grey(1), grey(1), window)


@pytest.mark.parametrize(
    ("size", "window"), [((240, 432), 65), ((64, 500), 63), ((500, 65), 65), ((9, 8), 7)]
)
def test_small_pictures_take_the_largest_window_they_have_room_for(
    size: tuple[int, int], window: int
) -> None:
    assert largest_window(*size) == window


def test_the_truth_is_as_sharp_as_itself_and_a_smear_is_not() -> None:
    truth, hole = noise(4), np.zeros((20, 24), bool)
    hole[4:16, 5:18] = True
    assert sharpness(truth, truth, hole) == 1
    assert sharpness(cv2.GaussianBlur(truth, (0, 0), 1.5), truth, hole) < 0.5
    assert sharpness(truth, cv2.GaussianBlur(truth, (0, 0), 1.5), hole) > 2
    assert sharpness(truth.astype(float) * 0.5, truth, hole) == pytest.approx(0.5, rel=0.01)


def test_sharpness_by_hand() -> None:
    """One bright pixel: the Laplacian is 4 there and 1 at its four neighbours."""
    truth, result = grey(0, 20, 24), grey(0, 20, 24)
    truth[9, 9], result[10, 12] = 100, 30
    hole = np.zeros((20, 24), bool)
    hole[4:16, 5:18] = True
    assert sharpness(result, truth, hole) == pytest.approx(0.3)
    result[6, 7] = 200  # the first row and column that count; half its Laplacian falls on the edge
    assert sharpness(result, truth, hole) == pytest.approx(0.3 + 2 * 6 / 8)


def test_edges_and_little_holes_have_no_sharpness() -> None:
    truth = noise(5)
    hole = np.zeros((20, 24), bool)
    hole[4:13, 5:13] = True  # 9×8, of which 5×4 are left
    assert math.isnan(sharpness(truth, truth, hole))
    hole[4:13, 13] = True
    assert sharpness(truth, truth, hole) == 1
    assert math.isnan(sharpness(truth, grey(9, 20, 24), hole))
    seam = truth.copy()
    seam[4:6, 5:14] = 255
    seam[4:13, 5] = 0
    assert sharpness(seam, truth, hole) != 1  # the Laplacian of what counts reaches one pixel out
    seam = truth.copy()
    seam[4, 5:14] = 255
    assert sharpness(seam, truth, hole) == 1
