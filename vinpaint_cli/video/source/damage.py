"""Detects truncated files from the sizes of their outermost elements (Matroska, MP4/MOV, AVI, MPEG-TS)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
_RIFF = b"RIFF"
_TS_PACKETS = {188: 0, 192: 4, 204: 0}  # bytes of a packet, and of what stands before its sync byte
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"styp", b"pnot"}


def is_cut_short(path: Path) -> bool:
    """Whether a Matroska, MP4/MOV, AVI or MPEG-TS file is shorter than it claims; False for other kinds."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(16)
        if head.startswith(_EBML):
            return _ebml_end(file, size) > size
        if head.startswith(_RIFF):
            return int.from_bytes(head[4:8], "little") + 8 > size
        if head[4:8] in _BOXES:
            return _boxes_end(file, size) > size
        file.seek(0)
        return _ends_in_packet(file.read(2 * max(_TS_PACKETS)), size)


def _ends_in_packet(head: bytes, size: int) -> bool:
    """Whether a transport stream ends inside a packet."""
    for packet, start in _TS_PACKETS.items():
        if head[start : start + 1] == head[start + packet : start + packet + 1] == b"G":
            return size % packet > 0
    return False


def _ebml_end(file: BinaryIO, size: int) -> int:
    """Where the outermost elements end; one of unknown size (a live stream) ends with the file."""
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(16)
        if len(head) < 16 or head[0] == 0:
            return position
        length = 9 - head[0].bit_length()
        width = 9 - head[length].bit_length() if head[length] else 9
        if width > 8:
            return position
        value = int.from_bytes(head[length : length + width], "big") & ((1 << (7 * width)) - 1)
        if value == (1 << (7 * width)) - 1:
            return size
        position += length + width + value
    return position


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the outermost boxes end; a last box of size 0 ends with the file."""
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            return size + 1
        value = int.from_bytes(head[:4], "big")
        if value == 1:
            value = int.from_bytes(head[8:16], "big")
        if value < 8:
            return size
        position += value
    return position
