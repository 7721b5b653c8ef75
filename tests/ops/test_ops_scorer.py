from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from vinpaint_cli.ops.propagate.fusion import KINDS, Candidate, Kind, fuse, score
from vinpaint_cli.ops.propagate.scorer import (
    AT_ONCE,
    FAR,
    FEATURES,
    LIMIT,
    Area,
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


def mean(candidates: list[Candidate], shares: np.ndarray) -> np.ndarray:
    return (shares[..., None] * [c.colour for c in candidates]).sum(0) / shares.sum(0)[:, None]


def test_what_two_show_is_believed_before_what_one_shows() -> None:
    truth, other = texture(1), texture(2) + 40
    three = [candidate(truth), candidate(truth, "camera"), candidate(other, "far")]
    alone, _ = fuse(three, DEPTH)
    shares = weigh(three, DEPTH, around())
    assert np.abs(mean(three, shares) - truth).mean() < 0.7 * np.abs(alone - truth).mean()
    assert shares.sum(0).mean() > 0.5


@pytest.mark.parametrize("other", get_args(Kind))
def test_candidates_that_contradict_each_other_are_doubted_and_those_that_agree_are_not(other: Kind) -> None:
    same = [candidate(texture(1)), candidate(texture(1), other)]
    apart = [candidate(texture(1)), candidate(texture(2) + 50, other)]
    agreeing, contradicting = (1 - weigh(two, DEPTH, around()).sum(0).mean() for two in (same, apart))
    assert agreeing < 0.1 * (1 - fuse(same, DEPTH)[1].mean())
    assert contradicting > 20 * agreeing


def test_the_order_of_candidates_does_not_matter() -> None:
    three = [candidate(texture(1)), candidate(texture(2), "camera", 12), candidate(texture(3), "far", 3)]
    one, other = weigh(three, DEPTH, around()), weigh(three[::-1], DEPTH, around())
    assert np.allclose(one, other[::-1], atol=1e-3)


def test_weights_that_say_nothing_leave_the_scores() -> None:
    three = [candidate(texture(1)), candidate(texture(2), "camera", 12), candidate(texture(3), "far", 30)]
    shares = weigh(three, DEPTH, around(), silent())
    colour, confidence = fuse(three, DEPTH)
    assert np.allclose(mean(three, shares), colour, atol=1e-3)
    assert np.allclose(shares.sum(0), confidence, atol=1e-3)


def test_nothing_valid_has_no_share() -> None:
    assert weigh([], DEPTH, around()).shape == (0, COUNT)
    assert not weigh([candidate(texture(1), valid=False)], DEPTH, around()).any()


def test_invalid_candidates_change_nothing() -> None:
    half = ROWS < SIDE // 2
    some = [candidate(texture(1)), candidate(texture(2), "camera", valid=half)]
    wild = [some[0], replace(some[1], colour=np.where(half[:, None], some[1].colour, 255).astype(np.float32))]
    assert np.allclose(weigh(some, DEPTH, around()), weigh(wild, DEPTH, around()), atol=1e-3)


def test_large_holes_are_weighed_in_parts() -> None:
    rows, columns = (a.ravel() for a in np.mgrid[:100, :100])  # more pixels than are weighed at once
    colour = np.random.default_rng(1).uniform(0, 255, (10_000, 3)).astype(np.float32)
    ones = np.ones(10_000, np.float32)
    one = [Candidate(colour, ones > 0, ones, 6 * ones, ones / 2, 3 * ones, "chain")]
    shares = weigh(one, 8 * ones, Surroundings(rows, columns, np.full((10_000, 3), 60, np.float32)))
    assert AT_ONCE < 10_000
    assert (shares > 0).all()


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
    assert told("score", alone)[1] == -LIMIT


def test_squares_grow_with_the_picture() -> None:
    sides = [Area(replace(around(), unit=unit)).side(FAR) for unit in (0.5, 1, 4.5)]
    assert sides == [13, 13, 27]
    assert all(side % 2 for side in sides)
