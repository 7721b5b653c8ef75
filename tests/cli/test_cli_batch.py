"""``vinpaint batch``: what fails fails alone, what is wrong is told first, and scripts can read it all."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clip_factory import make_clip, truncate
from helpers_cli import Runner, names

from vinpaint_cli.cli.console import Console

QUICK = ["--box", "4,4,8,8", "--method", "telea", "--no-propagate"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``a.mp4``, ``b.mp4`` and ``c.mp4`` of three frames."""
    first = make_clip(tmp_path / "a.mp4", frames=3, size=(48, 32))
    for name in ("b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(first.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts bytes on standard input."""

    def put(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return put


def mask_picture(path: Path, size: tuple[int, int]) -> None:
    hole = np.zeros((size[1], size[0]), np.uint8)
    hole[6:14, 6:14] = 255
    cv2.imwrite(str(path), hole)


def zero_frames(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        output.start_encoding()


def test_fifty_clips_five_of_them_broken(vinpaint: Runner, tmp_path: Path) -> None:
    clips, masks = tmp_path / "clips of the day", tmp_path / "masks"
    clips.mkdir()
    masks.mkdir()
    whole = make_clip(tmp_path / "whole.mp4", frames=3, size=(48, 32)).read_bytes()
    odd = [
        "ünï çödé.mp4",
        "two  spaces.mp4",
        'quote\'s "x".mp4',
        "日本語.mp4",
        "new\nline.mp4",
        "-dash.mp4",
        "50%.mp4",
    ]
    every = odd + [f"clip{index}.mp4" for index in range(50 - len(odd))]
    for name in every:
        (clips / name).write_bytes(whole)
        mask_picture(masks / f"{name.removesuffix('.mp4')}.png", (48, 32))
    truncate(clips / "clip3.mp4", 0.6)
    (clips / "clip7.mp4").write_bytes(b"")
    (clips / "clip11.mp4").write_text("words, no pictures\n" * 40)
    zero_frames(clips / "clip19.mp4")
    mask_picture(masks / "clip23.png", (40, 32))
    broken = {f"clip{index}.mp4": 3 for index in (3, 7, 11, 19, 23)}

    ended = vinpaint(
        "batch", clips, "--mask-dir", masks, "--method", "telea", "--no-propagate", "--json",
        "--output-dir", tmp_path / "out", "--report", tmp_path / "rep",
    )  # fmt: skip
    assert ended.code == 7
    found = ended.json
    assert (found["done"], found["failed"], found["skipped"], found["not_run"]) == (45, 5, 0, 0)
    failed = {Path(job["input"]).name: job["exit_code"] for job in found["jobs"] if job["status"] == "failed"}
    assert failed == broken
    assert sorted(names(tmp_path / "out")) == sorted(set(every) - set(broken))
    told = [line for line in ended.lines if line.startswith("error: [")]
    assert len(told) == 5
    assert all(sum(name in line for line in told) == 1 for name in broken)
    assert ended.lines[-1].startswith("error: 5 of 50 jobs failed; ")
    lines = (tmp_path / "rep" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(50))
    page = (tmp_path / "rep" / "index.html").read_text(encoding="utf-8")
    assert "50 jobs: 45 done, 5 failed" in page
    assert page.count("<img ") == 45


def test_with_fail_fast_the_rest_is_not_run(vinpaint: Runner, place: Path) -> None:
    (place / "b.mp4").write_bytes(b"")
    ended = vinpaint("batch", ".", *QUICK, "--json", "--fail-fast")
    assert ended.code == 7
    assert [job["status"] for job in ended.json["jobs"]] == ["done", "failed", "not run"]
    assert ended.lines[-1] == (
        "error: 1 of 3 jobs failed, 1 were not run; "
        "the same command with --skip-existing and without --fail-fast does the rest"
    )
    again = vinpaint("batch", ".", *QUICK, "--json", "--skip-existing")
    assert [job["status"] for job in again.json["jobs"]] == ["skipped", "failed", "done"]


def test_a_batch_that_works(vinpaint: Runner, place: Path) -> None:
    ended = vinpaint("batch", "a.mp4", "c.mp4", *QUICK, "-o", "{stem} clean.mkv")
    assert (ended.code, ended.out) == (0, "")
    assert ended.lines[0].startswith("[1/2] a.mp4 → a clean.mkv, 3 frames, ")
    assert ended.lines[-1].startswith("2 jobs: 2 done; ")
    assert any(line.split()[:3] == ["2", "c.mp4", "done"] for line in ended.lines)
    assert names(place) == ["a clean.mkv", "a.mp4", "b.mp4", "c clean.mkv", "c.mp4"]
    assert vinpaint("batch", "a.mp4", *QUICK, "-o", "{stem} clean.mkv", "-q", "--skip-existing").err == ""


def test_quiet_says_only_errors(vinpaint: Runner, place: Path) -> None:
    (place / "b.mp4").write_bytes(b"")
    ended = vinpaint("batch", ".", *QUICK, "-q")
    assert [line.partition(" ")[0] for line in ended.lines] == ["error:", "error:"]
    assert ended.lines[0].startswith("error: [2/3] b.mp4: ")


def test_mistakes_come_before_any_work(vinpaint: Runner, place: Path) -> None:
    (place / "jobs.toml").write_text(
        '[[job]]\ninput = "a.mp4"\nbox = "4,4,8,8"\n[[job]]\ninput = "gone.mp4"\nbocks = 3\n'
    )
    before = names(place)
    ended = vinpaint("batch", "jobs.toml", "--report", "rep", "--output-dir", "new", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert [line[:21] for line in ended.lines] == [
        "error: jobs.toml:4: n", "error: jobs.toml:5: g", "error: jobs.toml:6: u", "error: 3 mistakes in "
    ]  # fmt: skip
    assert names(place) == before


def test_what_is_there_is_not_overwritten(vinpaint: Runner, place: Path) -> None:
    (place / "a.vinpaint.mp4").write_text("mine")
    ended = vinpaint("batch", ".", *QUICK)
    assert ended.code == 2
    assert "a.vinpaint.mp4 exists; give -y to overwrite it, or --skip-existing" in ended.lines[0]
    assert vinpaint("batch", ".", *QUICK, "-y").code == 0
    assert (place / "a.vinpaint.mp4").read_bytes()[4:8] == b"ftyp"


def test_jobs_on_standard_input(vinpaint: Runner, place: Path, feed: Callable[[bytes], None]) -> None:
    feed(b'b.mp4\n{"input": "a.mp4", "output": "x.mp4", "box": ["1,1,4,4", "9,9,4,4"]}\n')
    ended = vinpaint("batch", "-", *QUICK, "--dry-run", "--json")
    assert ended.code == 0
    first, second = ended.json["jobs"]
    assert (first["line"], first["input"], first["output"]) == ("stdin:1", "b.mp4", "b.vinpaint.mp4")
    assert second["options"] == {"box": ["1,1,4,4", "9,9,4,4"], "method": "telea", "propagate": False}
    assert names(place) == ["a.mp4", "b.mp4", "c.mp4"]
    assert "2 jobs; nothing was written" in ended.lines[-1]


def test_stdin_that_is_a_terminal_is_not_waited_for(
    vinpaint: Runner, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    ended = vinpaint("batch", "-", *QUICK)
    assert ended.code == 2
    assert "pipe one in" in ended.lines[0]


USAGE = [
    ([], "JOBS"),
    (["a.mp4", "--jobs", "0"], "--jobs"),
    (["a.mp4", "--report", "."], "no earlier report"),
    (["*.avi"], "no clip matches"),
]


@pytest.mark.parametrize(("arguments", "part"), USAGE)
def test_usage(vinpaint: Runner, place: Path, arguments: list[str], part: str) -> None:
    ended = vinpaint("batch", *arguments, *QUICK)
    assert ended.code in (2, 6)
    assert part in ended.lines[0]


def test_two_processes_do_the_same(vinpaint: Runner, place: Path) -> None:
    assert vinpaint("batch", ".", *QUICK, "--output-dir", "one").code == 0
    ended = vinpaint("batch", "a.mp4", "c.mp4", *QUICK, "--output-dir", "two", "--jobs", "2", "--json")
    assert ended.code == 0
    for name in ("a.mp4", "c.mp4"):
        assert (place / "one" / name).read_bytes() == (place / "two" / name).read_bytes()


def test_a_report_that_cannot_be_written_ends_the_batch(
    vinpaint: Runner, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, result: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vinpaint_cli.batch.report.json.dumps", full)
    ended = vinpaint("batch", ".", *QUICK, "--report", "rep")
    assert ended.code in (1, 6)


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_ends_all_and_says_how_to_go_on(tmp_path: Path, processes: int) -> None:
    first = make_clip(tmp_path / "a.mp4", frames=120, size=(320, 240))
    for name in ("b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(first.read_bytes())
    command = [sys.executable, "-m", "vinpaint_cli", "batch", ".", "--box", "100,80,60,60", "--report", "rep"]
    options = ["--jobs", str(processes)]
    with subprocess.Popen(
        [*command, *options], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        limit = time.monotonic() + 120
        while not list(tmp_path.glob(".*.work")) and time.monotonic() < limit:
            time.sleep(0.05)
        start = time.monotonic()
        os.killpg(run.pid, signal.SIGINT)
        assert run.stderr is not None
        said = run.stderr.read()  # to its end: no process keeps it open
    assert run.returncode == 130
    assert time.monotonic() - start < 30  # two seconds on a machine that is not busy otherwise
    last = said.splitlines()[-1]
    assert last.startswith(
        "error: stopped with 0 of 3 jobs done; to go on give the same command with --skip-existing"
    )
    assert "Traceback" not in said
    assert "3 not run" in (tmp_path / "rep" / "index.html").read_text()
    assert not list(tmp_path.glob("*.vinpaint.mp4"))


def test_help_names_the_formats(vinpaint: Runner) -> None:
    text = " ".join(vinpaint("batch", "--help").out.split())
    for word in ("TOML", "CSV", "JSON lines", "--keep-going", "--skip-existing", "{stem}"):
        assert word in text


def test_the_console_is_not_asked(vinpaint: Runner, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Console, question: str) -> bool:
        raise AssertionError(question)

    monkeypatch.setattr(Console, "ask", refuse)
    (place / "a.vinpaint.mp4").touch()
    assert vinpaint("batch", ".", *QUICK).code == 2
    assert vinpaint("batch", ".", *QUICK, "--skip-existing").code == 0
