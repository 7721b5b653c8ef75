from __future__ import annotations

import numpy as np
import pytest
from scenes import block, pan

from vinpaint_cli.ops.flow.camera import accumulate, apply_homography, between, fit_homography
from vinpaint_cli.ops.flow.dis import DisFlow
from vinpaint_cli.ops.flow.motion import Motion, complete, estimate_motion, inconsistency, inconsistency_at
from vinpaint_cli.ops.image import coordinate_grid, luma

ZOOM = np.array([[1.02, 0.01, -3.0], [-0.01, 1.02, 2.0], [1e-5, 0, 1]])


def homography_flow(matrix: np.ndarray, height: int = 60, width: int = 80) -> np.ndarray:
    grid = coordinate_grid(height, width)
    return apply_homography(matrix, grid) - grid


def test_dis_finds_a_translation() -> None:
    clip = pan(2, 80, 120, (4, 2))
    first, second = (luma(frame.astype(np.float32)) for frame in clip)
    flow = DisFlow()(first, second)[12:-12, 12:-12]
    assert np.abs(np.median(flow, axis=(0, 1)) - (-4, -2)).max() < 0.1


def test_dis_takes_tiny_pictures_as_still() -> None:
    tiny = np.zeros((8, 40), np.uint8)
    assert not DisFlow()(tiny, tiny).any()


def test_opposite_flows_are_consistent_and_others_are_not() -> None:
    flow = np.full((20, 30, 2), 3.0, np.float32)
    assert np.allclose(inconsistency(flow, -flow)[:, :-4], 0)
    # |3+5|²·2 / (0.01·(3²+5²)·2 + 0.5), by hand
    expected = 128 / (0.01 * 68 + 0.5)
    assert inconsistency(flow, flow + 2)[5, 5] == pytest.approx(expected, rel=1e-5)


def test_homography_is_found_in_noise() -> None:
    rng = np.random.default_rng(0)
    flow = homography_flow(ZOOM) + rng.normal(0, 0.05, (60, 80, 2)).astype(np.float32)
    flow[20:40, 20:40] += 15
    found = fit_homography(flow, np.ones((60, 80), bool))
    grid = coordinate_grid(60, 80)
    assert np.abs(apply_homography(found, grid) - apply_homography(ZOOM, grid)).max() < 0.3


def test_no_agreement_means_no_camera_motion() -> None:
    chaos = np.random.default_rng(1).normal(0, 40, (60, 80, 2)).astype(np.float32)
    assert np.array_equal(fit_homography(chaos, np.ones((60, 80), bool)), np.eye(3))
    assert np.array_equal(fit_homography(chaos, np.zeros((60, 80), bool)), np.eye(3))


def test_path_goes_there_and_back() -> None:
    path = accumulate([ZOOM, ZOOM, np.linalg.inv(ZOOM)])
    assert np.allclose(between(path, 0, 2), ZOOM @ ZOOM / (ZOOM @ ZOOM)[2, 2])
    assert np.allclose(between(path, 3, 1), np.eye(3), atol=1e-9)


def test_completion_follows_the_camera_inside_the_hole() -> None:
    truth = homography_flow(ZOOM)
    hole = block(60, 80, (25, 15, 60, 45))
    spoilt = np.where(hole[..., None], 50, truth).astype(np.float32)
    filled = complete(spoilt, hole, np.ones_like(hole), ZOOM)
    assert np.abs(filled - truth).max() < 0.05


def test_completion_without_a_guide_is_smooth() -> None:
    truth = homography_flow(ZOOM)
    hole = block(60, 80, (30, 20, 50, 40))
    filled = complete(np.where(hole[..., None], 50, truth).astype(np.float32), hole, ~hole, np.eye(3))
    assert np.abs(filled - truth)[hole].max() < 0.5


def test_motion_does_not_see_the_hole() -> None:
    clip = pan(3, 90, 130, (5, 0))
    hole = block(90, 130, (50, 30, 90, 60))
    grey = [luma(np.where(hole[..., None], 40, frame).astype(np.float32)) for frame in clip]
    ticks: list[int] = []
    motion = estimate_motion(grey.__getitem__, [hole] * 3, DisFlow(), tick=lambda: ticks.append(1))
    assert len(ticks) == 2
    ahead, back = motion.step(1, -1)
    assert np.abs(np.median(ahead[hole], axis=0) - (5, 0)).max() < 0.3
    assert np.abs(np.median(back[hole], axis=0) - (-5, 0)).max() < 0.3


def test_a_plane_seen_edge_on_is_no_camera_motion() -> None:
    """RANSAC can fit chaos so; its flow would fly to infinity and blacken the hole."""
    wild = np.array([[1.0, 0, 0], [0, 1.0, 0], [-3.5e-3, -2.6e-2, 1]])
    grid = coordinate_grid(60, 80)
    with np.errstate(all="ignore"):
        flow = np.nan_to_num(apply_homography(wild, grid) - grid, nan=0, posinf=1e6, neginf=-1e6)
    assert np.array_equal(fit_homography(flow, np.ones((60, 80), bool)), np.eye(3))


def test_single_pixels_are_as_inconsistent_as_in_the_whole_picture() -> None:
    rng = np.random.default_rng(2)
    flow, back = rng.normal(0, 3, (2, 30, 40, 2)).astype(np.float32)
    rows, columns = np.array([0, 7, 29]), np.array([39, 11, 0])
    found = inconsistency_at(flow, back, rows, columns)
    assert np.allclose(found, inconsistency(flow, back)[rows, columns], rtol=1e-5)


def test_a_part_of_the_motion_is_that_of_its_frames() -> None:
    flows = tuple(np.full((4, 5, 2), t, np.float16) for t in range(5))
    motion = Motion(flows, tuple(-flow for flow in flows), tuple(np.eye(3) * t for t in range(5)))
    part = motion.part(2, 5)
    assert [len(pairs) for pairs in (part.forward, part.backward, part.camera)] == [2, 2, 2]
    assert part.step(1, 1)[0][0, 0, 0] == motion.step(3, 1)[0][0, 0, 0] == 3
    assert [len(motion.part(*ends).forward) for ends in ((0, 6), (3, 4), (2, 2))] == [5, 0, 0]
