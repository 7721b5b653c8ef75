"""Whatever is raised, however strange: one line, an exit code that says what it was about, no traceback."""

from __future__ import annotations

import errno
import importlib
import json
import os
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers_cli import BOX, Runner
from safetensors.torch import save_file

from vinpaint_cli.cli.boundary import Boundary
from vinpaint_cli.cli.console import Console
from vinpaint_cli.errors import explain

LIBRARY = """asyncio binascii configparser concurrent.futures csv ctypes decimal email.errors http.client
    importlib.metadata json lzma multiprocessing pickle queue shutil signal socket sqlite3 ssl struct tarfile
    subprocess tempfile tomllib urllib.error wave xml.etree.ElementTree zipfile zlib zoneinfo"""
DEPENDENCIES = """av cv2 numpy PIL.Image scipy torch safetensors typer rich.console filelock jinja2
    huggingface_hub requests httpx"""
ARGUMENTS: tuple[tuple[object, ...], ...] = (
    (),
    ("two\nlines \x1b[31m",),
    ("a", "b"),
    ("a", [ValueError("x")]),
    ("utf-8", b"x", 0, 1, "why"),
    ("utf-8", "x", 0, 1, "why"),
    (1, "a", "f"),
)


def below(kind: type) -> Iterator[type[BaseException]]:
    for child in type.__subclasses__(kind):
        yield child
        yield from below(child)


def kinds() -> list[type[BaseException]]:
    """Every type of error that the standard library and the dependencies have."""
    for name in f"{LIBRARY} {DEPENDENCIES}".split():
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    passing = (SystemExit, GeneratorExit)
    found = {kind for kind in below(BaseException) if not issubclass(kind, passing)}
    return sorted(found, key=lambda kind: (kind.__module__, kind.__qualname__))


def made(kind: type[BaseException]) -> BaseException | None:
    """One of its kind, if need be without what belongs to it; None where that cannot be."""
    for make in (*(partial(kind, *given) for given in ARGUMENTS), partial(kind.__new__, kind)):
        with suppress(Exception):
            return make()
    return None


# Some complain when they are thrown away after half a construction.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_type_of_error_ends_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = kinds()
    assert len(found) > 300
    for kind in found:
        error = made(kind)
        if error is None:
            continue
        with Boundary(Console()) as boundary:
            raise error
        said = capsys.readouterr().err
        assert said.count("\n") == 1, (kind, said)
        assert said.startswith("error: "), kind
        assert boundary.code in (1, 2, 3, 4, 5, 6, 7, 130), kind


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), 2, "give a shorter one"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.png"), 3, "a.png: no such file"),
        (PermissionError(errno.EACCES, "Permission denied", "a.png"), 3, "a.png: permission denied"),
        (OSError(errno.EIO, "Input/output error"), 3, "the disk cannot be read"),
        (OSError(errno.ENOSPC, "No space left"), 6, "the disk is full"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 5, "not enough memory"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), 5, "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 5, "not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), 5, "not enough memory"),
        (RuntimeError("can't start new thread"), 5, "not enough memory"),
        (RuntimeError("another"), 1, "internal error"),
    ],
)
def test_what_the_system_says_has_its_code(error: BaseException, code: int, part: str) -> None:
    assert explain(error)[0] == code
    assert part in explain(error)[1]


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        f"info {LONG}.mp4",
        f"remove {LONG}.mp4 --box {BOX}",
        f"remove FILM --mask {LONG}.png",
        f"remove FILM --mask {LONG}",
        f"remove FILM --box {BOX} -o {LONG}.mp4",
        f"remove FILM --box {BOX} -o {LONG}/out.mp4",
        f"remove FILM --box {BOX} --method sttn --weights {LONG}.pth",
        f"remove FILM --box {BOX} --preview {LONG}.png",
        f"remove FILM --from-frame {LONG}.png@0",
        f"remove FILM --click 9,9 --fix f1={LONG}.png",
        f"remove FILM --box {BOX} --work-dir {LONG}",
        f"mask FILM --box {BOX} -o {LONG}.mkv",
        f"mask FILM --box {BOX} --overlay {LONG}.mkv",
        f"batch {LONG}",
        f"batch {LONG}.toml",
        f"batch FILM --box {BOX} --output-dir {LONG}",
        f"batch FILM --box {BOX} --report {LONG}",
        f"batch FILM --mask-dir {LONG}",
        f"evaluate {LONG}",
        f"pick {LONG}.mp4",
        f"pick FILM --no-browser -o {LONG}.mkv",
        f"train-internal {LONG}.mp4 --box {BOX}",
        f"train-internal FILM --box {BOX} --out {LONG}",
        f"train-internal FILM --box {BOX} --config {LONG}",
        f"weights import sttn-official {LONG}",
    ],
)
def test_names_that_no_file_system_takes(vinpaint: Runner, film: Path, arguments: str) -> None:
    ended = vinpaint(*(str(film) if word == "FILM" else word for word in arguments.split()))
    assert ended.code in (2, 6), ended.err
    assert "internal" not in ended.err
    assert [path.name for path in film.parent.iterdir()] == [film.name]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "{a = " * 3000, "nested too deeply"),
        ("a = " + "9" * 5000, "4300 digits"),
        (
            "[[job]]\n" + ".".join(["a"] * 50_000) + " = 1",
            "jobs.toml:2: is not TOML: A key of more than 100 parts",
        ),
        ("[" + ".".join(["a"] * 50_000) + "]", "A key of more than 100 parts"),
        ("#" * (1 << 24) + "#", "more than 16777216 characters"),
    ],
)
def test_job_files_made_to_break_us(vinpaint: Runner, film: Path, text: str, part: str) -> None:
    path = film.parent / "jobs.toml"
    path.write_text(text)
    ended = vinpaint("batch", path)
    assert ended.code == 2
    assert part in ended.err
    ended = vinpaint("train-internal", film, "--box", BOX, "--config", path)
    assert ended.code == 2, ended.err
    assert "internal error" not in ended.err


