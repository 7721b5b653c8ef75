from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from vinpaint_cli.util.atomic_write import atomic_write


def test_it_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert temporary.name.startswith(".")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.json"
    path.write_text("before")

    def fails() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fails()
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.json"]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("fsync"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("replace"), replace(*paths)))
    with atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert done == ["fsync", "replace", "fsync"][: 3 if os.name == "posix" else 2]


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    def writes() -> None:
        with atomic_write(tmp_path / "none" / "a") as temporary:
            temporary.write_text("x")

    with pytest.raises(FileNotFoundError):
        writes()


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def files_alone(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", files_alone)
    with atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
