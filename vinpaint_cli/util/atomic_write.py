"""Atomic writes: a file appears under its name only when it is whole, whatever stops the writer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vinpaint_cli.util import fitting_name


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Context manager: gives a hidden temporary name beside ``path``, and renames it to ``path`` at the end.

    The temporary file is made here, so that nobody is written to through a link laid under its name. It is
    synced before the rename, and its folder afterwards where the system can. When the block raises, the
    temporary file is removed and an older ``path`` stays. Raises OSError, and what the block raises.
    """
    temporary = path.with_name(fitting_name(f".{path.name}", f".{os.getpid()}.part"))
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if os.name == "posix":
        with suppress(OSError):
            _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
