from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vinpaint_cli.errors import MaskError
from vinpaint_cli.masks.sources.packed import PackedMasks
from vinpaint_cli.types import Frame, MaskSource

FrameMaker = Callable[..., Frame]


def random_hole(seed: int, shape: tuple[int, int] = (37, 53)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < 0.3


def test_masks_come_back_as_they_were_put(frame: FrameMaker) -> None:
    masks = PackedMasks(53, 37, 4)
    for index in (3, 0, 2):
        masks.put(index, random_hole(index), 0.25 * index)
    assert isinstance(masks, MaskSource)
    for index in (0, 2, 3):
        assert masks.has(index)
        assert np.array_equal(masks.at(frame(index)), random_hole(index))
        assert masks.at(frame(index)).dtype == np.bool_
    assert masks.confidence == (0.0, 0.0, 0.5, 0.75)


def test_a_frame_without_a_mask_has_an_empty_hole(frame: FrameMaker) -> None:
    masks = PackedMasks(53, 37, 2)
    assert not masks.has(1)
    assert not masks.at(frame(1)).any()
    assert masks.at(frame(1)).shape == (37, 53)


def test_the_last_put_counts(frame: FrameMaker) -> None:
    masks = PackedMasks(53, 37, 1)
    masks.put(0, random_hole(1), 0.2)
    masks.put(0, random_hole(2), 7.0)
    assert np.array_equal(masks.at(frame(0)), random_hole(2))
    assert masks.confidence == (1.0,)


def test_what_the_caller_does_to_an_answer_stays_with_the_caller(frame: FrameMaker) -> None:
    masks = PackedMasks(53, 37, 1)
    masks.put(0, random_hole(1), 1)
    masks.at(frame(0))[:] = False
    assert np.array_equal(masks.at(frame(0)), random_hole(1))


def test_a_mask_of_one_blob_takes_a_hundredth_of_its_bytes() -> None:
    masks = PackedMasks(854, 480, 20)
    y, x = np.mgrid[:480, :854]
    for index in range(20):
        masks.put(index, (x - 200 - 4 * index) ** 2 + (y - 240) ** 2 < 90**2, 1)
    assert 0 < masks.nbytes < 20 * 480 * 854 / 100


@pytest.mark.parametrize(("index", "shape"), [(0, (53, 37)), (2, (37, 53)), (-1, (37, 53))])
def test_what_does_not_fit_is_refused(index: int, shape: tuple[int, int]) -> None:
    with pytest.raises(MaskError, match="2 frames of 53x37"):
        PackedMasks(53, 37, 2).put(index, np.zeros(shape, np.bool_), 1)


def test_it_knows_its_length(frame: FrameMaker) -> None:
    masks = PackedMasks(53, 37, 2)
    masks.check_count(2)
    with pytest.raises(MaskError, match="2 frames but the video has 3"):
        masks.check_count(3)
    with pytest.raises(MaskError, match="2 frames but the video has 3 or more"):
        masks.at(frame(2))
