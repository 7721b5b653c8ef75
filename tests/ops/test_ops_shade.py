from __future__ import annotations

import cv2
import numpy as np
import pytest
from scenes import block, wall

from vinpaint_cli.ops.shade import find_shade, lasting_shade

SIZE = 80, 120
HOLE = block(*SIZE, (50, 10, 70, 40))
SHADOW = block(*SIZE, (45, 44, 80, 54))
EVERYWHERE = np.ones(SIZE, np.float32)


def scene() -> np.ndarray:
    return 0.25 + 0.5 * wall(*SIZE).astype(np.float32) / 255


def in_shadow(found: np.ndarray, part: np.ndarray, factor: float | tuple[float, ...] = 0.6) -> np.ndarray:
    seen = found.copy()
    seen[part] *= np.asarray(factor, np.float32)
    return seen


def test_a_shadow_is_found_and_little_else() -> None:
    found = scene()
    shade = find_shade(in_shadow(found, SHADOW), found, EVERYWHERE, HOLE)
    assert shade[SHADOW].mean() > 0.95
    around = cv2.dilate(SHADOW.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert not shade[~around].any()
    assert not shade[HOLE].any()


def test_its_soft_rim_belongs_to_it() -> None:
    found = scene()
    depth = cv2.GaussianBlur(SHADOW.astype(np.float32), (0, 0), 2)[..., None]
    shade = find_shade(found * (1 - 0.5 * depth), found, EVERYWHERE, HOLE)
    assert shade[depth[..., 0] > 0.25].all()


@pytest.mark.parametrize("factor", [1.0, 0.95, 1.5])
def test_what_is_hardly_darker_or_is_brighter_is_none(factor: float) -> None:
    found = scene()
    assert not find_shade(in_shadow(found, SHADOW, factor), found, EVERYWHERE, HOLE).any()


def test_what_has_another_colour_is_none() -> None:
    found = scene()
    seen = in_shadow(found, SHADOW, (1.0, 0.5, 0.5))
    assert not find_shade(seen, found, EVERYWHERE, HOLE).any()


def test_things_that_stand_aside_are_none() -> None:
    found = scene()
    assert not find_shade(np.roll(found, 2, 1), found, EVERYWHERE, HOLE).any()


def test_what_no_other_frame_shows_is_not_compared() -> None:
    found = scene()
    confidence = np.where(SHADOW, np.float32(0.4), np.float32(1))
    assert not find_shade(in_shadow(found, SHADOW), found, confidence, HOLE).any()


def test_a_speck_is_none_and_what_is_one_grows_with_the_picture() -> None:
    found, speck = scene(), block(*SIZE, (20, 20, 27, 27))
    seen = in_shadow(found, speck, 0.4)
    assert find_shade(seen, found, EVERYWHERE, HOLE)[speck].all()
    assert not find_shade(seen, found, EVERYWHERE, HOLE, unit=4.5).any()


def test_only_what_lasts_is_a_shadow() -> None:
    none = np.zeros(SIZE, bool)
    steady = [np.roll(SHADOW, 2 * t, 1) for t in range(5)]
    flash = block(*SIZE, (5, 5, 15, 15))
    shades = [shade | (flash if t == 2 else none) for t, shade in enumerate(steady)]
    assert np.array_equal(lasting_shade(shades, 2), steady[2])
    assert np.array_equal(lasting_shade([SHADOW, none, SHADOW], 1), SHADOW)
    assert not lasting_shade([none, none, SHADOW], 1).any()
    assert np.array_equal(lasting_shade([SHADOW], 0), SHADOW)
    assert not lasting_shade([SHADOW, none], 0).any()
