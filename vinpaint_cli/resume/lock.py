"""One run at a time in a folder."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from vinpaint_cli.errors import OutputError

NAME = "lock"


class FolderLock:
    """Held by one process until it ends, however it ends.

    A lock of the system where there is one (``flock``), otherwise a file with the number of the process.

    Raises OutputError when another process holds it, OSError when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._handle = self._open()
        os.ftruncate(self._handle, 0)
        os.write(self._handle, str(os.getpid()).encode())

    def release(self) -> None:
        """Let others in; the folder may be gone already."""
        os.close(self._handle)

    def _open(self) -> int:
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._take(handle)
            except BaseException:
                os.close(handle)
                raise
            if self._is_ours(handle):
                return handle
            # Whoever held it has removed the folder meanwhile.
            os.close(handle)
            self._path.parent.mkdir(exist_ok=True)

    def _take(self, handle: int) -> None:
        try:
            import fcntl
        except ImportError:
            self._take_by_number(handle)
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refusal(_number(handle)) from None
        except OSError:  # a file system without locks
            self._take_by_number(handle)

    def _take_by_number(self, handle: int) -> None:
        import psutil

        number = _number(handle)
        if number is not None and number != os.getpid() and psutil.pid_exists(number):
            raise self._refusal(number)

    def _refusal(self, number: int | None) -> OutputError:
        who = "another process" if number is None else f"process {number}"
        return OutputError(f"{self._path.parent} is in use by {who}; wait for it, or choose another -o")

    def _is_ours(self, handle: int) -> bool:
        """Whether the file that is locked still stands under its name."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(handle), os.stat(self._path))
        return False


def _number(handle: int) -> int | None:
    """The process that wrote the file, None when nobody did yet."""
    text = os.pread(handle, 32, 0) if hasattr(os, "pread") else os.read(handle, 32)
    return int(text) if text.isdigit() else None
