"""Playlists (HLS, ffconcat): which files they consist of, and which of them are refused.

Formats: RFC 8216; the "concat" chapter of FFmpeg's documentation of formats.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vinpaint_cli.errors import VideoError

if TYPE_CHECKING:
    from os import PathLike

_HLS, _CONCAT = b"#EXTM3U", b"ffconcat version"
_LONGEST = 1 << 24  # bytes; far more than a film has segments


def is_playlist(path: str | PathLike[str]) -> bool:
    """Whether FFmpeg would take the file for a playlist, whatever its name; raises OSError."""
    with open(path, "rb") as file:
        return file.read(16).startswith((_HLS, _CONCAT))


def files_of(path: str | PathLike[str]) -> tuple[str, ...]:
    """Absolute names of the files that a playlist and those inside it name; empty for any other file.

    Raises:
        VideoError: one of them is not below the playlist's folder or not there, or the playlist is that of a
            broadcast, which has no end.

    """
    found: dict[str, None] = {}
    if Path(path).is_file() and is_playlist(path):
        _follow(Path(os.path.abspath(path)), Path(path).resolve().parent, found)
    return tuple(found)


def _follow(path: Path, root: Path, found: dict[str, None]) -> None:
    for name in _names(path):
        file = path.parent / name
        if ":" in name or "\\" in name or not file.resolve().is_relative_to(root):
            raise VideoError(f"{path}: names {name!r}, and a playlist may name only files beside or below it")
        if not file.is_file():
            raise VideoError(f"{path}: names {name!r}, which is not there; get the files it names")
        known = os.path.abspath(file)
        if known not in found:
            found[known] = None
            if is_playlist(known):
                _follow(Path(known), root, found)


def _names(path: Path) -> Iterator[str]:
    """What a playlist names, as it stands there."""
    with open(path, "rb") as file:
        content = file.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise VideoError(f"{path}: a playlist of more than {_LONGEST} bytes; give a part of it")
    text = os.fsdecode(content)
    yield from _of_hls(path, text) if content.startswith(_HLS) else _of_concat(path, text)


def _of_hls(path: Path, text: str) -> Iterator[str]:
    lines = [line.strip() for line in text.splitlines()]
    if not any(line.startswith(("#EXT-X-ENDLIST", "#EXT-X-STREAM-INF")) for line in lines):
        raise VideoError(f"{path}: a playlist without an end (#EXT-X-ENDLIST): record the broadcast first")
    for line in lines:
        if not line.startswith("#"):
            yield from [line] if line else []
        else:
            yield from re.findall(r'URI="([^"]*)"', line)


def _of_concat(path: Path, text: str) -> Iterator[str]:
    for line in text.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError as exc:
            raise VideoError(f"{path}: a line that cannot be read ({exc}): {line!r}") from exc
        if words[:1] == ["file"]:
            yield " ".join(words[1:])
