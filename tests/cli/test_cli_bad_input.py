"""Whatever is wrong gets one line that helps, an exit code, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clip_factory import make_clip, png_bytes
from helpers_cli import BOX, Runner, names

from vinpaint_cli.cli import remove as command
from vinpaint_cli.errors import explain
from vinpaint_cli.removal import run as engine


def one_line(ended: Any, code: int, *parts: str) -> None:
    """The run failed with ``code`` and said one line that holds all ``parts``."""
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert len(ended.lines) == 1, ended.err
    assert ended.lines[0].startswith("error: ")
    for part in parts:
        assert part in ended.lines[0]


def text_file(folder: Path) -> Path:
    path = folder / "notes.mp4"
    path.write_text("not a video at all, only words\n" * 50)
    return path


def no_frames(folder: Path) -> Path:
    """A whole file with a picture stream and not one frame in it."""
    path = folder / "nothing.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.start_encoding()
    return path


def sound_only(folder: Path) -> Path:
    whole = make_clip(folder / "whole.mkv", frames=3, audio="aac")
    path = folder / "sound.mka"
    with av.open(str(whole)) as source, av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    whole.unlink()
    return path


def empty_folder(folder: Path) -> Path:
    path = folder / "pictures"
    path.mkdir()
    return path


INPUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "gone.mp4", "no such file"),
    "not a video": (text_file, "not a video"),
    "zero frames": (no_frames, "not a video that can be read"),
    "sound only": (sound_only, "no video stream"),
    "empty folder": (empty_folder, "without png or jpg pictures"),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_a_clip_that_is_none(vinpaint: Runner, tmp_path: Path, kind: str) -> None:
    make, part = INPUTS[kind]
    path = make(tmp_path)
    before = names(tmp_path)
    one_line(vinpaint("remove", path, "-o", tmp_path / "out.mkv", "--box", BOX), 3, str(path), part)
    one_line(vinpaint("mask", path, "-o", tmp_path / "out.mkv", "--box", BOX), 3, str(path), part)
    one_line(vinpaint("info", path), 3, str(path), part)
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("-", "a pipe or a device"),
        ("pipe:0", "a pipe or a device"),
        ("fifo", "a pipe or a device"),
        ("frames/f_%04d.png", "give the folder they are in, frames"),
        ("https://example.org/film.mp4", "download it"),
    ],
)
def test_what_ffmpeg_would_read(
    vinpaint: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    one_line(vinpaint("remove", given, "--box", BOX), 3, given, part)
    one_line(vinpaint("remove", given, "-o", "out.mp4", "--box", BOX, "--dry-run"), 3, given, part)
    one_line(vinpaint("info", given), 3, given, part)
    assert names(tmp_path) == ["fifo"]


OPTIONS: dict[str, tuple[list[str], int, str]] = {
    "outside": (["--box", "64,0,10,10"], 3, "outside the 64x48 frame"),
    "no area": (["--box", "4,4,0,10"], 3, "no area"),
    "not a box": (["--box", "4,4,10"], 2, "X,Y,W,H"),
    "not a time": (["--box", f"{BOX}@soon-"], 2, "HH:MM:SS.mmm"),
    "backwards": (["--box", BOX, "--start", "3", "--end", "2"], 2, "not after"),
    "no hole": ([], 2, "--mask FILE, --box X,Y,W,H, --click X,Y or --text"),
    "no such mask": (["--mask", "gone.png"], 3, "gone.png"),
    "codec": (["--box", BOX, "--codec", "h265x"], 2, "unknown codec h265x"),
    "suffix": (["--box", BOX, "-o", "out.xyz"], 2, ".xyz"),
    "pixel format": (["--box", BOX, "--pix-fmt", "yuv9"], 2, "yuv9"),
    "method": (["--box", BOX, "--method", "propogate"], 2, "did you mean 'propagate'"),
    "device": (["--box", BOX, "--device", "tpu"], 2, "auto, cpu, cuda, mps"),
    "precision": (["--box", BOX, "--precision", "fp8"], 2, "fp32"),
    "memory": (["--box", BOX, "--memory", "lots"], 2, "8G"),
    "too little": (["--box", BOX, "--memory", "1K"], 5, "--memory"),
    "feather": (["--box", BOX, "--feather", "-1"], 2, "--feather"),
    "a word": (["--box", BOX, "--dilate", "wide"], 2, "--dilate"),
    "typo": (["--boxx", BOX], 2, "--box"),
    "weights": (["--box", BOX, "--method", "sttn", "--weights", "sttn-offical"], 4, "did you mean"),
    "no weights": (
        ["--box", BOX, "--method", "sttn", "--weights", "sttn-official"],
        4,
        "vinpaint weights pull sttn-official",
    ),
    "useless": (["--box", BOX, "--weights", "some.pth"], 2, "takes no --weights"),
    "preview": (["--box", BOX, "--preview", "sheet.txt"], 2, ".png"),
    "standard output": (["--box", BOX, "-o", "-"], 2, "- is standard output"),
    "a pipe": (["--box", BOX, "-o", "pipe:1"], 2, "is standard output"),
    "numbered pictures": (["--box", BOX, "-o", "out/f_%04d.png"], 2, "their folder alone, -o out/"),
    "a playlist": (["--box", BOX, "-o", "out.m3u8"], 2, "no video container"),
    "numbered masks": (["--mask", "masks/%04d.png"], 3, "give the folder"),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_options_that_cannot_be(
    vinpaint: Runner, film: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(film.parent)
    options, code, part = OPTIONS[kind]
    one_line(vinpaint("remove", "film.mp4", *options), code, part)
    assert names(film.parent) == ["film.mp4"]


def test_a_mask_of_another_size_names_both_and_the_way_out(vinpaint: Runner, film: Path) -> None:
    mask = film.parent / "mask.png"
    mask.write_bytes(png_bytes(np.full((24, 32), 255, np.uint8)))
    ended = vinpaint("remove", film, "--mask", mask)
    one_line(ended, 3, "32x24", "64x48", "--mask-resize")


def test_masks_of_another_number_name_both_and_the_way_out(vinpaint: Runner, film: Path) -> None:
    folder = film.parent / "masks"
    folder.mkdir()
    for index in range(4):
        (folder / f"{index}.png").write_bytes(png_bytes(np.full((48, 64), 255, np.uint8)))
    one_line(vinpaint("mask", film, "--mask", folder), 3, "4 frames", "--mask-hold")
    assert vinpaint("mask", film, "--mask", folder, "--mask-hold").code == 0


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04garbage" * 40, b"<html>not here</html>", b"PK\x03\x04" + b"\0" * 99]
)
def test_corrupt_weights(vinpaint: Runner, film: Path, content: bytes) -> None:
    weights = film.parent / "net.pth"
    weights.write_bytes(content)
    ended = vinpaint("remove", film, "--box", BOX, "--method", "sttn", "--weights", weights)
    one_line(ended, 4, str(weights))
    assert names(film.parent) == ["film.mp4", "net.pth"]


def test_names_as_long_as_file_systems_allow(vinpaint: Runner, tmp_path: Path) -> None:
    """Names that the program makes are cut and stay apart; those that a person gives stay as they are."""
    clips = [make_clip(tmp_path / ("ü" * 122 + f"{end}.mp4"), frames=2) for end in "ab"]
    assert len(os.fsencode(clips[0].name)) == 249
    before = set(names(tmp_path))
    for clip in clips:
        assert vinpaint("remove", clip, "--box", BOX).code == 0
        assert vinpaint("mask", clip, "--box", BOX).code == 0
    made = set(names(tmp_path)) - before
    assert len({name for name in made if name.endswith(".vinpaint.mp4")}) == 2
    assert len({name for name in made if name.endswith(".mask.mkv")}) == 2
    pattern = str(tmp_path / "{stem}.without it.mp4")
    assert vinpaint("batch", clips[0], "--box", BOX, "-o", pattern, "--keep-work").code == 0
    (folder,) = (name for name in names(tmp_path) if name.endswith(".work"))
    assert names(tmp_path / folder)
    longest = tmp_path / ("y" * 251 + ".mp4")
    sheet = tmp_path / ("y" * 251 + ".png")
    assert vinpaint("remove", clips[0], "--box", BOX, "-o", longest).code == 0
    assert vinpaint("mask", clips[0], "--box", BOX, "--preview", sheet).code == 0
    assert longest.exists()
    assert sheet.exists()


def test_the_input_is_never_the_output(vinpaint: Runner, film: Path) -> None:
    before = film.read_bytes()
    one_line(vinpaint("remove", film, "-o", film, "--box", BOX, "-y"), 3, "is the input itself")
    assert film.read_bytes() == before


def test_a_file_that_may_not_grow(vinpaint: Runner, tmp_path: Path) -> None:
    """The system refuses to write beyond a size, as a full disk does."""
    film = make_clip(tmp_path / "film.mkv", frames=6, size=(128, 96), codec="ffv1")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        ended = vinpaint("remove", film, "--box", BOX)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    one_line(ended, 6, "choose another folder", "1 of 1 segments are kept")
    assert names(tmp_path) == [".film.vinpaint.mkv.work", "film.mkv"]


def test_a_full_disk(vinpaint: Runner, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    one_line(vinpaint("remove", film, "--box", BOX), 6, "the disk is full")
    one_line(
        vinpaint("mask", film, "--box", BOX, "--preview", film.parent / "sheet.png"), 6, "the disk is full"
    )
    assert names(film.parent) == ["film.mp4"]


def test_a_folder_that_cannot_be_written(vinpaint: Runner, film: Path, tmp_path: Path) -> None:
    one_line(vinpaint("remove", film, "--box", BOX, "-o", film / "out.mp4"), 6, str(film))
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    # The superuser may write anywhere but where the system itself does not let him.
    folder = Path("/proc") if os.geteuid() == 0 and Path("/proc").is_dir() else locked
    one_line(vinpaint("remove", film, "--box", BOX, "-o", folder / "out.mp4"), 6, str(folder))
    assert not list(folder.glob("out*"))


def test_what_nobody_foresaw_is_one_line_too(
    vinpaint: Runner, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError("no frames per second")

    monkeypatch.setattr(engine, "run_job", broken)
    one_line(vinpaint("remove", film, "--box", BOX), 1, "internal error", "ZeroDivisionError", "report")
    loud = vinpaint("remove", film, "--box", BOX, "-v")
    assert loud.code == 1
    assert "Traceback" in loud.err
    assert "in broken" in loud.err


def test_verbose_shows_where_our_own_errors_come_from(vinpaint: Runner, film: Path) -> None:
    assert "Traceback" not in vinpaint("remove", film, "--box", "99,0,5,5").err
    assert "Traceback" in vinpaint("remove", film, "--box", "99,0,5,5", "-v").err


def test_every_error_has_a_code_and_a_line() -> None:
    assert explain(MemoryError())[0] == 5
    assert explain(KeyError("x")) == (1, "internal error (KeyError: 'x'); please report it with what -v adds")
    assert command.remove.__doc__
