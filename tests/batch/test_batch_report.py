"""The report: results as they come, a page that stands alone, pictures of the right frame."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from clip_factory import make_clip, png_bytes
from PIL import Image

from vinpaint_cli.batch.local import LocalRunner
from vinpaint_cli.batch.report import GAP, BatchReport, check_report, draw_result, page, side_by_side
from vinpaint_cli.batch.runner import BatchJob, JobResult, run_batch
from vinpaint_cli.errors import Interrupted, OutputError

Jobs = tuple[BatchJob, ...]


class Reader(HTMLParser):
    """Collects addresses and checks that what is opened is closed."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_whole_report(jobs: Jobs, folder: Path) -> None:
    Path(jobs[1].input).write_text("no video")
    seen: list[tuple[int, bool]] = []
    with BatchReport("rep", jobs) as report:
        assert "3 to come" in Path("rep/index.html").read_text()

        def listen(result: JobResult) -> None:
            report.add(result)
            lines = Path("rep/results.jsonl").read_text().splitlines()
            seen.append((len(lines), json.loads(lines[-1])["index"] == result.index))

        run_batch(jobs, LocalRunner(keep_going=True), listen)
    assert seen == [(1, True), (2, True), (3, True)]
    text = Path("rep/index.html").read_text(encoding="utf-8")
    assert "3 jobs: 2 done, 1 failed" in text
    assert "http-equiv" not in text
    assert "ünï 3.mp4" in text
    found = Reader(text)
    assert all((folder / "rep" / name).is_file() for name in found.addresses if not name.startswith("#"))
    assert len([name for name in found.addresses if re.fullmatch(r"pictures/\w+\.jpg", name)]) == 4
    assert "#job1" in found.addresses
    assert "not a video that can be read" in text
    assert not re.search(r"https?:|<script|@import|url\(", text)
    names = sorted(path.name for path in (folder / "rep").iterdir())
    assert names == ["index.html", "pictures", "results.jsonl"]
    first, second, _ = (json.loads(line) for line in Path("rep/results.jsonl").read_text().splitlines())
    assert (first["status"], first["frames"], first["exit_code"]) == ("done", 3, 0)
    assert (second["status"], second["frames"], second["exit_code"]) == ("failed", 0, 3)


def test_markup_in_names_and_messages_is_text(jobs: Jobs) -> None:
    odd = replace(jobs[0], input='<b>&"\n\udcff.mp4', line="<i>.toml:3")
    result = JobResult(0, odd.input, "x", "failed", 3, "<script>alert(1)</script>", 1.0)
    text = page([odd], [result], {}, time.time(), time.time(), ended=True)
    Reader(text.encode("utf-8", "backslashreplace").decode())
    assert "<script>" not in text
    assert "<b>" not in text
    assert "&lt;i&gt;.toml:3" in text


def test_no_folder_is_no_report(jobs: Jobs, folder: Path) -> None:
    before = sorted(folder.iterdir())
    with BatchReport(None, jobs) as report:
        report.add(JobResult(0, "a", "b", "done", 0, "", 1.0))
    assert sorted(folder.iterdir()) == before


def test_a_skipped_job_has_its_picture_and_a_stopped_batch_its_page(jobs: Jobs) -> None:
    run_batch(jobs[:1], LocalRunner())
    skipped = JobResult(0, jobs[0].input, jobs[0].target, "skipped", 0, "", 0.0)
    with BatchReport("rep", jobs) as report:
        report.add(skipped)
    (picture,) = Path("rep/pictures").iterdir()
    text = Path("rep/index.html").read_text()
    assert "3 jobs: 1 skipped, 2 not run" in text
    with BatchReport("rep", jobs) as report:
        report.stop()
        report.add(skipped)
    assert "1 skipped" in Path("rep/index.html").read_text()
    stamp = picture.stat().st_mtime_ns
    with BatchReport("rep", jobs[:1]) as report:
        report.add(skipped)
    assert picture.stat().st_mtime_ns == stamp
    assert "frame 0, 0.00 s" in Path("rep/index.html").read_text()


