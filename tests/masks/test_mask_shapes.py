from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.masks.grammar import parse_range
from vinpaint_cli.masks.sources.shapes import (
    BoxMask,
    DilatedMask,
    InvertMask,
    TimeLimitedMask,
    UnionMask,
    default_dilation,
    feather,
    hole_box,
)
from vinpaint_cli.ops.image import dilate_exact
from vinpaint_cli.types import Box, Frame

FrameMaker = Callable[..., Frame]
SMALL = Box(10, 10, 20, 16)


def reference_distance(hole: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(hole)
    y, x = np.mgrid[: hole.shape[0], : hole.shape[1]]
    return np.sqrt(((y[..., None] - rows) ** 2 + (x[..., None] - columns) ** 2).min(axis=-1))


holes = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 23)), min_size=1, max_size=12)


@given(holes, st.integers(0, 9))
def test_dilation_is_a_disc(points: list[tuple[int, int]], radius: int) -> None:
    hole = np.zeros((20, 24), np.bool_)
    hole[tuple(zip(*points, strict=True))] = True
    assert np.array_equal(dilate_exact(hole, radius), reference_distance(hole) <= radius)


@given(holes, st.integers(1, 9))
def test_feather_is_one_inside_positive_up_to_the_radius_and_zero_beyond(
    points: list[tuple[int, int]], radius: int
) -> None:
    hole = np.zeros((20, 24), np.bool_)
    hole[tuple(zip(*points, strict=True))] = True
    alpha, distance = feather(hole, radius), reference_distance(hole)
    assert alpha.dtype == np.float32
    assert (alpha[hole] == 1).all()
    assert (alpha[distance > radius] == 0).all()
    near = (distance > 0) & (distance <= radius)
    assert ((alpha[near] > 0) & (alpha[near] < 1)).all()
    order = np.argsort(distance.ravel(), kind="stable")
    assert (np.diff(alpha.ravel()[order]) <= 1e-6).all()


def test_feather_of_nothing_and_of_no_radius() -> None:
    hole = np.zeros((6, 6), np.bool_)
    assert not feather(hole, 3).any()
    hole[2, 3] = True
    assert np.array_equal(feather(hole, 0), hole.astype(np.float32))
    assert np.array_equal(feather(np.ones((4, 5), np.bool_), 3), np.ones((4, 5), np.float32))


def test_feather_is_even_on_both_sides_of_the_middle() -> None:
    hole = np.zeros((1, 20), np.bool_)
    hole[0, 0] = True
    alpha = feather(hole, 7)[0]
    assert alpha[4] == pytest.approx(0.5, abs=1e-6)
    assert alpha[1] + alpha[7] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("change", [feather, DilatedMask])
def test_negative_radii_are_refused(change: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        change(np.zeros((2, 2), np.bool_), -1)


@pytest.mark.parametrize(("height", "radius"), [(240, 4), (480, 8), (1080, 18), (2160, 36), (24, 0)])
def test_the_default_dilation_scales(height: int, radius: int) -> None:
    assert default_dilation(height) == radius


def test_hole_box_is_tight() -> None:
    hole = np.zeros((9, 12), np.bool_)
    assert hole_box(hole) is None
    hole[2:5, 7] = hole[8, 3] = True
    assert hole_box(hole) == Box(3, 2, 8, 9)


def test_a_box_counts_time_from_the_first_frame(frame: FrameMaker) -> None:
    mask = BoxMask(SMALL, 40, 30, when=parse_range("1-2"), time_base=Fraction(1, 1000), origin_pts=90_000)
    shown = [index for index in range(60) if mask.at(frame(index, 90_000 + 40 * index)).any()]
    assert shown == list(range(25, 50))


def test_a_box_on_a_variable_frame_rate(frame: FrameMaker) -> None:
    mask = BoxMask(SMALL, 40, 30, when=parse_range("0.1-0.3"), time_base=Fraction(1, 1000))
    assert [mask.at(frame(index, pts)).any() for index, pts in enumerate([0, 99, 100, 299, 300])] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_union_inversion_and_dilation(frame: FrameMaker) -> None:
    first, second = BoxMask(SMALL, 40, 30), BoxMask(Box(18, 12, 30, 20), 40, 30)
    union = UnionMask([first, second]).at(frame(0))
    assert np.array_equal(union, first.at(frame(0)) | second.at(frame(0)))
    assert union.sum() == 60 + 96 - 2 * 4
    assert np.array_equal(InvertMask(first).at(frame(0)), ~first.at(frame(0)))
    assert hole_box(DilatedMask(first, 3).at(frame(0))) == Box(7, 7, 23, 19)
    with pytest.raises(ValueError, match="at least one"):
        UnionMask([])


def test_outside_its_time_the_source_is_not_asked(frame: FrameMaker) -> None:
    asked: list[int] = []

    class Noting(BoxMask):
        def at(self, frame: Frame) -> np.ndarray:
            asked.append(frame.index)
            return super().at(frame)

    mask = TimeLimitedMask(
        InvertMask(Noting(SMALL, 40, 30)), parse_range("f2-f4"), 40, 30, time_base=Fraction(1)
    )
    assert [bool(mask.at(frame(index)).any()) for index in range(6)] == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]
    assert asked == [2, 3]
