"""Burned-in text: which is found, on which frames, and which pixels of it."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from burned_text import SIZE, Drawn, background, burn, write_film

from vinpaint_cli.errors import OutputError, UsageError, WeightsError
from vinpaint_cli.mask_making.run import make_mask
from vinpaint_cli.mask_making.text import find_text
from vinpaint_cli.mask_making.text_mask import TextEvent, TextMask
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.masks.text.detect import TextDetector
from vinpaint_cli.masks.text.options import TextOptions
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.removal.run import remove
from vinpaint_cli.types import Box, Frame
from vinpaint_cli.video.source.read import open_source

FRAMES = 48
CAPTION = Drawn("A caption of words", range(7, 37))
WITH_TEXT = RemoveOptions(mask=MaskOptions(text=TextOptions(wanted=True)))


def found(film: Path, options: TextOptions | None = None) -> TextMask:
    return find_text(open_source(film), options or TextOptions(wanted=True), SilentListener())


def masks(film: Path, text: TextMask) -> np.ndarray:
    return np.stack([text.at(frame) for frame in open_source(film).frames()])


def film_of(folder: Path, *texts: Drawn, moves: bool = True) -> tuple[Path, np.ndarray]:
    burned, changed = burn(background(FRAMES, moves=moves), list(texts))
    return write_film(folder / "film.mp4", burned), changed


@pytest.mark.parametrize(
    "text",
    [
        CAPTION,
        Drawn("Plain with a shadow", range(7, 37), outline=0, shadow=3),
        Drawn("Coloured words", range(7, 37), colour=(250, 220, 60)),
        Drawn("dark on light", range(7, 37), colour=(10, 10, 10), outline=0),
        Drawn("Words on a bar", range(7, 37), outline=0, height=24, bar=(100, 205, 380, 240)),
        Drawn(
            "Slowly in and out", range(7, 37), opacity=lambda index: min(1, (index - 6) / 6, (37 - index) / 6)
        ),
        Drawn("scrolling up", range(48), place=(240, 250), velocity=(0, -4)),
    ],
    ids=lambda text: text.text,
)
def test_letters_are_covered_on_the_frames_that_show_them_and_little_else(
    tmp_path: Path, text: Drawn
) -> None:
    film, changed = film_of(tmp_path, text)
    mask = found(film)
    holes = masks(film, mask)
    assert [(event.frames.start, event.frames.stop) for event in mask.events] == [
        (text.frames.start, text.frames.stop)
    ]
    assert (holes & changed).sum() >= 0.98 * changed.sum()
    assert holes.sum() <= 1.8 * changed.sum()
    assert not holes[[index not in text.frames for index in range(FRAMES)]].any()


def test_two_captions_in_one_place_are_two_events(tmp_path: Path) -> None:
    film, _ = film_of(
        tmp_path, Drawn("The first of two", range(4, 24)), Drawn("now the second", range(24, 44))
    )
    assert [event.frames for event in found(film).events] == [range(4, 24), range(24, 44)]


def test_text_that_moves_with_the_scene_is_left_and_said_to_be(tmp_path: Path) -> None:
    sign = Drawn("SHOP SIGN", range(48), place=(300, 90), velocity=(-2, 0))
    film, _ = film_of(tmp_path, sign, CAPTION)
    mask = found(film)
    assert [event.frames for event in mask.events] == [CAPTION.frames]
    assert any("move with the scene" in line for line in mask.warnings)
    assert len(found(film, TextOptions(wanted=True, kind="all")).events) == 2


def test_a_kind_and_a_region_choose_among_texts(tmp_path: Path) -> None:
    logo = Drawn("NAME 5", range(48), height=24, place=(420, 40))
    film, _ = film_of(tmp_path, logo, CAPTION)

    def frames(**options: Any) -> list[range]:
        return [event.frames for event in found(film, TextOptions(wanted=True, **options)).events]

    assert frames() == [range(48), CAPTION.frames]
    assert frames(kind="persistent") == [range(48)]
    assert frames(kind="transient") == [CAPTION.frames]
    assert frames(regions=("0,60%,100%,40%",)) == [CAPTION.frames]
    assert frames(least_height=200) == []


def test_a_clip_without_text_is_copied_and_it_is_said(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", background(24))
    report = remove(film, tmp_path / "out.mkv", WITH_TEXT, overwrite=True)
    assert report.hole_frames == 0
    assert any("no text is found" in line for line in report.warnings)


def test_removed_text_is_closer_to_the_clip_without_it(tmp_path: Path) -> None:
    clean = background(FRAMES)
    burned, changed = burn(clean, [CAPTION])
    film = write_film(tmp_path / "film.mp4", burned, crf=8)
    remove(film, tmp_path / "out.mkv", WITH_TEXT)
    result = np.stack([frame.rgb for frame in open_source(tmp_path / "out.mkv").frames()])
    before = np.abs(burned.astype(int) - clean)[changed].mean()
    after = np.abs(result.astype(int) - clean)[changed].mean()
    assert after < before / 8


def test_events_are_listed_as_subtitles_and_as_json(tmp_path: Path) -> None:
    film, _ = film_of(tmp_path, CAPTION)
    options = MaskOptions(text=TextOptions(wanted=True))
    make_mask(film, events=tmp_path / "events.srt", options=options)
    lines = (tmp_path / "events.srt").read_text().splitlines()
    assert lines[:2] == ["1", "00:00:00,292 --> 00:00:01,542"]
    make_mask(film, events=tmp_path / "events.json", options=options)
    (event,) = json.loads((tmp_path / "events.json").read_text())
    assert (event["first"], event["stop"], event["persistent"]) == (7, 37, False)
    x, y, width, height = event["box"]
    assert 0 < x < 240 < x + width < SIZE[0]
    assert 190 < y < 230 < y + height < SIZE[1]
    with pytest.raises(OutputError, match="exists"):
        make_mask(film, events=tmp_path / "events.json", options=options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (TextOptions(kind="all"), "--text too"),
        (TextOptions(wanted=True, kind="subtitles"), "is not known"),
        (TextOptions(wanted=True, regions=("1,2",)), "1,2"),
        (TextOptions(wanted=True, regions=("1,2,3,4@f3-f5",)), "has a time"),
    ],
)
def test_options_of_text_that_cannot_be_are_refused(tmp_path: Path, options: TextOptions, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_mask(tmp_path / "film.mp4", options=MaskOptions(text=options, boxes=("0,0,9,9",)))


def test_a_file_that_is_no_network_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match="cannot be read by OpenCV"):
        TextDetector(tmp_path / "network.onnx").find(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("corner", "shown"),
    [((3, 2), (2, 10, 3, 15)), ((-8, -5), (0, 3, 0, 4)), ((3, -13), None), ((-17, 2), None), ((90, 2), None)],
)
def test_letters_beyond_the_frame_are_left_out(
    corner: tuple[int, int], shown: tuple[int, int, int, int] | None
) -> None:
    event = TextEvent(range(5), Box(0, 0, 12, 8), (0, 0), False, False, corner, np.ones((8, 12), np.bool_))
    film_size, expected = (40, 30), np.zeros((30, 40), np.bool_)
    if shown is not None:
        top, bottom, left, right = shown
        expected[top:bottom, left:right] = True
    mask = TextMask([event], film_size, [Fraction(0)] * 5)
    np.testing.assert_array_equal(mask.at(Frame(2, 0, 0, None, lambda native: native)), expected)
