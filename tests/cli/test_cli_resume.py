"""Runs that are killed, stopped or refused, and what the same command makes of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clip_factory import make_clip
from helpers_cli import BOX, Runner, names

from vinpaint_cli.removal import run as engine
from vinpaint_cli.types import Frame

TESTS = Path(__file__).parent.parent
QUICK = ("--method", "telea", "--no-propagate")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of nine frames at most."""
    monkeypatch.setattr("vinpaint_cli.pipeline.plan.LONGEST_SEGMENT", 9)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "film.mp4", frames=20, audio="aac")


def stop_at(monkeypatch: pytest.MonkeyPatch, index: int) -> None:
    """Press Ctrl-C when the frame of this number has been composed."""
    whole = engine.composed_frames

    def stopping(*arguments: Any) -> Iterator[Frame]:
        for frame in whole(*arguments):
            if frame.index == index:
                signal.raise_signal(signal.SIGINT)
            yield frame

    monkeypatch.setattr(engine, "composed_frames", stopping)


def stop(vinpaint: Runner, monkeypatch: pytest.MonkeyPatch, index: int, *arguments: object) -> str:
    """What a run says that is stopped at a frame."""
    with monkeypatch.context() as patched:
        stop_at(patched, index)
        ended = vinpaint("remove", *arguments, *QUICK, "--box", BOX)
    assert ended.code == 130
    return ended.lines[-1]


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.1])
def test_however_often_ctrl_c_is_pressed_it_is_130(film: Path, delay: float) -> None:
    """Over the whole end of a real process: while it tidies up, tells, and goes."""
    command = [sys.executable, "-m", "vinpaint_cli", "remove", str(film), "--box", BOX]
    work = film.parent / ".film.vinpaint.mp4.work"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not work.exists():
            assert process.poll() is None
            time.sleep(0.005)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(delay)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: stopped")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked from a process that has the libraries")
@pytest.mark.parametrize(
    ("name", "kills", "options"), [("out.mp4", 20, QUICK), ("out.mkv", 3, ()), ("out", 3, ())]
)
def test_killed_runs_go_on_to_the_same_bytes(
    tmp_path: Path, name: str, kills: int, options: tuple[str, ...]
) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=40 if options else 12, audio="aac")
    folder = tmp_path / "results"
    folder.mkdir()
    driver = [sys.executable, str(TESTS / "cli" / "killed_runs.py")]
    arguments = [str(clip), str(folder / name), str(kills), "--box", BOX, *options]
    ended = subprocess.run(
        [*driver, *arguments], capture_output=True, text=True, check=False, cwd=TESTS.parent
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(lines) == kills
    for line in lines:
        assert line["killed"] == -signal.SIGKILL
        assert (line["code"], line["same"]) == (0, True), line
        assert line["after"] == sorted([name, "told.json"]), line
        assert line["segments"] > 1


def test_a_stopped_run_says_how_to_go_on(
    vinpaint: Runner, film: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = film.parent / "out.mkv"
    line = stop(vinpaint, monkeypatch, 10, film, "-o", out)
    work = film.parent / ".out.mkv.work"
    assert line == f"error: stopped; 3 of 4 segments are kept in {work}; the same command goes on from there"
    assert names(film.parent) == [".out.mkv.work", "film.mp4"]
    told = vinpaint("remove", film, "-o", out, *QUICK, "--box", BOX, "--dry-run", "--json")
    assert (told.json["segments_reused"], told.json["work"]) == (3, str(work))
    ended = vinpaint("remove", film, "-o", out, *QUICK, "--box", BOX, "--json")
    assert ended.code == 0
    assert ended.lines[0] == f"going on: 3 of 4 segments are there, from {work}"
    assert (ended.json["segments_reused"], ended.json["work"]) == (3, None)
    assert names(film.parent) == ["film.mp4", "out.mkv"]


def test_an_output_that_was_whole_when_its_run_was_killed_is_a_success(
    vinpaint: Runner, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["remove", film, "-o", film.parent / "out.mkv", *QUICK, "--box", BOX]
    with monkeypatch.context() as patched:
        patched.setattr("vinpaint_cli.resume.work_folder.discard", lambda _: None)
        assert vinpaint(*arguments).code == 0
    assert names(film.parent) == [".out.mkv.work", "film.mp4", "out.mkv"]
    ended = vinpaint(*arguments)
    assert ended.code == 0
    assert "out.mkv is whole: the run before was stopped" in ended.err
    assert names(film.parent) == ["film.mp4", "out.mkv"]
    assert vinpaint(*arguments).code == 6


def test_another_option_is_refused_by_name(
    vinpaint: Runner, film: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(vinpaint, monkeypatch, 10, film)
    again = ["remove", film, *QUICK, "--box", BOX]
    for options, word in (
        (["--feather", "7"], "--feather was not given, is 7"),
        (["--crf", "30"], "--crf was not given, is 30"),
        (["--box", "1,1,8,8"], f"--box was {BOX}, is {BOX} and 1,1,8,8"),
        (["--memory", "2G"], "--memory was not given, is 2G"),
    ):
        ended = vinpaint(*again, *options)
        assert ended.code == 2
        assert word in ended.err
        assert "--no-resume" in ended.err
    fresh = vinpaint(*again, "--feather", "7", "--no-resume", "--json")
    assert (fresh.code, fresh.json["segments_reused"]) == (0, 0)


def test_resume_demands_something_to_go_on_with(vinpaint: Runner, film: Path) -> None:
    ended = vinpaint("remove", film, *QUICK, "--box", BOX, "--resume")
    assert ended.code == 2
    assert "nothing to go on with" in ended.err
    assert names(film.parent) == ["film.mp4"]


def test_work_is_kept_where_it_is_asked_for(vinpaint: Runner, film: Path, tmp_path: Path) -> None:
    arguments = ["remove", film, *QUICK, "--box", BOX, "--work-dir", tmp_path / "w", "--json", "-y"]
    told = vinpaint(*arguments, "--keep-work").json
    (folder,) = (tmp_path / "w").iterdir()
    assert told["work"] == str(folder)
    assert folder.name.startswith("film.vinpaint.mp4.")
    first = Path(told["output"]).read_bytes()
    told = vinpaint(*arguments, "--resume").json
    assert told["segments_reused"] == told["segments"] == 1
    assert Path(told["output"]).read_bytes() == first
    assert names(tmp_path / "w") == []


def test_a_folder_that_cannot_be_made_is_said(vinpaint: Runner, film: Path, tmp_path: Path) -> None:
    (tmp_path / "w").write_text("a file")
    assert vinpaint("remove", film, *QUICK, "--box", BOX, "--work-dir", "").code == 2
    for folder in (tmp_path / "w", tmp_path / "no" / "w"):
        ended = vinpaint("remove", film, *QUICK, "--box", BOX, "--work-dir", folder)
        assert ended.code == 6
        assert len(ended.lines) == 1
        assert str(folder) in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_process_soon(tmp_path: Path, number: signal.Signals) -> None:
    film = make_clip(tmp_path / "film.mp4", frames=300, size=(160, 120))
    command = [sys.executable, "-m", "vinpaint_cli", "remove", str(film), "--box", BOX]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=TESTS.parent)
    while not list(tmp_path.glob(".film.*.part.mp4")):
        assert process.poll() is None
        time.sleep(0.02)
    start = time.perf_counter()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("error: stopped; ")
    assert time.perf_counter() - start < 10  # two seconds on a machine of one's own
    assert not list(tmp_path.glob(".film.*.part.mp4"))
