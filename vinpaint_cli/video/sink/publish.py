"""Atomic publishing of outputs: hidden temporary name, sync, rename; system errors become OutputError."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from vinpaint_cli.errors import OutputError, reason
from vinpaint_cli.util import fitting_name
from vinpaint_cli.video.source.folder import SUFFIXES

_REASONS: dict[int | None, str] = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file grows larger than allowed here; choose another folder",
    errno.EACCES: "permission denied; choose a folder that can be written",
    errno.EPERM: "permission denied; choose a folder that can be written",
    errno.ELOOP: "a link where a file belongs; choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of the system and of FFmpeg into one line.

    Raises:
        OutputError: in their place.

    """
    try:
        yield
    except (av.FFmpegError, OSError) as exc:
        why = _REASONS.get(exc.errno, f"cannot be written ({reason(exc)})")
        raise OutputError(f"{path}: {why}") from exc


def temporary_name(path: Path, ending: str = "part") -> Path:
    """Hidden name beside ``path`` that keeps its suffix."""
    return path.with_name(_hidden_name(path, secrets.token_hex(4), ending))


def _hidden_name(path: Path, token: str, ending: str) -> str:
    return fitting_name(f".{path.stem}", f".{token}.{ending}{path.suffix}")


def is_temporary_of(name: str, path: Path) -> bool:
    """Whether ``name`` is one that `temporary_name` gives for ``path``."""
    token = name.removesuffix(f".part{path.suffix}")[-8:]
    return re.fullmatch("[0-9a-f]{8}", token) is not None and name == _hidden_name(path, token, "part")


def replaced_name(temporary: Path) -> Path:
    """Where what stood under an output's name waits while a temporary folder takes its place."""
    return temporary.with_name(fitting_name(temporary.name, ".old"))


def remove_temporary(name: str, path: Path) -> None:
    """Remove what a killed run left under a hidden name of ``path``, if anything.

    Any other name is left alone, and so is what no run makes: a link, a folder with more than pictures.
    """
    if not is_temporary_of(name, path):
        return
    temporary = path.with_name(name)
    if temporary.is_file() and not temporary.is_symlink():
        temporary.unlink()
    for folder in (temporary, replaced_name(temporary)):
        if _holds_only_pictures(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _holds_only_pictures(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    return all(file.is_file() and file.name.lower().endswith(SUFFIXES) for file in folder.iterdir())


def mark_of(path: Path) -> list[int | str]:
    """Identity of a finished output, kept when it is renamed; values for JSON.

    Number of the file, size and time of change, for a folder those of all its files. Raises OSError.
    """
    found = path.lstat()
    if not path.is_dir():
        return [found.st_ino, found.st_size, found.st_mtime_ns]
    files = sorted((file.name, file.lstat()) for file in path.iterdir())
    listed = repr([(name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in files])
    return [found.st_ino, hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()]


def check_folder_of(path: Path) -> None:
    """Make sure that the folder an output goes to exists.

    Raises:
        OutputError: it does not.

    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; create it first")


def reserve(path: Path, temporary: Path) -> None:
    """Create the temporary file, so that an unwritable place is known before any work.

    Raises:
        OutputError: the folder is missing or cannot be written, or ``path`` is a folder.

    """
    check_folder_of(path)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give a file name with a suffix")
    with translated(path):
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def publish(
    temporary: Path, path: Path, *, overwrite: bool = True, announce: Callable[[Path], None] | None = None
) -> None:
    """Make sure the bytes are on the disk, then give the file its name.

    ``announce`` is called with ``temporary`` in between.

    Raises:
        OutputError: unless ``overwrite``, something has come to stand there meanwhile.

    """
    handle = os.open(temporary, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    if announce is not None:
        announce(temporary)
    if overwrite:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError as exc:
        raise OutputError(f"{path}: appeared during the run; give -y to overwrite it") from exc
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise OutputError(f"{path}: appeared during the run; give -y to overwrite it") from None
        os.replace(temporary, path)
    else:
        temporary.unlink()
