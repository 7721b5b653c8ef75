"""The contact sheet shows the right frames, and the hole where it is."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clip_factory import make_clip
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vinpaint_cli.engine.make_mask import make_mask
from vinpaint_cli.engine.preview import TILES, clock, draw_tile, pick_frames, tile_size
from vinpaint_cli.errors import OutputError, UsageError
from vinpaint_cli.masks.files import MaskOptions
from vinpaint_cli.video.probe import probe


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200))
def test_frames_are_spread_over_the_life_of_the_hole(pixels: list[int]) -> None:
    marked = [index for index, count in enumerate(pixels) if count] or list(range(len(pixels)))
    shown = pick_frames(pixels)
    assert list(shown) == sorted(set(shown))
    assert set(shown) <= set(marked)
    assert len(shown) == min(TILES, len(marked))
    assert (shown[0], shown[-1]) == (marked[0], marked[-1])
    places = [marked.index(index) for index in shown]
    steps = np.diff(places)
    assert not steps.size or steps.max() - steps.min() <= 1


def test_a_tile_is_tinted_in_the_hole_alone() -> None:
    picture = np.full((120, 160, 3), (40, 90, 60), np.uint8)
    hole = np.zeros((120, 160), np.bool_)
    hole[40:80, 60:120] = True
    tile = draw_tile(picture, hole, (80, 60))
    assert tile.shape == (60, 80, 3)
    inside, outside = tile[24:36, 34:56], np.concatenate([tile[:16].ravel(), tile[44:].ravel()])
    assert (inside[..., 0] > inside[..., 1].astype(int) + 90).all()
    assert np.array_equal(outside.reshape(-1, 3), np.full((outside.size // 3, 3), (40, 90, 60)))
    assert (tile[20, 31:59] == 255).all(), "the outline is white"


@pytest.mark.parametrize("extent", [1, 2, 3])
def test_a_hole_too_thin_for_the_tile_is_still_seen(extent: int) -> None:
    hole = np.zeros((1080, 1920), np.bool_)
    hole[500 : 500 + extent, 200:1700] = True
    tile = draw_tile(np.zeros((1080, 1920, 3), np.uint8), hole, (480, 270))
    assert (tile.max(axis=-1) > 100).sum() > 300


def test_sheet_of_a_turned_deep_clip(tmp_path: Path) -> None:
    film = make_clip(
        tmp_path / "film.mkv",
        frames=12,
        rotation=90,
        pix_fmt="yuv420p10le",
        codec="libx265",
        rate=Fraction(10),
    )
    report = make_mask(film, None, MaskOptions(boxes=("0,0,48,64@0.2-",)), preview=tmp_path / "sheet.png")
    assert report.shown == (2, 3, 4, 5, 6, 8, 9, 10, 11)
    assert report.output is None
    width, height = tile_size(probe(film))
    assert width < height
    with Image.open(tmp_path / "sheet.png") as picture:
        sheet = np.asarray(picture).astype(int)
    pink = (sheet[..., 0] > sheet[..., 1] + 60) & (sheet[..., 2] > sheet[..., 1])
    assert pink.sum() > 0.9 * 9 * width * height * 0.95


def test_pixels_that_are_not_square_are_shown_as_a_player_does(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "film.mkv", frames=1, size=(48, 48), aspect=Fraction(16, 9))
    width, height = tile_size(probe(film))
    assert width / height == pytest.approx(16 / 9, rel=0.02)


def test_without_a_hole_the_clip_itself_is_shown(tmp_path: Path, clip: Callable[..., Path]) -> None:
    film = clip("film.mkv", frames=3)
    report = make_mask(film, None, MaskOptions(boxes=("0,0,4,4@f9-",)), preview=tmp_path / "sheet.jpg")
    assert (report.hole_frames, report.shown) == (0, (0, 1, 2))
    assert report.warnings == ("the mask is empty: no frame has a hole",)
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.format == "JPEG"


def test_only_pictures_that_can_be_written(tmp_path: Path, clip: Callable[..., Path]) -> None:
    film, hole = clip("film.mkv", frames=2), MaskOptions(boxes=("0,0,4,4",))
    with pytest.raises(UsageError, match=r"\.png"):
        make_mask(film, None, hole, preview=tmp_path / "sheet.mkv")
    with pytest.raises(OutputError):
        make_mask(film, None, hole, preview=tmp_path / "nowhere" / "sheet.png")
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.000"), (5.48, "0:05.480"), (59.9996, "1:00.000"), (3723.5, "1:02:03.500")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
