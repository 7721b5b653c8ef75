"""The README is true: its commands run, on small clips of the names it uses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_evaluate import make_tree

from vinpaint_cli.cli.app import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", README, re.S)
BLOCKS = [
    commands
    for text in SHELL
    if (commands := [line for line in text.splitlines() if line.startswith("vinpaint ")])
]


@pytest.fixture
def workplace(
    clip: Callable[..., Path], pictures: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with every file that the README's commands name."""
    folder = clip("clip.mp4", frames=10, size=(64, 48), audio="aac").parent
    clip("mask.mkv", frames=10, size=(64, 48), codec="ffv1")
    (folder / "clips").mkdir()
    (folder / "clips" / "one.mp4").write_bytes((folder / "clip.mp4").read_bytes())
    pictures("frames", count=4, size=(64, 48))
    hole = np.zeros((48, 64), np.uint8)
    hole[20:28, 24:36] = 255
    (folder / "masks").mkdir()
    for index in range(10):
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), hole)
    make_tree(folder / "davis", {"bus": (3, 1)})
    cv2.imwrite(str(folder / "mask.png"), hole)
    cv2.imwrite(str(folder / "labels.png"), (hole > 0).astype(np.uint8) * 2)
    cv2.imwrite(str(folder / "small.png"), 255 - hole[::2, ::2])
    (jobs,) = re.findall(r"```toml\n(.*?)```", README, re.S)
    (folder / "jobs.toml").write_text(jobs, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def test_there_are_commands() -> None:
    assert sum(map(len, BLOCKS)) >= 25


@pytest.mark.parametrize("commands", BLOCKS, ids=lambda commands: commands[0])
def test_a_block_runs(commands: list[str], workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for command in commands:
        short = re.sub(r"--minutes \S+", "--minutes 0.02", command)  # nobody waits for minutes here
        code = run(shlex.split(short)[1:])
        assert code == 0, f"{command}: {capfd.readouterr().err}"


def test_the_python_of_the_readme_runs(workplace: Path) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(compile(text, "README.md", "exec"), {})
    assert (workplace / "python.mp4").exists()


def test_files_and_links_of_the_readme_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
    first = SHELL[0]
    for path in re.findall(r"examples/[\w.-]+", first):
        assert (ROOT / path).stat().st_size <= 3_000_000


def test_exit_codes_of_the_readme_are_those_of_the_errors() -> None:
    from vinpaint_cli import errors

    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.M)}
    known = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)}
    assert codes == {0, 141, *known}
