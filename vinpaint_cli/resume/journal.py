"""Journal of a run: an append-only file with one line of JSON for each finished segment and output."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from vinpaint_cli.resume.lock import open_private
from vinpaint_cli.video.sink.publish import mark_of

Entry: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Journal:
    """Lines that are on the disk before the work goes on; `read_journal` reads those that are there."""

    path: Path
    entries: list[Entry] = field(default_factory=list)

    def append(self, **entry: Any) -> None:
        """Write one line and wait until it is on the disk; raises OSError."""
        line = json.dumps(entry).encode() + b"\n"
        with open(self.path, "ab", opener=open_private) as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.entries.append(entry)


def read_journal(path: Path, *, repairs: bool = True) -> Journal:
    """A journal's whole lines up to the first that a crash has torn; an empty one where there is no file.

    repairs: cut the file at the torn line, for those to come; False is for somebody who only looks.
    Raises OSError.
    """
    journal, good = Journal(path), 0
    content = b""
    with suppress(FileNotFoundError), open(path, "rb", opener=open_private) as file:
        content = file.read()
    for line in content.splitlines(keepends=True):
        entry = _parsed(line)
        if entry is None:
            if repairs:
                with open(path, "r+b", opener=open_private) as file:
                    file.truncate(good)
            break
        journal.entries.append(entry)
        good += len(line)
    return journal


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
