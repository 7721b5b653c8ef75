from __future__ import annotations

import numpy as np
import pytest
from scenes import block, wall

from vinpaint_cli.ops.flow.motion import Motion
from vinpaint_cli.ops.propagate.temporal_smoothing import smooth_filled, smooth_uncertain

SIZE = 40, 60
HOLE = block(*SIZE, (20, 12, 40, 28))


def still(frames: int) -> Motion:
    zero = np.zeros((*SIZE, 2), np.float16)
    return Motion((zero,) * (frames - 1), (zero,) * (frames - 1), (np.eye(3),) * (frames - 1))


def restless(frames: int, trust: float) -> tuple[np.ndarray, np.ndarray]:
    """A still wall whose hole is too bright in every second frame."""
    pictures = np.stack([wall(*SIZE).astype(np.float32) / 510 + 0.2] * frames)
    confidence = np.ones((frames, *SIZE), np.float32)
    for t in range(frames):
        pictures[t][HOLE] += 0.1 * (t % 2)
        confidence[t][HOLE] = trust
    return pictures, confidence


def flicker(pictures: np.ndarray) -> float:
    return float(np.abs(np.diff(pictures, axis=0))[:, HOLE].mean())


def test_doubtful_pixels_flicker_less() -> None:
    pictures, confidence = restless(8, 0.3)
    before = flicker(pictures)
    smooth_uncertain(pictures, confidence, [HOLE] * 8, still(8))
    assert flicker(pictures) < 0.5 * before
    assert confidence[:, HOLE].mean() == pytest.approx(0.3, abs=0.02)


def test_different_things_are_not_mixed_but_the_surer_one_is_taken() -> None:
    pictures, confidence = restless(6, 0.3)
    pictures[:, HOLE] = 0.2
    pictures[3][HOLE], confidence[3][HOLE] = 0.8, 0.1
    smooth_uncertain(pictures, confidence, [HOLE] * 6, still(6))
    assert np.abs(pictures[:, HOLE] - 0.2).max() < 0.01


def test_sure_pixels_and_known_ones_stay() -> None:
    pictures, confidence = restless(6, 1.0)
    before = pictures.copy()
    smooth_uncertain(pictures, confidence, [HOLE] * 6, still(6))
    assert np.allclose(pictures, before, atol=1e-5)
    pictures, confidence = restless(6, 0.3)
    before = pictures.copy()
    smooth_uncertain(pictures, confidence, [HOLE] * 6, still(6))
    assert np.array_equal(pictures[:, ~HOLE], before[:, ~HOLE])


def test_a_frame_without_any_confidence_takes_its_neighbours_and_gives_nothing() -> None:
    pictures, confidence = restless(3, 0.8)
    pictures[1][HOLE] = 0
    confidence[1][HOLE] = 0
    before = pictures.copy()
    smooth_uncertain(pictures, confidence, [HOLE] * 3, still(3))
    assert np.abs(pictures[1] - before[0])[HOLE].max() < 1e-5
    assert np.abs(pictures[0] - before[0])[HOLE].max() < 1e-5
    assert (confidence[1][HOLE] > 0.5).all()


def test_inconsistent_flow_carries_nothing() -> None:
    pictures, confidence = restless(4, 0.3)
    before = pictures.copy()
    wild = np.full((*SIZE, 2), 6, np.float16)
    smooth_uncertain(pictures, confidence, [HOLE] * 4, Motion((wild,) * 3, (wild,) * 3, (np.eye(3),) * 3))
    assert np.abs(pictures - before).max() < 0.01


def test_pixels_that_hold_nothing_darken_nobody() -> None:
    """Beside what was found lies what nobody knows, which holds black: between pixels they must not mix."""
    known = block(*SIZE, (20, 12, 30, 28))
    frames, shift = 6, 0.5
    pictures = np.full((frames, *SIZE, 3), 0.7, np.float32)
    confidence = np.ones((frames, *SIZE), np.float32)
    for t in range(frames):
        pictures[t][HOLE & ~known] = 0
        confidence[t][HOLE] = np.where(known, 0.3, 0)[HOLE]
    step = np.full((*SIZE, 2), (shift, 0), np.float16)
    motion = Motion((step,) * (frames - 1), (-step,) * (frames - 1), (np.eye(3),) * (frames - 1))
    smooth_uncertain(pictures, confidence, [HOLE] * frames, motion)
    held = confidence > 0.01
    assert held[:, HOLE & ~known].any()
    np.testing.assert_allclose(pictures[held], 0.7, atol=1e-3)


def filled(frames: int, share: float) -> np.ndarray:
    shares = np.zeros((frames, *SIZE), np.float32)
    shares[:, HOLE] = share
    return shares


def test_what_was_filled_flickers_less_and_the_rest_stays() -> None:
    pictures, _ = restless(8, 0.0)
    before = pictures.copy()
    smooth_filled(pictures, filled(8, 1.0), still(8))
    assert flicker(pictures) < 0.5 * flicker(before)
    assert np.array_equal(pictures[:, ~HOLE], before[:, ~HOLE])
    assert pictures[:, HOLE].mean() == pytest.approx(float(before[:, HOLE].mean()), abs=0.005)


def test_the_less_was_filled_the_less_it_changes() -> None:
    changes = []
    for share in (0.05, 0.4, 1.0):
        pictures, _ = restless(6, 0.0)
        before = pictures.copy()
        smooth_filled(pictures, filled(6, share), still(6))
        changes.append(float(np.abs(pictures - before)[:, HOLE].mean()))
    assert 0 < changes[0] < changes[1] < changes[2]
    assert changes[0] < 0.01


def test_it_is_evened_out_along_the_motion() -> None:
    """A fill that moves four pixels a frame, as the flow says, stays as sharp as it was."""
    stripes = np.where(np.arange(100) // 4 % 2, 0.8, 0.2).astype(np.float32)
    pictures = np.stack([np.repeat(stripes[None, 40 - 4 * t : 100 - 4 * t], 40, 0) for t in range(5)])
    pictures = np.repeat(pictures[..., None], 3, -1)
    right = np.zeros((*SIZE, 2), np.float16)
    right[..., 0] = 4
    moving = Motion((right,) * 4, (-right,) * 4, (np.eye(3),) * 4)
    before = pictures.copy()
    smooth_filled(pictures, filled(5, 1.0), moving)
    assert np.abs(pictures - before).max() < 1e-4
    smooth_filled(pictures, filled(5, 1.0), still(5))
    assert np.abs(pictures - before)[:, HOLE].mean() > 0.1


def test_nothing_is_taken_where_the_flow_contradicts_itself_or_leaves_the_picture() -> None:
    away = np.zeros((*SIZE, 2), np.float16)
    away[..., 0] = 9
    lost = np.zeros((*SIZE, 2), np.float16)
    lost[..., 1] = 200
    for motion in (Motion((away,) * 3, (away,) * 3, (np.eye(3),) * 3), Motion((lost,) * 3, (-lost,) * 3, ())):
        pictures, _ = restless(4, 0.0)
        before = pictures.copy()
        smooth_filled(pictures, filled(4, 1.0), motion)
        assert np.abs(pictures - before).max() < 1e-3
