"""Probing and reading: what headers say, seeking against a linear pass, damage, times, refusals."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from clip_factory import damage_packets, make_clip, truncate
from helpers_video import planes, same_planes
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.errors import VideoError
from vinpaint_cli.types import FrameSource
from vinpaint_cli.video.source.read import VideoSource, open_source, probe
from vinpaint_cli.video.source.timeline import stamp


def test_probe_tells_what_the_file_says(clip):
    path = clip(
        "in.mkv",
        size=(64, 48),
        pix_fmt="yuv422p10le",
        rate=Fraction(30000, 1001),
        time_base=Fraction(1, 30000),
        color=(1, 1, 1),
        full=False,
        aspect=Fraction(4, 3),
        rotation=90,
        audio="flac",
        subtitles=["hello"],
        chapters=["one", "two"],
        attachments={"x.bin": b"x"},
        metadata={"title": "T"},
    )
    info = probe(path)
    assert (info.width, info.height, info.rotation) == (48, 64, 90)
    assert info.sample_aspect == Fraction(3, 4)
    assert (info.codec, info.pix_fmt, info.bit_depth) == ("h264", "yuv422p10le", 10)
    assert (info.color.full_range, info.color.matrix) == (False, 1)
    assert float(info.rate or 0) == pytest.approx(29.97, abs=0.01)
    assert [s.kind for s in info.streams] == ["video", "audio", "subtitle", "attachment"]
    assert [s.codec for s in info.streams][:3] == ["h264", "flac", "subrip"]
    assert info.chapters == 2
    assert ("title", "T") in info.metadata
    assert info.duration == pytest.approx(10 / 29.97, abs=0.1)


def test_sources_are_frame_sources(clip, pictures):
    assert isinstance(open_source(clip()), FrameSource)
    assert isinstance(open_source(pictures()), FrameSource)


@pytest.mark.parametrize(
    ("codec", "name", "options"),
    [
        ("libx264", "s.mp4", {"bf": "3", "g": "8", "preset": "medium"}),
        ("libx264", "s.mkv", {"bf": "3", "g": "8", "preset": "medium", "x264-params": "open-gop=1"}),
        ("libx264", "s.mkv", {"preset": "medium", "x264-params": "intra-refresh=1:keyint=8"}),
        ("mpeg2video", "s.mpg", {"g": "8", "bf": "2"}),
        ("libx265", "s.mp4", {"g": "8"}),
        ("libvpx-vp9", "s.webm", {"g": "8"}),
        ("mpeg4", "s.avi", {"g": "8"}),
    ],
)
def test_a_later_start_gives_the_frames_of_a_linear_pass(clip, codec, name, options):
    source = VideoSource(clip(name, codec=codec, options=options, frames=40, size=(96, 64)))
    everything = list(source.frames())
    assert [frame.index for frame in everything] == list(range(40))
    for start, stop in ((0, 2), (3, 9), (21, 26), (38, None), (39, 40), (40, None)):
        part = list(source.frames(start, stop))
        expected = everything[start:stop]
        assert [(f.index, f.pts, f.duration) for f in part] == [
            (f.index, f.pts, f.duration) for f in expected
        ]
        assert all(same_planes(a, b) for a, b in zip(part, expected, strict=True))


def test_seeking_is_used_when_the_index_allows(clip, monkeypatch):
    source = VideoSource(clip("s.mp4", options={"g": "8"}, frames=40))
    fresh = [f.index for f in source.frames(30, 33)]
    list(source.frames())
    monkeypatch.setattr(source, "_linear", lambda start: pytest.fail(f"decoded from 0 to reach {start}"))
    assert fresh == [f.index for f in source.frames(30, 33)] == [30, 31, 32]
    assert [f.index for f in source.frames(35)] == [35, 36, 37, 38, 39]


def test_an_abandoned_pass_does_not_disturb_the_next(clip):
    source = VideoSource(clip(frames=12))
    iterator = source.frames()
    first = next(iterator)
    assert [f.index for f in source.frames(4, 6)] == [4, 5]
    assert next(iterator).index == first.index + 1
    iterator.close()
    assert len(list(source.frames())) == 12


@pytest.mark.parametrize(("codec", "name"), [("libx264", "a.mp4"), ("libx265", "a.mkv"), ("mjpeg", "a.avi")])
def test_damaged_packets_are_counted_and_the_rest_kept(clip, tmp_path, codec, name):
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = clip(name, codec=codec, pix_fmt=pix_fmt, frames=30, size=(160, 96), options={"g": "10"})
    whole = VideoSource(path)
    good = list(whole.frames())
    assert not whole.damage
    assert whole.notes == ()
    source = VideoSource(damage_packets(path, tmp_path / f"damaged{path.suffix}", [13, 14]))
    kept = list(source.frames())
    assert 24 <= len(kept) <= 30
    assert source.damage.packets >= 2
    assert source.damage.first_seconds == pytest.approx(13 / 25, abs=0.2)
    assert "damaged packets" in source.notes[0]
    assert all(same_planes(a, b) for a, b in zip(kept[:8], good[:8], strict=True))
    again = list(source.frames())
    assert [(f.index, f.pts) for f in again] == [(f.index, f.pts) for f in kept]
    assert all(same_planes(a, b) for a, b in zip(again, kept, strict=True))
    assert [f.pts for f in source.frames(20)] == [f.pts for f in kept[20:]]


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.webm", "a.ts", "a.m2ts"])
def test_a_truncated_file_gives_what_is_there(clip, name):
    codec = "libvpx-vp9" if name == "a.webm" else "mpeg4"
    path = truncate(clip(name, codec=codec, frames=40, size=(160, 96)), 0.6)
    source = VideoSource(path)
    assert 4 < len(list(source.frames())) < 38
    assert source.damage.truncated
    assert any("ends early" in note for note in source.notes)
    assert any("ends early" in note for note in source.notes)


def test_a_truncated_file_without_its_index_is_one_line(clip):
    path = truncate(clip("a.mp4", frames=40, size=(160, 96)), 0.6)
    with pytest.raises(VideoError, match="cut short") as caught:
        VideoSource(path)
    assert "\n" not in str(caught.value)


def test_no_decodable_frame_is_an_error(clip, tmp_path):
    path = damage_packets(clip("a.mp4", frames=6), tmp_path / "b.mp4", range(6))
    with pytest.raises(VideoError, match="no frame can be decoded"):
        VideoSource(path)


def test_what_is_no_video_is_one_line(tmp_path):
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 40)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    with av.open(str(tmp_path / "sound.wav"), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), "s16", "stereo")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
    cases = {
        "missing.mp4": "no such file",
        "text.mp4": "not a video",
        "empty.mp4": "not a video",
        "nothing": "without png or jpg pictures",
        "sound.wav": "no video stream",
    }
    for name, words in cases.items():
        for opening in (probe, open_source):
            with pytest.raises(VideoError, match=words) as caught:
                opening(tmp_path / name)
            assert "\n" not in str(caught.value)


def test_cover_art_is_not_the_picture(clip):
    source = VideoSource(clip("a.mp4", cover=True, size=(64, 48)))
    assert (source.info.width, source.info.height) == (64, 48)
    assert sorted(s.kind for s in source.info.streams) == ["cover", "video"]
    assert len(list(source.frames())) == 10


def test_other_formats_are_repacked_without_loss(tmp_path):
    path = tmp_path / "a.nut"
    rng = np.random.default_rng(3)
    luma = rng.integers(0, 256, (48, 64), np.uint8)
    pairs = rng.integers(0, 256, (24, 64), np.uint8)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "nv12"
        frame = av.VideoFrame.from_ndarray(np.concatenate([luma, pairs]), "nv12")
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    source = VideoSource(path)
    assert source.info.pix_fmt == "nv12"
    assert source.notes == ("nv12 is read as yuv420p, without loss",)
    native = next(source.frames()).native
    assert native.format.name == "yuv420p"
    got = planes(native)
    assert np.array_equal(got[0], luma)
    assert np.array_equal(got[1], pairs[:, 0::2])
    assert np.array_equal(got[2], pairs[:, 1::2])


@pytest.mark.parametrize(
    ("packed", "planar"),
    [("p010le", "yuv420p10le"), ("yuyv422", "yuv422p"), ("uyvy422", "yuv422p"), ("y210le", "yuv422p10le")],
)
def test_siblings_hold_the_same_samples(packed, planar):
    peak = 1023 if "10" in planar else 255
    frame = av.VideoFrame(32, 16, planar)
    rng = np.random.default_rng(4)
    for view in (memoryview(plane) for plane in frame.planes):
        samples = np.frombuffer(view, "<u2" if peak > 255 else "u1")
        samples[:] = rng.integers(0, peak + 1, samples.shape)
    again = frame.reformat(format=packed).reformat(format=planar)
    assert all(np.array_equal(a, b) for a, b in zip(planes(frame), planes(again), strict=True))


def test_a_change_of_size_is_an_error(tmp_path):
    first = make_clip(tmp_path / "a.ts", codec="mpeg2video", size=(64, 48))
    second = make_clip(tmp_path / "b.ts", codec="mpeg2video", size=(96, 64))
    joined = tmp_path / "c.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(VideoError, match=r"frame \d+ is 96×64"):
        list(VideoSource(joined).frames())


def native(pts: int | None, duration: int = 0) -> SimpleNamespace:
    return SimpleNamespace(pts=pts, duration=duration)


def test_times_that_are_missing_or_go_back_are_made():
    raw = [0, 10, 10, 30, None, None, 60, 55, 70]
    stamped = list(stamp([native(p) for p in raw], 10))  # type: ignore[arg-type]  # stand-ins
    assert [s.pts for s in stamped] == [0, 10, 20, 30, 40, 50, 60, 65, 70]
    assert [s.invented for s in stamped] == [False, False, True, False, True, True, False, True, False]
    assert [s.duration for s in stamped][-2:] == [5, 10]


@given(st.lists(st.one_of(st.none(), st.integers(-1000, 1000)), min_size=1, max_size=40), st.integers(1, 50))
def test_times_always_increase(raw, step):
    stamped = list(stamp([native(p) for p in raw], step))  # type: ignore[arg-type]  # stand-ins
    times = [s.pts for s in stamped]
    assert len(times) == len(raw)
    assert all(a < b for a, b in pairwise(times))
    assert all(s.duration > 0 for s in stamped)
    if all(p is not None for p in raw) and all(a < b for a, b in pairwise(raw)):
        assert times == raw


def test_negative_indices_are_refused(clip):
    source = VideoSource(clip())
    with pytest.raises(ValueError, match="count from 0"):
        next(source.frames(-1))
    assert list(source.frames(5, 5)) == []
    assert list(source.frames(99)) == []


def test_paths_may_be_strings(clip):
    assert probe(str(clip())).path.endswith("clip.mkv")
    assert isinstance(clip(), Path)
