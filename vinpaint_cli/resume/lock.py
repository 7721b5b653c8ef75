"""The lock of a work folder: one run at a time."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from vinpaint_cli.errors import OutputError

NAME = "lock"
PRIVATE = 0o600


def open_private(path: str, flags: int) -> int:
    """Opener for `open`: a file for its owner alone, never through a link, never waiting at a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), PRIVATE)


def lock_folder(folder: Path, check: Callable[[Path], None] = lambda folder: None) -> BaseFileLock:
    """Make a folder and lock it until the lock is released or this process ends, however it ends.

    check: is called before anything is written there. Raises OutputError when another run holds it, OSError
    when the folder cannot be written, and what the check raises.
    """
    path = folder / NAME
    lock = FileLock(path, timeout=0, thread_local=False, mode=PRIVATE)
    while not lock.is_locked:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            with warnings.catch_warnings(action="ignore"):  # of a file system without locks
                lock.acquire()
        except (FileNotFoundError, Timeout):
            if path.exists():  # else whoever held it has removed the folder meanwhile
                who = _holder(path)
                raise OutputError(f"{folder} is in use by {who}; wait for it, or choose another -o") from None
    try:
        check(folder)
    except BaseException:
        lock.release()
        raise
    _sign(path)
    return lock


def _sign(path: Path) -> None:
    """Write the number of this process into a lock of the system; where there is none filelock does so."""
    with suppress(OSError):  # Windows lets nobody write a locked file
        if len(path.read_bytes().split()) < 2:
            with open(path, "w", opener=open_private) as file:
                file.write(str(os.getpid()))


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError, IndexError):
        return f"process {int(path.read_text().split()[0])}"
    return "another process"
