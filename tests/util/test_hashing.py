from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vinpaint_cli.util import hashing
from vinpaint_cli.util.hashing import file_sha256, files_sha256


def test_a_file_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "CHUNK", 4)
    path = tmp_path / "a"
    path.write_bytes(b"123456789")
    pieces: list[int] = []
    assert file_sha256(path, pieces.append) == hashlib.sha256(b"123456789").hexdigest()
    assert pieces == [4, 4, 1]


def test_files_count_with_their_names_and_borders(tmp_path: Path) -> None:
    def digest(**contents: str) -> str:
        for name, content in contents.items():
            (tmp_path / name).write_text(content)
        return files_sha256([tmp_path / name for name in contents])

    assert digest(a="12", b="3") == hashlib.sha256(b"a\x002\x0012b\x001\x003").hexdigest()
    others = [digest(a="1", b="23"), digest(a="12", c="3"), digest(b="3", a="12"), digest(a="12", b="3")]
    assert len(set(others)) == 4