def test_other_peoples_folders_are_left_alone(folder: Path) -> None:
    (folder / "mine").mkdir()
    check_report(folder / "mine")
    check_report(folder / "new")
    (folder / "mine" / "notes.txt").touch()
    for name in ("mine", "one.mp4"):
        with pytest.raises(OutputError):
            check_report(folder / name)
    (folder / "mine" / "results.jsonl").touch()
    check_report(folder / "mine")


def test_the_frame_with_the_largest_hole_is_drawn(folder: Path, jobs: Jobs) -> None:
    make_clip(folder / "long.mkv", frames=9, size=(96, 64), codec="ffv1")
    (folder / "masks").mkdir()
    for index in range(9):
        hole = np.zeros((64, 96), np.uint8)
        hole[10 : 14 + 3 * (index == 6), 20:30] = 255
        (folder / "masks" / f"{index}.png").write_bytes(png_bytes(hole))
    options = replace(
        jobs[0].options, mask=replace(jobs[0].options.mask, masks=("masks",), boxes=(), dilate=0)
    )
    job = replace(jobs[0], input="long.mkv", options=options)
    drawn = draw_result(job, "long.mkv", folder / "x.jpg", lambda: True)
    assert drawn is not None
    assert (drawn.frame, round(drawn.seconds, 2)) == (6, 0.24)
    with Image.open(folder / "x.jpg") as picture:
        assert picture.size == (drawn.width, drawn.height)
    with pytest.raises(Interrupted):
        draw_result(job, "long.mkv", folder / "x.jpg", lambda: False)
    nothing = replace(options, mask=replace(options.mask, start="f100"))
    assert draw_result(replace(job, options=nothing), "long.mkv", folder / "y.jpg", lambda: True) is None


def test_a_followed_hole_is_where_the_files_differ(folder: Path, jobs: Jobs) -> None:
    frames = [np.full((64, 96, 3), 90, np.uint8) for _ in range(4)]
    for name, marked in (("before", None), ("after", 2)):
        (folder / name).mkdir()
        for index, frame in enumerate(frames):
            picture = frame.copy()
            if index == marked:
                picture[20:40, 30:60] = 200
            (folder / name / f"{index}.png").write_bytes(png_bytes(picture))
    mask = replace(
        jobs[0].options.mask, boxes=(), prompts=replace(jobs[0].options.mask.prompts, clicks=("3,3",))
    )
    job = replace(jobs[0], input="before", options=replace(jobs[0].options, mask=mask))
    drawn = draw_result(job, "after", folder / "x.jpg", lambda: True)
    assert drawn is not None
    assert drawn.frame == 2


@pytest.mark.parametrize("size", [(320, 180), (33, 77), (3, 3), (1920, 1080)])
def test_pictures_fit_beside_each_other(size: tuple[int, int]) -> None:
    width, height = size
    before, after = np.zeros((height, width, 3), np.uint8), np.full((height, width, 3), 255, np.uint8)
    hole = np.zeros((height, width), bool)
    hole[height // 2 :, width // 2 :] = True
    for marked in (hole, ~hole, hole & False):
        drawn = side_by_side(before, marked, after)
        assert drawn.shape[1] % 3 == 2 * GAP % 3
        assert drawn.shape[1] <= 3 * 640 + 2 * GAP
        cell = (drawn.shape[1] - 2 * GAP) // 3
        assert not drawn[:, : cell - 1].any() or drawn.shape[0] > height * cell / width + 1
        assert (drawn[:, -cell + 1 :] == 255).all()


def test_a_small_hole_is_enlarged() -> None:
    before = np.zeros((180, 320, 3), np.uint8)
    hole = np.zeros((180, 320), bool)
    hole[170:180, 300:320] = True
    assert side_by_side(before, hole, before).shape[0] == 2 * 360 + GAP
    assert side_by_side(before, ~hole, before).shape[0] == 360
