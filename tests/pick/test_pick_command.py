"""``vinpaint pick``: how it begins, what it prints, how it ends."""

from __future__ import annotations

import json
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from helpers_pick import Sitting

from vinpaint_cli.cli.app import run
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.pick import serve


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses a browser was opened at; a page that is opened is left by its button at once."""
    found: list[str] = []

    def visit(address: str) -> bool:
        found.append(address)
        threading.Thread(target=lambda: urlopen(Request(address + "done", b"{}"), timeout=20).read()).start()
        return True

    monkeypatch.setattr(webbrowser, "open", visit)
    return found


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line


def test_the_command_is_on_stdout_and_the_address_on_stderr(
    sitting: Sitting, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    sitting.mark("click", 3, 10, 8)
    serve(Console(), sitting.bench, 0, browser=True, as_json=False)
    out, err = capsys.readouterr()
    assert out == "vinpaint remove clip.mkv --click 10,8@f3\n"
    assert opened == [err.split()[4]]


def test_json_comes_in_two_lines(
    sitting: Sitting, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(Console(), sitting.bench, 0, browser=True, as_json=True)
    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"address": opened[0]}
    assert last == {"command": None, "masks": None, "marks": []}


def test_ctrl_c_ends_it_with_the_command(
    sitting: Sitting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_: float) -> bool:
        raise KeyboardInterrupt

    sitting.mark("click", 0, 4, 8)
    monkeypatch.setattr(sitting.bench.ended, "wait", stopped)
    serve(Console(), sitting.bench, 0, browser=False, as_json=False)
    assert capsys.readouterr().out == "vinpaint remove clip.mkv --click 4,8@f0\n"


def test_no_browser_is_no_error(
    sitting: Sitting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(_: str) -> bool:
        sitting.bench.ended.set()
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "open", none)
    serve(Console(), sitting.bench, 0, browser=True, as_json=False)
    assert "http://127.0.0.1:" in capsys.readouterr().err


def test_what_cannot_be_picked_from_is_told_before_any_page(
    clip: Callable[..., Path], capsys: pytest.CaptureFixture[str], opened: list[str], sitting: Sitting
) -> None:
    film = clip("film.mp4", frames=3)
    there = film.with_name("there.mkv")
    there.write_bytes(b"mine")
    port = str(sitting.server.port)
    for arguments, code, part in (
        (["missing.mp4"], 3, "missing.mp4"),
        ([str(there)], 3, "there.mkv"),
        ([str(film), "-o", str(there)], 6, "exists"),
        ([str(film), "-o", str(film), "-y"], 3, "the input itself"),
        ([str(film), "-o", "masks.png"], 2, "single picture"),
        ([str(film), "--segmenter", "nobody"], 2, "nobody"),
        ([str(film), "--track", "nobody"], 2, "nobody"),
        ([str(film), "--port", port], 2, f"port {port}"),
    ):
        assert run(["pick", *arguments]) == code
        assert part in one_line(capsys)
    assert opened == []
    assert there.read_bytes() == b"mine"


def test_from_the_command_line_to_the_end(
    clip: Callable[..., Path], opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    film = clip("film.mp4", frames=3)
    assert run(["pick", str(film), "--segmenter", "grabcut"]) == 0
    out, err = capsys.readouterr()
    assert (out, len(opened)) == ("", 1)
    assert "nothing was pointed at" in err
