"""The contact sheet shows the right frames, and the hole where it is."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clip_factory import make_clip
from helpers_tracked import tracked_masks
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from vinpaint_cli.errors import OutputError, UsageError
from vinpaint_cli.mask_making.preview import (
    TILES,
    clock,
    count_holes,
    draw_prompt,
    draw_tile,
    pick_frames,
    pick_tracked,
    tile_size,
    write_preview,
)
from vinpaint_cli.mask_making.run import make_mask
from vinpaint_cli.masks.grammar import TimePoint
from vinpaint_cli.masks.prompts import Prompt
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.types import Box
from vinpaint_cli.video.source.read import open_source, probe


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


def test_tracked_frames_are_worst_first_and_show_what_was_pointed_at() -> None:
    confidence = [0.9] * 40
    confidence[20], confidence[30] = 0.1, 0.3
    prompts = [Prompt(1, TimePoint(frame=frame), ((3, 4),), (True,)) for frame in (0, 10, 35, 36)]
    for frame in (0, 10, 35, 36):
        confidence[frame] = 1.0
    tracked = tracked_masks((64, 48), confidence, prompts)
    shown = pick_tracked([1] * 40, tracked)
    assert len(shown) == len(set(shown)) == TILES
    assert shown[:2] == (20, 30)
    assert shown[-3:] == (0, 35, 36) or shown[-3:] == (0, 10, 36)
    assert pick_tracked([0] * 40, tracked)[:2] == (20, 30), "a lost object is to be looked at"


def test_prompts_are_drawn_where_they_are() -> None:
    sheet = Image.new("RGB", (400, 300))
    prompt = Prompt(1, TimePoint(frame=0), ((20, 10), (40, 30)), (True, False), Box(60, 20, 90, 50))
    draw_prompt(ImageDraw.Draw(sheet), prompt, (50, 40), (2.0, 2.0))
    seen = np.asarray(sheet).astype(int)
    assert seen[61, 91, 1] > seen[61, 91, 0] + 100, "green on the object"
    assert seen[101, 131, 0] > seen[101, 131, 1] + 100, "red beside it"
    for y, x in ((80, 200), (140, 200), (100, 170), (100, 230)):
        assert seen[y, x, 1] > 150, "the box"
    assert not seen[110, 200].any(), "the box is not filled"


def test_a_tracked_sheet_says_how_sure_it_is(tmp_path: Path, clip: Callable[..., Path]) -> None:
    source = open_source(clip("film.mkv", frames=3))
    prompt = Prompt(1, TimePoint(frame=1), ((48, 24),), (True,))
    tracked = tracked_masks((64, 48), [0.2, 1.0, 0.8], [prompt])
    count = count_holes(source, tracked, SilentListener())
    path = tmp_path / "sheet.png"
    assert write_preview(source, tracked, count, path, tracked) == (0, 2, 1)
    write_preview(source, tracked, count, tmp_path / "plain.png")
    with Image.open(path) as one, Image.open(tmp_path / "plain.png") as other:
        sheet, plain = np.asarray(one).astype(int), np.asarray(other).astype(int)
    assert sheet.shape == plain.shape

    def green(picture: np.ndarray) -> np.ndarray:
        return (abs(picture - (60, 220, 90)) < 6).all(axis=-1)

    def amber(picture: np.ndarray) -> np.ndarray:
        return (abs(picture - (255, 170, 60)) < 6).all(axis=-1)

    assert green(sheet).sum() > 60 > 20 > green(plain).sum()
    assert amber(sheet).sum() > 50, "the confidence in doubt"
    assert np.argwhere(amber(sheet))[:, 1].max() < tile_size(source.info)[0], "only on the first tile"
