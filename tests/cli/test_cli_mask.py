"""``vinpaint mask``: its file is the hole, and remove takes it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from clip_factory import png_bytes
from helpers_cli import Runner, names

from vinpaint_cli.video.source.read import probe


def test_the_file_fed_back_is_the_same_hole(vinpaint: Runner, film: Path) -> None:
    picture = np.zeros((48, 64), np.uint8)
    picture[10:20, 12:30] = 255
    mask, made = film.parent / "mask.png", film.parent / "hole.mkv"
    mask.write_bytes(png_bytes(picture))
    options = ["--mask", mask, "--box", "40,30,9,9@f2-", "--dilate", "3", "--start", "f1", "--end", "f5"]
    written = vinpaint("mask", film, *options, "-o", made, "--json")
    assert written.code == 0, written.err
    direct = vinpaint("remove", film, *options, "-q", "--json").json
    back = vinpaint("remove", film, "--mask", made, "--dilate", "0", "-q", "-y", "--json").json
    assert direct["hole_frames"] == 4
    assert back["hole_pixels"] == direct["hole_pixels"] == written.json["hole_pixels"]
    assert back["by_propagation"] == direct["by_propagation"]


def test_default_name_and_what_is_said(vinpaint: Runner, film: Path) -> None:
    ended = vinpaint("mask", film, "--box", "0,0,32,48")
    assert (ended.code, ended.out) == (0, "")
    made = film.with_name("film.mask.mkv")
    assert ended.lines == [f"{made}: hole on 6 of 6 frames, 50.0% of the picture on average"]
    about = probe(made)
    assert (about.codec, about.pix_fmt, len(about.streams)) == ("ffv1", "gray", 1)
    assert vinpaint("mask", film, "--box", "0,0,32,48").code == 6


def test_preview_alone_writes_no_mask(vinpaint: Runner, film: Path) -> None:
    ended = vinpaint("mask", film, "--box", "0,0,9,9", "--preview", film.parent / "sheet.png", "--json")
    assert ended.code == 0
    assert ended.json["output"] is None
    assert names(film.parent) == ["film.mp4", "sheet.png"]


def test_an_empty_mask_is_told_of(vinpaint: Runner, film: Path) -> None:
    ended = vinpaint("mask", film, "--box", "0,0,9,9@f90-", "-o", film.parent / "hole.mkv")
    assert ended.code == 0
    assert "no frame has a hole" in ended.lines[0]


def test_a_single_picture_cannot_hold_a_moving_hole(vinpaint: Runner, film: Path) -> None:
    ended = vinpaint("mask", film, "--box", "0,0,9,9", "-o", film.parent / "hole.png")
    assert ended.code == 2
    assert "mask.mkv" in ended.lines[0]


def test_a_size_that_cannot_be_read_is_said_before_anything_is_done(vinpaint: Runner, film: Path) -> None:
    ended = vinpaint("mask", film, "--click", "20,20", "--memory", "lots")
    assert ended.code == 2
    assert "--memory 'lots'" in ended.lines[-1]
    assert not list(film.parent.glob("*.mask.mkv"))
