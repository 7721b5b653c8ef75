"""What is printed: names and metadata come from anywhere, and a terminal obeys what is in them."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from clip_factory import make_clip, png_bytes
from helpers_cli import BOX, Ended, Runner

# Clears the screen, sets the title, forges a line, overwrites one, and turns the direction of writing.
EVIL = "\x1b[2J\x1b]0;owned\x07\nsize        9x9\rcontainer \x9b31m \u202eog\u2066"


def check_plain(ended: Ended) -> None:
    """Nothing but text and ends of lines was printed."""
    found = {sign for sign in ended.out + ended.err if unicodedata.category(sign) in ("Cc", "Cf", "Cs")}
    assert found <= {"\n"}, found


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    name = EVIL.replace("/", "") + ".mkv"
    metadata = {"title": EVIL, "comment": "plain"}
    return make_clip(tmp_path / name, frames=3, codec="ffv1", metadata=metadata, audio="flac")


def test_info_prints_one_line_for_each_thing(vinpaint: Runner, evil: Path) -> None:
    ended = vinpaint("info", evil, "--scan")
    assert ended.code == 0, ended.err
    check_plain(ended)
    assert len(re.findall("^size ", ended.out, re.MULTILINE)) == 1
    assert "size        64x48" in ended.out
    assert r"\x1b[2J\x1b]0;owned\x07\nsize        9x9\rcontainer \x9b31m \u202eog\u2066" in ended.out
    assert vinpaint("info", evil, "--json").json["path"] == str(evil)


def test_errors_and_results_print_names_escaped(vinpaint: Runner, evil: Path) -> None:
    for arguments in (
        ["info", evil.with_suffix(".gone")],
        ["remove", evil, "--mask", evil.with_suffix(".gone")],
        ["remove", evil, "--box", BOX, "--track", EVIL, "-v"],
        ["remove", evil, "--box", BOX, "-v"],
        ["batch", evil, "--box", "99,99,9,9", "-o", evil.parent / "{stem}.none.mkv"],
        ["batch", evil, "--box", BOX, "--dry-run"],
        ["weights", "verify", EVIL],
    ):
        ended = vinpaint(*arguments)
        assert "internal error" not in ended.err
        check_plain(ended)


def test_names_that_are_no_text(vinpaint: Runner, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", frames=3, codec="ffv1")
    strange = path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mkv"))
    assert vinpaint("info", strange).code == 0
    ended = vinpaint("remove", strange, "--box", BOX)
    assert ended.code == 0, ended.err
    assert vinpaint("remove", strange, "--box", BOX, "--json", "-y").code == 0


def test_names_in_tables_of_markdown_are_names(vinpaint: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "a|b <b>[x](y)\n# z"
    folder.mkdir()
    for index in range(4):
        (folder / f"{index}.png").write_bytes(png_bytes(np.full((48, 64, 3), 40 * index, np.uint8)))
    ended = vinpaint(
        "evaluate", tmp_path, "--method", "nearest", "--size", "64x48", "--report", tmp_path / "r"
    )
    assert ended.code == 0, ended.err
    table = (tmp_path / "r" / "table.md").read_text()
    assert r"| a\|b \<b>\[x\](y)\\n# z |" in table
    assert "\n# z" not in table
