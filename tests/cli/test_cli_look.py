"""The commands that only tell: info, methods, weights, version, devices, completion."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from clip_factory import damage_packets, make_clip
from helpers_cli import Runner

import vinpaint_cli
from vinpaint_cli.methods import method_names
from vinpaint_cli.weights import registry

ROOT = Path(vinpaint_cli.__file__).parent.parent


def test_info_tells_everything_the_file_says(vinpaint: Runner, tmp_path: Path) -> None:
    film = make_clip(
        tmp_path / "film.mkv",
        frames=5,
        size=(64, 48),
        rate=Fraction(30000, 1001),
        time_base=Fraction(1, 30000),
        rotation=90,
        color=(9, 16, 9),
        pix_fmt="yuv420p10le",
        codec="libx265",
        audio="aac",
        chapters=["one", "two"],
        metadata={"title": "Turned"},
    )
    told = vinpaint("info", film, "--json").json
    assert (told["width"], told["height"], told["rotation"]) == (48, 64, 90)
    assert (told["codec"], told["pix_fmt"], told["bit_depth"]) == ("hevc", "yuv420p10le", 10)
    assert told["color"]["transfer_name"] == "smpte2084 (PQ)"
    assert told["color"]["matrix_name"] == "bt2020nc"
    assert [stream["kind"] for stream in told["streams"]] == ["video", "audio"]
    assert (told["chapters"], told["metadata"]["title"], told["scan"]) == (2, "Turned", None)
    lines = vinpaint("info", film).out.splitlines()
    assert "size        48x64, rotated by 90 degrees" in lines
    assert any(line.startswith("stream      1: audio, aac") for line in lines)


def test_info_scan_finds_varying_rate_and_damage(vinpaint: Runner, tmp_path: Path) -> None:
    steady = make_clip(tmp_path / "steady.mkv", frames=8)
    told = vinpaint("info", steady, "--scan", "--json").json["scan"]
    assert (told["frames"], told["variable_rate"], told["notes"]) == (8, False, [])
    assert told["seconds"] == pytest.approx(8 / 25, abs=0.002)
    pts = [0, 40, 80, 200, 240, 300]
    varying = make_clip(tmp_path / "varying.mkv", frames=6, time_base=Fraction(1, 1000), pts=pts)
    told = vinpaint("info", varying, "--scan", "--json").json["scan"]
    assert told["variable_rate"] is True
    assert (told["shortest"], told["longest"]) == (pytest.approx(0.04), pytest.approx(0.12))
    broken = damage_packets(steady, tmp_path / "broken.mkv", [3])
    assert "damaged packets" in vinpaint("info", broken, "--scan").out


def test_methods_are_listed_with_their_licences(vinpaint: Runner) -> None:
    specs = vinpaint("methods", "--json").json
    assert {"propagate", "sttn"} <= {spec["name"] for spec in specs}
    text = vinpaint("methods").out
    assert all(spec["paper"] in text and spec["licence"] in text for spec in specs)


def test_weights_are_listed_imported_found_and_verified(
    vinpaint: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.pth"
    file.write_bytes(b"weights" * 99)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    text = (
        '[small]\nmethod = "sttn"\nformat = "pth"\nsource = "hub:some/where"\nfile = "net.pth"\n'
        f'revision = "main"\nsha256 = "{digest}"\nsize_bytes = {file.stat().st_size}\nlicence = "CC0"\n'
    )
    monkeypatch.setattr(registry, "entries", lambda: registry.parse(text))
    assert vinpaint("weights", "list", "--json").json[0]["state"] == "missing"
    assert vinpaint("weights", "verify").code == 0
    assert vinpaint("weights", "verify", "small").code == 4
    assert vinpaint("weights", "path", "small").lines[0].startswith("warning: ")
    offline = vinpaint("weights", "pull", "small")
    assert offline.code == 4
    assert "licence: CC0" in offline.err
    assert vinpaint("weights", "import", "small", file).code == 0
    path = Path(vinpaint("weights", "path", "small").out.strip())
    assert path.read_bytes() == file.read_bytes()
    assert vinpaint("weights", "pull", "small", "--json", "-q").json == {"name": "small", "path": str(path)}
    path.write_bytes(b"changed")
    spoilt = vinpaint("weights", "verify")
    assert (spoilt.code, len(spoilt.lines)) == (4, 1)
    assert "corrupt" in spoilt.out
    assert vinpaint("weights", "list").out.split()[1] == "corrupt"


def test_version_devices_and_help(vinpaint: Runner) -> None:
    assert vinpaint("--version").out == f"vinpaint {vinpaint_cli.__version__}\n"
    assert vinpaint("--list-devices").out.splitlines()[-1].startswith("cpu ")
    assert vinpaint("remove", "--list-devices").out == vinpaint("--list-devices").out
    bare = vinpaint()
    assert (bare.code, bare.err) == (0, "")
    assert "Exit codes: 0 done" in bare.out
    assert "130" in bare.out


def test_a_mistyped_command_is_answered_with_the_right_one(vinpaint: Runner) -> None:
    ended = vinpaint("remoove")
    assert ended.code == 2
    assert len(ended.lines) == 1
    assert "Did you mean 'remove'?" in ended.lines[0]


def test_shell_completion_knows_methods_and_weights() -> None:
    def complete(line: str) -> str:
        environment = {
            **os.environ,
            "_VINPAINT_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split())),
        }
        command = [sys.executable, "-c", "from vinpaint_cli.cli.app import run; run([])"]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout

    assert complete("vinpaint remove in.mp4 --method ").split() == list(method_names())
    assert "sttn-official" in complete("vinpaint weights pull ")


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="a broken pipe is a signal's matter on POSIX only")
def test_a_reader_that_goes_away_is_no_trouble(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "vinpaint_cli", "methods"]
    done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_public_names_are_sorted_and_all_there() -> None:
    assert vinpaint_cli.__all__ == sorted(vinpaint_cli.__all__)
    loaded: dict[str, Any] = {name: getattr(vinpaint_cli, name) for name in vinpaint_cli.__all__}
    assert callable(loaded["remove"])
    assert dir(vinpaint_cli) == vinpaint_cli.__all__
    with pytest.raises(AttributeError, match="no attribute 'inpaint'"):
        _ = vinpaint_cli.inpaint
