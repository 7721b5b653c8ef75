"""SHA-256 of one or several files, read in chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

CHUNK = 1 << 22


def file_sha256(path: Path, advance: Callable[[int], None] = lambda size: None) -> str:
    """SHA-256 of a file's bytes in hex; ``advance`` is told the size of each piece read. Raises OSError."""
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
        advance(len(piece))
    return digest.hexdigest()


def files_sha256(paths: Iterable[Path], advance: Callable[[int], None] = lambda size: None) -> str:
    """SHA-256 of the names, sizes and bytes of several files in the order given; raises OSError."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode(errors="surrogateescape"))
        for piece in _pieces(path):
            digest.update(piece)
            advance(len(piece))
    return digest.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            yield piece
