"""What a run has finished, one line of JSON for each thing, so that nothing written is ever lost."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from vinpaint_cli.video.sink.publish import mark_of

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


def segment_entries(entries: Sequence[Entry]) -> dict[int, Entry]:
    """The last line of each finished segment; one of another form counts like a torn one."""
    return {entry["segment"]: entry for entry in entries if "segment" in entry and _is_segment(entry)}


def fitted_digest(entries: Sequence[Entry]) -> str | None:
    """SHA-256 of the network that was fitted to the clip; None when there was none."""
    found = [entry["fitted"] for entry in entries if isinstance(entry.get("fitted"), str)]
    return found[-1] if found else None


def hidden_names(entries: Sequence[Entry]) -> Iterator[str]:
    """Names of hidden outputs that were begun."""
    for entry in entries:
        if isinstance(entry.get("part"), str):
            yield entry["part"]


def is_published(entries: Sequence[Entry], target: Path) -> bool:
    """Whether the output is the whole one that a run, killed before it could tidy up, gave its name."""
    last = [entry for entry in entries if "publishing" in entry or "published" in entry][-1:]
    with suppress(OSError):
        return bool(last) and last[0].get("publishing") == mark_of(target)
    return False


def _is_segment(entry: Entry) -> bool:
    fit = entry.get("fit")
    return (
        _is_count(entry["segment"])
        and isinstance(entry.get("sha256"), str)
        and _is_count(entry.get("hole_pixels"))
        and _is_amount(entry.get("propagated_pixels"))
        and isinstance(fit, dict)
        and set(fit) == {"frames", "on_cpu"}
        and (fit["frames"] is None or (_is_count(fit["frames"]) and fit["frames"] > 0))
        and isinstance(fit["on_cpu"], bool)
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
