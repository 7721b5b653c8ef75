"""From what was written to jobs: levels, names, and every mistake told before any work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from clip_factory import make_clip

from vinpaint_cli.batch.jobs import Batch, BatchOptions, read_jobs

BOX = {"box": ("4,4,8,8",)}
Read = Callable[..., Batch]


def told(batch: Batch) -> list[str]:
    return [str(mistake) for mistake in batch.mistakes]


def test_levels(read: Read) -> None:
    text = """
[defaults]
feather = 1
dilate = 1
method = "telea"
[[job]]
input = "one.mp4"
dilate = 3
invert = false
[[job]]
input = "two.mp4"
"""
    batch = read("jobs.toml", text, **BOX, dilate=2, method="nearest", invert=True)
    assert told(batch) == []
    first, second = (job.options for job in batch.jobs)
    assert (first.feather, first.mask.dilate, first.method, first.mask.invert) == (1, 3, "nearest", False)
    assert (second.feather, second.mask.dilate, second.method, second.mask.invert) == (1, 2, "nearest", True)
    assert [job.line for job in batch.jobs] == ["jobs.toml:6", "jobs.toml:10"]


def test_a_later_output_replaces_an_earlier_folder(read: Read) -> None:
    text = '[defaults]\noutput_dir = "out"\n[[job]]\ninput = "one.mp4"\n'
    text += '[[job]]\ninput = "two.mp4"\noutput = "x.mkv"\n'
    batch = read("jobs.toml", text, **BOX)
    assert told(batch) == []
    assert [job.output for job in batch.jobs] == ["out/one.mp4", "x.mkv"]
    assert batch.folders == ("out",)
    assert not Path("out").exists()
    assert [job.output for job in read("jobs.toml", text, **BOX, output="o-{name}").jobs] == [
        "o-one.mp4",
        "x.mkv",
    ]


def test_names_of_a_file_count_from_its_folder(folder: Path, read: Read) -> None:
    (folder / "lists").mkdir()
    for name in ("one.png", "one.mp4.png"):
        (folder / "lists" / name).touch()
    text = '[[job]]\ninput = "../one.mp4"\nmask = ["{stem}.png", "{name}.png"]\noutput = "{stem}-clean.mkv"\n'
    text += 'from_frame = "2:{stem}.png@f1"\nfix = "f2=one.png"\nweights = "one.png"\nmethod = "sttn"\n'
    batch = read("lists/jobs.toml", text)
    assert told(batch) == []
    (job,) = batch.jobs
    assert job.input == "lists/../one.mp4"
    assert job.output == "lists/one-clean.mkv"
    assert job.options.mask.masks == ("lists/one.png", "lists/one.mp4.png")
    assert job.options.mask.prompts.from_frames == ("2:lists/one.png@f1",)
    assert job.options.mask.prompts.fixes == ("f2=lists/one.png",)
    assert job.options.weights == "lists/one.png"


def test_a_folder_of_masks(folder: Path, read: Read) -> None:
    masks = folder / "masks"
    (masks / "two").mkdir(parents=True)
    for name in ("one.png", "ünï 3.mp4", "other.png", "one.txt"):
        (masks / name).touch()
    batch = read(str(folder), mask_dir="masks")
    assert told(batch) == []
    assert [job.options.mask.masks for job in batch.jobs] == [
        ("masks/one.png",), ("masks/two",), ("masks/ünï 3.mp4",)
    ]  # fmt: skip
    (masks / "one.mkv").touch()
    (masks / "two").rmdir()
    assert told(read("*.mp4", mask_dir="masks")) == [
        "masks has 2 masks for one.mp4 (one.mkv, one.png); keep one",
        "masks has no mask for two.mp4; name it two.png, or two/ for a folder",
    ]


def test_folders_and_patterns(folder: Path, read: Read) -> None:
    (folder / "notes.txt").touch()
    (folder / ".hidden.mp4").touch()
    (folder / "deep" / "er").mkdir(parents=True)
    for name in ("deep/er/clip10.mp4", "deep/er/clip9.mp4"):
        (folder / name).write_bytes((folder / "one.mp4").read_bytes())
    (folder / "frames [1]").mkdir()
    (folder / "frames [1]" / "1.png").touch()
    names = {
        ".": ["one.mp4", "two.mp4", "ünï 3.mp4"],
        "deep/**/*.mp4": ["deep/er/clip9.mp4", "deep/er/clip10.mp4"],
        "*[3o].mp4": ["two.mp4", "ünï 3.mp4"],
        "frames [1]": ["frames [1]"],
        "t*": ["two.mp4"],
        "frames*": ["frames [1]"],
    }
    for name, expected in names.items():
        batch = read(name, **BOX)
        assert told(batch) == []
        assert [job.input for job in batch.jobs] == expected


NOTHING = {
    "*.avi": "no clip matches '*.avi'",
    "gone.mp4": "gone.mp4: no such file",
    "empty": "the folder empty has no videos",
    "list.txt": "list.txt is no job file",
    "": "an empty name was given",
    "gone.toml": "gone.toml cannot be read",
}


@pytest.mark.parametrize("name", NOTHING)
def test_a_name_that_gives_nothing(folder: Path, read: Read, name: str) -> None:
    (folder / "empty").mkdir()
    (folder / "list.txt").touch()
    (mistake,) = told(read(name, **BOX))
    assert mistake.startswith(NOTHING[name])


def test_standard_input(folder: Path) -> None:
    odd = make_clip(folder / "new\nline.mp4", frames=2, size=(48, 32))
    lines = 'one.mp4\r\n\n{"input": "two.mp4", "box": "1,1,2,2"}\nünï 3.mp4\n'.encode()
    batch = read_jobs(["-"], BatchOptions(BOX), lines)
    assert told(batch) == []
    assert [(job.line, job.input) for job in batch.jobs] == [
        ("stdin:1", "one.mp4"), ("stdin:3", "two.mp4"), ("stdin:4", "ünï 3.mp4")
    ]  # fmt: skip
    assert batch.jobs[1].options.mask.boxes == ("1,1,2,2",)
    null = read_jobs(["-"], BatchOptions(BOX), b"one.mp4\0" + os.fsencode(odd) + b"\0")
    assert [job.input for job in null.jobs] == ["one.mp4", str(odd)]
    assert told(read_jobs(["-"], BatchOptions(BOX), b"\n"))[0].startswith("standard input has no jobs")
    (mistake,) = told(read_jobs(["-"], BatchOptions(BOX), b"one.mp4\ngone.mp4\n"))
    assert mistake.startswith("stdin:2: gone.mp4: no such file")


def test_names_that_are_not_utf8(folder: Path) -> None:
    name = b"b\xff.mp4"
    (folder / "one.mp4").rename(os.fsdecode(name))
    (job,) = read_jobs(["-"], BatchOptions(BOX), name + b"\n").jobs
    assert os.fsencode(job.input) == name


def test_results_of_an_earlier_run_are_no_clips(folder: Path, read: Read) -> None:
    (folder / "one.vinpaint.mp4").touch()
    (folder / "lone.vinpaint.mp4").touch()
    options = BatchOptions(BOX, skip_existing=True)
    assert [job.input for job in read_jobs(["."], options).jobs] == [
        "lone.vinpaint.mp4", "one.mp4", "two.mp4", "ünï 3.mp4"
    ]  # fmt: skip
    (folder / "out").mkdir()
    (folder / "out" / "two.mp4").touch()
    again = read_jobs(["**/*.mp4"], BatchOptions({**BOX, "output_dir": "out"}, skip_existing=True))
    assert told(again) == []
    assert "out/two.mp4" not in [job.input for job in again.jobs]
    assert again.notes == ("out/two.mp4 is left out: two.mp4 is written to it",)


def test_an_output_that_is_there(folder: Path) -> None:
    (folder / "one.vinpaint.mp4").touch()
    assert told(read_jobs(["one.mp4"], BatchOptions(BOX)))[0].startswith("one.vinpaint.mp4 exists; give -y")
    assert not read_jobs(["one.mp4"], BatchOptions(BOX, overwrite=True)).mistakes
    assert not read_jobs(["one.mp4"], BatchOptions(BOX, skip_existing=True)).mistakes


def test_mistakes_of_the_command_line_are_told_once(read: Read) -> None:
    assert told(read("*.mp4", box=("4,4,8",), feather=99)) == [
        "box '4,4,8' has 3 figures; give X,Y,W,H in pixels or percents (10%,80%,25%,12%)",
        "--feather 99 is not a width of 0 to 64 pixels",
    ]
    (mistake,) = told(read("*.mp4"))
    assert mistake.startswith("nothing says where the hole is")


MANY = """\
[defaults]
methd = "telea"

