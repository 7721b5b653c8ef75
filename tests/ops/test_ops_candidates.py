"""Routes and candidates, each against motion that is known exactly."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import block, psnr, wall

import vinpaint_cli.ops.propagate.temporal_smoothing
from vinpaint_cli.ops.flow.dis import DisFlow
from vinpaint_cli.ops.flow.motion import Motion, complete, estimate_motion
from vinpaint_cli.ops.image import coordinate_grid, luma
from vinpaint_cli.ops.propagate.candidates import Ring, from_far, from_route
from vinpaint_cli.ops.propagate.propagation import PropagateOptions, Search, propagate
from vinpaint_cli.ops.propagate.scene import Scene, make_scene
from vinpaint_cli.ops.propagate.trace import Route, follow_camera, follow_chain

SIZE = 80, 120
BOX = 50, 30, 66, 46
HOLE = block(*SIZE, BOX)


def sliding(frames: int, speed: float, mismatch: float = 0.0) -> Scene:
    """A scene whose flow is ``speed`` pixels a frame to the right, and back with a constant mismatch."""
    ahead = np.zeros((*SIZE, 2), np.float16)
    ahead[..., 0] = speed
    back = -ahead
    back[..., 0] += np.float16(mismatch)
    step = np.array([[1, 0, speed], [0, 1, 0], [0, 0, 1.0]])
    path = [np.linalg.matrix_power(step, t) for t in range(frames)]
    count = frames - 1
    motion = Motion((ahead,) * count, (back,) * count, (step,) * count)
    pictures = np.stack([wall(*SIZE).astype(np.float32) / 255] * frames)
    grey = [luma(picture * 255) for picture in pictures]
    return Scene(
        pictures, [HOLE] * frames, [HOLE] * frames, grey, motion, path, DisFlow(), PropagateOptions()
    )


def test_a_chain_keeps_its_sub_pixel_position() -> None:
    speed = 0.625  # exact in half floats
    (route, *_) = follow_chain(sliding(40, speed), 1)
    found = route.source >= 0
    assert found.mean() > 0.5  # the others would lead back into the hole by rounding, and are dropped
    expected = route.columns + speed * route.source
    assert np.abs(route.position[:, 0] - expected)[found].max() < 1e-3
    assert np.abs(route.position[:, 1] - route.rows)[found].max() < 1e-3


def test_the_errors_of_a_chain_add_up() -> None:
    speed, mismatch = 2.0, 0.5
    (route, *_) = follow_chain(sliding(24, speed, mismatch), 1)
    found = (route.source >= 0) & (route.columns < 100)
    once = mismatch**2 / (0.01 * (speed**2 + (speed - mismatch) ** 2) + 0.5)
    assert route.source[found].max() >= 6
    assert np.allclose(route.error[found], once * route.source[found], rtol=1e-3)


def test_the_camera_leads_to_the_nearest_frame_that_shows_a_point() -> None:
    route = follow_camera(sliding(24, 2.0), 0, 1)
    inside = (route.columns == 60) & (route.rows == 38)
    # From column 60 at two a frame the hole's last column, 65, is passed after three frames.
    assert route.source[inside] == 3
    assert route.position[inside][0].tolist() == pytest.approx([66, 38])
    assert route.error.max() < 1e-6


def test_a_candidate_fades_out_where_its_source_ends() -> None:
    scene = sliding(3, 2.0)
    ring = Ring(scene, 0)
    rows, columns = ring.rows.astype(np.int32), ring.columns.astype(np.int32)
    source = np.where(columns < 58, 1, -1).astype(np.int32)
    position = np.stack([columns, rows], -1).astype(np.float32)
    route = Route(rows, columns, source, position, np.zeros(len(rows), np.float32))
    ramp = from_route(scene, 0, ring, route, "chain").ramp
    column = columns[ring.hidden]
    assert ramp[column == 57].max() < 0.5
    assert ramp[column == 51].min() == 1


def test_a_far_frame_is_aligned_beyond_the_camera() -> None:
    still = wall(*SIZE)
    grid = coordinate_grid(*SIZE)
    wavy = grid + np.dstack([2.5 * np.sin(grid[..., 1] / 14), np.zeros(SIZE, np.float32)])
    bent = cv2.remap(still, wavy[..., 0].astype(np.float32), wavy[..., 1], cv2.INTER_CUBIC)
    frames = np.stack([still, bent]).astype(np.float32) / 255
    scene = make_scene(frames, [HOLE, np.zeros(SIZE, bool)], PropagateOptions(), DisFlow(), lambda: None)
    candidate = from_far(scene, 0, Ring(scene, 0), 1)
    assert candidate.valid.all()
    plain = psnr(bent[HOLE], still[HOLE])
    assert psnr(candidate.colour, still[HOLE]) > plain + 6


def test_backward_flow_is_completed_with_the_inverse_motion() -> None:
    picture = wall(*SIZE)
    zoom = np.array([[1.04, 0, -2.4], [0, 1.04, -1.6], [0, 0, 1]])
    second = cv2.warpPerspective(
        picture, zoom, SIZE[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    hole = block(*SIZE, (88, 0, 120, 80))  # at the edge, where nothing beyond the hole gives it away
    grey = [luma(np.where(hole[..., None], 90, p).astype(np.float32)) for p in (picture, second)]
    motion = estimate_motion(grey.__getitem__, [hole, hole], DisFlow())
    truth = cv2.perspectiveTransform(coordinate_grid(*SIZE).reshape(-1, 1, 2), np.linalg.inv(zoom))
    expected = truth.reshape(*SIZE, 2) - coordinate_grid(*SIZE)
    assert np.abs(motion.backward[0].astype(np.float32) - expected)[hole].max() < 0.6


def test_unreliable_flow_beside_a_hole_counts_for_less() -> None:
    flow = np.zeros((*SIZE, 2), np.float32)
    flow[30:46, 40:50] = 20  # an occlusion next to the hole
    reliable = ~(flow[..., 0] > 0)
    filled = complete(flow, HOLE, reliable, np.eye(3))
    trusted = complete(flow, HOLE, np.ones_like(HOLE), np.eye(3))
    assert np.abs(filled[HOLE]).mean() < 0.85 * np.abs(trusted[HOLE]).mean()


def noisy_pan(frames: int, strength: float) -> np.ndarray:
    rng = np.random.default_rng(5)
    wide = wall(SIZE[0], SIZE[1] + 2 * frames).astype(np.float32)
    clip = np.stack([wide[:, 2 * t : 2 * t + SIZE[1]] for t in range(frames)])
    return np.clip(clip + rng.normal(0, strength, clip.shape), 0, 255).astype(np.uint8)


def test_far_frames_average_noise_away() -> None:
    frames, strength = 40, 14.0
    clip, clean = noisy_pan(frames, strength), noisy_pan(frames, 0.0)
    holes = [HOLE] * frames
    some = range(18, 22)
    inside = np.stack([HOLE] * 4)

    def quality(far: int) -> float:
        found = propagate(clip, holes, PropagateOptions(far=far, nearest=0), wanted=some)
        return psnr(found.frames[18:22][inside] * 255, clean[18:22][inside])

    assert quality(4) > quality(0) + 0.3


def test_propagation_steadies_what_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, holes = noisy_pan(16, 25.0), [HOLE] * 16

    def restlessness() -> float:
        found = propagate(clip, holes).frames
        return float(np.abs(np.diff(found, axis=0))[:, HOLE].mean())

    steadied = restlessness()
    monkeypatch.setattr(vinpaint_cli.ops.propagate.temporal_smoothing, "STRENGTH", 0.0)
    assert steadied < restlessness() - 1e-3


@pytest.mark.parametrize("unit", [1.0, 3.0])
def test_what_lies_around_a_hole_is_told_in_levels(unit: float) -> None:
    scene = sliding(3, 2.0)
    ramp = np.broadcast_to(
        np.linspace(0.2, 0.8, SIZE[1], dtype=np.float32)[None, :, None], (3, *SIZE, 3)
    ).copy()
    ramp[:, HOLE] = 0  # not to be looked at
    scene = replace(scene, frames=ramp, options=PropagateOptions(unit=unit))
    chains = [follow_chain(scene, direction) for direction in (1, -1)]
    candidates, depth, around = Search(scene, chains).candidates(1)
    assert len(candidates) >= 4
    assert len(depth) == len(around.fill) == len(around.rows) == np.count_nonzero(HOLE)
    assert np.abs(around.fill[:, 0] - (51 + 153 * around.columns / (SIZE[1] - 1))).max() < 6
    assert around.unit == unit
