from __future__ import annotations

import numpy as np
import torch
from scenes import block

from vinpaint_cli.methods.propagate import PropagateMethod
from vinpaint_cli.ops.complete.smooth_fill import fill_left, fill_smoothly
from vinpaint_cli.types import Clip

SIZE = 40, 60
HOLE = block(*SIZE, (20, 12, 40, 28))


def ramp() -> np.ndarray:
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float32)
    return np.dstack([x / 60, y / 40, (x + y) / 100]).astype(np.float32)


def test_a_ramp_is_continued() -> None:
    filled = fill_smoothly(np.where(HOLE[..., None], 0.9, ramp()).astype(np.float32), HOLE.astype(np.float32))
    assert np.abs(filled - ramp())[HOLE].max() < 0.1


def test_well_propagated_pixels_are_evidence_and_doubtful_ones_are_not() -> None:
    picture = np.repeat(HOLE[..., None], 3, axis=-1).astype(np.float32)
    trusted = fill_smoothly(picture, HOLE * np.float32(0.05))
    doubted = fill_smoothly(picture, HOLE * np.float32(0.6))
    assert trusted[20, 30].mean() > 0.5
    assert doubted[20, 30].mean() < 0.05


def test_nothing_known_is_grey() -> None:
    assert np.allclose(fill_smoothly(ramp(), np.ones(SIZE, np.float32)), 0.5)


def test_only_frames_with_a_hole_change() -> None:
    frames = torch.from_numpy(np.stack([ramp(), ramp()])).permute(0, 3, 1, 2)
    holes = torch.zeros(2, 1, *SIZE)
    holes[1, 0] = torch.from_numpy(HOLE)
    filled = PropagateMethod().fill(Clip(frames, holes, (0, 1)))
    assert torch.equal(filled[0], frames[0])
    assert torch.equal(filled[1][:, ~torch.from_numpy(HOLE)], frames[1][:, ~torch.from_numpy(HOLE)])
    assert not torch.equal(filled[1], frames[1])


def test_a_flat_picture_stays_flat() -> None:
    for level in (0.2, 0.333, 0.8, 0.93):
        flat = np.full((*SIZE, 3), level, np.float32)
        filled = fill_smoothly(flat, HOLE.astype(np.float32))
        assert np.abs(filled - level).max() < 0.3 / 255


def test_what_was_found_in_doubt_counts_for_half_of_what_is_left() -> None:
    picture = np.repeat(HOLE[..., None], 3, axis=-1).astype(np.float32)
    residual = HOLE * np.float32(0.2)
    found, left = fill_smoothly(picture, residual), fill_left(picture, residual)
    assert found[20, 30].mean() > 0.5
    assert np.allclose(left[20, 30], found[20, 30] / 2, atol=0.02)
    sure = fill_left(picture, HOLE * np.float32(0.02))
    assert sure[20, 30].mean() > 0.5


def test_a_flat_picture_and_one_without_anything_known_stay_as_they_are() -> None:
    flat = np.full((*SIZE, 3), 0.333, np.float32)
    for residual in (HOLE.astype(np.float32), HOLE * np.float32(0.4)):
        assert np.abs(fill_left(flat, residual) - 0.333).max() < 0.3 / 255
    assert np.allclose(fill_left(ramp(), np.ones(SIZE, np.float32)), 0.5)
    doubtful = np.full(SIZE, 0.3, np.float32)  # nothing is surely known
    assert np.array_equal(fill_left(flat, doubtful), fill_smoothly(flat, doubtful))


def test_hidden_values_are_not_read_by_what_is_left() -> None:
    residual = HOLE.astype(np.float32)
    spoilt = np.where(HOLE[..., None], np.nan, ramp()).astype(np.float32)
    assert np.array_equal(fill_left(spoilt, residual), fill_left(ramp(), residual))
