from __future__ import annotations

import numpy as np
from scenes import block, pan

from vinpaint_cli.removal.pseudo_holes import Run, find_shadows, usable

HEIGHT, WIDTH = 64, 96


def run_of(frames: int = 8, box: tuple[int, int, int, int] | None = (10, 10, 34, 30)) -> Run:
    pictures = pan(frames, HEIGHT, WIDTH)
    hole = np.zeros((HEIGHT, WIDTH), bool) if box is None else block(HEIGHT, WIDTH, box)
    holes = np.broadcast_to(hole, (frames, HEIGHT, WIDTH)).copy()
    return Run(np.where(holes[..., None], 7, pictures).astype(np.uint8), holes, HEIGHT)


def test_what_is_judged_is_known_and_elsewhere() -> None:
    run = run_of()
    found = find_shadows(run, 2, np.random.default_rng(0))
    true = run.holes.any(0)
    truth = pan(8, HEIGHT, WIDTH)
    assert len(found.shadows) == 3
    for shadow in (found.kept, *found.shadows):
        assert shadow.judged is not None
        assert shadow.judged.any()
        assert not (shadow.judged.any(0) & true).any()
        np.testing.assert_array_equal(shadow.truth[shadow.judged], truth[shadow.judged])
    assert (found.known.shares[~run.holes] == 0).all()
    np.testing.assert_array_equal(found.known.truth[~run.holes], truth[~run.holes])


def test_propagation_works_in_a_shadow_without_seeing_its_truth() -> None:
    run = run_of()
    found = find_shadows(run, 1, np.random.default_rng(0))
    (shadow,) = found.shadows
    assert shadow.judged is not None
    assert found.kept.judged is not None
    spoilt = run.pictures.copy()
    spoilt[shadow.judged | found.kept.judged] = 200
    again = find_shadows(Run(spoilt, run.holes, HEIGHT), 1, np.random.default_rng(0))
    np.testing.assert_array_equal(again.shadows[0].found[shadow.judged], shadow.found[shadow.judged])
    filled = shadow.judged & (shadow.shares < 40)
    assert filled.sum() > 0.2 * shadow.judged.sum()
    error = np.abs(shadow.found[filled].astype(float) - shadow.truth[filled])
    assert error.mean() < 12


def test_what_is_kept_aside_is_never_learned_from() -> None:
    found = find_shadows(run_of(), 2, np.random.default_rng(3))
    assert found.kept.judged is not None
    for learned in (found.known, *found.shadows):
        assert (learned.trust[found.kept.judged] == 0).all()
    assert (found.kept.trust[found.kept.judged] == 255).all()


def test_the_true_hole_is_trusted_as_far_as_propagation_is() -> None:
    run = run_of()
    found = find_shadows(run, 1, np.random.default_rng(0), propagates=False)
    assert (found.known.trust[run.holes] == 0).all()
    assert (found.known.shares[run.holes] == 255).all()
    better = find_shadows(run, 1, np.random.default_rng(0)).known
    assert (better.trust[run.holes] > 0).any()
    sure = run.holes & (better.shares < 70)
    np.testing.assert_allclose(better.trust[sure], 255 - better.shares[sure].astype(int), atol=1)


def test_without_a_hole_objects_are_made_up() -> None:
    found = find_shadows(run_of(box=None), 2, np.random.default_rng(1))
    assert found.bank.any(axis=(1, 2)).all()
    assert all(shadow.judged is not None and shadow.judged.any() for shadow in found.shadows)


def test_the_same_seed_finds_the_same() -> None:
    one, other = (find_shadows(run_of(), 1, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.kept.judged, other.kept.judged)
    np.testing.assert_array_equal(one.shadows[0].found, other.shadows[0].found)


def test_a_run_that_is_all_hole_is_of_no_use() -> None:
    run = run_of()
    assert usable(run)
    assert not usable(Run(run.pictures, np.ones_like(run.holes), HEIGHT))
