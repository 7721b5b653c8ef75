"""Telea's fill of a single picture."""

from __future__ import annotations

import numpy as np
from scenes import block, wall

from vinpaint_cli.ops.complete.smooth_fill import telea


def test_a_ramp_is_carried_on() -> None:
    ramp = np.repeat(np.linspace(0, 1, 40, dtype=np.float32)[None, :, None], 30, 0).repeat(3, 2)
    hole = block(30, 40, (15, 10, 25, 20))
    spoiled = np.where(hole[..., None], np.float32(0), ramp)
    assert np.abs(telea(spoiled, hole) - ramp).max() < 0.1


def test_outside_is_exactly_the_picture_and_inside_is_not_read() -> None:
    picture = wall(30, 40).astype(np.float32) / 255
    hole = block(30, 40, (5, 5, 12, 12))
    filled = telea(picture, hole)
    assert np.array_equal(filled[~hole], picture[~hole])
    assert np.array_equal(telea(np.where(hole[..., None], np.float32(1), picture), hole), filled)
    assert not np.array_equal(filled[hole], picture[hole])


def test_nothing_to_fill_and_nothing_known() -> None:
    picture = wall(12, 12).astype(np.float32) / 255
    assert np.array_equal(telea(picture, np.zeros((12, 12), bool)), picture)
    assert np.allclose(telea(picture, np.ones((12, 12), bool)), 0.5)
