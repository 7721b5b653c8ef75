from __future__ import annotations

import numpy as np
import pytest

from vinpaint_cli.ops.propagate.choose import Before, propose
from vinpaint_cli.ops.propagate.fusion import Candidate
from vinpaint_cli.ops.propagate.scorer import Surroundings

SIDE = 24
ROWS, COLUMNS = (a.ravel() for a in np.mgrid[:SIDE, :SIDE])
COUNT = SIDE * SIDE
AROUND = Surroundings(ROWS, COLUMNS, np.zeros((COUNT, 3), np.float32))
GRASS, LEG = 90.0, 180.0


def candidate(level: float, noise: int = 0, valid: object = True) -> Candidate:
    ones = np.ones(COUNT, np.float32)
    colour = np.full((COUNT, 3), level, np.float32)
    if noise:
        colour += np.random.default_rng(noise).normal(0, 2, colour.shape).astype(np.float32)
    there = np.broadcast_to(np.asarray(valid, np.bool_), COUNT).copy()
    return Candidate(colour, there, ones, ones, ones, ones, "chain")


def shares(*each: float) -> np.ndarray:
    return np.repeat(np.asarray(each, np.float32)[:, None], COUNT, 1)


def test_what_differs_is_not_mixed() -> None:
    chosen = propose([candidate(GRASS), candidate(LEG)], shares(0.5, 0.3), AROUND).choose()
    assert np.allclose(chosen.colour, GRASS)
    assert np.allclose(chosen.confidence, 0.5, atol=0.01)


def test_two_that_agree_win_against_a_stronger_one() -> None:
    three = [candidate(LEG), candidate(GRASS, 1), candidate(GRASS, 2)]
    chosen = propose(three, shares(0.4, 0.3, 0.25), AROUND).choose()
    assert abs(chosen.colour.mean() - GRASS) < 1
    assert 0.45 < chosen.confidence.mean() <= 0.551


def test_noise_is_averaged() -> None:
    alone = propose([candidate(GRASS, 1)], shares(0.9), AROUND).choose()
    four = [candidate(GRASS, seed) for seed in (1, 2, 3, 4)]
    together = propose(four, shares(0.2, 0.2, 0.2, 0.2), AROUND).choose()
    assert together.colour.std() < 0.65 * alone.colour.std()


def test_faint_texture_that_is_shifted_is_not_averaged_away() -> None:
    rows = GRASS + 5 * np.sign(np.sin(ROWS / 1.5))
    shifted = [candidate(GRASS) for _ in range(2)]
    for one, texture in zip(shifted, (rows, 2 * GRASS - rows), strict=True):
        one.colour[:] = texture[:, None]
    colour = propose(shifted, shares(0.45, 0.4), AROUND).choose().colour
    assert colour.std() > 0.7 * rows.std()


def test_what_the_frame_before_shows_is_chosen_again() -> None:
    proposal = propose([candidate(GRASS), candidate(LEG)], shares(0.45, 0.35), AROUND)
    before = Before(np.full((COUNT, 3), LEG, np.float32), np.full(COUNT, 0.5, np.float32))
    assert np.allclose(proposal.choose(before).colour, LEG)
    assert proposal.choose(before).support.mean() > proposal.choose().support.mean()


@pytest.mark.parametrize("edge", [7, 12])
def test_each_is_taken_where_it_is_valid(edge: int) -> None:
    left = edge > COLUMNS
    two = [candidate(GRASS), candidate(LEG, valid=left)]
    chosen = propose(two, shares(0.15, 0.7) * (left | [[1], [0]]), AROUND).choose()
    colour = chosen.colour
    assert (chosen.confidence > 0).all()
    assert np.allclose(colour[edge - 4 > COLUMNS], LEG)
    assert np.allclose(colour[edge + 4 < COLUMNS], GRASS)
    steps = np.abs(np.diff(colour.reshape(SIDE, SIDE, 3), axis=1))
    assert steps.max() < 0.8 * (LEG - GRASS)  # a soft edge


def test_where_nothing_is_valid_there_is_neither_colour_nor_confidence() -> None:
    nothing = propose([candidate(LEG, valid=False)], shares(0.0), AROUND).choose()
    assert not nothing.colour.any()
    assert not nothing.confidence.any()
