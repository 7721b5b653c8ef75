"""Small utilities: atomic writes, hashing, registries of names, TOML presets, HTML pages, core counts."""

from __future__ import annotations

import hashlib
import os
import re

LONGEST_NAME = 255
"""Bytes of a file's name, as most file systems allow."""


_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, keep: str = "") -> str:
    """Text for a person's eyes: what terminals obey is escaped, as are ends of lines and turns of direction.

    Names and metadata come from anywhere. ``keep``: characters that stay.
    """
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


def allowed_cores() -> int:
    """Number of cores this process may run on; all cores where the system does not report an affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_pattern(path: str) -> bool:
    """Whether a path stands for numbered files to ffmpeg (``frame_%04d.png``), and no file is so named."""
    return re.search(r"%\d*d", path) is not None and not os.path.lexists(path)


def fitting_name(stem: str, ending: str) -> str:
    """``stem`` and ``ending`` as a file's name; a stem too long for it is cut, and told apart by a digest."""
    octets = os.fsencode(stem)
    room = LONGEST_NAME - len(os.fsencode(ending))
    if len(octets) <= room:
        return stem + ending
    mark = f"~{hashlib.sha256(octets).hexdigest()[:8]}"
    return octets[: max(1, room - len(mark))].decode(errors="ignore") + mark + ending
