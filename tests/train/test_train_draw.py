from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from vinpaint_cli.errors import InputError
from vinpaint_cli.train import draw
from vinpaint_cli.train.augment import (
    KINDS,
    CameraPath,
    camera_view,
    cover_more,
    draw_holes,
    random_camera_path,
)
from vinpaint_cli.train.draw import Draws, Mix, crop, held_out, moved_photo, shrink_residual, validation
from vinpaint_cli.train.pack import Pack

MIX = Mix(size=(48, 32), batch=3, frames=(1, 4), frame_weights=(0.5, 0.5))


def test_a_batch_is_a_function_of_seed_and_step(pack: Pack) -> None:
    draws = Draws([pack], MIX, seed=3)
    other = pickle.loads(pickle.dumps(draws))
    for step in (0, 7):
        assert torch.equal(draws[step].found, other[step].found)
        assert torch.equal(draws[step].residual, other[step].residual)
    assert not torch.equal(draws[0].truth[0, 0], Draws([pack], MIX, seed=4)[0].truth[0, 0])
    assert not torch.equal(draws[0].truth[0, 0], draws[1].truth[0, 0])


@pytest.mark.parametrize("kind", ["propagated", "shots", "photos"])
def test_batches_of_every_kind(pack: Pack, kind: str) -> None:
    only = {name: float(name == kind) for name in ("propagated", "shots", "photos")}
    draws = Draws([pack], replace(MIX, **only), seed=1)
    lengths = set()
    for step in range(6):
        batch = draws[step]
        lengths.add(batch.truth.shape[1])
        assert batch.truth.shape == batch.found.shape == (3, batch.truth.shape[1], 3, 32, 48)
        assert batch.residual.shape == (3, batch.truth.shape[1], 1, 32, 48)
        outside = (batch.residual == 0).expand_as(batch.truth)
        assert torch.equal(batch.truth[outside], batch.found[outside])
        assert batch.residual.flatten(1).any(1).all()
        assert batch.truth.float().std() > 5
    assert lengths == {1, 4}


def test_packs_without_the_kind_asked_for_are_refused(pack: Pack) -> None:
    with pytest.raises(InputError, match="nothing of the kinds"):
        Draws([pack], replace(MIX, propagated=0.0, shots=0.0, photos=0.0), seed=1)


def test_flowers_are_drawn_seldom(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: Counter[str] = Counter()
    groups = {photo.blob: photo.group for photo in pack.index.photos}
    monkeypatch.setattr(draw, "FLOWERS", "flowers")
    monkeypatch.setattr(Pack, "picture", lambda self, blob: drawn.update([groups[blob]]))
    draws, rng = Draws([pack], MIX, seed=1), np.random.default_rng(0)
    for _ in range(600):
        draws._picture(rng)
    assert 0.28 < drawn["flowers"] / 600 < 0.42


def test_held_out_names_are_not_drawn(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "held_out", lambda name: name.startswith("views"))
    draws = Draws([pack], MIX, seed=1)
    assert {photo.group for _, photo in draws._photos} == {"flowers"}
    checks = validation([pack], (48, 32), 3)
    assert len(checks) == 3
    assert all(batch.truth.shape == (1, 3, 3, 32, 48) for batch in checks)
    again = validation([pack], (48, 32), 3)
    assert all(torch.equal(a.found, b.found) for a, b in zip(checks, again, strict=True))


def test_about_one_name_in_24_is_held_out() -> None:
    assert 20 < sum(held_out(f"photo {n}") for n in range(1000)) < 65


@pytest.mark.parametrize("kind", KINDS)
def test_holes_of_every_kind(kind: str) -> None:
    rng, seen = np.random.default_rng(1), []
    for _ in range(8):
        holes = draw_holes(rng, kind, np.array([0, 1, 5, 20]), 60, 108)
        assert holes.shape == (4, 60, 108)
        assert holes.dtype == np.bool_
        seen.append(holes)
    moved = [bool((h != h[0]).any()) for h in seen]
    assert all(moved) if kind in ("moving", "object") else not any(moved)
    residual = [float(h.mean()) for h in seen]
    assert min(residual) > 0.004
    assert max(residual) < 0.6


def test_more_holes_are_drawn_until_enough_is_covered() -> None:
    steps = np.arange(4)
    residual = []
    for seed in range(12):
        one = cover_more(np.random.default_rng(seed), None, steps, (60, 108), 0.0)
        more = cover_more(np.random.default_rng(seed), one, steps, (60, 108), 0.3)
        assert (more | one == more).all()
        residual.append((one.mean(), more.mean()))
    before, after = np.mean(residual, axis=0)
    assert before < 0.2
    assert after > before + 0.08
    full = np.ones((4, 60, 108), np.bool_)
    assert cover_more(np.random.default_rng(0), full, steps, (60, 108), 0.3) is full


def test_a_camera_that_stands_straight_sees_the_photo() -> None:
    photo = torch.rand(3, 32, 48)
    still = CameraPath(np.array([[23.5, 15.5]] * 2), np.ones(2), np.zeros(2), np.zeros((2, 2)))
    assert torch.allclose(camera_view(photo, still, (48, 32))[1], photo, atol=1e-4)
    aside = replace(still, centres=still.centres + np.array([4, 2]))
    assert torch.allclose(camera_view(photo, aside, (20, 10))[0], photo[:, 13:23, 18:38], atol=1e-4)


def test_paths_move_as_fast_as_asked() -> None:
    rng, steps = np.random.default_rng(0), np.arange(10.0)
    still = random_camera_path(rng, steps, (640, 480), (48, 32), 0.0)
    assert np.ptp(still.centres, axis=0).max() < 1e-9
    assert np.ptp(still.scales) < 1e-9
    moving = random_camera_path(rng, steps, (640, 480), (48, 32), 1.0)
    assert np.ptp(moving.centres, axis=0).max() > 1


def test_an_attached_hole_moves_with_the_photo() -> None:
    photo = np.zeros((200, 300, 3), np.uint8)
    photo[:, ::8] = 255
    rng = np.random.default_rng(6)
    for _ in range(4):
        clip, holes = moved_photo(rng, photo, photo, np.arange(3), (48, 32), attached=True)
        assert clip.shape == (3, 32, 48, 3)
        assert holes is not None
        assert holes.any()
    assert moved_photo(rng, photo, photo, np.arange(3), (48, 32))[1] is None


def test_crops_keep_part_of_the_hole() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 255, (2, 60, 90, 3), dtype=np.uint8)
    residual = np.zeros((2, 60, 90), np.uint8)
    residual[:, 20:45, 30:60] = 255
    for _ in range(10):
        a, b, s = crop(rng, truth, truth, residual, (48, 32))
        assert a.shape == b.shape == (2, 32, 48, 3)
        assert (s > 127).any()


def test_shrunk_shares_hide_what_hidden_pixels_touch() -> None:
    residual = np.zeros((1, 8, 8), np.uint8)
    residual[0, 2, 3] = 255
    residual[0, 6, 6] = 100
    small = shrink_residual(residual, (4, 4))
    assert small[0, 1, 1] >= 128
    assert 0 < small[0, 3, 3] < 128
    assert small[0, 3, 0] == 0


def test_for_networks_that_judge_only_what_was_not_found_stays_hidden() -> None:
    residual = np.zeros((1, 8, 8), np.uint8)
    residual[0, 2, 3] = 255
    residual[0, 6, 6] = 200
    small = shrink_residual(residual, (4, 4), 0.97)
    assert small[0, 1, 1] >= 248
    assert 0 < small[0, 3, 3] < 128
