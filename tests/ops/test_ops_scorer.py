from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

import vinpaint_cli.ops.propagate.scorer as agreement
from vinpaint_cli.ops.propagate.fusion import KINDS, Candidate, Kind, fuse, score
from vinpaint_cli.ops.propagate.scorer import (
    FEATURES,
    Surroundings,
    Weights,
    bundled_weights,
    features,
    weigh,
)

SIDE = 20
ROWS, COLUMNS = (a.ravel() for a in np.mgrid[:SIDE, :SIDE])
COUNT = SIDE * SIDE
DEPTH = np.full(COUNT, 8.0, np.float32)


def around(fill: float = 60.0) -> Surroundings:
    return Surroundings(ROWS, COLUMNS, np.full((COUNT, 3), fill, np.float32))


def texture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(90, 160, (COUNT, 3)).astype(np.float32)


def candidate(colour: np.ndarray, kind: Kind = "chain", seam: float = 6.0, valid: object = True) -> Candidate:
    def column(value: float) -> np.ndarray:
        return np.full(COUNT, value, np.float32)

    there = np.broadcast_to(np.asarray(valid, np.bool_), COUNT).copy()
    return Candidate(colour, there, column(1.0), column(seam), column(0.5), column(3.0), kind)


def silent() -> Weights:
    """Weights that correct nothing."""
    names = Weights.__dataclass_fields__
    zeros = {name: np.zeros_like(getattr(bundled_weights(), name)) for name in names}
    return Weights(**zeros | {"deviation": np.ones(len(FEATURES), np.float32)})


def test_what_two_show_is_believed_before_what_one_shows() -> None:
    truth, other = texture(1), texture(2) + 40
    three = [candidate(truth), candidate(truth, "camera"), candidate(other, "far")]
    alone, _ = fuse(three, DEPTH)
    colour, confidence = weigh(three, DEPTH, around())
    assert np.abs(colour - truth).mean() < 0.7 * np.abs(alone - truth).mean()
    assert confidence.mean() > 0.5


@pytest.mark.parametrize("other", get_args(Kind))
def test_candidates_that_contradict_each_other_are_doubted_and_those_that_agree_are_not(other: Kind) -> None:
    same = [candidate(texture(1)), candidate(texture(1), other)]
    apart = [candidate(texture(1)), candidate(texture(2) + 50, other)]
    agreeing, contradicting = (1 - weigh(two, DEPTH, around())[1].mean() for two in (same, apart))
    assert agreeing < 0.1 * (1 - fuse(same, DEPTH)[1].mean())
    assert contradicting > 20 * agreeing


def test_the_order_of_candidates_does_not_matter() -> None:
    three = [candidate(texture(1)), candidate(texture(2), "camera", 12), candidate(texture(3), "far", 3)]
    one, other = weigh(three, DEPTH, around()), weigh(three[::-1], DEPTH, around())
    assert np.allclose(one[0], other[0], atol=0.05)
    assert np.allclose(one[1], other[1], atol=1e-3)


def test_weights_that_say_nothing_leave_the_scores() -> None:
    three = [candidate(texture(1)), candidate(texture(2), "camera", 12), candidate(texture(3), "far", 30)]
    for found, expected in zip(weigh(three, DEPTH, around(), silent()), fuse(three, DEPTH), strict=True):
        assert np.allclose(found, expected, atol=1e-3)


def test_nothing_valid_is_no_confidence() -> None:
    for none in ([], [candidate(texture(1), valid=False)]):
        colour, confidence = weigh(none, DEPTH, around())
        assert not colour.any()
        assert (confidence < 1e-6).all()


def test_invalid_candidates_change_nothing() -> None:
    half = ROWS < SIDE // 2
    some = [candidate(texture(1)), candidate(texture(2), "camera", valid=half)]
    wild = [some[0], replace(some[1], colour=np.where(half[:, None], some[1].colour, 255).astype(np.float32))]
    for one, other in zip(weigh(some, DEPTH, around()), weigh(wild, DEPTH, around()), strict=True):
        assert np.allclose(one, other, atol=1e-3)


def test_large_holes_are_weighed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [candidate(texture(1)), candidate(texture(2), "camera")]
    whole = weigh(two, DEPTH, around())
    monkeypatch.setattr(agreement, "AT_ONCE", 37)
    parts = weigh(two, DEPTH, around())
    assert np.allclose(whole[0], parts[0], atol=1e-3)
    assert np.allclose(whole[1], parts[1], atol=1e-5)


def test_differences_are_averaged_over_squares() -> None:
    colour = np.full((COUNT, 3), 60, np.float32)
    colour[(ROWS == 10) & (COLUMNS == 10)] = 85  # 25 levels at one of the 25 pixels around it
    one = [candidate(colour)]
    planes = features(one, DEPTH, around(), np.stack([score(c, DEPTH) for c in one]))
    near = planes[FEATURES.index("fill near")][0].reshape(SIDE, SIDE).astype(np.float32)
    assert np.isclose(near[10, 10], np.log1p(1.0), atol=1e-2)
    assert np.isclose(near[8, 12], np.log1p(1.0), atol=1e-2)
    assert near[7, 10] == 0


def test_what_is_known_of_each_candidate_is_told_under_its_name() -> None:
    left, right = np.full((COUNT, 3), 80, np.float32), np.full((COUNT, 3), 100, np.float32)
    right[::2] += 8  # every second column: a standard deviation of 4
    two = [candidate(left, "camera", seam=3), candidate(right, "far", seam=7, valid=COLUMNS < 10)]
    scores = np.stack([np.full(COUNT, 2, np.float32), np.where(COLUMNS < 10, 1, -1e4).astype(np.float32)])
    planes = features(two, DEPTH, around(60), scores)
    assert all(plane.shape == (2, COUNT) and plane.dtype == np.float16 for plane in planes)

    def told(name: str, pixel: int = 5 * SIDE + 4) -> list[float]:
        return [float(x) for x in planes[FEATURES.index(name)][:, pixel]]

    def near(*values: float) -> object:
        return pytest.approx(values, abs=0.03)

    assert told("seam") == near(np.log1p(3), np.log1p(7))
    assert told("inconsistency") == near(*[np.log1p(0.5)] * 2)
    assert told("distance") == near(*[np.log(3)] * 2)
    assert told("depth") == near(*[np.log1p(8)] * 2)
    assert told("ramp") == near(0, 0)
    assert told("others far") == near(*[np.log1p(24)] * 2)  # each other, 20 or 28 levels apart
    assert told("fill far") == near(np.log1p(20), np.log1p(44))
    assert told("texture") == near(0, np.log1p(4))
    assert told("count") == near(1, 1)
    assert told("doubt") == near(*[-np.log(1 + np.exp(2) + np.exp(1))] * 2)
    assert told("score") == near(2, 1)
    assert [told(kind) for kind in KINDS] == [[0, 0], [1, 0], [0, 1]]
    alone = 5 * SIDE + 19
    assert told("count", alone)[0] == 0
    assert told("others near", alone)[:1] == near(np.log1p(20))  # to the fill
    assert told("score", alone)[1] == -agreement.LIMIT


def test_squares_grow_with_the_picture() -> None:
    sides = [agreement._Area(replace(around(), unit=unit)).side(agreement.FAR) for unit in (0.5, 1, 4.5)]
    assert sides == [13, 13, 27]
    assert all(side % 2 for side in sides)
