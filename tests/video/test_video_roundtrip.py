"""Decoded → encoder → decoded again: samples, times and every other stream, compared one by one."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from helpers_video import FFV1, copy_clip, packets, same_planes, seconds

from vinpaint_cli.types import EncodeOptions
from vinpaint_cli.video.source.read import open_source

VFR_TIMES = [0, 40, 47, 130, 131, 200, 333, 334, 500, 990]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"codec": "ffv1", "size": (63, 47)},
        {"time_base": Fraction(1, 1000), "pts": VFR_TIMES},
        {"pix_fmt": "yuv420p10le"},
        {"codec": "ffv1", "pix_fmt": "yuv422p10le", "size": (61, 45)},
        {"pix_fmt": "yuv444p", "full": True},
        {"pix_fmt": "yuv422p"},
        {"pix_fmt": "gray"},
        {"rotation": 90, "size": (64, 34)},
        {"rotation": 180},
        {"codec": "libvpx-vp9", "rotation": 270, "size": (63, 33)},
        {"rotation": 90, "mirrored": True},
        {"codec": "ffv1", "pix_fmt": "yuv411p", "size": (66, 45)},
        {"codec": "ffv1", "pix_fmt": "yuv440p", "size": (65, 45)},
        {"codec": "ffv1", "pix_fmt": "yuv410p", "size": (67, 45)},
        {"codec": "ffv1", "pix_fmt": "gbrp12le"},
        {"codec": "ffv1", "pix_fmt": "yuva420p"},
        {"codec": "ffv1", "pix_fmt": "bgr0"},
        {"codec": "ffv1", "pix_fmt": "yuv444p16le"},
        {"codec": "ffv1", "pix_fmt": "gray10le"},
    ],
    ids=str,
)
def test_ffv1_copy_is_bit_exact(clip, tmp_path, options):
    source = clip("in.mkv", **options)
    target = tmp_path / "out.mkv"
    copy_clip(source, target)
    before, after = open_source(source), open_source(target)
    assert seconds(before) == seconds(after)
    pairs = list(zip(before.frames(), after.frames(), strict=True))
    assert len(pairs) == 10
    assert all(same_planes(a, b) for a, b in pairs)
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in pairs)
    for name in ("width", "height", "color", "sample_aspect", "rotation"):
        assert getattr(before.info, name) == getattr(after.info, name)


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        ("h264", "yuv420p"),
        ("h264", "yuv422p10le"),
        ("hevc", "yuv420p10le"),
        ("vp9", "yuv444p"),
        ("av1", "yuv420p10le"),
        ("ffv1", "yuv444p"),
        ("huffyuv", "yuv422p"),
    ],
)
def test_lossless_modes_lose_nothing(clip, tmp_path, codec, pix_fmt):
    source = clip("in.mkv", codec="ffv1", pix_fmt=pix_fmt, frames=6, size=(96, 64))
    target = tmp_path / ("out.avi" if codec == "huffyuv" else "out.mkv")
    copy_clip(source, target, EncodeOptions(codec=codec, lossless=True))
    before, after = open_source(source), open_source(target)
    assert after.info.codec == codec
    assert all(same_planes(a, b) for a, b in zip(before.frames(), after.frames(), strict=True))


@pytest.mark.parametrize(
    ("codec", "name", "pix_fmt", "limit"),
    [
        ("libx264", "in.mp4", "yuv420p", 35.0),
        ("libx265", "in.mp4", "yuv420p10le", 38.0),
        ("libvpx-vp9", "in.webm", "yuv420p", 38.0),
        ("libsvtav1", "in.mp4", "yuv420p", 38.0),
        ("prores_ks", "in.mov", "yuv422p10le", 38.0),
        ("mpeg2video", "in.mpg", "yuv420p", 38.0),
        ("mpeg4", "in.mp4", "yuv420p", 38.0),
        ("mjpeg", "in.avi", "yuvj420p", 38.0),
        ("rawvideo", "in.avi", "yuv420p", 99.0),
    ],
)
def test_default_codec_is_the_sources_family(clip, tmp_path, codec, name, pix_fmt, limit):
    source = clip(name, codec=codec, pix_fmt=pix_fmt, size=(96, 64), frames=8)
    target = tmp_path / f"out{source.suffix}"
    assert copy_clip(source, target, EncodeOptions()) == []
    before, after = open_source(source), open_source(target)
    assert (after.info.codec, after.info.pix_fmt) == (before.info.codec, before.info.pix_fmt)
    errors = [
        float(np.mean((a.rgb.astype(np.float64) - b.rgb) ** 2)) / float(np.iinfo(a.rgb.dtype).max) ** 2
        for a, b in zip(before.frames(), after.frames(), strict=True)
    ]
    assert -10 * np.log10(max(np.mean(errors), 1e-12)) > limit


def test_times_survive_b_frames_and_odd_rates(clip, tmp_path):
    tick = Fraction(1, 600)
    times = [0, 20, 41, 61, 80, 140, 141, 200, 220, 240]
    lengths = [20, 21, 20, 19, 60, 1, 59, 20, 20, 300]
    source = clip("in.mp4", time_base=tick, pts=times, durations=lengths, options={"bf": "3"})
    target = tmp_path / "out.mp4"
    copy_clip(source, target, EncodeOptions())
    after = open_source(target)
    assert after.info.time_base * 600 == after.info.time_base / tick
    assert seconds(after) == [t * tick for t in times]
    assert after.info.duration == pytest.approx(540 / 600, abs=1e-6)


def test_mpeg4_keeps_varying_times(clip, tmp_path):
    source = clip("in.mkv", codec="mpeg4", time_base=Fraction(1, 1000), pts=VFR_TIMES)
    target = tmp_path / "out.mp4"
    copy_clip(source, target, EncodeOptions())
    assert seconds(open_source(target)) == [Fraction(t, 1000) for t in VFR_TIMES]
    assert open_source(target).info.codec == "mpeg4"


def test_avi_of_varying_rate_warns(clip, tmp_path):
    source = clip("in.mkv", time_base=Fraction(1, 1000), pts=VFR_TIMES)
    assert any("constant rate" in line for line in copy_clip(source, tmp_path / "out.avi", EncodeOptions()))
    assert len(seconds(open_source(tmp_path / "out.avi"))) == 10


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_that_begins_before_zero_keeps_its_packets_and_times(clip, tmp_path, suffix):
    source = clip("in.mp4", audio="aac", frames=20)
    target = tmp_path / f"out{suffix}"
    assert copy_clip(source, target, EncodeOptions()) == []
    before, after = packets(source, "audio"), packets(target, "audio")
    assert before[0][0] < 0
    assert [data for _, data in before] == [data for _, data in after]
    assert [t for t, _ in after] == pytest.approx([t for t, _ in before], abs=6e-4)
    assert seconds(open_source(target)) == seconds(open_source(source))


def test_late_start_is_kept(clip, tmp_path):
    source = clip("in.mp4", time_base=Fraction(1, 90000), pts=[45000 + 3600 * i for i in range(10)])
    target = tmp_path / "out.mp4"
    copy_clip(source, target, EncodeOptions())
    assert seconds(open_source(target)) == seconds(open_source(source))
    assert seconds(open_source(target))[0] == Fraction(1, 2)


def test_matroska_keeps_everything(clip, tmp_path):
    source = clip(
        "in.mkv",
        audio="flac",
        subtitles=["one", "two"],
        chapters=["first", "second"],
        attachments={"font.bin": bytes(range(256))},
        metadata={"title": "A clip", "mood": "odd"},
    )
    target = tmp_path / "out.mkv"
    assert copy_clip(source, target, EncodeOptions()) == []
    for kind in ("audio", "subtitle"):
        assert packets(source, kind) == packets(target, kind)
        assert packets(target, kind)
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert [c["metadata"] for c in after.chapters()] == [c["metadata"] for c in before.chapters()]
        assert [(c["start"], c["end"]) for c in after.chapters()] == [
            (c["start"], c["end"]) for c in before.chapters()
        ]
        assert after.streams.attachments[0].data == bytes(range(256))
        assert after.streams.attachments[0].name == "font.bin"
        assert {k.lower(): v for k, v in after.metadata.items() if k.lower() in ("title", "mood")} == {
            "title": "A clip",
            "mood": "odd",
        }
        assert [s.type for s in after.streams] == [s.type for s in before.streams]
        assert [s.disposition for s in after.streams] == [s.disposition for s in before.streams]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cover_art_and_foreign_metadata_are_kept(clip, tmp_path, suffix):
    source = clip("in.mp4", cover=True, metadata={"title": "T", "mood": "odd"}, chapters=["one", "two"])
    target = tmp_path / f"out{suffix}"
    assert copy_clip(source, target, EncodeOptions()) == []
    with av.open(str(source)) as before, av.open(str(target)) as after:
        art = [[s for s in c.streams.video if s.disposition & 1024] for c in (before, after)]
        assert len(art[0]) == len(art[1]) == 1
        data = [bytes(next(c.demux(a[0]))) for c, a in zip((before, after), art, strict=True)]
        assert data[0] == data[1]
        if suffix == ".mp4":
            assert after.metadata["title"] == "T"
        assert len(after.chapters()) == 2
    assert len(seconds(open_source(target))) == 10


def test_a_timecode_track_is_made_anew(clip, tmp_path):
    source = clip("in.mov", metadata={"timecode": "01:00:00:00"})
    assert copy_clip(source, tmp_path / "out.mov", EncodeOptions()) == []
    with av.open(str(source)) as before, av.open(str(tmp_path / "out.mov")) as after:
        assert [s.type for s in before.streams] == [s.type for s in after.streams] == ["video", "data"]
        assert after.streams.data[0].metadata["timecode"] == "01:00:00:00"


def test_what_a_container_cannot_hold_is_named(clip, tmp_path):
    source = clip("in.mkv", audio="flac", subtitles=["one"], attachments={"a.bin": b"abc"})
    lines = copy_clip(source, tmp_path / "out.webm", EncodeOptions(codec="vp9"))
    assert any("subrip" in line and "left out" in line for line in lines)
    assert any("a.bin" in line or "attachment" in line for line in lines)
    assert any("flac" in line and "re-encoded as opus" in line for line in lines)
    with av.open(str(tmp_path / "out.webm")) as after:
        assert [s.codec_context.name for s in after.streams.audio] == ["opus"]
        duration = sum(frame.samples for frame in after.decode(audio=0)) / 48000
    assert duration == pytest.approx(0.4, abs=0.05)


def test_tags_are_kept(clip, tmp_path):
    for name, target in (("in.mp4", "out.mp4"), ("in.mkv", "out.mkv")):
        source = clip(
            name,
            color=(9, 16, 9),
            full=False,
            aspect=Fraction(4, 3),
            pix_fmt="yuv420p10le",
            options={"chroma_sample_location": "topleft"},
        )
        for options in (EncodeOptions(), FFV1):
            copy_clip(source, tmp_path / target, options)
            before, after = open_source(source), open_source(tmp_path / target)
            assert after.info.color == before.info.color
            assert after.info.color.transfer == 16
            assert after.info.sample_aspect == Fraction(4, 3)
            if options is not FFV1 or target == "out.mkv":
                assert after.details.location == before.details.location == "topleft"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_displays_the_same_way(clip, tmp_path, rotation, suffix):
    source = clip("in.mov", rotation=rotation, size=(64, 34), aspect=Fraction(2))
    target = tmp_path / f"out{suffix}"
    copy_clip(source, target, EncodeOptions(lossless=True))
    before, after = open_source(source), open_source(target)
    assert after.info.rotation == before.info.rotation == rotation
    assert (after.info.width, after.info.height) == ((34, 64) if rotation != 180 else (64, 34))
    assert after.info.sample_aspect == (Fraction(1, 2) if rotation != 180 else 2)
    assert np.array_equal(next(after.frames()).rgb, next(before.frames()).rgb)
