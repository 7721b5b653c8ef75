"""What real files hold beside plain 4:2:0: packed samples, alpha, light levels, names of tracks."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clip_factory import native_frame, tone
from helpers_video import copy_clip, same_planes, seconds

from vinpaint_cli.errors import UsageError
from vinpaint_cli.types import EncodeOptions
from vinpaint_cli.video.colour.layouts import layout_of, sibling_of
from vinpaint_cli.video.source.read import open_source

PLAIN = EncodeOptions()


def raw(frame: av.VideoFrame) -> bytes:
    """Samples without padding."""
    encoder = av.CodecContext.create("rawvideo", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base = Fraction(1, 25)
    return b"".join(bytes(packet) for packet in encoder.encode(frame))


def packed_formats() -> list[str]:
    names = [name for name in av.video.format.names if layout_of(name) is None and sibling_of(name)]
    # Palettes and 15 or 16 bits of RGB are only ever read.
    return sorted(set(names) - {"pal8", "rgb565le", "rgb555le", "uyyvyy411"})


@pytest.mark.parametrize("name", packed_formats())
def test_a_packed_format_and_its_planar_sibling_have_the_same_samples(name):
    frame = native_frame(0, 32, 16, name)
    frame.pts = 0
    planar = frame.reformat(format=sibling_of(name))
    assert raw(planar.reformat(format=name)) == raw(frame)


@pytest.mark.parametrize("suffix", [".mov", ".avi", ".mkv"])
@pytest.mark.parametrize("pix_fmt", ["uyvy422", "yuyv422", "rgb24", "yuv422p", "gray", "bgr24", "rgba"])
def test_uncompressed_pictures_come_out_as_they_went_in(clip, tmp_path, suffix, pix_fmt):
    source = clip("in.nut", codec="rawvideo", pix_fmt=pix_fmt, frames=2)
    target = tmp_path / f"out{suffix}"
    notes = copy_clip(source, target, PLAIN)
    before, after = open_source(source), open_source(target)
    if after.info.codec in ("rawvideo", "ffv1"):
        assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(before.frames(), after.frames(), strict=True))
    assert after.info.codec == "rawvideo" or any("is used instead" in line for line in notes)


def test_a_raw_format_that_a_container_cannot_name_is_refused(clip, tmp_path):
    source = clip("in.mkv", pix_fmt="yuv422p", frames=2)
    with pytest.raises(UsageError, match=r"rawvideo in a mov file cannot be read back as yuv422p; use"):
        copy_clip(source, tmp_path / "out.mov", EncodeOptions(codec="rawvideo"))


def transparent(path: Path, codec: str) -> Path:
    """A clip whose alpha grows from frame to frame."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options={"auto-alt-ref": "0", "crf": "4", "b": "4M"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        for index in range(4):
            rgba = np.dstack(
                [native_frame(index, 64, 48, "rgb24").to_ndarray(), np.full((48, 64), 40 * index)]
            )
            frame = av.VideoFrame.from_ndarray(rgba.astype(np.uint8), "rgba").reformat(format="yuva420p")
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def alphas(path: Path) -> tuple[str | None, list[float]]:
    """The mark of alpha, and the mean alpha of each frame as libvpx decodes it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.codec.canonical_name)
        decoder = av.CodecContext.create(name, "r") if name else stream.codec_context
        frames = [f for p in container.demux(stream) if p.size for f in decoder.decode(p)]
        if not frames[0].format.name.startswith("yuva"):
            return stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")), []
        rgba = [f.reformat(format="rgba").to_ndarray()[..., 3].mean() for f in frames]
        return stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")), rgba


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix", "off"),
    [
        ("v210", "yuv422p10le", ".mov", 0),
        ("r210", "gbrp10le", ".mov", 0),
        ("zmbv", "bgr0", ".avi", 0),
        ("flashsv", "bgr24", ".flv", 0),
        ("jpeg2000", "rgb24", ".mov", 0),
        ("cfhd", "yuv422p10le", ".mov", 4),
        ("prores_ks", "yuva444p10le", ".mov", 2),
        ("msmpeg4", "yuv420p", ".avi", 16),
    ],
)
def test_codecs_that_are_written_as_they_are(clip, tmp_path, codec, pix_fmt, suffix, off):
    path = clip(f"in{suffix}", codec=codec, pix_fmt=pix_fmt, frames=3)
    out = tmp_path / f"out{suffix}"
    copy_clip(path, out, PLAIN)
    before, after = open_source(path), open_source(out)
    assert (after.info.codec, after.info.pix_fmt) == (before.info.codec, before.info.pix_fmt)
    for one, other in zip(before.frames(), after.frames(), strict=True):
        levels = [frame.native.to_ndarray(format="rgba64le").astype(int) for frame in (one, other)]
        assert np.abs(levels[0] - levels[1]).max() <= off * 257


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_alpha_beside_the_picture_is_kept(tmp_path, codec):
    source = transparent(tmp_path / "in.webm", codec)
    assert copy_clip(source, tmp_path / "out.webm", PLAIN) == []
    mark, values = alphas(tmp_path / "out.webm")
    assert mark == "1"
    assert values == pytest.approx([0, 40, 80, 120], abs=3)


def test_alpha_goes_where_it_is_kept_or_is_named(tmp_path):
    source = transparent(tmp_path / "in.webm", "libvpx-vp9")
    lines = copy_clip(source, tmp_path / "out.mp4", PLAIN)
    before, after = open_source(source), open_source(tmp_path / "out.mp4")
    assert "alpha" not in str(lines)
    assert all(same_planes(a, b) for a, b in zip(before.frames(), after.frames(), strict=True))
    lines = copy_clip(source, tmp_path / "out.webm", EncodeOptions(pix_fmt="yuv420p"))
    assert lines == ["the alpha channel is left out: yuv420p has none"]
    assert alphas(tmp_path / "out.webm")[0] is None


def strong_colours(index: int, width: int = 176, height: int = 144) -> np.ndarray:
    """Short bars of saturated colour that move: the strongest edges of chroma there are."""
    picture = np.zeros((height, width, 3), np.uint8)
    colours = [(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 0, 255), (255, 255, 0), (0, 255, 255)]
    for k, colour in enumerate(colours):
        for row in range(0, height, 16):
            top = row + (5 * k + index) % 16
            picture[top : top + 5, k * 29 : k * 29 + 23] = colour
    return picture


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.3gp", "h263"),
        ("a.wmv", "wmv1"),
        ("a.wmv", "wmv2"),
        ("a.mpg", "mpeg1video"),
        ("a.mpg", "mpeg2video"),
        ("a.avi", "mpeg4"),
        ("a.avi", "msmpeg4v2"),
        ("a.avi", "msmpeg4"),
        ("a.flv", "flv"),
        ("a.avi", "mjpeg"),
    ],
)
def test_saturated_colours_stay_or_it_is_said_by_how_much_they_do_not(tmp_path, name, codec):
    source, target = tmp_path / name, tmp_path / f"out{Path(name).suffix}"
    with av.open(str(source), "w") as output:
        stream = output.add_stream(codec, rate=25, options={"qmin": "3", "qmax": "3"})
        stream.width, stream.height = 176, 144
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(6):
            frame = av.VideoFrame.from_ndarray(strong_colours(index), "rgb24").reformat(format=stream.pix_fmt)
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    notes = copy_clip(source, target, PLAIN)
    said = re.search(r"up to (\d+) levels of 255 off", " ".join(notes))
    limit = int(said[1]) if said else 8
    before, after = open_source(source), open_source(target)
    assert after.info.codec == before.info.codec
    for a, b in zip(before.frames(), after.frames(), strict=True):
        assert np.abs(a.native.to_ndarray().astype(int) - b.native.to_ndarray()).max() <= limit


@pytest.mark.parametrize("suffix", [".avi", ".wmv"])
def test_h264_where_only_decoding_times_are_kept_is_evenly_timed(clip, tmp_path, suffix):
    source = clip(f"in{suffix}", frames=16, options={"preset": "medium", "bf": "2"})
    first = open_source(source)
    times = seconds(first)
    assert {b - a for a, b in itertools.pairwise(times)} == {Fraction(1, 25)}
    assert first.notes == ()
    assert [frame.pts for frame in first.frames(9)] == [frame.pts for frame in first.frames()][9:]
    assert copy_clip(source, tmp_path / f"out{suffix}", PLAIN) == []
    assert seconds(open_source(tmp_path / f"out{suffix}")) == times
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        read = [p.dts * p.time_base for p in container.demux(video=0) if p.size]
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        assert {frame.pict_type for frame in container.decode(video=0)} == {1, 2}  # I and P
    assert {b - a for a, b in itertools.pairwise(read)} == {Fraction(1, 25)}


CLL = "max-cll=1000,400"
DISPLAY = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


def hdr_of(path: Path) -> dict[str, list[float]]:
    """Mastering display (ten values) and light levels of a file's first frame, in units."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        found = {}
        for data in frame.side_data:
            if data.type.name == "CONTENT_LIGHT_LEVEL":
                found["levels"] = np.frombuffer(memoryview(data), "=u4", 2).tolist()
            if data.type.name == "MASTERING_DISPLAY_METADATA":
                values = np.frombuffer(memoryview(data), "=i4", 20).reshape(10, 2)
                found["display"] = (values[:, 0] / values[:, 1]).tolist()
    return found


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("told", [CLL, f"{CLL}:{DISPLAY}"])
def test_hdr10_is_carried(clip, tmp_path, codec, told, capfd):
    source = clip(
        "in.mp4",
        codec="libx265",
        pix_fmt="yuv420p10le",
        color=(9, 16, 9),
        frames=2,
        options={"x265-params": f"log-level=none:bframes=0:{told}"},
    )
    options = EncodeOptions(codec=codec, preset="10" if codec == "av1" else "ultrafast")
    assert copy_clip(source, tmp_path / "out.mp4", options) == []
    before, after = hdr_of(source), hdr_of(tmp_path / "out.mp4")
    assert after["levels"] == before["levels"] == [1000, 400]
    assert after.get("display", []) == pytest.approx(before.get("display", []), rel=1e-2, abs=1e-4)
    assert ("display" in after) == (DISPLAY in told)
    assert capfd.readouterr().err == ""


