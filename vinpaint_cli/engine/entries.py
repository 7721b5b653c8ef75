"""What the lines of a work folder's journal say, of those that have the form they were written in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vinpaint_cli.engine.journal import Entry
from vinpaint_cli.video.publish import mark_of


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
