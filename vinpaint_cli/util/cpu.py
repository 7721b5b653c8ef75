"""How many CPU cores this process may use."""

from __future__ import annotations

import os


def allowed_cores() -> int:
    """Cores that the system lets this process use; all of the machine where it does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
