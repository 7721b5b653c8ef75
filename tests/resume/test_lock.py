"""The lock of a work folder, on file systems with locks and without."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vinpaint_cli.errors import OutputError
from vinpaint_cli.resume.lock import lock_folder

LOCK = """
import errno, fcntl, sys
from pathlib import Path
def no_lock(*_): raise OSError(errno.ENOSYS, "Function not implemented")
if sys.argv[2] == "without": fcntl.flock = no_lock
from vinpaint_cli.errors import OutputError
from vinpaint_cli.resume.lock import lock_folder
try:
    lock = lock_folder(Path(sys.argv[1]))
except OutputError as exc:
    print(exc, flush=True)
else:
    print("held", flush=True)
    sys.stdin.read()
    lock.release()
"""


@contextmanager
def process(folder: Path, locks: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that locks a folder until its stdin closes, and what it said."""
    command = [sys.executable, "-W", "error", "-c", LOCK, str(folder), locks]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield child, child.stdout.readline().strip()
        if child.stdin is not None:
            child.stdin.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fcntl")
@pytest.mark.parametrize("locks", ["with", "without"])
def test_a_second_process_is_refused_until_the_first_ends_or_dies(tmp_path: Path, locks: str) -> None:
    with process(tmp_path / "w", locks) as (first, said):
        assert said == "held"
        with process(tmp_path / "w", locks) as (_, refused):
            assert f"in use by process {first.pid}; wait for it" in refused
        first.kill()
        first.wait()
        with process(tmp_path / "w", locks) as (_, taken):
            assert taken == "held"
    with process(tmp_path / "w", locks) as (_, again):
        assert again == "held"


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    lock = lock_folder(tmp_path / "w")
    (tmp_path / "w" / "lock").unlink()
    (tmp_path / "w").rmdir()
    other = lock_folder(tmp_path / "w")
    with pytest.raises(OutputError, match="in use by process"):
        lock_folder(tmp_path / "w")
    other.release()
    lock.release()


def test_a_folder_whose_parent_is_missing_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lock_folder(tmp_path / "none" / "w")


def test_a_lock_of_other_bytes_is_taken_over(tmp_path: Path) -> None:
    """What a crash of the file system leaves in the file says nothing."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "lock").write_bytes(b"\xb2\0 \xff")
    with process(tmp_path / "w", "with") as (_, said):
        assert said == "held"
