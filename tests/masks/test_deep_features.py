"""Deep features beside colour: what they tell apart, and cuts that they make possible."""

from __future__ import annotations

import numpy as np
import pytest

from vinpaint_cli.masks.segment import deep
from vinpaint_cli.masks.segment.deep import DeepFeatures
from vinpaint_cli.masks.segment.grabcut import GrabCutSegmenter

HEIGHT, WIDTH = 96, 160


def patterned() -> tuple[np.ndarray, np.ndarray]:
    """A disc of large black and white checks on a background of fine ones: the same colours, and the disc."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    truth = np.hypot(columns - 80, rows - 48) < 34
    coarse, fine = ((rows // side + columns // side) % 2 for side in (8, 2))
    grey = np.where(truth, coarse, fine) * 160 + 40
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8), truth


@pytest.fixture(scope="module")
def features() -> DeepFeatures:
    pytest.importorskip("efficientnet_lite_pytorch")
    found = DeepFeatures.of(patterned()[0])
    assert found is not None
    return found


def test_a_part_is_enough_to_tell_the_thing_from_what_is_around_it(features: DeepFeatures) -> None:
    _, truth = patterned()
    left = truth & (np.arange(WIDTH) < 80)
    inner = np.roll(truth, 8, 1) & truth & ~left
    log_odds = features.log_odds(left, ~truth)
    assert log_odds.shape == (HEIGHT, WIDTH)
    assert (log_odds[inner] > 0).mean() > 0.9
    assert (log_odds[:, :30] < 0).mean() > 0.9
    assert np.abs(log_odds).max() <= 3


def test_nothing_on_one_side_tells_nothing(features: DeepFeatures) -> None:
    _, truth = patterned()
    assert not features.log_odds(truth, np.zeros_like(truth)).any()


def test_the_same_picture_gives_the_same_features(features: DeepFeatures) -> None:
    rgb, truth = patterned()
    again = DeepFeatures.of(rgb)
    assert again is not None
    assert np.array_equal(again.log_odds(truth, ~truth), features.log_odds(truth, ~truth))


def test_without_the_network_there_are_cuts_by_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, truth = patterned()
    rgb[truth] = rgb[truth] // 2 + (120, 0, 0)
    monkeypatch.setattr(deep, "_network", lambda: None)
    assert DeepFeatures.of(rgb) is None
    found = GrabCutSegmenter().segment(rgb, [(80, 48)], [True], None)[0].probability > 0.5
    assert (found & truth).sum() / (found | truth).sum() > 0.9
