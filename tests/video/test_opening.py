"""Opening: a clip is the file that was named and no other, and whoever waits for it can be stopped."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from clip_factory import make_clip
from PIL import Image

from vinpaint_cli.errors import VideoError
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.resume.fingerprint import take_fingerprint
from vinpaint_cli.video.source.opening import DEMUXERS
from vinpaint_cli.video.source.read import open_source, probe

SEGMENT = "#EXTINF:0.4,\n{}\n"
HEAD, END = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n", "#EXT-X-ENDLIST\n"


@pytest.fixture
def parts(tmp_path) -> Path:
    """A folder with two transport streams of 5 frames each."""
    for name in ("a.ts", "b.ts"):
        make_clip(tmp_path / name, frames=5, size=(64, 48), audio="aac")
    return tmp_path


def hls(folder: Path, *names: str, end: str = END) -> Path:
    path = folder / "list.m3u8"
    path.write_text(HEAD + "#EXT-X-DISCONTINUITY\n".join(map(SEGMENT.format, names)) + end)
    return path


def concat(folder: Path, *names: str) -> Path:
    path = folder / "looks.mp4"
    path.write_text("ffconcat version 1.0\n" + "".join(f"file {name}\n" for name in names))
    return path


@pytest.mark.parametrize("write", [hls, concat])
def test_a_playlist_is_read_only_when_the_person_says_so(parts, write):
    path = write(parts, "a.ts", "b.ts")
    for opening in (probe, open_source):
        with pytest.raises(VideoError, match="a playlist, which names other files; --allow-playlists"):
            opening(path)
    source = open_source(path, playlists=True)
    truth = [frame.rgb for name in ("a.ts", "b.ts") for frame in open_source(parts / name).frames()]
    assert all(np.array_equal(a.rgb, b) for a, b in zip(source.frames(), truth, strict=True))
    assert [stream.kind for stream in source.info.streams] == ["video", "audio"]


@pytest.mark.parametrize("write", [hls, concat])
@pytest.mark.parametrize(
    "name", ["../a.ts", "file:a.ts", "http://localhost:9/a.ts", "{there}/a.ts", "link.ts", "none.ts"]
)
def test_a_playlist_reaches_no_file_outside_its_folder(parts, write, name):
    below = parts / "below"
    below.mkdir()
    (below / "link.ts").symlink_to(parts / "a.ts")
    shutil.copy(parts / "b.ts", below / "b.ts")
    path = write(below, "b.ts", name.format(there=parts))
    with pytest.raises(VideoError, match=r"names '.*', (and a playlist may|which is not there)"):
        open_source(path, playlists=True)


def test_a_playlist_inside_a_playlist_is_held_to_the_same(parts):
    path = concat(parts, "list.m3u8")
    hls(parts, "a.ts", "/etc/hostname")
    with pytest.raises(VideoError, match=r"list\.m3u8: names '/etc/hostname'"):
        open_source(path, playlists=True)


def test_a_broadcast_is_refused_and_not_waited_for(parts):
    path = hls(parts, "a.ts", end="")
    begin = time.monotonic()
    with pytest.raises(VideoError, match="a playlist"):
        probe(path)
    with pytest.raises(VideoError, match="without an end"):
        probe(path, playlists=True)
    assert time.monotonic() - begin < 2


def test_the_files_of_a_playlist_are_in_the_fingerprint(parts):
    path, options = hls(parts, "a.ts", "b.ts"), RemoveOptions(playlists=True)
    before = take_fingerprint(path, options, "out.mkv", SilentListener())
    make_clip(parts / "b.ts", frames=6)
    after = take_fingerprint(path, options, "out.mkv", SilentListener())
    assert before.contents["the input"] == after.contents["the input"]
    assert before.contents != after.contents


def test_signs_in_a_name_have_no_meaning(tmp_path):
    for name, level in (("pat%03d.png", 200), ("pat001.png", 20), ("pat[0-9]*.png", 90), ("a:b.png", 120)):
        Image.new("RGB", (32, 24), (level, level, level)).save(tmp_path / name)
    for name, level in (("pat%03d.png", 200), ("pat[0-9]*.png", 90), ("a:b.png", 120)):
        (frame,) = open_source(tmp_path / name).frames()
        assert (frame.rgb == level).all(), name
    assert {int(frame.rgb[0, 0, 0]) for frame in open_source(tmp_path).frames()} == {20, 90, 120, 200}


def test_demuxers_that_read_other_files_are_not_among_ours(tmp_path):
    """A VobSub index and a session description, which open their neighbours or the network."""
    assert not {"hls", "concat", "dash", "imf", "image2", "vobsub", "sdp", "rtsp", "lavfi"} & {
        *DEMUXERS.split(",")
    }
    (tmp_path / "a.mp4").write_text(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    )
    with pytest.raises(VideoError, match="not a video that can be read"):
        probe(tmp_path / "a.mp4")


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".webp", ".tif", ".ppm", ".gif"])
@pytest.mark.parametrize("side", [16, 64, 640])
def test_pictures_are_read_by_their_content(tmp_path, suffix, side):
    Image.effect_noise((side, side), 80).convert("RGB").save(tmp_path / f"a{suffix}")
    assert probe(tmp_path / f"a{suffix}").width == side


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="a pipe or a device"):
        open_source(tmp_path / "pipe.mp4")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_a_signal_stops_an_open_that_takes_long(tmp_path, capfd):
    """Millions of empty boxes, through which FFmpeg goes for seven seconds without coming back."""
    path = tmp_path / "long.mp4"
    path.write_bytes(b"\0\0\0\x14ftypisom\0\0\0\0isom" + b"\0\0\0\x08free" * (3 << 20))
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    begin = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            probe(path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begin < 2
    assert capfd.readouterr().err == ""
