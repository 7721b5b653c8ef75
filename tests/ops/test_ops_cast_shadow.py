from __future__ import annotations

import cv2
import numpy as np
import pytest
from scenes import block, wall

from vinpaint_cli.ops.cast_shadow import (
    Glimpse,
    attached_shadow,
    find_cast_shadow,
    lasting_shadow,
    search_zone,
)

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


@pytest.mark.parametrize(
    ("side", "unit", "reach"), [(10, 1, 32), (60, 1, 45), (200, 1, 60), (60, 0.5, 45), (60, 4.5, 144)]
)
def test_the_zone_grows_with_what_casts_within_bounds(side: int, unit: float, reach: int) -> None:
    hole = block(500, 500, (150, 150, 150 + side, 150 + side))
    assert search_zone(hole, unit)[155].sum() == side + 2 * reach


def test_a_shadow_is_found_and_little_else() -> None:
    found = scene()
    shade = find_cast_shadow(in_shadow(found, SHADOW), found, EVERYWHERE, HOLE)
    assert shade[SHADOW].mean() > 0.95
    around = cv2.dilate(SHADOW.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert not shade[~around].any()
    assert not shade[HOLE].any()


def test_its_soft_rim_belongs_to_it() -> None:
    found = scene()
    depth = cv2.GaussianBlur(SHADOW.astype(np.float32), (0, 0), 2)[..., None]
    shade = find_cast_shadow(found * (1 - 0.5 * depth), found, EVERYWHERE, HOLE)
    assert shade[depth[..., 0] > 0.25].all()


@pytest.mark.parametrize("factor", [1.0, 0.95, 1.5])
def test_what_is_hardly_darker_or_is_brighter_is_none(factor: float) -> None:
    found = scene()
    assert not find_cast_shadow(in_shadow(found, SHADOW, factor), found, EVERYWHERE, HOLE).any()


def test_what_has_another_colour_is_none() -> None:
    found = scene()
    for red in (1.0, 0.96):
        seen = in_shadow(found, SHADOW, (red, 0.5, 0.5))
        assert not find_cast_shadow(seen, found, EVERYWHERE, HOLE).any()


def test_things_that_stand_aside_are_none() -> None:
    found = scene()
    assert not find_cast_shadow(np.roll(found, 2, 1), found, EVERYWHERE, HOLE).any()


def test_what_no_other_frame_shows_is_not_compared() -> None:
    found = scene()
    confidence = np.where(SHADOW, np.float32(0.4), np.float32(1))
    assert not find_cast_shadow(in_shadow(found, SHADOW), found, confidence, HOLE).any()


def test_a_speck_is_none_and_what_is_one_grows_with_the_picture() -> None:
    found, speck = scene(), block(*SIZE, (20, 20, 27, 27))
    seen = in_shadow(found, speck, 0.4)
    assert find_cast_shadow(seen, found, EVERYWHERE, HOLE)[speck].all()
    assert not find_cast_shadow(seen, found, EVERYWHERE, HOLE, unit=4.5).any()


def glimpses(*shadows: np.ndarray) -> list[Glimpse]:
    return [Glimpse(shadow, np.zeros(SIZE, bool)) for shadow in shadows]


def test_only_what_lasts_is_a_shadow() -> None:
    none = np.zeros(SIZE, bool)
    flash = block(*SIZE, (5, 5, 15, 15))
    strays = np.roll(SHADOW, 6, 0)  # most of it beside where it should be, all of it near
    assert np.array_equal(lasting_shadow(SHADOW | flash, glimpses(strays), glimpses(SHADOW)), SHADOW)
    assert np.array_equal(lasting_shadow(SHADOW | flash, glimpses(SHADOW, SHADOW), []), SHADOW)
    assert not lasting_shadow(SHADOW, glimpses(SHADOW, none), glimpses(none)).any()
    assert not lasting_shadow(SHADOW, glimpses(np.roll(SHADOW, 12, 1)), glimpses(none)).any()
    assert np.array_equal(lasting_shadow(SHADOW, [], []), SHADOW)


def test_who_does_not_know_does_not_contradict() -> None:
    dark = Glimpse(np.zeros(SIZE, bool), SHADOW)
    assert np.array_equal(lasting_shadow(SHADOW, [dark], [dark]), SHADOW)


def test_what_both_sides_show_is_added_and_what_one_does_is_not() -> None:
    none = np.zeros(SIZE, bool)
    assert np.array_equal(lasting_shadow(none, glimpses(SHADOW), glimpses(none, SHADOW)), SHADOW)
    assert not lasting_shadow(none, glimpses(SHADOW, SHADOW), glimpses(none)).any()


def test_only_what_touches_the_anchor_is_attached() -> None:
    apart = block(*SIZE, (5, 5, 15, 15))
    assert np.array_equal(attached_shadow(SHADOW | apart, block(*SIZE, (50, 10, 70, 42))), SHADOW)
    assert np.array_equal(attached_shadow(apart, block(*SIZE, (18, 5, 22, 15))), apart)
    assert not attached_shadow(apart, block(*SIZE, (22, 5, 26, 15))).any()
    assert np.array_equal(attached_shadow(apart, block(*SIZE, (22, 5, 26, 15)), unit=3), apart)


def test_a_change_of_the_light_is_no_shadow() -> None:
    found = scene()
    assert not find_cast_shadow(found * 0.7, found, EVERYWHERE, HOLE).any()
    most = block(*SIZE, (0, 0, 72, 80))
    assert not find_cast_shadow(in_shadow(found, most), found, EVERYWHERE, HOLE).any()
    brighter = found * 1.3
    brighter[:, :8] = found[:, :8]
    brighter[SHADOW] = found[SHADOW] * 0.6
    assert not find_cast_shadow(brighter, found, EVERYWHERE, HOLE).any()


def test_noise_in_black_is_none() -> None:
    found, dark = scene(), block(*SIZE, (76, 20, 100, 60))
    found[dark] = 3 / 255
    seen = found.copy()
    seen[dark] = 2.6 / 255
    assert not find_cast_shadow(seen, found, EVERYWHERE, HOLE).any()


def test_on_plain_ground_one_is_found_too() -> None:
    rng = np.random.default_rng(0)
    found = np.full((*SIZE, 3), 0.5, np.float32)
    seen = in_shadow(found, SHADOW) * rng.normal(1, 0.02, (*SIZE, 3)).astype(np.float32)
    found = found * rng.normal(1, 0.02, (*SIZE, 3)).astype(np.float32)
    assert find_cast_shadow(seen, found, EVERYWHERE, HOLE)[SHADOW].mean() > 0.95


def test_what_belongs_to_it_grows_with_the_picture() -> None:
    found, factor = cv2.resize(scene(), None, fx=3, fy=3), 3
    shadow, hole = (np.kron(mask, np.ones((factor, factor), bool)) for mask in (SHADOW, HOLE))
    soft = cv2.GaussianBlur(shadow.astype(np.float32), (0, 0), 8)[..., None]
    everywhere = np.ones(hole.shape, np.float32)
    seen = found * (1 - 0.5 * soft)
    assert find_cast_shadow(seen, found, everywhere, hole, unit=factor)[soft[..., 0] > 0.14].all()


def ring(radius: int) -> np.ndarray:
    """Pixels at a distance from the shadow."""
    inner, outer = (
        cv2.dilate(SHADOW.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (n, n))) > 0
        for n in (2 * radius - 1, 2 * radius + 1)
    )
    return outer & ~inner & ~HOLE


