"""What each container keeps of a clip, found out by writing it there: the table of docs/formats.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clip_factory import make_clip, texture, tone

from vinpaint_cli.errors import UsageError
from vinpaint_cli.types import EncodeOptions
from vinpaint_cli.video.sink.write import open_writer
from vinpaint_cli.video.source.probe import inspect, picture_decoder
from vinpaint_cli.video.source.read import open_source

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg", ".wmv", ".flv")
Container = av.container.InputContainer
DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
BEGIN, END = "<!-- filled in by tests/video/test_video_kept.py -->", "<!-- end -->"


@dataclass(frozen=True)
class Property:
    """One row: how a source is made, what is read of a file, and words of which one must name a loss."""

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    words: tuple[str, ...]


def clip_with(name: str, **options: Any) -> Callable[[Path], Path]:
    return lambda folder: make_clip(folder / name, frames=4, **options)


def opened(read: Callable[[Container], Any]) -> Callable[[Path], Any]:
    def look(path: Path) -> Any:
        with av.open(str(path)) as container:
            return read(container)

    return look


def times(path: Path) -> list[float]:
    source = open_source(path)
    moments = [float(frame.pts * source.info.time_base) for frame in source.frames()]
    return [round(moment - moments[0], 2) for moment in moments]


def hdr(path: Path) -> tuple[int, ...]:
    return inspect(path).light.levels


def transparent(path: Path) -> bool:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = picture_decoder(stream)
        frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
    return any(part.is_alpha for part in frames[0].format.components)


def covers(container: Container) -> bool:
    pictures = [s for s in container.streams.video if s.disposition & av.stream.Disposition.attached_pic]
    files = [s for s in container.streams if s.type == "attachment" and "image" in (s.mimetype or "")]
    return bool(pictures or files)


def tag(name: str) -> Callable[[Container], Any]:
    return lambda container: {key.lower(): value for key, value in container.metadata.items()}.get(name)


def of_sound(name: str) -> Callable[[Container], Any]:
    def look(container: Container) -> Any:
        (stream, *_) = [*container.streams.audio, None]
        found = {} if stream is None else {key.lower(): value for key, value in stream.metadata.items()}
        return found.get(name) or (found.get("name") if name == "title" else None)

    return look


def marks(container: Container) -> Any:
    return [int(s.disposition) & int(av.stream.Disposition.forced) for s in container.streams.audio]


def timecode(container: Container) -> Any:
    return next(
        (s.metadata[k] for s in container.streams for k in s.metadata if k.lower() == "timecode"), None
    )


def subtitles(container: Container) -> Any:
    return [bytes(p).strip() != b"" for p in container.demux(container.streams.subtitles) if p.size] or None


def gps(container: Container) -> Any:
    found = {key.lower(): value.rstrip("/") for key, value in container.metadata.items()}
    return found.get("location")


def attached(container: Container) -> Any:
    return [s.name for s in container.streams if s.type == "attachment"]


def with_track(**metadata: str) -> Callable[[Path], Path]:
    """A Matroska file whose sound has a title, a language and the mark of a forced track."""

    def make(folder: Path) -> Path:
        path = folder / "track.mkv"
        with av.open(str(path), "w") as output:
            video, sound = output.add_stream("libx264", rate=25), output.add_stream("aac", rate=48000)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            sound.metadata.update(metadata)
            sound.disposition = av.stream.Disposition.forced
            for index in range(4):
                frame = av.VideoFrame.from_ndarray(texture(index, 64, 48), "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                output.mux(video.encode(frame))
                output.mux(sound.encode(tone(index, 1920)))
            for stream in (video, sound):
                output.mux(stream.encode(None))
        return path

    return make


def with_subtitles(name: str, codec: str, lines: Sequence[bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        plain, path = make_clip(folder / "plain.mkv", frames=4), folder / name
        with av.open(str(plain)) as source, av.open(str(path), "w") as output:
            picture = output.add_stream_from_template(source.streams.video[0])
            text = output.add_mux_stream(codec)
            for index, line in enumerate(lines):
                packet = av.Packet(line)
                packet.stream, packet.time_base = text, Fraction(1, 1000)
                packet.pts = packet.dts = 40 * index
                packet.duration = 40
                output.mux(packet)
            for packet in source.demux(source.streams.video[0]):
                if packet.size:
                    packet.stream = picture
                    output.mux(packet)
        return path

    return make


ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.00,0:00:00.04,Default,,0,0,0,,one
Dialogue: 0,0:00:00.04,0:00:00.08,Default,,0,0,0,,two
"""


def with_ass(folder: Path) -> Path:
    """Styled subtitles, whose header FFmpeg alone can take from a script."""
    plain, script, path = make_clip(folder / "plain.mkv", frames=4), folder / "lines.ass", folder / "ass.mkv"
    script.write_text(ASS)
    with av.open(str(plain)) as source, av.open(str(script)) as text, av.open(str(path), "w") as output:
        streams = {s.type: output.add_stream_from_template(s) for s in (*source.streams, *text.streams)}
        for packet in (*text.demux(), *source.demux()):
            if packet.size:
                packet.stream = streams[packet.stream.type]
                output.mux(packet)
    return path


