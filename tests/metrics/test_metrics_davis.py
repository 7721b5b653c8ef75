"""J and F of DAVIS, against values computed by hand and against the official code, rewritten plainly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vinpaint_cli.metrics.davis import boundary, boundary_accuracy, dilate_exact, region_similarity


def square(x0: int, y0: int, x1: int, y1: int, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def official_boundary(mask: np.ndarray) -> np.ndarray:
    """`_seg2bmap` of davis2017-evaluation."""
    e, s, se = np.zeros_like(mask), np.zeros_like(mask), np.zeros_like(mask)
    e[:, :-1], s[:-1, :], se[:-1, :-1] = mask[:, 1:], mask[1:, :], mask[1:, 1:]
    b = mask ^ e | mask ^ s | mask ^ se
    b[-1, :], b[:, -1] = mask[-1, :] ^ e[-1, :], mask[:, -1] ^ s[:, -1]
    b[-1, -1] = 0
    return b


def slowly_grown(marks: np.ndarray, radius: int) -> np.ndarray:
    y, x = np.mgrid[: marks.shape[0], : marks.shape[1]]
    near = np.zeros_like(marks)
    for row, column in np.argwhere(marks):
        near |= (y - row) ** 2 + (x - column) ** 2 <= radius**2
    return near


masks = st.integers(0, 2**32 - 1).map(
    lambda seed: (
        np.random.default_rng(seed).random((np.random.default_rng(seed).integers(1, 14), 11))
        < np.random.default_rng(seed + 1).random()
    )
)


@given(masks)
def test_the_boundary_is_that_of_the_official_code(mask: np.ndarray) -> None:
    assert np.array_equal(boundary(mask), official_boundary(mask))


@given(masks, st.integers(0, 6))
@settings(max_examples=50, deadline=None)  # the first call loads scipy
def test_growing_is_dilation_by_a_disc(mask: np.ndarray, radius: int) -> None:
    assert np.array_equal(dilate_exact(mask, radius), slowly_grown(mask, radius))


def test_region_similarity_by_hand() -> None:
    assert region_similarity(square(0, 0, 10, 10), square(5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert region_similarity(square(0, 0, 4, 4), square(0, 0, 4, 4)) == 1
    assert region_similarity(square(0, 0, 4, 4), square(40, 40, 44, 44)) == 0


def test_boundary_accuracy_by_hand() -> None:
    """100×100: the diagonal times 0.008 is 1.13, so 2 pixels are near enough.

    The boundary of a square of side 20 is a ring of 21·21 − 19·19 = 80 pixels, columns and rows 29 to 49.
    That of a square 10 to the right begins at column 39, so of the first one match: of its top and bottom
    columns 37 to 49, 13 each, and of its right side the rows 30, 31, 47 and 48 between them: 30 pixels.
    """
    one, other = square(30, 30, 50, 50, (100, 100)), square(40, 30, 60, 50, (100, 100))
    assert math.ceil(0.008 * math.hypot(100, 100)) == 2
    assert boundary(one).sum() == 80
    assert boundary_accuracy(one, other) == pytest.approx(30 / 80)  # precision and recall: a mirror image
    assert boundary_accuracy(one, square(32, 30, 52, 50, (100, 100))) == 1
    assert boundary_accuracy(one, square(80, 80, 99, 99, (100, 100))) == 0


def test_half_of_a_line_found() -> None:
    """Precision 1, recall about a half: F = 2·1·r/(1 + r), the ends reaching 2 pixels on."""
    whole, half = square(10, 20, 90, 100, (100, 100)), square(10, 20, 90, 60, (100, 100))
    wanted, found = boundary(whole), boundary(half)
    precision = (found & slowly_grown(wanted, 2)).sum() / found.sum()
    recall = (wanted & slowly_grown(found, 2)).sum() / wanted.sum()
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_accuracy(half, whole) == pytest.approx(expected)
    assert 0.5 < expected < 0.75


def test_empty_masks() -> None:
    empty, full = square(0, 0, 0, 0), square(10, 10, 20, 20)
    assert region_similarity(empty, empty) == boundary_accuracy(empty, empty) == 1
    assert region_similarity(empty, full) == boundary_accuracy(empty, full) == 0
    assert boundary_accuracy(full, empty) == 0


def test_a_wider_tolerance_matches_more() -> None:
    one, other = square(10, 10, 30, 30), square(15, 10, 35, 30)
    scores = [boundary_accuracy(one, other, tolerance) for tolerance in (0, 0.01, 0.03, 0.06)]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1] == 1
