"""``vinpaint remove``: what it writes, what it says and where, and how it can be stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_factory import make_clip, png_bytes, texture
from helpers_cli import BOX, Runner, names

from vinpaint_cli.cli.console import Console
from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.removal import run as engine
from vinpaint_cli.video.source.read import open_source


def planes(path: Path) -> list[np.ndarray]:
    return [frame.native.to_ndarray() for frame in open_source(path).frames()]


def test_only_the_box_changes_and_stdout_stays_empty(vinpaint: Runner, film: Path) -> None:
    out = film.parent / "out.mkv"
    ended = vinpaint("remove", film, "-o", out, "--box", BOX, "--feather", "0", "--codec", "ffv1")
    assert (ended.code, ended.out) == (0, "")
    assert ended.lines[-1].startswith(f"{out}: hole filled on 6 of 6 frames")
    before, after = planes(film), planes(out)
    assert len(before) == len(after) == 6
    for old, new in zip(before, after, strict=True):
        changed = np.argwhere(old[:48] != new[:48])
        assert changed.size
        assert changed.min(axis=0).tolist() >= [16, 20]
        assert changed.max(axis=0).tolist() <= [27, 35]


def test_json_is_one_object_that_accounts_for_every_hole_pixel(vinpaint: Runner, film: Path) -> None:
    ended = vinpaint("remove", film, "--box", f"{BOX}@f1-f4", "--json")
    assert ended.code == 0, ended.err
    told = ended.json
    assert told["output"] == str(film.with_name("film.vinpaint.mp4"))
    assert Path(told["output"]).is_file()
    assert (told["frames"], told["hole_frames"], told["hole_pixels"]) == (6, 3, 3 * 16 * 12)
    assert told["by_propagation"] + told["by_method"] == pytest.approx(1, abs=1e-3)
    assert (told["method"], told["weights"], told["device"]) == ("propagate", None, "cpu")
    assert {"scan", "propagate", "encode"} <= set(told["seconds"])
    assert told["peak_memory"] > 1 << 20
    assert told["warnings"] == []


def test_masks_and_boxes_unite(vinpaint: Runner, film: Path) -> None:
    hole = np.zeros((48, 64), np.uint8)
    hole[4:8, 4:10] = 255
    mask = film.parent / "mask.png"
    mask.write_bytes(png_bytes(hole))
    options = ["--mask", mask, "--box", "40,30,5,5", "--box", "50%,50%,4,4", "--dilate", 0, "--json"]
    told = vinpaint("remove", film, *options, "-q").json
    assert told["hole_pixels"] == 6 * (4 * 6 + 25 + 16)


def test_quiet_says_nothing_and_verbose_says_more(vinpaint: Runner, film: Path) -> None:
    quiet = vinpaint("remove", film, "--box", BOX, "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    loud = vinpaint("remove", film, "--box", BOX, "-v", "-y")
    assert any(line.startswith("seconds: load") for line in loud.lines)
    assert vinpaint("remove", film, "--box", BOX, "-q", "-v").code == 2


def test_an_empty_mask_copies_the_file_and_says_so(vinpaint: Runner, film: Path) -> None:
    mask = film.parent / "mask.png"
    mask.write_bytes(png_bytes(np.zeros((48, 64), np.uint8)))
    out = film.parent / "out.mp4"
    ended = vinpaint("remove", film, "--mask", mask, "-o", out)
    assert ended.code == 0
    assert out.read_bytes() == film.read_bytes()
    assert any("the mask is empty" in line for line in ended.lines)


def test_a_folder_of_pictures_comes_in_and_goes_out(vinpaint: Runner, pictures: Any, tmp_path: Path) -> None:
    folder = pictures("frames", 4)
    ended = vinpaint("remove", folder, "-o", tmp_path / "done", "--box", "4,4,8,8", "--json")
    assert ended.code == 0, ended.err
    assert names(tmp_path / "done") == names(folder)


def test_an_output_that_exists_is_kept(vinpaint: Runner, film: Path) -> None:
    out = film.parent / "out.mp4"
    out.write_text("precious")
    for answer in ([], ["-n"]):
        ended = vinpaint("remove", film, "-o", out, "--box", BOX, *answer)
        assert ended.code == 6
        assert ended.lines == [f"error: {out} exists; give -y to overwrite it or another name with -o"]
    assert out.read_text() == "precious"
    assert vinpaint("remove", film, "-o", out, "--box", BOX, "-y", "-n").code == 2
    assert vinpaint("remove", film, "-o", out, "--box", BOX, "-y").code == 0
    assert len(planes(out)) == 6


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 6)])
def test_a_person_at_a_terminal_is_asked(
    vinpaint: Runner, film: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Console, "ask", lambda self, question: asked.append(question) or answer)
    out = film.parent / "out.mp4"
    assert vinpaint("remove", film, "-o", out, "--box", BOX).code == 0
    assert asked == []
    assert vinpaint("remove", film, "-o", out, "--box", BOX).code == code
    assert asked == [f"{out} exists; overwrite it?"]


def test_nobody_is_asked_without_a_terminal() -> None:
    assert Console().ask("really?") is False


def test_preview_draws_and_stops(vinpaint: Runner, film: Path) -> None:
    sheet = film.parent / "sheet.png"
    ended = vinpaint("remove", film, "--box", BOX, "--preview", sheet, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["shown"] == [0, 1, 2, 3, 4, 5]
    assert names(film.parent) == ["film.mp4", "sheet.png"]
    assert vinpaint("remove", film, "--box", BOX, "--preview", sheet).code == 6


def test_dry_run_tells_the_plan_and_writes_nothing(vinpaint: Runner, film: Path) -> None:
    ended = vinpaint("remove", film, "--box", f"{BOX}@f2-f5", "--memory", "2G", "--dry-run", "--json")
    assert ended.code == 0, ended.err
    plan = ended.json
    assert names(film.parent) == ["film.mp4"]
    assert (plan["frames"], plan["hole_frames"], plan["memory"]) == (6, 3, 2 << 30)
    assert plan["shots"][0][0] == 0
    assert plan["shots"][-1][1] == 6
    assert [segment["core"] for segment in plan["segments"]] == [[2, 5]]
    region = plan["segments"][0]["region"]
    assert region["x"] <= 20
    assert region["x"] + region["width"] >= 36
    assert plan["estimated_total"] == pytest.approx(sum(plan["estimated_seconds"].values()), abs=0.2)
    assert plan["estimated_seconds"]["propagate"] > 0
    assert "texture" in plan["estimated_seconds"]
    assert any("an estimate" in line for line in ended.lines)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_default_outputs_of_folders_and_of_files_without_a_suffix(
    vinpaint: Runner, film: Path, monkeypatch: pytest.MonkeyPatch, dry: tuple[str, ...]
) -> None:
    folder = film.parent / "frames.v2"
    folder.mkdir()
    for index in range(2):
        (folder / f"{index}.png").write_bytes(png_bytes(texture(index, 64, 48)))
    film.rename(film.parent / "film")
    monkeypatch.chdir(folder)
    made = (
        ("../film", "film.vinpaint.mkv"),
        (".", "frames.v2.vinpaint"),
        ("../frames.v2", "frames.v2.vinpaint"),
    )
    for given, name in made:
        ended = vinpaint("remove", given, "--box", BOX, "-y", *dry)
        assert ended.code == 0, ended.err
        assert any(name in line for line in ended.lines)
    there = ["film", "frames.v2"] if dry else ["film", "film.vinpaint.mkv", "frames.v2", "frames.v2.vinpaint"]
    assert names(film.parent) == there


def test_times_count_from_the_first_frame_wherever_the_file_begins(vinpaint: Runner, tmp_path: Path) -> None:
    pts = [1000 + 4 * index for index in range(8)]
    film = make_clip(tmp_path / "late.mkv", codec="ffv1", time_base=Fraction(1, 100), pts=pts)
    for options in (("--box", f"{BOX}@0.08-0.2"), ("--box", BOX, "--start", "0.08", "--end", "0.2")):
        ended = vinpaint("mask", film, *options, "-o", tmp_path / "mask.mkv", "-y", "--json")
        assert ended.json["hole_frames"] == 3
        assert any("begin at 10.000 s; those given count from its first" in line for line in ended.lines)
    assert "begin at" not in vinpaint("mask", film, "--box", f"{BOX}@f2-f5", "-o", tmp_path / "m.mkv").err


def test_dry_run_says_that_weights_are_missing(vinpaint: Runner, film: Path) -> None:
    asked = ("--method", "sttn", "--weights", "sttn-official")
    ended = vinpaint("remove", film, "--box", BOX, *asked, "--dry-run")
    assert ended.code == 0
    assert any("vinpaint weights pull sttn-official" in line for line in ended.lines)


def test_a_completer_whose_weights_are_missing_is_refused_before_anything_is_done(
    vinpaint: Runner, film: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for further in ((), ("--dry-run",)):
        ended = vinpaint("remove", film, "--box", BOX, "--complete", "lama", *further)
        assert ended.code == WeightsError.exit_code
        assert "run `vinpaint weights pull lama`" in ended.lines[-1]
    ended = vinpaint("remove", film, "--box", BOX, "--complete", "lama", "--no-texture")
    assert ended.code == UsageError.exit_code
    assert "--no-texture leaves --complete lama nothing to do" in ended.lines[-1]
    assert not list(film.parent.glob("*.vinpaint*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("swallowed", [False, True])
def test_a_stopped_run_leaves_what_is_finished(
    vinpaint: Runner, film: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, swallowed: bool
) -> None:
    whole = engine.composed_frames

    def stopping(*arguments: Any) -> Iterator[Any]:
        for count, frame in enumerate(whole(*arguments)):
            if count == 3:
                try:
                    signal.raise_signal(number)
                except KeyboardInterrupt:
                    if not swallowed:
                        raise
            yield frame

    monkeypatch.setattr(engine, "composed_frames", stopping)
    before = signal.getsignal(number)
    ended = vinpaint("remove", film, "--box", BOX)
    assert ended.code == 130
    work = film.parent / ".film.vinpaint.mp4.work"
    kept = f"1 of 1 segments are kept in {work}; the same command goes on from there"
    assert ended.lines == [f"error: stopped; {kept}"]
    assert names(film.parent) == [work.name, "film.mp4"]
    assert signal.getsignal(number) is before


def test_rotated_clips_are_addressed_as_displayed(vinpaint: Runner, tmp_path: Path) -> None:
    film = make_clip(tmp_path / "turned.mp4", frames=4, rotation=90)
    ended = vinpaint("remove", film, "--box", "10,50,8,8", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["hole_pixels"] == 4 * 64
    assert vinpaint("remove", film, "--box", "50,10,8,8", "-y").code == 3
