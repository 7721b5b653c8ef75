from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from vinpaint_cli.train import actors, clips
from vinpaint_cli.train.actors import Movement, Wave, put_in_front, random_movement
from vinpaint_cli.train.clips import Clips, Drawn
from vinpaint_cli.train.holes import moved_to
from vinpaint_cli.train.material import find_material

SIZE = (96, 64)
STEPS = np.arange(8.0)


def test_a_thing_covers_what_is_around_its_middle_and_nothing_else() -> None:
    grey = torch.full((8, 3, 64, 96), 100.0)
    photo = torch.full((3, 80, 120), 240.0)
    for seed in range(6):
        shown, places = put_in_front(np.random.default_rng(seed), grey, photo, STEPS)
        covered = (shown - grey).abs().amax(1) > 20
        assert shown.shape == grey.shape
        assert places.shape == (8, 2)
        assert 0.005 < float(covered.float().mean()) < 0.8
        assert float((shown - grey).abs().amax(1).eq(0).float().mean()) > 0.2
        whole = [t for t in range(8) if not (covered[t, [0, -1]].any() or covered[t, :, [0, -1]].any())]
        for t in whole:
            rows, columns = covered[t].nonzero(as_tuple=True)
            middle = np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2])
            assert np.abs(middle - places[t]).max() < 8


def test_the_same_seed_gives_the_same_thing() -> None:
    clip, photo = torch.rand(8, 3, 64, 96) * 255, torch.rand(3, 80, 120) * 255
    one, other, third = (put_in_front(np.random.default_rng(s), clip, photo, STEPS)[0] for s in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_most_things_are_followed_by_the_camera() -> None:
    rng, steps = np.random.default_rng(0), np.arange(41.0)
    far = [
        np.abs(np.diff(random_movement(rng, steps, SIZE).places[[0, -1]], axis=0)).max() for _ in range(300)
    ]
    assert 0.45 < np.mean(np.array(far) < 45) < 0.8


def _shape(waves: tuple[Wave, ...], time: float) -> torch.Tensor:
    piece = torch.ones(4, 24, 40)
    still = Movement(np.full((1, 2), [47.5, 31.5]), np.ones(1), np.ones(1), np.zeros(1), waves)
    return actors._seen(piece, still, 0, time, SIZE)[3]


def test_without_waves_a_thing_keeps_its_shape_and_with_them_it_bends() -> None:
    assert torch.equal(_shape((), 0.0), _shape((), 3.0))
    assert _shape((), 0.0).sum() == 24 * 40
    waves = (Wave(np.array([0.0, 4.0]), np.array([0.3, 0.0]), 0.5, 0.0),)
    before, after = _shape(waves, 0.0), _shape(waves, 3.0)
    assert not torch.equal(before, after)
    assert float((before - _shape((), 0.0)).abs().sum()) > 40
    reach = before.any(1).nonzero()  # bent by at most the reach of the wave
    assert int(reach.min()) >= 31.5 - 12 - 5
    assert int(reach.max()) <= 31.5 + 12 + 5


def test_holes_move_to_a_place_and_stay_as_they_are() -> None:
    holes = np.zeros((3, 20, 30), np.bool_)
    holes[:, 2:6, 3:9] = True
    holes[2, 2:6, 9] = True
    moved = moved_to(holes, np.array([18.0, 10.0]))
    assert np.array_equal(moved[:, 8:12, 15:22], holes[:, 2:6, 3:10])
    assert moved.sum() == holes.sum()
    cut = moved_to(holes, np.array([90.0, -7.0]))  # the middle is kept in the picture
    assert cut.any()
    assert cut.sum() < holes.sum()
    nothing = np.zeros((3, 20, 30), np.bool_)
    assert moved_to(nothing, np.array([1.0, 1.0])) is nothing


def _drawn(material: Path, monkeypatch: pytest.MonkeyPatch, acted: tuple[float, ...]) -> list[Drawn]:
    monkeypatch.setattr(clips, "ACTED", acted)
    source = Clips(find_material([material]), (48, 32), 8, 0.5, "intel")
    rng = np.random.default_rng(3)
    return [source.draw(rng) for _ in range(6)]


def test_clips_are_drawn_with_and_without_things_in_front(
    material: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid: list[object] = []

    def noted(*given: Any) -> object:
        laid.append(given)
        return put_in_front(*given)

    monkeypatch.setattr(clips, "put_in_front", noted)
    for drawn in _drawn(material, monkeypatch, (1.0, 0.0, 0.0)):
        assert drawn.clip.shape[1:] == (32, 48, 3)
        assert drawn.holes.shape == drawn.clip.shape[:3]
        assert drawn.group in ("flowers", "views", "clip")
    assert not laid
    _drawn(material, monkeypatch, (0.0, 0.0, 1.0))
    assert len(laid) == 12


def test_holes_lie_on_what_was_put_in_front(material: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[npt.NDArray[np.float64]] = []

    def noted(*given: Any) -> object:
        shown, path = put_in_front(*given)
        places.append(path.mean(0))
        return shown, path

    monkeypatch.setattr(clips, "put_in_front", noted)
    monkeypatch.setattr(clips, "ON_STAGE", 1.0)
    monkeypatch.setattr(clips, "BESIDE", (0.0, 0.0))
    for number, drawn in enumerate(_drawn(material, monkeypatch, (0.0, 1.0, 0.0))):
        if drawn.kind != "moving":
            x, y = places[number].clip(0, (47, 31)).round().astype(int)
            hidden = np.asarray(drawn.holes.any(0))
            near = hidden[max(0, y - 6) : y + 7, max(0, x - 8) : x + 9]
            assert near.any()