# A presentation composition segment without objects, then the end of the display set.
PGS = b"\x16\x00\x0b\x00\x40\x00\x30\x10\x00\x00\x80\x00\x00\x00" + b"\x80\x00\x00"
X265 = {"x265-params": "log-level=none:max-cll=1000,400"}

PROPERTIES = (
    Property(
        "times of a varying rate",
        clip_with("vfr.mkv", time_base=Fraction(1, 1000), pts=[0, 40, 140, 180], durations=[40, 100, 40, 40]),
        times,
        ("rate",),
    ),
    Property(
        "rotation", clip_with("turned.mp4", rotation=90), lambda path: inspect(path).info.rotation, ("rotat",)
    ),
    Property(
        "sample aspect",
        clip_with("wide.mp4", aspect=Fraction(4, 3)),
        lambda path: inspect(path).info.sample_aspect,
        ("aspect",),
    ),
    Property(
        "colour tags",
        clip_with("tags.mp4", color=(9, 14, 9)),
        lambda path: inspect(path).info.color.primaries,
        ("colour",),
    ),
    Property(
        "HDR10 light levels",
        clip_with("hdr.mp4", codec="libx265", pix_fmt="yuv420p10le", color=(9, 16, 9), options=X265),
        hdr,
        ("HDR",),
    ),
    Property(
        "alpha", clip_with("clear.mov", codec="qtrle", pix_fmt="argb"), transparent, ("alpha", "refused")
    ),
    Property(
        "sound (AAC)", clip_with("sound.mp4", audio="aac"), opened(lambda c: len(c.streams.audio)), ("audio",)
    ),
    Property(
        "sound (Opus)",
        clip_with("opus.mkv", audio="libopus"),
        opened(lambda c: len(c.streams.audio)),
        ("audio",),
    ),
    Property("cover", clip_with("cover.mp4", cover=True), opened(covers), ("cover",)),
    Property(
        "attachments",
        clip_with("font.mkv", attachments={"a.ttf": b"font"}),
        opened(attached),
        ("attachment",),
    ),
    Property(
        "chapters",
        clip_with("parts.mkv", chapters=("one", "two")),
        opened(lambda c: len(c.chapters())),
        ("chapters",),
    ),
    Property(
        "title", clip_with("titled.mp4", metadata={"title": "A walk"}), opened(tag("title")), ("title",)
    ),
    Property(
        "creation time",
        clip_with("dated.mp4", metadata={"creation_time": "2024-05-06T07:08:09Z"}),
        opened(tag("creation_time")),
        ("creation_time",),
    ),
    Property(
        "GPS", clip_with("place.mp4", metadata={"location": "+48.8584+002.2945/"}), opened(gps), ("location",)
    ),
    Property("titles of tracks", with_track(title="Microphone"), opened(of_sound("title")), ("title",)),
    Property("languages", with_track(language="fra"), opened(of_sound("language")), ("language",)),
    Property("dispositions", with_track(), opened(marks), ("forced",)),
    Property(
        "time code",
        clip_with("tape.mov", metadata={"timecode": "01:02:03:04"}),
        opened(timecode),
        ("timecode", "time code"),
    ),
    Property(
        "subtitles (SRT)",
        with_subtitles("srt.mkv", "subrip", [b"one", b"two"]),
        opened(subtitles),
        ("subtitle",),
    ),
    Property(
        "subtitles (mov_text)",
        with_subtitles("text.mp4", "mov_text", [b"\x00\x03one", b"\x00\x03two"]),
        opened(subtitles),
        ("subtitle",),
    ),
    Property("subtitles (ASS)", with_ass, opened(subtitles), ("subtitle",)),
    Property(
        "subtitles (PGS)",
        with_subtitles("pgs.mkv", "hdmv_pgs_subtitle", [PGS, PGS]),
        opened(subtitles),
        ("subtitle",),
    ),
)


def cell(one: Property, source: Path, out: Path) -> str:
    """kept, named where a warning tells of the loss, refused, or lost."""
    clip = open_source(source)
    try:
        with open_writer(out, clip, EncodeOptions()) as writer:
            for frame in clip.frames():
                writer.write(frame)
    except UsageError:
        return "refused"
    wanted, found = one.read(source), one.read(out)
    said = " ".join(writer.warnings)
    if found == wanted:
        return "re-encoded" if "re-encoded" in said and "audio" in one.words else "kept"
    return "named" if any(word in said for word in one.words) else "lost"


def table(folder: Path) -> str:
    """The table in Markdown, from clips that are made and written in a folder."""
    rows = []
    for one in PROPERTIES:
        source = one.make(folder)
        cells = [cell(one, source, folder / f"out{suffix}") for suffix in SUFFIXES]
        rows.append(f"| {one.name} | {' | '.join(cells)} |")
    head = f"| | {' | '.join(SUFFIXES)} |\n|---|{'---|' * len(SUFFIXES)}"
    return "\n".join([head, *rows])


def test_the_table_in_the_docs_is_what_was_found_out(tmp_path: Path) -> None:
    """It is filled in anew where it told something else; nothing is lost without being named."""
    before, _, rest = DOCS.read_text().partition(BEGIN)
    told, _, after = rest.partition(END)
    found = table(tmp_path)
    assert "lost" not in found
    if told.strip() != found:
        DOCS.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}")
        pytest.fail("docs/formats.md told something else and is filled in anew; look at what has changed")
