from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from vinpaint_cli.train import augment, clips, draw
from vinpaint_cli.train.augment import KINDS, ForegroundMotion, Wave, add_foreground, moved_to, random_motion
from vinpaint_cli.train.clips import Clips, Drawn, find_material, read_photo

SIZE = (96, 64)
STEPS = np.arange(8.0)


def test_a_thing_covers_what_is_around_its_middle_and_nothing_else() -> None:
    grey = torch.full((8, 3, 64, 96), 100.0)
    photo = torch.full((3, 80, 120), 240.0)
    for seed in range(6):
        shown, places = add_foreground(np.random.default_rng(seed), grey, photo, STEPS)
        covered = (shown - grey).abs().amax(1) > 20
        assert shown.shape == grey.shape
        assert places.shape == (8, 2)
        assert 0.005 < float(covered.float().mean()) < 0.8
        assert float((shown - grey).abs().amax(1).eq(0).float().mean()) > 0.2
        whole = [t for t in range(8) if not (covered[t, [0, -1]].any() or covered[t, :, [0, -1]].any())]
        for t in whole:
            rows, columns = covered[t].nonzero(as_tuple=True)
            middle = np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2])
            assert np.abs(middle - places[t]).max() < 4


def test_the_same_seed_gives_the_same_thing() -> None:
    clip, photo = torch.rand(8, 3, 64, 96) * 255, torch.rand(3, 80, 120) * 255
    one, other, third = (add_foreground(np.random.default_rng(s), clip, photo, STEPS)[0] for s in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_most_things_are_followed_by_the_camera() -> None:
    rng, steps = np.random.default_rng(0), np.arange(41.0)
    far = [np.abs(np.diff(random_motion(rng, steps, SIZE).places[[0, -1]], axis=0)).max() for _ in range(300)]
    assert 0.45 < np.mean(np.array(far) < 45) < 0.8


def _motion(**changed: Any) -> ForegroundMotion:
    still = ForegroundMotion(np.full((1, 2), [47.5, 31.5]), np.ones(1), np.ones(1), np.zeros(1), ())
    return replace(still, **changed)


def _shape(waves: tuple[Wave, ...], time: float) -> torch.Tensor:
    return augment._rendered(torch.ones(4, 24, 40), _motion(waves=waves), 0, time, SIZE)[3]


def test_a_thing_at_rest_is_seen_as_it_is() -> None:
    piece = torch.cat([torch.rand(3, 24, 40) * 255, torch.ones(1, 24, 40)])
    seen = augment._rendered(piece, _motion(), 0, 0.0, SIZE)
    torch.testing.assert_close(seen[:, 20:44, 28:68], piece, atol=1e-3, rtol=0)
    assert seen[3].sum() == 24 * 40


@pytest.mark.parametrize(
    ("changed", "rows", "columns"),
    [
        ({"angles": np.array([np.pi / 2])}, 40, 24),
        ({"scales": np.array([2.0])}, 48, 80),
        ({"breadths": np.array([0.5])}, 24, 20),
    ],
)
def test_things_turn_grow_and_narrow(changed: dict[str, Any], rows: int, columns: int) -> None:
    alpha = augment._rendered(torch.ones(4, 24, 40), _motion(**changed), 0, 0.0, SIZE)[3]
    assert int(alpha.any(1).sum()) == pytest.approx(rows, abs=1)
    assert int(alpha.any(0).sum()) == pytest.approx(columns, abs=1)


def test_a_thing_rolls_clockwise_for_a_positive_angle() -> None:
    """Its right end, white, comes to lie below; y points down."""
    piece = torch.ones(4, 24, 40)
    piece[:3, :, :20] = 0
    seen = augment._rendered(piece, _motion(angles=np.array([np.pi / 2])), 0, 0.0, SIZE)
    assert seen[0, 40, 47] == 1
    assert seen[0, 22, 47] == 0


def test_without_waves_a_thing_keeps_its_shape_and_with_them_it_bends() -> None:
    assert torch.equal(_shape((), 0.0), _shape((), 3.0))
    waves = (Wave(np.array([0.0, 4.0]), np.array([0.3, 0.0]), 0.5, 0.0),)
    before, after = _shape(waves, 0.0), _shape(waves, 3.0)
    assert not torch.equal(before, after)
    assert float((before - _shape((), 0.0)).abs().sum()) > 40
    reach = before.any(1).nonzero()  # bent by at most the reach of the wave
    assert int(reach.min()) >= 31.5 - 12 - 5
    assert int(reach.max()) <= 31.5 + 12 + 5


def test_things_bend_in_every_direction() -> None:
    rng = np.random.default_rng(0)
    waves = [wave for _ in range(60) for wave in augment._random_waves(rng)]
    signs = {tuple(np.sign(wave.reach)) for wave in waves if wave.reach.any()}
    assert signs == {(-1, -1), (-1, 1), (1, -1), (1, 1)}
    assert max(np.abs(wave.reach).max() for wave in waves) <= max(augment.BEND)


def test_small_photos_are_enlarged_evenly() -> None:
    piece = augment._cut_out(np.random.default_rng(0), torch.rand(3, 8, 40) * 255, torch.ones(1, 20, 30))
    assert piece.shape == (4, 26, 36)
    assert float(piece[3, 4:-4, 4:-4].min()) == 1
    assert float(piece[3, 0].max()) == 0
    assert 0 <= float(piece[:3].min()) < float(piece[:3].max()) <= 255


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


def _drawn(material: Path, monkeypatch: pytest.MonkeyPatch, counts: tuple[float, ...]) -> list[Drawn]:
    monkeypatch.setattr(clips, "FOREGROUNDS", counts)
    source = Clips(find_material([material]), (48, 32), 8, 0.5, "intel")
    rng = np.random.default_rng(3)
    return [source.draw(rng) for _ in range(6)]


Shown = tuple[torch.Tensor, torch.Tensor, npt.NDArray[np.float64]]


@pytest.fixture
def fronts(monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    """What things were put in front of, what came of it, and where they were."""
    noted: list[Shown] = []

    def put(*given: Any) -> object:
        shown, places = add_foreground(*given)
        noted.append((given[1], shown, places))
        return shown, places

    monkeypatch.setattr(clips, "add_foreground", put)
    monkeypatch.setattr(draw, "add_foreground", put)
    return noted


def test_nothing_is_put_in_front(
    material: Path, monkeypatch: pytest.MonkeyPatch, fronts: list[Shown]
) -> None:
    for drawn in _drawn(material, monkeypatch, (1.0, 0.0, 0.0)):
        assert drawn.clip.shape[1:] == (32, 48, 3)
        assert drawn.holes.shape == drawn.clip.shape[:3]
        assert drawn.group in ("flowers", "views", "clip")
    assert not fronts


def test_one_thing_is_put_in_front_of_the_other(
    material: Path, monkeypatch: pytest.MonkeyPatch, fronts: list[Shown]
) -> None:
    found = _drawn(material, monkeypatch, (0.0, 0.0, 1.0))
    assert len(fronts) == 2 * len(found)
    for number, drawn in enumerate(found):
        first, second = fronts[2 * number : 2 * number + 2]
        assert second[0] is first[1]
        pixels = torch.from_numpy(drawn.clip).permute(0, 3, 1, 2)
        assert float((second[1] - pixels).abs().max()) <= 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_holes_lie_on_what_was_put_in_front(
    material: Path, monkeypatch: pytest.MonkeyPatch, fronts: list[Shown], kind: str
) -> None:
    asked: list[npt.NDArray[np.float64]] = []

    def moved(holes: npt.NDArray[np.bool_], place: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        asked.append(place)
        return moved_to(holes, place)

    monkeypatch.setattr(clips, "moved_to", moved)
    monkeypatch.setattr(clips, "draw_kind", lambda rng: kind)
    monkeypatch.setattr(clips, "HOLE_ON_FOREGROUND", 1.0)
    monkeypatch.setattr(clips, "BESIDE", (0.0, 0.0))
    found = _drawn(material, monkeypatch, (0.0, 1.0, 0.0))
    assert {drawn.kind for drawn in found} == {kind}
    expected = [places.mean(0).clip(0, (47, 31)) for _, _, places in fronts]
    assert np.array_equal(asked, [] if kind == "moving" else expected)


def test_what_is_held_out_stays_apart(material: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thing in front is of the part of the photos that the clip is of: learned from, or held out."""
    monkeypatch.setattr(clips, "held_out", lambda name: name.startswith("views"))
    read: list[str] = []

    def noted(path: Path) -> object:
        read.append(path.name)
        return read_photo(path)

    monkeypatch.setattr(clips, "read_photo", noted)
    for drawn in reversed(_drawn(material, monkeypatch, (0.0, 1.0, 0.0))):
        assert read.pop().startswith("views") == drawn.name.startswith("views")
        if drawn.group != "clip":
            assert read.pop() == drawn.name
