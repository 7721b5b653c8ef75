from __future__ import annotations

import numpy as np
import pytest

from vinpaint_cli.ops.propagate.fusion import Candidate, Kind, fuse, score

DEPTH = np.full(4, 6.0, np.float32)


def candidate(
    colour: float = 100.0,
    *,
    valid: bool = True,
    seam: float = 2.0,
    inconsistency: float = 0.2,
    distance: float = 2.0,
    ramp: float = 1.0,
    kind: Kind = "chain",
) -> Candidate:
    def column(value: float) -> np.ndarray:
        return np.full(4, value, np.float32)

    return Candidate(
        np.full((4, 3), colour, np.float32),
        np.full(4, valid),
        column(ramp),
        column(seam),
        column(inconsistency),
        column(distance),
        kind,
    )


@pytest.mark.parametrize("kind", ["chain", "camera", "far"])
@pytest.mark.parametrize("worse", [{"seam": 20.0}, {"inconsistency": 9.0}, {"distance": 40.0}, {"ramp": 0.1}])
def test_worse_evidence_scores_lower(kind: Kind, worse: dict[str, float]) -> None:
    better = score(candidate(kind=kind), DEPTH)
    assert (score(candidate(kind=kind, **worse), DEPTH) < better).all()


@pytest.mark.parametrize("kind", ["chain", "camera", "far"])
def test_deep_inside_a_hole_a_real_pixel_is_worth_more(kind: Kind) -> None:
    item = candidate(kind=kind)
    assert (score(item, DEPTH * 4) > score(item, DEPTH)).all()


def test_nothing_to_fuse_is_no_confidence() -> None:
    colour, confidence = fuse([], DEPTH)
    assert colour.shape == (4, 3)
    assert not confidence.any()
    _, confidence = fuse([candidate(valid=False)], DEPTH)
    assert (confidence < 1e-6).all()


def test_good_evidence_is_trusted_and_bad_is_not() -> None:
    _, good = fuse([candidate(seam=0.5, inconsistency=0, distance=1)], DEPTH)
    _, bad = fuse([candidate(seam=60, inconsistency=20, distance=30)], DEPTH)
    assert (good > 0.9).all()
    assert (bad < 0.1).all()


def test_agreeing_candidates_give_their_colour_and_more_confidence() -> None:
    one = candidate(80, seam=8)
    _, alone = fuse([one], DEPTH)
    colour, together = fuse([one, one], DEPTH)
    assert np.allclose(colour, 80, atol=1e-3)
    assert (together > alone).all()


def test_the_better_candidate_dominates() -> None:
    colour, _ = fuse([candidate(0, seam=1), candidate(200, seam=30)], DEPTH)
    assert (colour < 20).all()
