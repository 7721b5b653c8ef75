from __future__ import annotations

import cv2
import numpy as np
import pytest
from scenes import block, pan, wall

from vinpaint_cli.ops.complete.key_frames import add_texture
from vinpaint_cli.ops.flow.motion import Motion

SIZE = 64, 96
HOLE = block(*SIZE, (36, 20, 66, 44))
INSIDE = block(*SIZE, (44, 26, 58, 38))


def moving(frames: int, flow: np.ndarray | None = None) -> Motion:
    """The same flow ``(h, w, 2)`` from each frame to the next, and its opposite."""
    ahead = np.zeros((*SIZE, 2), np.float16) if flow is None else flow.astype(np.float16)
    return Motion((ahead,) * (frames - 1), (-ahead,) * (frames - 1), (np.eye(3),) * (frames - 1))


def covered(pictures: np.ndarray, holes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames in [0, 1], of little contrast, with one colour in their holes; and the shares."""
    frames = 0.35 + 0.3 * pictures.astype(np.float32) / 255
    for frame, hole in zip(frames, holes, strict=True):
        frame[hole] = frame[~hole].mean(0)
    return frames, holes.astype(np.float32)


def still_wall(count: int) -> tuple[np.ndarray, np.ndarray]:
    return covered(np.stack([wall(*SIZE)] * count), np.stack([HOLE] * count))


def roughness(frame: np.ndarray, part: np.ndarray) -> float:
    both = part[:, 1:] & part[:, :-1]
    return float(np.abs(np.diff(frame, axis=1)).mean(-1)[both].mean())


def test_a_still_scene_has_the_same_texture_in_every_frame() -> None:
    frames, shares = still_wall(6)
    before = frames.copy()
    add_texture(frames, shares, moving(6))
    assert roughness(frames[0], INSIDE) > 0.5 * roughness(before[0], ~HOLE)
    assert np.abs(frames - frames[0]).max() < 1e-4
    assert np.array_equal(frames[:, ~HOLE], before[:, ~HOLE])


def test_texture_moves_with_what_is_around() -> None:
    step, count = 2, 6
    frames, shares = covered(pan(count, *SIZE, step=(step, 0)), np.stack([HOLE] * count))
    flow = np.zeros((*SIZE, 2))
    flow[..., 0] = -step
    add_texture(frames, shares, moving(count, flow))
    for t in range(count - 1):
        here, there = frames[t + 1][26:38, 46:56], frames[t][26:38, 46 + step : 56 + step]
        assert np.abs(here - there).mean() < 0.01
        assert roughness(frames[t], INSIDE) > 0.005


def test_texture_that_the_flow_tears_is_given_up() -> None:
    frames, shares = still_wall(4)
    before = frames.copy()
    flow = np.random.default_rng(0).normal(0, 2, (*SIZE, 2))
    add_texture(frames, shares, moving(4, flow))
    changed = [float(np.abs(frame - old)[INSIDE].mean()) for frame, old in zip(frames, before, strict=True)]
    assert max(changed) > 0.02
    assert min(changed) < 0.1 * max(changed)


def test_where_the_flow_has_worn_it_texture_is_made_anew() -> None:
    count, shear = 16, 0.1
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    aside = shear * (rows - SIZE[0] / 2)
    wide = wall(SIZE[0], 3 * SIZE[1])
    pictures = np.stack(
        [cv2.remap(wide, columns - t * aside + SIZE[1], rows, cv2.INTER_LINEAR) for t in range(count)]
    )
    frames, shares = covered(pictures, np.stack([HOLE] * count))
    shares[0][block(*SIZE, (35, 19, 67, 45))] = 1  # the first frame hides most: it is the key
    add_texture(frames, shares, moving(count, np.dstack([aside, np.zeros_like(aside)])))
    rough = [roughness(frame, INSIDE) for frame in frames]
    assert min(rough) > 0.3 * rough[0]
    assert min(rough) < 0.8 * rough[0], "what is bent too much fades before"


def test_texture_that_does_not_go_on_beside_the_hole_is_given_up() -> None:
    pictures = np.stack([wall(*SIZE)] * 8)
    frames, shares = covered(pictures, np.stack([HOLE] * 8))
    frames[4:, :, :51] += 0.3  # not the light, which is one for all
    frames[4:, :, 51:] -= 0.3
    before = frames.copy()
    shares[0] *= 0.99  # the first frame hides most: it is the key
    shares[0][block(*SIZE, (34, 18, 68, 46))] = 1
    add_texture(frames, shares, moving(8))
    changed = [float(np.abs(frame - old)[INSIDE].mean()) for frame, old in zip(frames, before, strict=True)]
    assert min(changed[:4]) > 0.02
    assert max(changed[5:]) < 0.2 * min(changed[:4])


def test_what_other_frames_hide_besides_has_texture_of_its_own_and_comes_in_softly() -> None:
    other = block(*SIZE, (6, 10, 26, 30))
    holes = np.stack([HOLE] * 3 + [other] * 5)
    frames, shares = covered(np.stack([wall(*SIZE)] * 8), holes)
    add_texture(frames, shares, moving(8))
    rough = [roughness(frame, block(*SIZE, (10, 14, 22, 26))) for frame in frames]
    assert rough[3] < 0.2 * rough[7]
    assert rough[4] < rough[7]
    assert rough[7] > 0.005
    assert all(roughness(frame, INSIDE) > 0.005 for frame in frames[:3])


@pytest.mark.parametrize("half_found", [False, True])
def test_texture_takes_on_the_light_of_its_frame(half_found: bool) -> None:
    frames, shares = still_wall(12)
    around = block(*SIZE, (22, 6, 80, 58))
    if half_found:
        shares[:, around & ~HOLE] = 0.4
    fall = 0.97 ** np.arange(12, dtype=np.float32)
    frames *= fall[:, None, None, None]
    add_texture(frames, shares, moving(12))
    offsets = [float(frame[HOLE].mean() - frame[~HOLE].mean()) for frame in frames]
    assert max(offsets) - min(offsets) < 0.02
    assert min(roughness(frame, INSIDE) for frame in frames) > 0.005


def test_where_patches_do_not_fit_the_smooth_fill_stays() -> None:
    frames, shares = still_wall(2)
    before = frames.copy()
    rng = np.random.default_rng(0)
    frames[:, ~HOLE] = rng.integers(0, 2, (np.count_nonzero(~HOLE), 3))
    add_texture(frames, shares, moving(2))
    assert np.array_equal(frames[:, HOLE], before[:, HOLE])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5])
def test_what_is_half_known_stays(share: float) -> None:
    frames, shares = still_wall(3)
    before = frames.copy()
    add_texture(frames, shares * np.float32(share), moving(3))
    assert np.array_equal(frames, before)


@pytest.mark.parametrize("key_share", [0.75, 1.0])
def test_what_was_partly_found_is_partly_replaced(key_share: float) -> None:
    """As much in a frame that texture is carried to as in the one that it is made on."""
    frames, shares = still_wall(2)
    shares[1][block(*SIZE, (35, 19, 67, 45))] = 1  # the second frame hides most: it is the key
    whole, before = frames.copy(), frames.copy()
    add_texture(whole, shares.copy(), moving(2))
    shares[0, INSIDE] = 0.75
    shares[1, INSIDE] = key_share
    add_texture(frames, shares, moving(2))
    part = [
        np.abs(frame - old)[INSIDE].mean() / np.abs(full - old)[INSIDE].mean()
        for frame, full, old in zip(frames, whole, before, strict=True)
    ]
    assert 0.25 < part[0] < 0.8
    assert part[1] == pytest.approx(part[0] if key_share < 1 else 1, rel=0.1)


def test_texture_keeps_its_sharpness_between_pixels() -> None:
    count, step = 9, 0.5
    frames, shares = covered(pan(count, *SIZE, step=(0, 0)), np.stack([HOLE] * count))
    flow = np.zeros((*SIZE, 2))
    flow[..., 0] = -step
    columns = np.arange(SIZE[1])
    stripes = [0.5 + 0.1 * np.sin((columns + step * t) * 2 * np.pi / 6) for t in range(count)]
    for frame, line, hole in zip(frames, stripes, shares > 0, strict=True):
        frame[~hole] = np.broadcast_to(line[None, :, None], frame.shape)[~hole]
        frame[hole] = 0.5
    add_texture(frames, shares, moving(count, flow))
    for frame, line in zip(frames, stripes, strict=True):
        assert np.abs(frame[INSIDE] - np.broadcast_to(line[None, :, None], frame.shape)[INSIDE]).max() < 0.02


def test_the_unit_scales_what_is_compared() -> None:
    """What is five pixels deep is worth texture at 240 lines, not at 1080."""
    sliver = block(*SIZE, (0, 20, 11, 44))
    holes = np.stack([HOLE] * 2 + [HOLE | sliver] * 3)
    changed = []
    for unit in (1.0, 4.5):
        frames, shares = covered(np.stack([wall(*SIZE)] * 5), holes)
        shares[0][block(*SIZE, (30, 14, 72, 50))] = 1  # the key
        before = frames.copy()
        add_texture(frames, shares, moving(5), unit)
        changed.append(float(np.abs(frames[4] - before[4])[sliver].mean()))
    assert changed[0] > 0.005
    assert changed[1] == 0
