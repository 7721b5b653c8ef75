"""What a journal keeps when its file is torn."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.resume.journal import read_journal


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    journal = read_journal(tmp_path / "j")
    assert journal.entries == []
    journal.append(part="über\n\udcff.mkv")
    journal.append(segment=3, fit={"frames": None})
    again = read_journal(tmp_path / "j").entries
    assert again == journal.entries == [{"part": "über\n\udcff.mkv"}, {"segment": 3, "fit": {"frames": None}}]


@given(cut=st.integers(0, 60))
def test_a_torn_end_costs_that_line_alone(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    journal = read_journal(path)
    for number in range(3):
        journal.append(segment=number)
    data = path.read_bytes()
    cut = min(cut, len(data))
    path.write_bytes(data[:cut])
    whole = data[:cut].count(b"\n")
    assert len(read_journal(path, repairs=False).entries) == whole
    assert path.read_bytes() == data[:cut]
    torn = read_journal(path)
    assert torn.entries == journal.entries[:whole]
    torn.append(segment=9)
    assert read_journal(path).entries == [*journal.entries[:whole], {"segment": 9}]


@pytest.mark.parametrize("line", [b"\0\0\0\0\n", b'{"segment": \n', b"[1]\n", b"\xff\xfe\n"])
def test_a_line_that_is_none_ends_the_journal(tmp_path: Path, line: bytes) -> None:
    journal = read_journal(tmp_path / "j")
    journal.append(segment=0)
    with open(tmp_path / "j", "ab") as file:
        file.write(line + b'{"segment": 1}\n')
    assert read_journal(tmp_path / "j").entries == [{"segment": 0}]