[[job]]
input = "one.mp4"
box = ["4,4,16,12", "4,4,16"]
output = "out/{stem}.mkv"

[[job]]
input = "missing.mp4"
mask = "nope.png"
feather = 99
crf = "good"

[[job]]
box = "1,1,4,4"

[[job]]
input = "two.mp4"
box = "1,1,8,8"
output = "one.mp4"

[[job]]
input = "two.mp4"
box = "1,1,8,8"
output = "x.mp4"
start = 5
end = 3.5
method = "propogate"
codec = "h265x"

[[job]]
input = "two.mp4"
output = "x.mp4"
dilate = -2
bx = 3
fix = "f3"

[[job]]
input = "two.mp4"
output = "y.xyz"
click = ["3,4@soon", "5"]
memory = "lots"
device = "tpu"
weights = "w.pth"

[[job]]
input = "two.mp4"
output = "{steem}.mp4"
mask = "one.mp4"
mask_label = -3
method = "sttn"
weights = "sttn-offical"

[[job]]
input = "two.mp4"
output = "z.mp4"
output_dir = "z"
mask = "z.mp4"
"""

EXPECTED = [
    (2, "did you mean 'method'"),
    (6, "box '4,4,16' has 3 figures"),
    (7, "the folder"),
    (10, "missing.mp4: no such file"),
    (11, "mask nope.png does not exist"),
    (12, "--feather 99"),
    (13, "crf is 'good'"),
    (15, "the job has no input"),
    (21, "one.mp4 exists"),
    (21, "which is the input of jobs.toml:4"),
    (28, "the end 3.5 is not after the start 5"),
    (29, "did you mean 'propagate'"),
    (30, "unknown codec h265x"),
    (34, "as jobs.toml:23 does"),
    (35, "--dilate -2"),
    (36, "did you mean 'box'"),
    (37, "fix 'f3' cannot be read"),
    (41, "output suffix .xyz"),
    (42, "3,4@soon"),
    (42, "click '5'"),
    (43, "--memory 'lots'"),
    (44, "device 'tpu'"),
    (45, "takes no --weights"),
    (49, "did you mean {stem}"),
    (51, "--mask-label -3"),
    (53, "did you mean sttn-official"),
    (58, "output and output_dir exclude each other"),
    (59, "mask z.mp4 does not exist"),
]


def test_every_mistake_of_a_file_is_told_with_its_line(read: Read) -> None:
    lines = told(read("jobs.toml", MANY))
    left = list(lines)
    for line, part in EXPECTED:
        match = [text for text in left if text.startswith(f"jobs.toml:{line}: ") and part in text]
        assert match, (line, part, lines)
        left.remove(match[0])
    assert all("--fix corrects a mask" in text or "is the mask of" in text for text in left), left
    assert sorted(lines, key=lambda text: int(text.split(":")[1])) == lines


def test_nothing_is_decoded_for_it(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise AssertionError("opened a clip")

    monkeypatch.setattr("vinpaint_cli.video.source.probe.open_input", refuse)
    assert len(read("*.mp4", **BOX).jobs) == 3
