"""One pass of a decoder over a file: frames out, damage counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappop, heappush
from typing import TYPE_CHECKING, cast

import av
from av.packet import Packet
from av.video.stream import VideoStream

from vinpaint_cli.video.source.probe import Details, picture_decoder
from vinpaint_cli.video.source.timeline import Join, Shifter

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext

_DEMUX_RETRIES = 3
_SHOWING_NOTHING = ("vp8", "mpeg4")
_UNTIMED = ("avi", "asf")  # hold times of decoding only, which FFmpeg reports as those of presentation
_REORDERED = ("h264", "hevc")


@dataclass(frozen=True, slots=True)
class Damage:
    """Damage met while decoding a file.

    ``packets`` counts packets that failed to decode, gave a picture with errors or gave none, and
    ``first_seconds`` is the time of the first of them; ``truncated`` says that the file ends before its
    header says it should. Damage that hides whole packets (MPEG streams) shows only as a gap in time.
    ``retimed`` counts frames whose missing or backward times were replaced.
    """

    packets: int = 0
    first_seconds: float | None = None
    truncated: bool = False
    retimed: int = 0

    def __bool__(self) -> bool:
        return self.packets > 0 or self.truncated or self.retimed > 0


class UnsureError(Exception):
    """A multithreaded pass met damage, after which only one thread decodes the same way every time."""


@dataclass
class Pass:
    """Decodes one stream from its start, or from a seek.

    With ``threaded`` False one thread decodes and damage is counted and passed over. With ``threaded``
    True the first sign of damage raises :class:`UnsureError`: several threads lose frames after an error.
    After a ``seek`` (to a time in ticks) damage is neither: whoever seeks compares every frame.
    Times are those that ``joins`` make.
    """

    details: Details
    threaded: bool
    seek: int | None = None
    joins: tuple[Join, ...] = ()
    truncated: bool = False
    seen: int = 0
    given: int = 0
    _sent: int = 0
    _bad: dict[int, float] = field(default_factory=dict, repr=False)
    _awaited: set[int] = field(default_factory=set, repr=False)
    _times: list[int] | None = field(default=None, repr=False)

    @property
    def packets(self) -> int:
        """Packets that failed, gave a picture with errors, or gave none."""
        return len(self._bad)

    @property
    def first_seconds(self) -> float | None:
        """Time of the first of them in presentation order."""
        return min(self._bad.values(), default=None)

    def __iter__(self) -> Iterator[av.VideoFrame]:
        with self.details.open() as container:
            stream = container.streams[self.details.stream]
            assert isinstance(stream, VideoStream)  # probe chose it
            decoder = picture_decoder(stream)
            if container.format.name in _UNTIMED and decoder.codec.canonical_name in _REORDERED:
                self._times = []
            decoder.thread_type = "AUTO" if self.threaded else "NONE"
            if not self.threaded:
                decoder.thread_count = 1
            if self.seek is not None:
                try:
                    container.seek(self.seek, stream=stream)
                except av.FFmpegError:
                    raise UnsureError from None
            for packet in self._packets(container, stream):
                yield from self._decode(packet, decoder)
            self._settle(stream)

    def _packets(self, container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
        """Packets, the last of them empty; a demuxer's error is retried, then ends the file."""
        shifter = Shifter(self.joins)
        for _ in range(_DEMUX_RETRIES):
            try:
                for packet in container.demux(stream):
                    shifter.shift(packet)
                    self._note(packet)
                    yield packet
            except (av.FFmpegError, OSError):
                self.truncated = True
                if self.threaded:
                    raise UnsureError from None
            else:
                return
        flush = cast("Packet[VideoStream]", Packet())
        flush.stream = stream
        yield flush

    def _note(self, packet: Packet[VideoStream]) -> None:
        """Count a packet; a file cut inside a packet marks its last one."""
        if packet.size == 0:
            return
        self.seen += 1
        self.truncated = packet.is_corrupt
        if packet.is_discard:
            return
        self._sent += 1
        if self._times is not None and packet.dts is not None:
            heappush(self._times, packet.dts)
        moment = packet.pts if self._times is None else packet.dts
        if moment is not None and not self.threaded:
            self._awaited.add(moment)

    def _decode(self, packet: Packet[VideoStream], decoder: VideoCodecContext) -> list[av.VideoFrame]:
        """Frames of one packet; an error in it, or in a frame, counts."""
        frames: list[av.VideoFrame] = []
        damaged = packet.is_corrupt
        try:
            frames = decoder.decode(packet)
        except BlockingIOError:
            # The decoder still holds what followed an error inside the last packet: PyAV cannot fetch it.
            decoder.flush_buffers()
            damaged = True
        except EOFError:
            pass
        except av.FFmpegError:
            damaged = True
        if damaged and not frames and self._times and packet.dts in self._times:
            self._times.remove(packet.dts)  # what is left is a heap, since times enter it in order
        if damaged:
            self._hurt(packet.pts if packet.pts is not None else packet.dts, packet.time_base)
        for frame in frames:
            self.given += 1
            if self._times:
                frame.pts = heappop(self._times)  # frames come in order; packets lie in that of decoding
            if frame.is_corrupt:
                self._hurt(frame.pts, packet.time_base)
            if frame.pts is not None:
                self._awaited.discard(frame.pts)
        return frames

    def _settle(self, stream: VideoStream) -> None:
        """At the end: packets without a frame are lost, unless the codec has packets that show nothing."""
        if self.seek is not None:
            return
        # A field may lie in a packet of its own.
        due = self._sent if self.details.first_field is None else (self._sent + 1) // 2
        if self.threaded:
            if self.given < due:
                raise UnsureError
        elif stream.codec_context.codec.canonical_name not in _SHOWING_NOTHING:
            for pts in sorted(self._awaited)[: max(0, due - self.given)]:
                self._hurt(pts, stream.time_base)

    def _hurt(self, pts: int | None, time_base: Fraction | None) -> None:
        """Count a damaged packet, once for each presentation time."""
        if self.seek is not None:
            return
        if self.threaded:
            raise UnsureError
        key = -self.seen if pts is None else pts
        self._bad[key] = 0.0 if pts is None or time_base is None else float(pts * time_base)
