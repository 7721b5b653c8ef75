"""Copies everything but the video stream (audio, subtitles, chapters, metadata …) packet by packet.

What PyAV 18 cannot carry: stream side data of copied tracks (audio replay gain, spherical video), program
tables of transport streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import AttachmentStream, DataStream, Discard, Disposition, Stream

from vinpaint_cli.errors import reason
from vinpaint_cli.video.sink.codecs import ANIMATIONS
from vinpaint_cli.video.source.opening import open_input
from vinpaint_cli.video.source.probe import Details, inspect_open, is_cover
from vinpaint_cli.video.source.timeline import Join, Shifter

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

_CHAPTERED = {"matroska", "webm", "mp4", "mov", "ipod", "nut", "asf", "ogv", "ogg"}
MOVIES = {"mp4", "mov", "ipod", "3gp", "3g2", "psp", "f4v"}
_AUDIO_ENCODERS = {"opus": "libopus", "vorbis": "libopus", "amr_nb": "aac", "mp3": "libmp3lame"}
_FOREIGN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_STALE_TAGS = {"encoder", "DURATION", "BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "rotate"}
_MAKERS = {"encoder", "software", "encoding_tool"}  # who made the old file
_MARKS = (
    Disposition.forced
    | Disposition.comment
    | Disposition.original
    | Disposition.dub
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.captions
    | Disposition.descriptions
)
_EARLIEST = -30.0  # seconds; a Matroska cluster reaches 32.768 s back
_COVERED = ("mp4", "ipod", "matroska")  # muxers that keep a still picture as the file's cover
_COVER_SUFFIX = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}


@dataclass
class _Track:
    """One copied stream: where it goes, the last decoding time sent there, packets the muxer refused."""

    source: Stream
    target: Stream
    encoder: AudioStream | None = None
    last_dts: int | None = None
    refused: int = 0


class StreamCopier:
    """Carries all streams but the picture's, chapters and metadata from a file into an open output.

    Use as: construct, :meth:`declare` (adds the streams, in the source's order), then :meth:`pump` as the
    picture advances and :meth:`finish` once. ``warnings`` names what the container cannot hold.
    """

    def __init__(
        self,
        source: InputContainer,
        details: Details,
        output: OutputContainer,
        joins: tuple[Join, ...] = (),
    ) -> None:
        """``source``: open, and open until the last call; ``details`` and ``joins`` are of it."""
        self._input = source
        self._output = output
        self._details = details
        self._picture = details.stream
        self._tracks: dict[int, _Track] = {}
        self._packets: Iterator[Packet[Any]] = iter(())
        self._held: Packet[Any] | None = None
        self._shifter = Shifter(joins)
        self.warnings: list[str] = []

    def declare(self, before: bool) -> None:
        """Add the streams that stand before (or after) the picture's in the source."""
        for stream in list(self._input.streams):
            if stream.index != self._picture and (stream.index < self._picture) == before:
                self._add(stream)

    def describe(self, picture: Stream) -> None:
        """Copy chapters, the container's metadata, and metadata and disposition of the picture's stream."""
        source = self._input.streams[self._picture]
        for stream in self._input.streams.data:
            if self._is_timecode(stream):
                picture.metadata["timecode"] = stream.metadata["timecode"]
        picture.metadata.update(_titled(_kept(source.metadata, _STALE_TAGS)))
        picture.disposition = source.disposition
        self._output.metadata.update(_kept(self._input.metadata, _FOREIGN_TAGS))
        chapters = self._input.chapters()
        if chapters and self._output.format.name in _CHAPTERED:
            self._output.set_chapters(chapters)
        elif chapters:
            self.warnings.append(
                f"{len(chapters)} chapters left out: a {self._output.format.name} file has none"
            )

    def start(self) -> None:
        """Begin reading packets; all streams are declared now."""
        wanted = [track.source for track in self._tracks.values()]
        self._input.streams[self._picture].discard = Discard.all
        self._packets = _packets(self._input, wanted, self.warnings) if wanted else iter(())

    def pump(self, seconds: float) -> None:
        """Write the packets whose decoding time is at most ``seconds``."""
        while (packet := self._next()) is not None:
            if _seconds(packet) > seconds:
                self._held = packet
                return
            self._write(packet)

    def finish(self) -> None:
        """Write all that is left."""
        while (packet := self._next()) is not None:
            self._write(packet)
        for track in self._tracks.values():
            if track.encoder is not None:
                self._output.mux(track.encoder.encode(None))
            if track.refused:
                self.warnings.append(f"{_label(track.source)}: {track.refused} malformed packets left out")

    def check(self, path: Path) -> None:
        """Read the finished file's header and first frame, and name what they do not say again."""
        tracks = [(track.source, track.target) for track in self._tracks.values()]
        wanted = [(source, target) for source, target in tracks if not is_cover(source)]  # these are moved
        picture = self._input.streams[self._picture]
        lost: list[str] = []
        with open_input(path) as written:
            lost += self._lost_of_picture(inspect_open(path, written))
            streams = list(written.streams)
            pairs = [
                (source, streams[target.index]) for source, target in wanted if target.index < len(streams)
            ]
            pairs += [(picture, stream) for stream in written.streams.video if not is_cover(stream)][:1]
            for source, target in sorted(pairs, key=lambda pair: pair[0].index):
                lost += _lost_tags(source, target) if _is_copy(source, target) else [_label(source)]
            lost += [_label(source) for source, target in wanted if target.index >= len(streams)]
            if _timecode(self._input) and not _timecode(written):
                lost.append(f"the time code {_timecode(self._input)}")
            tags, known = _kept(self._input.metadata, _FOREIGN_TAGS), _folded(written.metadata)
            keys = [k for k in tags if k.lower() not in known and k.lower() not in _MAKERS and "-" not in k]
            lost += [f"{', '.join(keys)} of the file"] if keys else []
        if lost:
            self.warnings.append(
                f"files of the kind {self._output.format.name} do not keep: {'; '.join(lost)}"
            )

    def _lost_of_picture(self, written: Details) -> Iterator[str]:
        """What the file does not say of the picture, or says otherwise."""
        before, after = self._details.info, written.info
        if self._output.format.name in ANIMATIONS:
            return
        if before.rotation != after.rotation:
            yield f"rotation by {before.rotation} degrees"
        if before.sample_aspect != after.sample_aspect:
            yield f"the sample aspect {before.sample_aspect}"
        colours = ("primaries", "transfer")
        if any(getattr(before.color, name) not in (2, getattr(after.color, name)) for name in colours):
            yield "colour tags"
        if before.interlaced and not after.interlaced:
            yield "that the picture is interlaced"

    def _next(self) -> Packet[Any] | None:
        packet, self._held = self._held, None
        if packet is None and (packet := next(self._packets, None)) is not None:
            self._shifter.shift(packet)
        return packet

    def _write(self, packet: Packet[Any]) -> None:
        track = self._tracks[packet.stream_index]
        if track.encoder is not None:
            self._reencode(packet, track.encoder)
            return
        if packet.dts is None:
            packet.dts = packet.pts
        if packet.dts is not None:
            if track.last_dts is not None and packet.dts <= track.last_dts and packet.stream.type == "audio":
                packet.dts = track.last_dts + 1
                packet.pts = max(packet.pts or packet.dts, packet.dts)
            track.last_dts = packet.dts
        packet.stream = track.target
        try:
            self._output.mux(packet)
        except (av.ArgumentError, av.InvalidDataError):
            track.refused += 1  # a malformed packet is no reason to lose the picture

    def _reencode(self, packet: Packet[Any], encoder: AudioStream) -> None:
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return  # a damaged piece of audio is a gap
        for frame in frames:
            if isinstance(frame, AudioFrame):
                self._output.mux(encoder.encode(frame))

    def _add(self, stream: Stream) -> None:
        if isinstance(stream, AttachmentStream):
            name = stream.name or f"attachment{stream.index}"
            self._attach(stream, name, stream.mimetype or "application/octet-stream", stream.data)
        elif is_cover(stream) and self._output.format.name == "matroska":
            self._add_cover(stream)
        elif is_cover(stream) and self._output.format.name not in _COVERED:
            self._leave_out(stream)
        elif self._is_chapter_track(stream) or self._is_timecode(stream):
            return
        elif self._fits(stream):
            self._copy(stream)
        elif isinstance(stream, AudioStream):
            self._add_audio(stream)
        else:
            self._leave_out(stream)

    def _copy(self, stream: Stream) -> None:
        target = _declare_copy(self._output, stream)
        self._tracks[stream.index] = _Track(stream, target)

    def _fits(self, stream: Stream) -> bool:
        """Whether the container takes the stream: a header with it alone is written to memory to see."""
        if stream.codec_context is None and not isinstance(stream, DataStream):
            return False
        try:
            with av.open(BytesIO(), "w", format=self._output.format.name) as trial:
                _declare_copy(trial, stream)
                trial.start_encoding()
        except (av.FFmpegError, ValueError, OSError):
            return False
        return True

    def _add_audio(self, stream: AudioStream) -> None:
        """Re-encode audio that the container cannot hold to what it holds by default."""
        default = self._output.default_audio_codec
        name = _AUDIO_ENCODERS.get(default, default)
        if name not in av.codecs_available or stream.codec_context is None:
            self._leave_out(stream)
            return
        target = self._output.add_stream(name, rate=48000 if name == "libopus" else stream.rate)
        assert isinstance(target, AudioStream)  # the default audio codec
        target.codec_context.layout = stream.layout.name
        target.codec_context.bit_rate = 96_000 * max(1, stream.channels)
        _describe_copy(target, stream)
        self._tracks[stream.index] = _Track(stream, target, target)
        self.warnings.append(
            f"{_label(stream)}: a {self._output.format.name} file cannot hold it; re-encoded as {default}"
        )

    def _add_cover(self, stream: Stream) -> None:
        """Matroska keeps cover art as an attached file."""
        with self._details.open() as container:
            packet = next(container.demux(container.streams[stream.index]), None)
        codec = stream.codec_context.name if stream.codec_context is not None else ""
        if packet is None or codec not in _COVER_SUFFIX:
            self._leave_out(stream)
            return
        suffix, mimetype = _COVER_SUFFIX[codec]
        name = stream.metadata.get("filename", f"cover.{suffix}")
        self._attach(stream, name, stream.metadata.get("mimetype", mimetype), bytes(packet))

    def _attach(self, stream: Stream, name: str, mimetype: str, data: bytes) -> None:
        if self._output.format.name != "matroska":
            self._leave_out(stream)
            return
        target = self._output.add_attachment(name, mimetype, data)
        target.metadata.update(_kept(stream.metadata, {"filename", "mimetype"}))

    def _is_chapter_track(self, stream: Stream) -> bool:
        """QuickTime repeats its chapters as a text track, which the muxer makes anew."""
        return (
            isinstance(stream, DataStream)
            and stream.name == "bin_data"
            and bool(self._input.chapters())
            and "mov" in self._input.format.name
        )

    def _is_timecode(self, stream: Stream) -> bool:
        """QuickTime's timecode is a track, which muxers make anew from the metadata of the picture's."""
        return isinstance(stream, DataStream) and "timecode" in stream.metadata

    def _leave_out(self, stream: Stream) -> None:
        self.warnings.append(f"{_label(stream)} left out: a {self._output.format.name} file cannot hold it")


def muxer_options(container: InputContainer, muxer: str) -> dict[str, str]:
    """Muxer options that keep what the source says: foreign metadata keys, dispositions, times.

    Sound often begins a little before zero (an encoder's priming). Matroska's muxer would move the whole
    file for that; written as it is, every frame keeps its time. A picture that begins before zero would have
    no times when read again, so then it may.
    """
    if muxer in MOVIES:
        plain = {"title", "artist", "album", "comment", "date", "genre", "copyright", "description"}
        plain |= {"album_artist", "composer", "grouping", "lyrics", "synopsis", "show", "episode_id"}
        plain |= {"network", "keywords", "track", "creation_time", "timecode"}
        foreign = set(_kept(container.metadata, _FOREIGN_TAGS)) - plain
        return {"movflags": "use_metadata_tags"} if foreign else {}
    if muxer not in ("matroska", "webm"):
        return {}
    options = {"default_mode": "passthrough"}
    starts = {s: float(s.start_time * s.time_base) for s in container.streams if s.start_time and s.time_base}
    shown = min((start for stream, start in starts.items() if stream.type == "video"), default=0.0)
    if min(starts.values(), default=0.0) > _EARLIEST and shown >= 0:
        options["avoid_negative_ts"] = "disabled"
    return options


def _declare_copy(output: OutputContainer, stream: Stream) -> Stream:
    target = output.add_stream_from_template(stream, opaque=True)
    _describe_copy(target, stream)
    return target


def _describe_copy(target: Stream, stream: Stream) -> None:
    target.metadata.update(_titled(_kept(stream.metadata, _STALE_TAGS - {"BPS", "NUMBER_OF_BYTES"})))
    target.disposition = stream.disposition


def _kept(metadata: dict[str, str], without: set[str]) -> dict[str, str]:
    """Metadata without keys that tell of the old file; Matroska appends languages to some of them."""
    return {
        key: value
        for key, value in metadata.items()
        if key.split("-")[0] not in without and not key.startswith("_STATISTICS")
    }


def _titled(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata of a stream with its title as all muxers know it; a movie's is read as ``name``."""
    title = metadata.get("title") or metadata.get("name")
    return (
        metadata if title is None else {k: v for k, v in metadata.items() if k != "name"} | {"title": title}
    )


def _folded(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata by lower-case key, without the languages that Matroska appends."""
    return {key.split("-")[0].lower(): value for key, value in metadata.items()}


def _lost_tags(source: Stream, target: Stream) -> list[str]:
    """Title, language and marks of a stream that its copy lacks."""
    before, after = (_folded(_titled(dict(stream.metadata))) for stream in (source, target))
    lost = source.disposition & ~target.disposition & _MARKS
    marks = [f"the mark {lost.name} of stream {source.index}"] if lost else []
    return marks + [
        f"{key} {before[key]!r} of stream {source.index}"
        for key in ("title", "language")
        if before.get(key, "und") not in ("und", "", after.get(key))
    ]


def _is_copy(source: Stream, target: Stream) -> bool:
    """Whether a stream is read as what it was, or as what it was re-encoded to."""
    if source.type != target.type or source.type != "subtitle":
        return source.type == target.type
    return _codec(source) == _codec(target)


def _codec(stream: Stream) -> str | None:
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else getattr(stream, "name", None)


def _timecode(container: InputContainer) -> str | None:
    """The time code that a stream or the file has, if any."""
    tags = [_folded(part.metadata) for part in (container, *container.streams)]
    return next((found["timecode"] for found in tags if "timecode" in found), None)


def _label(stream: Stream) -> str:
    if is_cover(stream):
        return f"stream {stream.index} (cover)"
    codec = _codec(stream)
    language = stream.metadata.get("language", "und")
    spoken = "" if language == "und" else f", {language}"
    return f"stream {stream.index} ({stream.type} {codec or 'unknown'}{spoken})"


def _seconds(packet: Packet[Any]) -> float:
    moment = packet.dts if packet.dts is not None else packet.pts
    return float("-inf") if moment is None else float(moment * packet.time_base)


def _packets(container: InputContainer, streams: list[Stream], warnings: list[str]) -> Iterator[Packet[Any]]:
    """Packets of the streams as they lie in the file; reading ends with a warning where it is damaged."""
    moment = 0.0
    try:
        for packet in container.demux(streams):
            if packet.size:
                moment = max(moment, _seconds(packet))
                yield packet
            elif packet.pts is not None or packet.dts is not None:
                yield packet
    except (av.FFmpegError, OSError) as exc:
        warnings.append(
            f"sound and other streams end at {moment:.3f} s: the source is damaged there ({reason(exc)})"
        )
