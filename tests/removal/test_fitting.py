from __future__ import annotations

import numpy as np
from scenes import block, pan

from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.removal.fitting import FrameRun, hide_pseudo_holes, usable

HEIGHT, WIDTH = 64, 96


def run_of(frames: int = 8, box: tuple[int, int, int, int] | None = (10, 10, 34, 30)) -> FrameRun:
    pictures = pan(frames, HEIGHT, WIDTH)
    hole = np.zeros((HEIGHT, WIDTH), bool) if box is None else block(HEIGHT, WIDTH, box)
    holes = np.broadcast_to(hole, (frames, HEIGHT, WIDTH)).copy()
    return FrameRun(np.where(holes[..., None], 7, pictures).astype(np.uint8), holes, HEIGHT)


def test_what_is_judged_is_known_and_elsewhere() -> None:
    run = run_of()
    found = hide_pseudo_holes(run, 2, np.random.default_rng(0))
    true = run.holes.any(0)
    truth = pan(8, HEIGHT, WIDTH)
    assert len(found.pseudo_holes) == 3
    for hole in (found.held_out, *found.pseudo_holes):
        assert hole.scored is not None
        assert hole.scored.any()
        assert not (hole.scored.any(0) & true).any()
        np.testing.assert_array_equal(hole.truth[hole.scored], truth[hole.scored])
    assert (found.known.residual[~run.holes] == 0).all()
    np.testing.assert_array_equal(found.known.truth[~run.holes], truth[~run.holes])


def test_propagation_works_in_a_shadow_without_seeing_its_truth() -> None:
    run = run_of()
    found = hide_pseudo_holes(run, 1, np.random.default_rng(0))
    (hole,) = found.pseudo_holes
    assert hole.scored is not None
    assert found.held_out.scored is not None
    spoilt = run.pictures.copy()
    spoilt[hole.scored | found.held_out.scored] = 200
    again = hide_pseudo_holes(FrameRun(spoilt, run.holes, HEIGHT), 1, np.random.default_rng(0))
    np.testing.assert_array_equal(again.pseudo_holes[0].found[hole.scored], hole.found[hole.scored])
    filled = hole.scored & (hole.residual < 40)
    assert filled.sum() > 0.2 * hole.scored.sum()
    error = np.abs(hole.found[filled].astype(float) - hole.truth[filled])
    assert error.mean() < 12


def test_what_is_kept_aside_is_never_learned_from() -> None:
    found = hide_pseudo_holes(run_of(), 2, np.random.default_rng(3))
    assert found.held_out.scored is not None
    for learned in (found.known, *found.pseudo_holes):
        assert (learned.trust[found.held_out.scored] == 0).all()
    assert (found.held_out.trust[found.held_out.scored] == 255).all()


def test_the_true_hole_is_trusted_as_far_as_propagation_is() -> None:
    run = run_of()
    found = hide_pseudo_holes(run, 1, np.random.default_rng(0), stages=Stages(propagates=False))
    assert (found.known.trust[run.holes] == 0).all()
    assert (found.known.residual[run.holes] == 255).all()
    better = hide_pseudo_holes(run, 1, np.random.default_rng(0)).known
    assert (better.trust[run.holes] > 0).any()
    sure = run.holes & (better.residual < 70)
    np.testing.assert_allclose(better.trust[sure], 255 - better.residual[sure].astype(int), atol=1)


def test_without_a_hole_objects_are_made_up() -> None:
    found = hide_pseudo_holes(run_of(box=None), 2, np.random.default_rng(1))
    assert found.hole_bank.any(axis=(1, 2)).all()
    assert all(hole.scored is not None and hole.scored.any() for hole in found.pseudo_holes)


def test_the_same_seed_finds_the_same() -> None:
    one, other = (hide_pseudo_holes(run_of(), 1, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.held_out.scored, other.held_out.scored)
    np.testing.assert_array_equal(one.pseudo_holes[0].found, other.pseudo_holes[0].found)


def test_a_run_that_is_all_hole_is_of_no_use() -> None:
    run = run_of()
    assert usable(run)
    assert not usable(FrameRun(run.pictures, np.ones_like(run.holes), HEIGHT))
