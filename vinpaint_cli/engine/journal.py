"""What a run has finished, one line of JSON for each thing, so that nothing written is ever lost."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

Entry: TypeAlias = Mapping[str, Any]


class Journal:
    """Lines that are on the disk before the work goes on; a last line torn by a crash does not count.

    Raises OSError when the file cannot be read or written.
    """

    def __init__(self, path: Path, *, repairs: bool = True) -> None:
        """``repairs`` False leaves a torn file as it is, for somebody who only looks."""
        self._path = path
        self.entries: list[Entry] = []
        if path.exists():
            self._read(repairs)

    def append(self, **entry: Any) -> None:
        """Write one line and wait until it is on the disk."""
        line = json.dumps(entry).encode() + b"\n"
        with open(self._path, "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.entries.append(entry)

    def _read(self, repairs: bool) -> None:
        """Take whole lines up to the first that is torn; cut the file there for those to come."""
        good = 0
        for line in self._path.read_bytes().splitlines(keepends=True):
            entry = _parsed(line)
            if entry is None:
                if repairs:
                    os.truncate(self._path, good)
                return
            self.entries.append(entry)
            good += len(line)


def _parsed(line: bytes) -> Entry | None:
    """One line's object; None when it is torn."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if line.endswith(b"\n") and isinstance(entry, dict) else None