def test_hdr10_that_an_encoder_cannot_write_is_named(clip, tmp_path):
    source = clip(
        "in.mp4",
        codec="libx265",
        pix_fmt="yuv420p10le",
        frames=2,
        options={"x265-params": f"log-level=none:bframes=0:{CLL}"},
    )
    assert any(
        "MaxCLL" in line for line in copy_clip(source, tmp_path / "out.mkv", EncodeOptions(codec="ffv1"))
    )


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_clip_shorter_than_the_encoders_delay_is_written(clip, tmp_path, frames):
    quick = {"x265-params": "log-level=none:bframes=0"}  # x265 itself would leave times unwritten
    source = clip("in.mp4", codec="libx265", frames=frames, options=quick)
    for suffix in (".mp4", ".mkv"):
        copy_clip(source, tmp_path / f"out{suffix}", EncodeOptions(codec="hevc"))
        assert seconds(open_source(tmp_path / f"out{suffix}")) == seconds(open_source(source))


def named_tracks(path: Path) -> Path:
    """A clip with two audio tracks that have titles, as screen recorders write it."""
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("libx264", rate=25)]
        streams[0].width, streams[0].height = 64, 48
        for title in ("Desktop audio", "Microphone"):
            streams.append(output.add_stream("aac", rate=48000))
            streams[-1].metadata["title"] = title
        for index in range(4):
            frame = native_frame(index, 64, 48, "yuv420p")
            frame.pts = index
            output.mux(streams[0].encode(frame))
            for stream in streams[1:]:
                output.mux(stream.encode(tone(index, 1920)))
        for stream in streams:
            output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
def test_titles_of_tracks_are_kept(tmp_path, name, suffix):
    source = named_tracks(tmp_path / name)
    assert copy_clip(source, tmp_path / f"out{suffix}", PLAIN) == []
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        told = [{key.lower(): value for key, value in s.metadata.items()} for s in container.streams.audio]
    assert [t.get("title", t.get("name")) for t in told] == ["Desktop audio", "Microphone"]
    assert suffix != ".mkv" or all("name" not in t for t in told)


def test_tags_that_a_container_drops_are_named(clip, tmp_path):
    lines = copy_clip(named_tracks(tmp_path / "in.mp4"), tmp_path / "out.ts", PLAIN)
    lost = "title 'Desktop audio' of stream 1; title 'Microphone' of stream 2"
    assert lines == [f"files of the kind mpegts do not keep: {lost}"]
    source = clip("tags.mkv", metadata={"title": "T", "mood": "odd"})
    assert copy_clip(source, tmp_path / "out.avi", PLAIN) == [
        "files of the kind avi do not keep: MOOD of the file"
    ]
