"""The three facts that any propagation must satisfy, and what must never be read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scenes import block, pan, psnr, wall

from vinpaint_cli.ops.propagate.propagation import PropagateOptions, propagate

SIZE = 96, 144
BOX = 60, 36, 84, 60


def still_scene(frames: int) -> np.ndarray:
    return np.stack([wall(*SIZE)] * frames)


def moving_hole(frames: int, step: int = 12) -> list[np.ndarray]:
    return [block(*SIZE, (20 + step * t, 30, 44 + step * t, 60)) for t in range(frames)]


def hide(clip: np.ndarray, holes: list[np.ndarray], value: int = 255) -> np.ndarray:
    return np.where(np.stack(holes)[..., None], value, clip).astype(clip.dtype)


def test_a_moving_hole_over_a_still_scene_is_recovered() -> None:
    clip, holes = still_scene(6), moving_hole(6)
    found = propagate(hide(clip, holes), holes)
    inside = np.stack(holes)
    error = np.abs(found.frames * 255 - clip)[inside]
    assert error.max() < 2.5
    assert error.mean() < 0.5
    assert found.confidence[inside].min() > 0.5
    assert found.confidence[inside].mean() > 0.95


def test_a_fixed_hole_under_a_pan_is_recovered() -> None:
    clip = pan(14, *SIZE, (6, 0))
    holes = [block(*SIZE, BOX)] * 14
    found = propagate(hide(clip, holes), holes)
    inside = np.stack(holes)
    assert psnr(found.frames[inside] * 255, clip[inside]) > 38
    assert found.confidence[inside].mean() > 0.9


def test_a_fixed_hole_in_a_still_scene_is_left_to_the_next_stage() -> None:
    holes = [block(*SIZE, BOX)] * 5
    found = propagate(hide(still_scene(5), holes), holes)
    assert found.confidence[np.stack(holes)].max() < 0.05


def test_known_pixels_are_exact() -> None:
    clip = pan(4, *SIZE)
    holes = [block(*SIZE, BOX)] * 4
    found = propagate(hide(clip, holes), holes)
    known = ~np.stack(holes)
    assert np.array_equal(np.rint(found.frames * 255)[known], clip[known])
    assert (found.confidence[known] == 1).all()


@pytest.mark.parametrize("other", [0, 77])
def test_what_stands_in_the_hole_is_never_read(other: int) -> None:
    clip, holes = pan(8, *SIZE, (6, 1)), [block(*SIZE, BOX)] * 8
    one = propagate(hide(clip, holes), holes)
    two = propagate(hide(clip, holes, other), holes)
    sure = one.confidence > 1e-3
    assert np.array_equal(one.confidence, two.confidence)
    assert np.array_equal(one.frames[sure], two.frames[sure])


def test_ten_bits_stay_ten_bits() -> None:
    clip, holes = pan(10, *SIZE, (6, 0)), [block(*SIZE, BOX)] * 10
    deep = clip.astype(np.uint16) * 257 + np.uint16(100)
    deep = np.minimum(deep, 65535).astype(np.uint16)
    found = propagate(hide(deep, holes), holes)
    known = ~np.stack(holes)
    assert np.array_equal(np.rint(found.frames * 65535)[known], deep[known])
    inside = np.stack(holes) & (found.confidence > 0.9)
    assert psnr(found.frames[inside] * 255, deep[inside] / 257) > 36


def test_exposure_is_evened_out() -> None:
    clip = pan(12, *SIZE, (6, 0)).astype(np.float32) * 0.7 + 30
    lit = np.stack([frame + 1.5 * t for t, frame in enumerate(clip)])
    lit = np.clip(lit, 0, 255).astype(np.uint8)
    holes = [block(*SIZE, BOX)] * 12
    inside = np.stack(holes)
    found = propagate(hide(lit, holes), holes)
    plain = propagate(hide(lit, holes), holes, PropagateOptions(exposure=0.0))
    with_it = psnr(found.frames[inside] * 255, lit[inside])
    assert with_it > psnr(plain.frames[inside] * 255, lit[inside]) + 3


def test_one_frame_and_no_hole_are_allowed() -> None:
    clip = pan(1, *SIZE)
    hole = block(*SIZE, BOX)
    assert propagate(clip, [hole]).confidence[0][hole].max() == 0
    empty = [np.zeros(SIZE, bool)] * 3
    found = propagate(pan(3, *SIZE), empty)
    assert (found.confidence == 1).all()


def test_a_frame_that_is_all_hole_is_taken_from_its_neighbours() -> None:
    clip = still_scene(3)
    holes = [np.zeros(SIZE, bool), np.ones(SIZE, bool), np.zeros(SIZE, bool)]
    found = propagate(hide(clip, holes), holes)
    assert found.frames.shape == clip.shape
    assert np.isfinite(found.frames).all()


def test_work_is_reported() -> None:
    ticks: list[int] = []
    holes = [block(*SIZE, BOX)] * 5
    propagate(pan(5, *SIZE), holes, tick=lambda: ticks.append(1))
    assert len(ticks) == 2 * 5 - 1


def test_chaos_is_survived() -> None:
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (8, *SIZE, 3), dtype=np.uint8)
    holes = [block(*SIZE, BOX)] * 8
    found = propagate(clip, holes)
    assert np.isfinite(found.frames).all()
    assert np.isfinite(found.confidence).all()
    assert found.confidence[np.stack(holes)].mean() < 0.3


def slow_pan(frames: int, speed: float) -> np.ndarray:
    """A pan of less than a pixel a frame."""
    wide = wall(SIZE[0], SIZE[1] + 40)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float32)
    return np.stack([cv2.remap(wide, x + speed * t, y, cv2.INTER_CUBIC) for t in range(frames)])


@pytest.mark.parametrize("speed", [0.6, 1.6])
def test_sub_pixel_motion_never_leads_back_into_the_hole(speed: float) -> None:
    clip, holes = slow_pan(24, speed), [block(*SIZE, (60, 36, 76, 52))] * 24
    one, two = propagate(hide(clip, holes), holes), propagate(hide(clip, holes, 40), holes)
    sure = one.confidence > 1e-3
    assert np.array_equal(one.frames[sure], two.frames[sure])
    inside = np.stack(holes) & (one.confidence > 0.8)
    assert inside.sum() > 500
    assert psnr(one.frames[inside] * 255, clip[inside]) > 28


def test_a_region_that_is_all_hole_is_not_trusted_blindly() -> None:
    rng = np.random.default_rng(2)
    clip = rng.integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)
    holes = [np.zeros(SIZE, bool), np.ones(SIZE, bool), np.zeros(SIZE, bool)]
    assert propagate(hide(clip, holes), holes).confidence[1].mean() < 0.9


def test_only_wanted_frames_are_filled() -> None:
    clip, holes = pan(8, *SIZE, (6, 0)), [block(*SIZE, BOX)] * 8
    found = propagate(hide(clip, holes), holes, wanted=range(2, 5))
    inside = [found.confidence[t][holes[t]].max() for t in range(8)]
    assert [value > 0 for value in inside] == [False, False, True, True, True, False, False, False]


def test_far_frames_show_what_neighbours_do_not() -> None:
    """At a pixel a frame a hole 24 wide is shown beyond its middle only by frames twelve away and more."""
    clip = pan(40, *SIZE, (1, 0))
    holes = [block(*SIZE, (60, 36, 84, 60))] * 40
    with_far = propagate(hide(clip, holes), holes, wanted=range(20, 21))
    without = propagate(hide(clip, holes), holes, PropagateOptions(far=0, nearest=0), wanted=range(20, 21))
    assert with_far.confidence[20][holes[20]].mean() > without.confidence[20][holes[20]].mean()
