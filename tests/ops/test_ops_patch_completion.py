from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import block, psnr, wall

from vinpaint_cli.ops.complete.patch_completion import _level, _Search, fill_with_patches

SIZE = 64, 96
HOLE = block(*SIZE, (36, 20, 66, 44))


def stripes(height: int, width: int) -> np.ndarray:
    """Slanted stripes in two colours, with a period of eight pixels."""
    rows, columns = np.indices((height, width))
    wave = 0.5 + 0.3 * np.sin((columns + rows) * np.pi / 4)
    return np.dstack([wave, 1 - wave, np.full_like(wave, 0.4)]).astype(np.float32)


def covered(picture: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture with one colour in its hole, and the share."""
    start = picture.copy()
    start[hole] = picture[~hole].mean(0)
    return start, hole.astype(np.float32)


def roughness(picture: np.ndarray, hole: np.ndarray) -> float:
    """Mean difference of neighbours in a row inside the hole."""
    both = hole[:, 1:] & hole[:, :-1]
    return float(np.abs(np.diff(picture, axis=1)).mean(-1)[both].mean())


def test_stripes_go_on_through_a_hole() -> None:
    truth = stripes(*SIZE)
    start, share = covered(truth, HOLE)
    filled, misfit = fill_with_patches(start, share)
    assert psnr(255 * start[HOLE], 255 * truth[HOLE]) < 20
    assert psnr(255 * filled[HOLE], 255 * truth[HOLE]) > 35
    assert misfit[HOLE].max() < 1e-3


def test_only_what_is_hidden_changes_and_always_to_the_same() -> None:
    start, share = covered(wall(*SIZE).astype(np.float32) / 255, HOLE)
    share[:, :10] = 0.4
    filled, _ = fill_with_patches(start, share)
    assert np.array_equal(filled[~HOLE], start[~HOLE])
    assert not np.allclose(filled[HOLE], start[HOLE], atol=0.01)
    assert np.array_equal(fill_with_patches(start, share)[0], filled)


def test_what_is_half_hidden_changes_in_part() -> None:
    truth = stripes(*SIZE)
    start, share = covered(truth, HOLE)
    changes = []
    for level in (0.55, 0.7, 1.0):
        share[HOLE] = level
        changes.append(float(np.abs(fill_with_patches(start, share)[0] - start)[HOLE].mean()))
    assert 0 < changes[0] < 0.5 * changes[1] < 0.5 * changes[2]


def test_each_side_keeps_its_texture() -> None:
    left, right = wall(*SIZE, 1) / 510 + 0.5, wall(*SIZE, 2) / 510
    middle = SIZE[1] // 2
    truth = np.concatenate([left[:, :middle], right[:, middle:]], 1).astype(np.float32)
    hole = block(*SIZE, (middle - 14, 22, middle + 14, 44))
    start, share = covered(truth, hole)
    filled, _ = fill_with_patches(start, share)
    assert filled[26:40, middle - 12 : middle - 6].mean() > 0.65
    assert filled[26:40, middle + 6 : middle + 12].mean() < 0.35


def test_it_is_as_rough_as_what_lies_around() -> None:
    truth = wall(*SIZE).astype(np.float32) / 255
    start, share = covered(truth, HOLE)
    filled, _ = fill_with_patches(start, share)
    assert roughness(start, HOLE) == pytest.approx(0, abs=1e-6)
    assert roughness(filled, HOLE) > 0.5 * roughness(truth, HOLE)


def test_no_edge_is_left_where_the_light_falls_off() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (*SIZE, 3))
    truth = (np.linspace(0.2, 0.8, SIZE[1])[None, :, None] + noise).astype(np.float32)
    start, share = covered(truth, HOLE)
    filled, _ = fill_with_patches(start, share)
    rows = slice(24, 40)
    for outside, inside in ((35, 36), (66, 65)):
        step = filled[rows, inside].mean() - filled[rows, outside].mean()
        assert abs(step) < 0.02
        assert abs(start[rows, inside].mean() - start[rows, outside].mean()) > 0.05


def test_no_edge_is_left_around_what_is_brighter_than_all_else() -> None:
    rows, columns = np.indices(SIZE)
    distance = np.hypot(rows - 32, columns - 51)
    noise = np.random.default_rng(0).normal(0, 0.01, (*SIZE, 3))
    truth = (0.2 + 0.6 * np.exp(-((distance / 20) ** 2))[..., None] + noise).astype(np.float32)
    hole = distance < 12
    start, share = covered(truth, hole)
    filled, _ = fill_with_patches(start, share)
    inside, outside = hole & (distance > 10.5), ~hole & (distance < 13.5)
    assert filled[inside].mean() > filled[outside].mean() - 0.01


def test_where_nearly_all_fits_nothing_turns_dark() -> None:
    for amplitude in (0.1, 0.2, 0.3, 0.45, 0.6):
        truth = np.full((*SIZE, 3), 0.8, np.float32)
        truth[10:20, 45:50] -= np.float32(amplitude)
        start, share = covered(truth, HOLE)
        start[HOLE] = 0.78
        filled, _ = fill_with_patches(start, share)
        assert filled[HOLE].min() > 0.75 - amplitude
        assert (np.abs(filled[HOLE] - start[HOLE]).max(-1) > 1e-4).all()


@pytest.mark.parametrize("box", [(0, 0, 100, 100), (150, 150, 302, 301), (50, 50, 303, 302)])
def test_texture_reaches_the_edge_of_the_picture(box: tuple[int, int, int, int]) -> None:
    size = max(200, box[3]), max(240, box[2])
    truth = wall(*size).astype(np.float32) / 510
    hole = block(*size, box)
    start, share = covered(truth, hole)
    filled, _ = fill_with_patches(start, share)
    assert (np.abs(filled - start)[hole].max(-1) > 1e-6).mean() > 0.999
    assert np.array_equal(filled, fill_with_patches(start, share)[0])


def test_in_a_large_picture_stripes_go_on_too() -> None:
    size, hole = (240, 320), block(240, 320, (90, 70, 210, 170))
    truth = stripes(*size)
    start, share = covered(truth, hole)
    filled, _ = fill_with_patches(start, share)
    assert psnr(255 * filled[hole], 255 * truth[hole]) > 30


def test_a_good_match_spreads_to_the_patches_around() -> None:
    picture = np.tile(wall(64, 50), (1, 4, 1)).astype(np.float32) / 255
    level = _level(
        np.dstack([picture, np.zeros_like(picture[..., :2])]),
        covered(picture, block(64, 200, (60, 24, 90, 44)))[1],
    )
    rng = np.random.default_rng(0)
    sources = np.argwhere(level.sources)
    to = sources[rng.integers(len(sources), size=len(level.queries))]
    one = len(to) // 2
    to[one] = level.queries[one] + np.array([0, 50])
    found = _Search(level, level.features, to, rng).run(reach=0)
    right = (found.to == found.at + np.array([0, 50])).all(-1)
    assert right.sum() >= 100
    assert np.allclose(found.distance[right], 0, atol=1e-6)


def test_a_deep_hole_is_filled_to_the_middle() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (420, 480, 3))
    truth = (0.8 + noise).astype(np.float32).clip(0, 1)
    hole = block(420, 480, (60, 50, 420, 370))
    start, share = covered(truth, hole)
    start[hole] = 0.75
    filled, misfit = fill_with_patches(start, share)
    assert abs(float(filled[190:230, 220:260].mean()) - 0.8) < 0.05
    assert roughness(filled, hole) > 0.3 * roughness(truth, hole)
    assert misfit[hole].min() > 0


def test_without_a_whole_patch_nothing_is_copied() -> None:
    picture = wall(24, 32).astype(np.float32) / 255
    for share in (np.ones((24, 32)), (np.indices((24, 32))[1] > 4).astype(float), np.zeros((24, 32))):
        filled, misfit = fill_with_patches(picture, share.astype(np.float32))
        assert np.array_equal(filled, picture)
        assert not misfit.any()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(0, 1),
    st.integers(0, 2**16),
)
def test_any_hole_in_any_picture_gives_a_picture(height: int, width: int, part: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.random((height, width, 3), np.float32)
    share = np.zeros((height, width), np.float32)
    share[: round(part * height), : round(part * width)] = rng.random() if seed % 2 else 1
    filled, misfit = fill_with_patches(picture, share)
    assert filled.shape == picture.shape
    assert filled.min() >= 0
    assert filled.max() <= 1
    assert np.isfinite(misfit).all()
    assert misfit.min() >= 0
    assert np.array_equal(filled[share <= 0.5], picture[share <= 0.5])