def test_metadata_nested_a_thousandfold(vinpaint: Runner, film: Path) -> None:
    path = film.parent / "net.safetensors"
    for text in ("[" * 100_000, "9" * 5000, json.dumps({"a": 1})):
        save_file({"a": torch.zeros(1)}, path, {"config": text, "vinpaint": text})
        ended = vinpaint("remove", film, "--box", BOX, "--method", "sttn", "--weights", path)
        assert ended.code == 4, ended.err
        assert len(ended.err) < 600


@pytest.mark.parametrize(
    ("method", "config"),
    [
        ("sttn", {"blocks": 10_000_000}),
        ("sttn", {"channels": 1 << 40}),
        ("sttn", {"patches": [[9, 5]] * 100_000}),
        ("sttn", {"size": [1e400, 1]}),
        ("flow-recurrent", {"blocks": 10_000_000}),
        ("combcn", {"width": 1 << 40}),
        ("internal", {"factors": [index / 2_000_000 for index in range(1, 1_000_000)], "prefill": True}),
    ],
)
def test_weights_that_ask_for_too_much(
    vinpaint: Runner, film: Path, method: str, config: dict[str, object]
) -> None:
    path, begin = film.parent / "net.safetensors", time.monotonic()
    save_file({"a": torch.zeros(1)}, path, {"config": json.dumps(config)})
    ended = vinpaint("remove", film, "--box", BOX, "--method", method, "--weights", path)
    assert ended.code == 4, ended.err
    assert len(ended.err) < 600
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_pictures_declared_enormous(vinpaint: Runner, film: Path, side: int) -> None:
    """A PNG of a few bytes that says it is of 144 megapixels, or 3600."""
    path = film.parent / "mask.png"
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )
    for more in ((), ("--mask-resize",)):
        ended = vinpaint("remove", film, "--mask", path, *more)
        assert ended.code == 3
        assert len(ended.lines) == 1, ended.err
    ended = vinpaint("info", path)
    assert ended.code in (0, 3)
    assert "Warning" not in ended.err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere address space has no bound")
def test_libraries_that_do_not_fit_into_memory(film: Path) -> None:
    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    command = [sys.executable, "-m", "vinpaint_cli", "remove", str(film), "--box", BOX]
    ended = subprocess.run(
        command,
        preexec_fn=bounded,
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert ended.returncode == 5, ended.stderr
    assert "not enough memory" in ended.stderr
