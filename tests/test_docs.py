"""README and docs/ are true: their commands run, on small clips of the names they use."""

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
PAGES = {path.relative_to(ROOT): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
TEXTS = {str(name): path.read_text(encoding="utf-8") for name, path in PAGES.items()}
BLOCKS = [
    pytest.param(commands, id=f"{name}: {commands[0]}")
    for name, text in TEXTS.items()
    for block in re.findall(r"```sh\n(.*?)```", text, re.S)
    if (commands := [line for line in block.splitlines() if line.startswith("vinpaint ")])
]


@pytest.fixture
def workplace(
    clip: Callable[..., Path], pictures: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with every file that the commands of the pages name."""
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
    (jobs,) = re.findall(r"```toml\n(.*?)```", TEXTS["docs/batch.md"], re.S)
    (folder / "jobs.toml").write_text(jobs, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def test_there_are_commands() -> None:
    assert len(BLOCKS) >= 10
    assert sum(len(block.values[0]) for block in BLOCKS) >= 25


@pytest.mark.parametrize("commands", BLOCKS)
def test_a_block_runs(commands: list[str], workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for command in commands:
        short = re.sub(r"--minutes \S+", "--minutes 0.02", command)  # nobody waits for minutes here
        small = ["--size", "64x48"] if command.startswith("vinpaint evaluate ") else []
        code = run([*shlex.split(short)[1:], *small])
        assert code == 0, f"{command}: {capfd.readouterr().err}"


def test_the_python_of_the_docs_runs(workplace: Path) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", TEXTS["docs/python.md"], re.S)
    exec(compile(text, "python.md", "exec"), {})
    assert (workplace / "python.mp4").exists()


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_files_and_links_exist(name: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", TEXTS[str(name)]):
        assert (PAGES[name].parent / target).exists(), target


def heading_anchors(text: str) -> set[str]:
    """The anchors that a Markdown viewer gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_links_lead_to_headings_that_exist(name: Path) -> None:
    for page, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", TEXTS[str(name)]):
        target = (PAGES[name].parent / page).resolve() if page else PAGES[name]
        assert anchor in heading_anchors(target.read_text(encoding="utf-8")), f"{page}#{anchor}"


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", TEXTS["README.md"]))
    assert linked == {str(name) for name in PAGES} - {"README.md"}


def test_examples_of_the_first_command_are_small() -> None:
    first = re.search(r"```sh\n(.*?)```", TEXTS["README.md"], re.S)
    assert first is not None
    for path in re.findall(r"examples/[\w.-]+", first[1]):
        assert (ROOT / path).stat().st_size <= 3_000_000


def test_exit_codes_of_the_docs_are_those_of_the_errors() -> None:
    from vinpaint_cli import errors

    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXTS["docs/python.md"], re.M)}
    known = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)}
    assert codes == {0, 141, *known}
