"""Time stamps: joined recordings put on one line, and frames in strictly increasing order.

Transport and program streams that were joined byte by byte start their clock anew, or jump far ahead. As
remuxers do, all streams are shifted alike from there on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet

TICKS = 90_000  # per second, in all streams of the containers below
JOINABLE = ("mpegts", "mpeg")  # FFmpeg's names of containers whose clock may jump
_BACK = TICKS // 10
_AHEAD = 10 * TICKS


@dataclass(frozen=True, slots=True)
class Join:
    """A jump in a file's clock: packets from byte ``position`` on are shifted by ``shift`` ticks.

    ``moment`` is when, in ticks after the shift.
    """

    position: int
    shift: int
    moment: int


@dataclass(slots=True)
class _Part:
    """What lies between two jumps; ``starts`` and ``ends`` in ticks by stream, of decoding and of showing."""

    position: int
    starts: dict[tuple[int, str], int] = field(default_factory=dict)
    ends: dict[tuple[int, str], int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)

    def add(self, packet: Packet[Any], dts: int) -> None:
        """Take a packet into account."""
        stream = packet.stream_index
        lasts = packet.duration or max(0, dts - self.last.get(stream, dts))
        self.last[stream] = dts
        for kind, moment in (("dts", dts), ("pts", dts if packet.pts is None else packet.pts)):
            key = stream, kind
            self.starts[key] = min(moment, self.starts.get(key, moment))
            self.ends[key] = max(moment + lasts, self.ends.get(key, moment + lasts))

    def is_left(self, stream: int, dts: int) -> bool:
        """Whether a stream's packet is of another part: before its last, or long after all that came."""
        back = dts < self.last.get(stream, dts) - _BACK
        return back or dts > max(self.ends.values(), default=dts) + _AHEAD


def find_joins(container: InputContainer) -> tuple[Join, ...]:
    """Jumps in the clock of an MPEG transport or program stream, which is read to its end."""
    parts, places = [_Part(0)], _Places()
    for packet in container.demux():
        dts, stream = packet.dts, packet.stream_index
        if dts is None or packet.stream.type not in ("video", "audio"):
            continue
        position, part = places.of(packet), parts[-1]
        if stream in part.last and part.is_left(stream, dts):
            parts.append(part := _Part(position))
        elif stream not in part.last and position < part.position:
            # It lies before where the new part was noticed: the end of the old one, or the new one's start.
            older = next(old for old in reversed(parts) if stream in old.last or old is parts[0])
            if older.is_left(stream, dts):
                part.position = position
            else:
                part = older
        part.add(packet, dts)
    return tuple(_joined(parts))


def _joined(parts: list[_Part]) -> Iterator[Join]:
    """Where each part goes: as early as it can without any stream going back."""
    ends = parts[0].ends
    for part in parts[1:]:
        shared = part.starts.keys() & ends.keys()
        gaps = [ends[key] - part.starts[key] for key in shared]
        shift = max(gaps) if gaps else max(ends.values()) - min(part.starts.values())
        yield Join(part.position, shift, max(ends.values()))
        ends = ends | {key: end + shift for key, end in part.ends.items()}


@dataclass(slots=True)
class _Places:
    """Byte positions of packets; one without its own lies where the one before of its stream begins."""

    known: dict[int, int] = field(default_factory=dict)

    def of(self, packet: Packet[Any]) -> int:
        """Byte position of the next packet of a stream."""
        if packet.pos is not None:
            self.known[packet.stream_index] = packet.pos
        return self.known.get(packet.stream_index, 0)


class Shifter:
    """Shifts the packets of one pass over a file as its ``joins`` say."""

    def __init__(self, joins: tuple[Join, ...]) -> None:
        self._joins = joins
        self._places = _Places()

    def shift(self, packet: Packet[Any]) -> None:
        """Shift a packet's times; those of each stream must come in the file's order."""
        if not self._joins:
            return
        position = self._places.of(packet)
        by = next((join.shift for join in reversed(self._joins) if join.position <= position), 0)
        if packet.pts is not None:
            packet.pts += by
        if packet.dts is not None:
            packet.dts += by


@dataclass(frozen=True, slots=True)
class Stamped:
    """A native frame with its final ``pts`` and ``duration`` in ticks; ``raw`` is the container's pts."""

    native: av.VideoFrame
    pts: int
    duration: int
    raw: int | None

    @property
    def invented(self) -> bool:
        """Whether the container's own time could not be used."""
        return self.pts != self.raw


def stamp(frames: Iterable[av.VideoFrame], step: int, last: int | None = None) -> Iterator[Stamped]:
    """Give every frame a time later than the one before it.

    ``step`` is the usual distance in ticks, ``last`` the time of the frame before the first one. A missing
    or repeated time is placed one step after its predecessor, or half-way to the next good time when that
    is nearer; one frame is held back for this. A missing duration is the distance to the next frame.
    """
    held: av.VideoFrame | None = None
    for native in frames:
        if held is not None:
            stamped = _place(held, native, step, last)
            last = stamped.pts
            yield stamped
        held = native
    if held is not None:
        yield _place(held, None, step, last)


def _place(native: av.VideoFrame, following: av.VideoFrame | None, step: int, last: int | None) -> Stamped:
    raw = native.pts
    upcoming = following.pts if following is not None else None
    if raw is not None and (last is None or raw > last):
        pts = raw
    elif last is None:
        pts = 0 if upcoming is None else upcoming - step
    else:
        pts = last + step
        if upcoming is not None and last + 1 < upcoming <= pts:
            pts = last + max(1, (upcoming - last) // 2)
    gap = upcoming - pts if upcoming is not None and upcoming > pts else step
    return Stamped(native, pts, native.duration or gap, raw)
