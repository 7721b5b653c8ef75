"""The warping error of pictures whose motion is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scenes import pan

from vinpaint_cli.metrics.ewarp import mean_where, visible, warp, warp_error

HEIGHT, WIDTH, STEP = 30, 40, 3


def moves(dx: float, dy: float = 0.0) -> np.ndarray:
    return np.broadcast_to(np.float32([dx, dy]), (HEIGHT, WIDTH, 2)).copy()


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Two frames in [0, 1] whose content moves three pixels to the left."""
    first, second = pan(2, HEIGHT, WIDTH, (STEP, 0)).astype(np.float32) / 255
    return first, second


def test_the_right_flow_leaves_no_error(pair: tuple[np.ndarray, np.ndarray]) -> None:
    seen = visible(moves(-STEP), moves(STEP))
    assert mean_where(warp_error(*pair, moves(-STEP)), seen) == pytest.approx(0, abs=1e-12)
    assert mean_where(warp_error(*pair, moves(STEP)), seen) > 1e-3


def test_what_leaves_the_frame_does_not_count() -> None:
    seen = visible(moves(-STEP), moves(STEP))
    assert not seen[:, :STEP].any()
    assert seen[:, STEP:].all()


def test_the_error_by_hand(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    wrong = first.copy()
    wrong[10, 20] += np.float32([0.3, 0, -0.6])  # mean square over channels: 0.15
    error = warp_error(wrong, second, moves(-STEP))
    assert error[10, 20] == pytest.approx(0.15, rel=1e-5)
    counted = np.zeros((HEIGHT, WIDTH), bool)
    counted[10, 18:22] = True
    assert mean_where(error, counted) == pytest.approx(0.15 / 4, rel=1e-5)


def test_nothing_to_compare_is_not_zero() -> None:
    assert math.isnan(mean_where(np.ones((4, 4), np.float32), np.zeros((4, 4), bool)))


@pytest.mark.parametrize(("back", "seen"), [(3.0, True), (3.6, True), (4.0, False), (-3.0, False)])
def test_flow_that_does_not_come_back_is_an_occlusion(back: float, seen: bool) -> None:
    """|f + b|² against 0.01·(|f|² + |b|²) + 0.5: 0.36 passes below 0.72, 1.0 fails above 0.75."""
    middle = visible(moves(-3), moves(back))[10:20, 10:30]
    assert middle.all() == seen
    assert middle.any() == seen


def test_motion_boundaries_do_not_count() -> None:
    forward = moves(0)
    forward[:, 20:] = (2, 0)
    backward = moves(0)
    backward[:, 22:] = (-2, 0)
    seen = visible(forward, backward)
    assert not seen[5:25, 19].any()  # a step of two pixels between columns 19 and 20
    assert seen[5:25, 5:15].all()
    assert seen[5:25, 24:30].all()


def test_warp_reads_between_pixels() -> None:
    ramp = np.broadcast_to(np.arange(WIDTH, dtype=np.float32)[None, :, None], (HEIGHT, WIDTH, 3))
    shifted = warp(ramp, moves(0.5))
    assert np.allclose(shifted[:, 1:-2], ramp[:, 1:-2] + 0.5)
    assert np.allclose(shifted[:, -1], WIDTH - 1)  # the border is repeated