def test_a_faint_halo_belongs_to_it_and_some_more() -> None:
    found, halo = scene(), SHADOW | ring(1) | ring(2) | ring(3) | ring(4)
    plain = find_cast_shadow(in_shadow(found, SHADOW), found, EVERYWHERE, HOLE)
    with_halo = find_cast_shadow(in_shadow(in_shadow(found, halo, 0.92), SHADOW), found, EVERYWHERE, HOLE)
    assert plain[ring(3)].all()
    assert not plain[ring(5)].any()
    assert with_halo[ring(5)].mean() > 0.5
    assert not with_halo[ring(6)].any()


@pytest.mark.parametrize(("gap", "closed"), [(10, True), (24, False)])
def test_narrow_gaps_are_closed(gap: int, closed: bool) -> None:
    found, rows = scene(), slice(30, 50)
    seen, middle = found.copy(), slice(96 - gap // 2, 96 + gap // 2)
    seen[rows, 74:118] *= np.float32(0.6)
    seen[:, middle] = found[:, middle]
    shade = find_cast_shadow(seen, found, EVERYWHERE, HOLE)
    assert shade[36:44, middle].all() == closed
    assert shade[rows, 76:82].mean() > 0.9


def test_a_thing_that_hides_the_scene_is_none() -> None:
    found, thing = scene(), block(*SIZE, (76, 20, 100, 60))
    seen = found.copy()
    seen[thing] = 0.2
    shadow = find_cast_shadow(seen, found, EVERYWHERE, HOLE)
    assert shadow[thing].mean() < 0.1


def test_what_the_hole_hides_does_not_count() -> None:
    found = scene()
    seen = in_shadow(found, SHADOW)
    seen[HOLE] = 0.01
    assert np.array_equal(
        find_cast_shadow(seen, found, EVERYWHERE, HOLE),
        find_cast_shadow(in_shadow(found, SHADOW), found, EVERYWHERE, HOLE),
    )
