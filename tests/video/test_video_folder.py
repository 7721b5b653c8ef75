"""Folders of pictures as clips, in and out."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from clip_factory import png_bytes, texture
from helpers_video import copy_clip, planes

from vinpaint_cli.errors import OutputError, VideoError
from vinpaint_cli.types import Box, EncodeOptions, Patch
from vinpaint_cli.video.colour.planes import compose
from vinpaint_cli.video.sink.write import open_writer
from vinpaint_cli.video.source.folder import PictureSource, natural_key
from vinpaint_cli.video.source.read import open_source


def test_names_are_in_natural_order(pictures):
    source = open_source(pictures(count=5))
    assert isinstance(source, PictureSource)
    assert source.names == ("shot8.png", "shot9.png", "shot10.png", "shot11.png", "shot12.png")
    assert sorted(["a10", "A2", "a1b3", "a1b20"], key=natural_key) == ["a1b3", "a1b20", "A2", "a10"]
    frames = list(source.frames())
    assert [f.index for f in frames] == [f.pts for f in frames] == list(range(5))
    assert all(np.array_equal(f.rgb, texture(f.index, 40, 30)) for f in frames)
    assert [f.index for f in source.frames(2, 4)] == [2, 3]
    assert source.info.frames_from_header == 5
    assert not source.damage


def test_the_rate_is_the_callers(pictures):
    info = open_source(pictures(), Fraction(30000, 1001)).info
    assert (info.rate, info.time_base) == (Fraction(30000, 1001), Fraction(1001, 30000))
    assert info.duration == pytest.approx(5 * 1001 / 30000)


@pytest.mark.parametrize("deep", [False, True])
def test_unchanged_pictures_are_bit_exact(pictures, tmp_path, deep):
    source = open_source(pictures(deep=deep))
    target = tmp_path / "out"
    roi = Box(4, 4, 12, 12)
    with open_writer(target, source, EncodeOptions()) as writer:
        for frame in source.frames():
            rgb = np.full((8, 8, 3), 7, frame.rgb.dtype)
            patch = Patch(frame.index, roi, rgb, np.ones((8, 8), np.float32))
            writer.write(compose(frame, [patch]) if frame.index == 3 else frame)
    assert sorted(p.name for p in target.iterdir()) == sorted(source.names)
    for before, after in zip(source.frames(), open_source(target).frames(), strict=True):
        assert after.rgb.dtype == (np.uint16 if deep else np.uint8)
        if before.index == 3:
            assert (after.rgb[roi.slices()] == 7).all()
            after.rgb[roi.slices()] = before.rgb[roi.slices()]
            outside = np.ones(after.rgb.shape[:2], bool)
            outside[roi.slices()] = False
            assert np.array_equal(after.rgb[outside], before.rgb[outside])
        else:
            assert np.array_equal(after.rgb, before.rgb)


def test_transparency_and_gray_pass_through(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    gray = texture(0, 20, 12)[..., 0]
    (folder / "a.png").write_bytes(png_bytes(gray))
    copy_clip(folder, tmp_path / "out", EncodeOptions())
    before, after = (next(open_source(f).frames()) for f in (folder, tmp_path / "out"))
    assert after.native.format.name == before.native.format.name == "gray"
    assert np.array_equal(planes(after.native)[0], gray)


def test_pictures_become_a_video_and_say_what_it_costs(pictures, tmp_path):
    folder = pictures(count=6)
    lines = copy_clip(folder, tmp_path / "out.mp4", EncodeOptions())
    assert any("rgb24 becomes yuv420p" in line for line in lines)
    clip = open_source(tmp_path / "out.mp4")
    assert (clip.info.codec, clip.info.pix_fmt, clip.info.rate) == ("h264", "yuv420p", 25)
    assert (clip.info.color.matrix, clip.info.color.full_range) == (1, False)
    for before, after in zip(open_source(folder).frames(), clip.frames(), strict=True):
        assert np.abs(before.rgb.astype(int) - after.rgb).mean() < 8


def test_pictures_become_a_lossless_video(pictures, tmp_path):
    for deep in (False, True):
        folder = pictures(f"in{deep}", count=3, size=(39, 29), deep=deep)
        copy_clip(folder, tmp_path / "out.mkv", EncodeOptions(codec="ffv1"))
        for before, after in zip(
            open_source(folder).frames(), open_source(tmp_path / "out.mkv").frames(), strict=True
        ):
            assert np.array_equal(before.rgb, after.rgb)


def test_sizes_must_agree(pictures):
    folder = pictures(count=3)
    (folder / "shot20.png").write_bytes(png_bytes(texture(0, 38, 30)))
    with pytest.raises(VideoError, match=r"shot20\.png: 38×30, but the folder's first picture is 40×30"):
        list(open_source(folder).frames())


@pytest.mark.parametrize("keep", [0, 20, 40, 120])
def test_a_broken_picture_is_named(pictures, keep):
    folder = pictures(count=3)
    content = (folder / "shot9.png").read_bytes()
    (folder / "shot9.png").write_bytes(content[:keep] or b"not a picture")
    with pytest.raises(VideoError, match=r"shot9\.png: the picture (cannot be read|is empty)") as caught:
        list(open_source(folder).frames())
    assert "Errno" not in str(caught.value)


def test_a_folder_with_other_things_is_not_replaced(pictures, tmp_path):
    folder = pictures(count=2)
    target = tmp_path / "out"
    target.mkdir()
    (target / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds more than pictures"):
        copy_clip(folder, target, EncodeOptions())
    (target / "letter.txt").unlink()
    (target / "old.png").write_bytes(png_bytes(texture(0, 8, 8)))
    copy_clip(folder, target, EncodeOptions())
    assert sorted(p.name for p in target.iterdir()) == ["shot8.png", "shot9.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "pictures"]
