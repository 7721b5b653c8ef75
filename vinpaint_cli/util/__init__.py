"""Small utilities: atomic writes, hashing, registries of names, TOML presets, HTML pages, core counts."""

from __future__ import annotations

import os


def allowed_cores() -> int:
    """Number of cores this process may run on; all cores where the system does not report an affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
