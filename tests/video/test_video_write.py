"""The writer's promises: whole or nothing, one-line errors, memory, the codec table."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clip_factory import make_clip
from helpers_video import FFV1, copy_clip, same_planes, seconds

from vinpaint_cli.errors import OutputError, UsageError
from vinpaint_cli.types import EncodeOptions, Frame, FrameSource, VideoInfo
from vinpaint_cli.video.colour.planes import copy_native
from vinpaint_cli.video.sink.codecs import RECIPES, Source, choose, muxer_of
from vinpaint_cli.video.sink.folder import PictureWriter
from vinpaint_cli.video.sink.matroska import PLACEHOLDER, write_sample_aspect
from vinpaint_cli.video.sink.write import VideoWriter, open_writer
from vinpaint_cli.video.source.read import open_source


def stop_midway(target: Path, source: FrameSource, error: BaseException) -> None:
    with open_writer(target, source, EncodeOptions()) as writer:
        writer.write(next(source.frames()))
        raise error


def write_all(target: Path, source: FrameSource, frames: Iterable[Frame]) -> None:
    with open_writer(target, source, FFV1) as writer:
        for frame in frames:
            writer.write(frame)


def test_an_exception_leaves_nothing(clip, tmp_path):
    source = open_source(clip())
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("a.mkv", "a.mp4", "frames"):
        with pytest.raises(KeyboardInterrupt):
            stop_midway(folder / name, source, KeyboardInterrupt())
        assert list(folder.iterdir()) == []


def test_the_old_file_stays_until_the_new_one_is_whole(clip, tmp_path):
    source = open_source(clip())
    target = tmp_path / "out.mkv"
    target.write_bytes(b"precious")
    with pytest.raises(RuntimeError):
        stop_midway(target, source, RuntimeError())
    assert target.read_bytes() == b"precious"
    with open_writer(target, source, FFV1) as writer:
        for frame in source.frames():
            assert target.read_bytes() == b"precious"
            writer.write(frame)
    assert len(list(open_source(target).frames())) == 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mkv", "out.mkv"]


def test_a_full_disk_is_one_line_and_leaves_nothing(clip, tmp_path):
    resource = pytest.importorskip("resource", reason="limits of file size are a POSIX matter")
    source = open_source(clip(codec="ffv1", size=(320, 240)))
    folder = tmp_path / "out"
    folder.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        for name in ("a.mkv", "a.mp4", "frames"):
            with pytest.raises(OutputError) as caught:
                write_all(folder / name, source, source.frames())
            assert "\n" not in str(caught.value)
            assert "larger than allowed" in str(caught.value)
            assert list(folder.iterdir()) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_places_that_cannot_be_written(clip, tmp_path, monkeypatch):
    source = open_source(clip())
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "nowhere" / "a.mkv", tmp_path / "nowhere" / "frames"):
        with (
            pytest.raises(OutputError, match="there is no folder"),
            open_writer(target, source, EncodeOptions()),
        ):
            pass
    with (
        pytest.raises(OutputError, match="is a file"),
        open_writer(tmp_path / "file", source, EncodeOptions()),
    ):
        pass

    def refuse(*args: object, **kwargs: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with (
        pytest.raises(OutputError, match="permission denied; choose a folder"),
        open_writer(tmp_path / "a.mkv", source, EncodeOptions()),
    ):
        pass


def test_no_frame_is_an_error(clip, tmp_path):
    source = open_source(clip())
    for name in ("a.mkv", "a.mp4", "frames"):
        with (
            pytest.raises(OutputError, match="no frame was given"),
            open_writer(tmp_path / name, source, EncodeOptions()),
        ):
            pass
        assert not (tmp_path / name).exists()


def test_frames_out_of_order_are_refused(clip, tmp_path):
    source = open_source(clip())
    frame = next(source.frames())
    with pytest.raises(ValueError, match="does not follow"):
        write_all(tmp_path / "a.mkv", source, [frame, frame])


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.mkv", {"codec": "h999"}, r"unknown codec h999; use one of h264.*ffv1"),
        ("a.mov", {"codec": "ffv1"}, r"ffv1 does not fit a mov file; use the suffix .*\.mkv"),
        ("a.webm", {"codec": "h264"}, r"does not fit a webm file"),
        ("a.xyz", {}, r"suffix \.xyz is no video container"),
        ("a.mov", {"codec": "prores", "lossless": True}, r"no lossless mode; codecs that have: h264.*ffv1"),
        ("a.mkv", {"codec": "h264", "pix_fmt": "yuv411p"}, r"does not take yuv411p; it takes yuv420p"),
        ("a.mkv", {"codec": "ffv1", "crf": 3}, r"no quality to choose"),
        ("a.mkv", {"codec": "ffv1", "preset": "fast"}, r"no presets"),
        ("a.mkv", {"codec": "h264", "preset": "speedy"}, r"libx264 refuses .*preset=speedy"),
        ("a.mkv", {"codec": "vp9", "crf": 9999, "pix_fmt": "yuv420p"}, r"libvpx-vp9 refuses .*crf=9999"),
        ("a.mkv", {"lossless": True, "crf": 3}, r"exclude each other"),
        ("a.mp4", {"codec": "mpeg4", "pix_fmt": None}, r"every format it takes would lose"),
    ],
)
def test_options_that_cannot_be(clip, tmp_path, name, options, words):
    source = open_source(clip(pix_fmt="yuv422p10le"))
    out = tmp_path / "out"
    out.mkdir()
    with (
        pytest.raises(UsageError, match=words) as caught,
        open_writer(out / name, source, EncodeOptions(**options)),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert list(out.iterdir()) == []


def test_options_reach_the_encoder(clip, tmp_path):
    source = clip(size=(160, 96), frames=20)
    sizes = []
    for options in (
        EncodeOptions(crf=40),
        EncodeOptions(),
        EncodeOptions(crf=4),
        EncodeOptions(lossless=True),
    ):
        copy_clip(source, tmp_path / "out.mkv", options)
        sizes.append((tmp_path / "out.mkv").stat().st_size)
    assert sizes == sorted(sizes)
    copy_clip(source, tmp_path / "out.mkv", EncodeOptions(codec="libx265", pix_fmt="yuv444p"))
    info = open_source(tmp_path / "out.mkv").info
    assert (info.codec, info.pix_fmt) == ("hevc", "yuv444p")


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "size", "muxer", "encoder", "target"),
    [
        ("h264", "yuv420p", (64, 48), "mp4", "libx264", "yuv420p"),
        ("theora", "yuv420p", (64, 48), "matroska", "libx264", "yuv420p"),
        ("theora", "yuv420p", (63, 48), "mp4", "libvpx-vp9", "yuv420p"),
        ("av1", "yuv444p", (64, 48), "mp4", "libx264", "yuv444p"),
        ("vp9", "yuv420p10le", (64, 48), "matroska", "libx264", "yuv420p10le"),
        ("h264", "yuv420p", (64, 48), "webm", "libvpx-vp9", "yuv420p"),
        ("mjpeg", "yuvj422p", (63, 47), "avi", "mjpeg", "yuvj422p"),
        ("ffv1", "gbrp", (64, 48), "matroska", "ffv1", "bgr0"),
        ("qtrle", "rgba", (64, 48), "matroska", "ffv1", "bgra"),
    ],
)
def test_the_default_encoder_loses_nothing(codec, pix_fmt, size, muxer, encoder, target):
    choice = choose(EncodeOptions(), Source(codec, pix_fmt, size), muxer)
    assert (choice.recipe.encoder, choice.pix_fmt) == (encoder, target)
    assert bool(choice.warnings) == (choice.recipe.family != codec or target != pix_fmt)


def test_odd_sizes_name_a_way_out():
    with pytest.raises(UsageError, match=r"63×48 as yuv420p.*--pix-fmt yuv444p"):
        choose(EncodeOptions(codec="h264"), Source("vp9", "yuv420p", (63, 48)), "mp4")


def test_every_recipe_is_an_encoder_of_this_build():
    assert [r.encoder for r in RECIPES if r.encoder not in av.codecs_available] == []
    families = [r.family for r in RECIPES]
    assert len(families) == len(set(families))
    assert [muxer_of(s) for s in (".mp4", ".mkv", ".webm", ".mov", ".ts")] == [
        "mp4",
        "matroska",
        "webm",
        "mov",
        "mpegts",
    ]


def test_sample_aspect_reaches_matroska_with_its_title(clip, tmp_path):
    source = clip("in.mp4", aspect=Fraction(64, 45), size=(72, 48))
    target = tmp_path / "out.mkv"
    copy_clip(source, target, FFV1)
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio == Fraction(64, 45)
        assert PLACEHOLDER.strip() not in str(dict(stream.metadata))
    assert write_sample_aspect(target, Fraction(2)) is False
    assert len(list(open_source(target).frames())) == 10


def test_a_foreign_source_can_be_the_template(clip, tmp_path):
    class Foreign:
        def __init__(self, inner) -> None:
            self.inner = inner

        @property
        def info(self) -> VideoInfo:
            return self.inner.info

        def frames(self, start=0, stop=None):
            return self.inner.frames(start, stop)

    source = Foreign(open_source(clip("in.mkv", audio="flac")))
    with VideoWriter(tmp_path / "out.mkv", source, FFV1) as writer:
        for frame in source.frames():
            writer.write(frame)
    assert [s.kind for s in open_source(tmp_path / "out.mkv").info.streams] == ["video", "audio"]


def test_other_streams_go_out_as_the_picture_goes(clip, tmp_path):
    source = clip("in.mkv", frames=100, audio="flac", codec="mpeg4")
    target = tmp_path / "out.mkv"
    copy_clip(source, target, EncodeOptions())
    with av.open(str(target)) as container:
        order = [(p.stream.type, float(p.pts * p.time_base)) for p in container.demux() if p.size]
    ahead = 0.0
    for kind, moment in order:
        if kind == "video":
            ahead = moment
        else:
            assert abs(moment - ahead) < 0.5


def test_writing_does_not_touch_the_frames(clip, tmp_path):
    source = open_source(clip("in.mkv", frames=4))
    frames = list(source.frames())
    before = [copy_native(frame.native) for frame in frames]
    with open_writer(tmp_path / "a.mp4", source, EncodeOptions(codec="mpeg4")) as writer:
        for frame in frames:
            writer.write(frame)
    for frame, native in zip(frames, before, strict=True):
        twin = type(frame)(frame.index, frame.pts, frame.duration, native, frame.convert)
        assert same_planes(frame, twin)


def test_a_picture_folder_from_a_video(clip, tmp_path):
    source = open_source(clip("in.mkv", pix_fmt="yuv420p10le", rotation=90, frames=3))
    with open_writer(f"{tmp_path}/frames/", source, EncodeOptions()) as writer:
        assert isinstance(writer, PictureWriter)
        for frame in source.frames():
            writer.write(frame)
    folder = open_source(tmp_path / "frames")
    assert [p.name for p in sorted((tmp_path / "frames").iterdir())] == [
        f"frame_{i:06d}.png" for i in range(3)
    ]
    for a, b in zip(source.frames(), folder.frames(), strict=True):
        assert b.rgb.dtype == np.uint16
        assert np.array_equal(a.rgb, b.rgb)


def test_mkv_to_mp4_keeps_times_to_the_tick(tmp_path):
    times = [0, 33, 67, 100, 133, 400, 401]
    source = make_clip(tmp_path / "in.mkv", time_base=Fraction(1, 1000), pts=times)
    copy_clip(source, tmp_path / "out.mp4", EncodeOptions())
    assert seconds(open_source(tmp_path / "out.mp4")) == [Fraction(t, 1000) for t in times]
    assert Path(tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts"])
def test_the_same_frames_give_the_same_file(clip, tmp_path, suffix):
    # 96×64: x264's AVX-512 code gives other packets every time.
    template = open_source(clip("in.mkv", size=(96, 64), audio="aac", attachments={"a.bin": b"x"}))
    written = []
    for name in "abcd":
        with open_writer(tmp_path / f"{name}{suffix}", template, EncodeOptions()) as writer:
            for frame in template.frames():
                writer.write(frame)
        written.append((tmp_path / f"{name}{suffix}").read_bytes())
    assert len(set(written)) == 1
