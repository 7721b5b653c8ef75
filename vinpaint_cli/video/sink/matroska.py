"""The display size of a Matroska track, written afterwards: PyAV cannot give it to the muxer.

FFmpeg's muxer takes the sample aspect from a field of the stream that PyAV does not reach, so that codecs
whose bitstream has none (FFV1, VP9, AV1 …) would lose it. A track title made long on purpose leaves the
room in which the two elements are written when the file is whole. Source: RFC 8794 (EBML), RFC 9559.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

PLACEHOLDER = " (sample aspect follows here)"

_SEGMENT, _TRACKS, _ENTRY = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae"
_CRC, _VOID, _NAME, _VIDEO = b"\xbf", b"\xec", b"\x53\x6e", b"\xe0"
_PIXEL_WIDTH, _PIXEL_HEIGHT = b"\xb0", b"\xba"
_DISPLAY = {b"\x54\xb0", b"\x54\xba", b"\x54\xb2"}  # width, height, unit
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Element:
    """An element: its id, and where its payload lies in the buffer it was read from."""

    tag: bytes
    start: int
    stop: int


def write_sample_aspect(path: Path, aspect: Fraction) -> bool:
    """Write the display size of the track whose title ends in :data:`PLACEHOLDER`, and mend the title.

    Returns whether such a track was found; the file's length and all its other bytes stay.
    """
    with open(path, "r+b") as file:
        head = file.read(_HEAD_BYTES)
        tracks = _find_tracks(head)
        if tracks is None:
            return False
        payload = _rebuilt(head[tracks.start : tracks.stop], aspect)
        if payload is None:
            return False
        _overwrite(file, tracks.start, payload)
    return True


def _overwrite(file: BinaryIO, start: int, payload: bytes) -> None:
    file.seek(start)
    file.write(payload)


def _find_tracks(head: bytes) -> _Element | None:
    for top in _children(head, 0, len(head)):
        if top.tag == _SEGMENT:
            for element in _children(head, top.start, len(head)):
                if element.tag == _TRACKS and element.stop <= len(head):
                    return element
    return None


def _children(data: bytes, start: int, stop: int) -> Iterator[_Element]:
    """Elements that lie in ``data[start:stop]``, one after the other."""
    position = start
    while position < stop:
        first = data[position]
        length = 9 - first.bit_length()
        tag = data[position : position + length]
        position += length
        if position >= stop:
            return
        width = 9 - data[position].bit_length()
        size = int.from_bytes(data[position : position + width], "big") & ((1 << (7 * width)) - 1)
        position += width
        yield _Element(tag, position, position + size)
        position += size


def _element(tag: bytes, payload: bytes) -> bytes:
    """An element with the shortest size field that holds."""
    width = 1
    while len(payload) >= (1 << (7 * width)) - 1:
        width += 1
    return tag + (len(payload) | 1 << (7 * width)).to_bytes(width, "big") + payload


def _rebuilt(tracks: bytes, aspect: Fraction) -> bytes | None:
    """Payload of ``Tracks`` with the marked entry rebuilt, of the same length; None without such a one."""
    mark = PLACEHOLDER.encode()
    for entry in _children(tracks, 0, len(tracks)):
        payload = tracks[entry.start : entry.stop]
        if entry.tag != _ENTRY or mark not in payload:
            continue
        new = b"".join(_entry_parts(payload, aspect))
        room = len(payload) - len(new)
        if room < 2:
            return None
        new += _element(_VOID, bytes(room - 2))
        changed = tracks[: entry.start] + new + tracks[entry.stop :]
        return _with_checksum(changed)
    return None


def _entry_parts(payload: bytes, aspect: Fraction) -> Iterator[bytes]:
    for child in _children(payload, 0, len(payload)):
        body = payload[child.start : child.stop]
        if child.tag == _NAME:
            title = body.decode(errors="surrogateescape").removesuffix(PLACEHOLDER)
            if title:
                yield _element(_NAME, title.encode(errors="surrogateescape"))
        elif child.tag == _VIDEO:
            yield _element(_VIDEO, b"".join(_video_parts(body, aspect)))
        else:
            yield _element(child.tag, body)


def _video_parts(payload: bytes, aspect: Fraction) -> Iterator[bytes]:
    sizes: dict[bytes, int] = {}
    for child in _children(payload, 0, len(payload)):
        body = payload[child.start : child.stop]
        if child.tag in (_PIXEL_WIDTH, _PIXEL_HEIGHT):
            sizes[child.tag] = int.from_bytes(body, "big")
        if child.tag not in _DISPLAY:
            yield _element(child.tag, body)
    width, height = _display_size(sizes[_PIXEL_WIDTH], sizes[_PIXEL_HEIGHT], aspect)
    yield _element(b"\x54\xb0", width.to_bytes(4, "big"))
    yield _element(b"\x54\xba", height.to_bytes(4, "big"))


def _display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The smallest display size of exactly that sample aspect, not smaller than the coded one."""
    shape = Fraction(width, height) * aspect
    scale = max(1, -(-height // shape.denominator))
    return shape.numerator * scale, shape.denominator * scale


def _with_checksum(payload: bytes) -> bytes:
    """The payload with its leading CRC-32 element, if it has one, computed anew."""
    if payload[:1] != _CRC:
        return payload
    return payload[:2] + zlib.crc32(payload[6:]).to_bytes(4, "little") + payload[6:]
