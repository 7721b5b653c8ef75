"""Cuts between pictures that are alike, and what is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scenes import pan, wall

from vinpaint_cli.pipeline.jump_cuts import JumpCuts

HEIGHT, WIDTH = 90, 160


def person(seed: int, frames: int) -> np.ndarray:
    """Somebody before a plain wall, who sways: (T, h, w, 3) uint8."""
    texture = wall(60, 50, seed)
    pictures = np.full((frames, HEIGHT, WIDTH, 3), 190, np.uint8)
    for t in range(frames):
        x = 50 + round(4 * np.sin(0.7 * t + seed))
        pictures[t, 30:90, x : x + 50] = texture
    return pictures


def cuts(pictures: np.ndarray) -> list[int]:
    found = JumpCuts()
    for picture in pictures:
        found.feed(picture)
    return found.found()


def test_the_same_place_a_moment_later_is_a_cut() -> None:
    assert cuts(np.concatenate([person(1, 12), person(2, 12)])) == [12]


def test_two_cuts_near_each_other_are_both_found() -> None:
    assert cuts(np.concatenate([person(1, 12), person(2, 4), person(3, 12)])) == [12, 16]


@pytest.mark.parametrize("step", [(1, 0), (9, 2), (25, 0)])
def test_a_camera_that_moves_is_none(step: tuple[int, int]) -> None:
    assert cuts(pan(16, HEIGHT, WIDTH, step)) == []


def test_a_flash_and_a_change_of_light_are_none() -> None:
    flash = person(1, 16)
    flash[8] = np.clip(flash[8].astype(int) + 90, 0, 255)
    assert cuts(flash) == []


def test_frames_without_anything_new_are_none() -> None:
    still = np.repeat(person(1, 1), 12, 0)
    noise = np.random.default_rng(0).normal(0, 4, still.shape)
    assert cuts(still) == []
    assert cuts(np.clip(still + noise, 0, 255).astype(np.uint8)) == []


def test_a_zoom_is_none() -> None:
    picture = wall(HEIGHT * 2, WIDTH * 2)
    zoom = [
        cv2.resize(
            picture[t * 3 : 180 - t * 3, t * 5 : 320 - t * 5], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA
        )
        for t in range(14)
    ]
    assert cuts(np.stack(zoom)) == []
