"""Completion of single pictures: structure goes on, texture stays sharp, and nothing else changes."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from vinpaint_cli.ops.complete.key_frame import complete_picture
from vinpaint_cli.ops.complete.shift_map import cheapest
from vinpaint_cli.ops.complete.smooth_fill import telea

SHAPE = 120, 160


def box(y0=40, y1=80, x0=55, x1=105):
    hole = np.zeros(SHAPE, bool)
    hole[y0:y1, x0:x1] = True
    return hole


def colour(grey):
    return np.clip(np.dstack([grey, grey * 0.9 + 0.05, grey * 0.7 + 0.1]), 0, 1).astype(np.float32)


def stripes(degrees, period=11.0):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    along = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    return colour(0.5 + 0.4 * np.sin(2 * np.pi * along / period))


def noise(seed=0, width=1.2):
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32), (0, 0), width)
    return grain / grain.std()


def bricks():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    row = y // 10
    mortar = (y % 10 < 2) | ((x + 11 * (row % 2)) % 22 < 2)
    return colour(np.where(mortar, 0.8, 0.35) + 0.02 * noise())


def checker():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return colour(np.where((y // 8 + x // 8) % 2, 0.8, 0.2))


def horizon():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    ground = y > 58 + 0.1 * x
    return colour(np.where(ground, 0.3 + 0.05 * noise(), 0.75 + 0.01 * noise(1)))


def psnr(one, other, where):
    return float(-10 * np.log10(max(np.square(one[where] - other[where]).mean(), 1e-10)))


def sharpness(picture, where):
    inner = cv2.erode(where.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return float(np.abs(cv2.Laplacian(picture.mean(-1), cv2.CV_32F))[inner].mean())


@pytest.mark.parametrize(
    ("picture", "least"),
    [
        *[pytest.param(stripes(angle), 26, id=f"stripes{angle}") for angle in (0, 20, 45, 75, 90, 130)],
        pytest.param(bricks(), 26, id="bricks"),
        pytest.param(checker(), 26, id="checker"),
        pytest.param(horizon(), 26, id="horizon"),
    ],
)
def test_structure_goes_on(picture, least):
    hole = box()
    hidden = np.where(hole[..., None], np.float32(np.nan), picture)
    done = complete_picture(hidden, hole)
    assert done.found
    assert psnr(done.picture, picture, hole) > least
    assert psnr(telea(picture, hole), picture, hole) < least - 3
    assert 0.85 < sharpness(done.picture, hole) / sharpness(picture, hole) < 1.15


def test_texture_stays_as_sharp_as_its_source():
    picture = colour(0.5 + 0.12 * noise())
    hole = box()
    ratio = sharpness(complete_picture(picture, hole).picture, hole) / sharpness(picture, hole)
    assert 0.9 < ratio < 1.1
    assert sharpness(telea(picture, hole), hole) / sharpness(picture, hole) < 0.6


def test_nothing_outside_the_hole_changes_and_displacements_say_where_from():
    picture, hole = bricks(), box()
    given = picture.copy()
    done = complete_picture(picture, hole)
    assert np.array_equal(picture, given)
    assert np.array_equal(done.picture[~hole], picture[~hole])
    assert done.picture.dtype == np.float32
    assert 0 <= done.picture.min() <= done.picture.max() <= 1
    assert not done.displacement[~hole].any()
    at = np.argwhere(hole) + done.displacement[hole]
    assert ((at >= 0) & (at < SHAPE)).all()
    assert not hole[at[:, 0], at[:, 1]].any()


def test_the_same_picture_gives_the_same_result():
    picture, hole = horizon(), box()
    one, other = complete_picture(picture, hole, seed=3), complete_picture(picture, hole, seed=3)
    assert np.array_equal(one.picture, other.picture)
    assert np.array_equal(one.displacement, other.displacement)


def test_only_sources_are_copied():
    picture, hole = colour(0.5 + 0.1 * noise()), box()
    source = np.zeros(SHAPE, bool)
    source[:, :50] = True
    picture[:, 110:] = (1, 0, 0)
    done = complete_picture(picture, hole, source=source)
    at = np.argwhere(hole) + done.displacement[hole]
    assert source[at[:, 0], at[:, 1]].all()


def test_light_is_matched_at_the_border():
    x = np.arange(SHAPE[1]) + np.zeros(SHAPE)
    picture, hole = colour(0.3 + 0.3 * x / SHAPE[1] + 0.02 * noise()), box()
    done = complete_picture(picture, hole).picture
    assert abs((done - picture)[40:80, 55:60].mean()) < 0.02
    assert abs((done - picture)[40:80, 100:105].mean()) < 0.02


def test_a_guide_says_which_of_two_textures_goes_on():
    x = np.arange(SHAPE[1]) + np.zeros(SHAPE)
    left = x < 80
    picture, hole = colour(np.where(left, 0.3, 0.6) + 0.04 * noise()), box()
    for edge, wanted in ((62, 0.6), (98, 0.3)):
        done = complete_picture(picture, hole, guide=colour(np.where(x < edge, 0.3, 0.6))).picture
        assert abs(done[52:68, 70:90, 0].mean() - wanted) < 0.05


@pytest.mark.parametrize(
    "hole",
    [
        pytest.param(box(0, 50, 0, 60), id="corner"),
        pytest.param(box(0, 120, 60, 90), id="from edge to edge"),
        pytest.param(box(60, 61, 80, 81), id="one pixel"),
        pytest.param(box(60, 61, 30, 130), id="a line"),
        pytest.param(box(20, 100, 80, 81) | box(20, 100, 84, 85), id="two lines"),
        pytest.param(box(10, 118, 4, 158), id="all but a frame"),
        pytest.param(box(0, 120, 0, 152), id="all but a strip"),
    ],
)
def test_holes_of_all_sizes_and_places_are_filled_with_copies(hole):
    picture = bricks()
    done = complete_picture(np.where(hole[..., None], np.float32(np.nan), picture), hole)
    assert done.found
    assert np.isfinite(done.picture).all()
    at = np.argwhere(hole) + done.displacement[hole]
    assert not hole[at[:, 0], at[:, 1]].any()
    assert np.array_equal(done.picture[~hole], picture[~hole])


def cost_of(changes, gain, ends, kept, first, second):
    total = gain[changes].sum()
    for (a, b), *costs in zip(ends, kept, first, second, strict=True):
        one, other = a >= 0 and changes[a], b >= 0 and changes[b]
        total += 0 if one and other else costs[1] if one else costs[2] if other else costs[0]
    return total


@pytest.mark.parametrize("seed", range(12))
def test_a_piece_takes_over_what_makes_the_whole_cheapest(seed):
    random = np.random.default_rng(seed)
    number = np.where(random.random((3, 3)) < 0.25, -1, 0)
    number[number == 0] = np.arange(np.count_nonzero(number == 0))
    beside = (number[:, :-1], number[:, 1:]), (number[:-1], number[1:])
    ends = np.concatenate([np.stack([one.ravel(), other.ravel()], -1) for one, other in beside])
    held, new = random.random(2) * 3, random.random(len(ends)) * 3
    kept, first, second = abs(held[0] - held[1]) + 0 * new, abs(new - held[1]), abs(new - held[0])
    touched = (ends >= 0).any(1)
    seams = ends[touched], kept[touched], first[touched], second[touched]
    gain = random.normal(size=number.max() + 1)
    found = cheapest(gain, *seams)
    every = [np.array(bits, bool) for bits in itertools.product((0, 1), repeat=len(gain))]
    least = min(cost_of(changes, gain, *seams) for changes in every)
    assert cost_of(every[0] if found is None else found, gain, *seams) == pytest.approx(least, abs=0.02)


def test_a_pixel_changes_beside_one_that_cannot():
    one = np.ones(1)
    assert cheapest(-one, np.array([[-1, 0]]), one, one, one).all()
    assert cheapest(-one, np.array([[0, -1]]), one, one, one).all()
    assert cheapest(one, np.array([[0, -1]]), one, one, one) is None


def test_what_has_no_source_gets_a_smooth_fill():
    picture, hole = bricks(), box()
    done = complete_picture(picture, hole, source=hole)
    assert not done.found
    assert not done.displacement.any()
    assert np.isfinite(done.picture).all()
    assert sharpness(done.picture, hole) < 0.2 * sharpness(picture, hole)


def test_a_picture_that_is_all_hole_is_grey():
    done = complete_picture(np.full((*SHAPE, 3), np.nan, np.float32), np.ones(SHAPE, bool))
    assert not done.found
    assert (done.picture == 0.5).all()


def test_no_hole_is_no_work():
    picture = bricks()
    done = complete_picture(picture, np.zeros(SHAPE, bool))
    assert done.found
    assert np.array_equal(done.picture, picture)
