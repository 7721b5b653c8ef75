"""Recordings joined byte by byte: their clock jumps, and picture and sound are shifted alike."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from clip_factory import make_clip

from vinpaint_cli.types import EncodeOptions
from vinpaint_cli.video.sink.write import open_writer
from vinpaint_cli.video.source.read import VideoSource

FRAMES = 25
WRAP = (1 << 33) / 90_000


def part(folder: Path, start: float, suffix: str = ".ts") -> bytes:
    """A second of picture and sound whose clock begins at ``start`` seconds."""
    codec, audio = ("libx264", "aac") if suffix == ".ts" else ("mpeg2video", "mp2")
    plain = make_clip(folder / f"plain{suffix}", frames=FRAMES, codec=codec, audio=audio)
    moved = folder / f"moved{suffix}"
    with av.open(str(plain)) as source, av.open(str(moved), "w") as output:
        streams = [output.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.size:
                packet.pts += round(start * 90_000)
                packet.dts += round(start * 90_000)
                packet.stream = streams[packet.stream_index]
                output.mux(packet)
    return moved.read_bytes()


def packets(path: Path, kind: str) -> list[float]:
    """Times of showing of all packets of picture or sound, in seconds and in the file's order."""
    with av.open(str(path)) as container:
        (stream,) = (stream for stream in container.streams if stream.type == kind)
        return [float(packet.pts * packet.time_base) for packet in container.demux(stream) if packet.size]


@pytest.mark.parametrize("suffix", [".ts", ".mp4", ".mkv"])
@pytest.mark.parametrize(
    "starts",
    [(0, 0), (0, 1000), (100, 10), (10, 100, 10, 0), (WRAP - 0.5, 0)],
    ids=["again", "ahead", "back", "four", "wrap"],
)
def test_joined_recordings_go_on(tmp_path: Path, starts: tuple[float, ...], suffix: str) -> None:
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(part(tmp_path, start) for start in starts))
    check(source, tmp_path / f"out{suffix}", len(starts))


def test_joined_program_streams_go_on(tmp_path: Path) -> None:
    source = tmp_path / "joined.mpg"
    source.write_bytes(part(tmp_path, 0, ".mpg") * 3)
    check(source, tmp_path / "out.mpg", 3)


def check(path: Path, out: Path, parts: int) -> None:
    """Nothing is lost, nothing goes back, no gap is long, and sound is moved as its picture is."""
    source = VideoSource(path)
    with open_writer(out, source, EncodeOptions()) as writer:
        for frame in source.frames():
            writer.write(frame)
    moved: list[list[float]] = []
    for kind in ("video", "audio"):
        before, after = packets(path, kind), packets(out, kind)
        assert len(after) == len(before)
        assert len(after) == parts * FRAMES or kind == "audio"
        steps = np.diff(sorted(after))
        assert steps.min() > 0.02
        assert steps.max() < 0.1
        by = np.sort(np.subtract(sorted(after), before if kind == "audio" else in_order(before, parts)))
        moved.append([*by[np.append(True, np.diff(by) > 0.01)]])
    # A program stream has one time for several packets of sound.
    assert moved[0] == pytest.approx(moved[1], abs=0.02 if path.suffix == ".mpg" else 0.0021)
    assert any("clock jumps" in note for note in source.notes) == (len(moved[0]) > 1)


def in_order(times: list[float], parts: int) -> list[float]:
    """Times of pictures in order of showing, part by part."""
    return [moment for at in range(parts) for moment in sorted(times[at * FRAMES : (at + 1) * FRAMES])]
