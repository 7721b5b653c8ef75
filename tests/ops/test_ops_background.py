"""What no frame shows is completed once and lies where the scene lies."""

from __future__ import annotations

import numpy as np
import pytest
from scenes import block, wall

from vinpaint_cli.ops.complete import open_completer
from vinpaint_cli.ops.complete.background import Shot, complete_background
from vinpaint_cli.ops.flow.dis import DisFlow
from vinpaint_cli.ops.flow.motion import Motion

SIZE = 96, 128
HOLE = block(*SIZE, (50, 36, 80, 60))


def panned(shift: int, count: int = 5) -> tuple[np.ndarray, Motion]:
    """A wall that moves ``shift`` pixels to the left from frame to frame, and its motion."""
    picture = 0.2 + 0.5 * wall(SIZE[0], SIZE[1] + shift * count).astype(np.float32) / 255
    frames = np.stack([picture[:, t * shift : t * shift + SIZE[1]] for t in range(count)])
    ahead = np.zeros((*SIZE, 2), np.float16)
    ahead[..., 0] = -shift
    camera = np.array([[1, 0, -shift], [0, 1, 0], [0, 0, 1]], np.float64)
    steps = count - 1
    return frames.copy(), Motion((ahead,) * steps, (-ahead,) * steps, (camera,) * steps)


def test_a_still_scene_gets_one_still_that_is_sharp_and_takes_on_the_light() -> None:
    frames, motion = panned(0)
    for t, frame in enumerate(frames):
        frame += np.float32(0.02 * t)
    truth, lacking = frames.copy(), np.stack([HOLE] * 5)
    frames[lacking] = 0.9
    complete_background(Shot(frames, lacking, lacking, motion, 1.0), DisFlow(), open_completer())
    assert np.array_equal(frames[~lacking], truth[~lacking])
    even = frames - 0.02 * np.arange(5, dtype=np.float32)[:, None, None, None]
    change = np.abs(np.diff(even[:, HOLE], axis=0))
    assert change.mean() < 0.003
    assert change.max() < 0.03
    assert frames[0][HOLE].std() > 0.5 * truth[0][HOLE].std()


def test_it_moves_with_the_camera() -> None:
    frames, motion = panned(3)
    lacking = np.zeros((5, *SIZE), bool)
    for t in range(5):
        lacking[t] = block(*SIZE, (60 - 3 * t, 36, 90 - 3 * t, 60))
    frames[lacking] = 0.9
    complete_background(Shot(frames, lacking, lacking, motion, 1.0), DisFlow(), open_completer())
    for t in range(4):
        here, there = frames[t][lacking[t]], frames[t + 1][lacking[t + 1]]
        assert np.abs(here - there).mean() < 0.02


def test_what_was_seen_is_only_touched_at_the_edge_of_what_was_drawn() -> None:
    frames, motion = panned(0)
    hidden = np.stack([HOLE] * 5)
    lacking = hidden.copy()
    lacking[:, :, :65] = False
    before = frames.copy()
    complete_background(Shot(frames, lacking, hidden, motion, 1.0), DisFlow(), open_completer())
    assert np.array_equal(frames[:, :, :62], before[:, :, :62])
    assert np.array_equal(frames[~hidden], before[~hidden])


def test_the_same_frames_give_the_same_result() -> None:
    results = []
    for _ in range(2):
        frames, motion = panned(2)
        lacking = np.stack([HOLE] * 5)
        frames[lacking] = 0
        complete_background(Shot(frames, lacking, lacking, motion, 1.0), DisFlow(), open_completer())
        results.append(frames)
    assert np.array_equal(*results)


@pytest.mark.parametrize("lacks", ["nothing", "all of one frame"])
def test_extremes_are_no_errors(lacks: str) -> None:
    frames, motion = panned(0, 3)
    lacking = np.zeros((3, *SIZE), bool)
    if lacks != "nothing":
        lacking[1] = True
    before = frames.copy()
    complete_background(Shot(frames, lacking, lacking, motion, 1.0), DisFlow(), open_completer())
    assert np.isfinite(frames).all()
    assert np.array_equal(frames[~lacking], before[~lacking])
