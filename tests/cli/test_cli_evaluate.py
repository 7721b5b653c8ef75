"""``vinpaint evaluate``."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers_cli import Runner
from helpers_evaluate import make_tree

from vinpaint_cli.cli.evaluate import parse_size
from vinpaint_cli.errors import UsageError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", {"bus": (4, 2), "cat": (3, 1)})


def test_the_table_is_on_stdout(vinpaint: Runner, tree: Path) -> None:
    ended = vinpaint("evaluate", tree, "--method", "telea", "--size", "native", "--masks", "box")
    assert ended.code == 0, ended.err
    rows = [line.split("|")[2].strip() for line in ended.out.splitlines() if line.startswith("| box")]
    assert rows == ["telea", "truth"]
    assert "PSNR" in ended.out.splitlines()[0]
    assert "vinpaint weights pull vgg16" in ended.err
    assert "bus, box: telea" in ended.err


def test_json_and_report(vinpaint: Runner, tree: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    given = ["evaluate", tree, "--method", "telea", "--method", "nearest", "--masks", "moving"]
    given += ["--masks", "objects", "--size", "32x24", "--clips", "cat", "--frames", "2", "--seed", "3"]
    ended = vinpaint(*given, "--report", report, "--json")
    assert ended.code == 0, ended.err
    found = ended.json
    assert found["setting"]["clips"] == ["cat"]
    assert found["setting"]["size"] == [32, 24]
    assert found["setting"]["seed"] == 3
    assert {(row["masks"], row["method"]) for row in found["clips"]} == {
        (masks, method) for masks in ("moving", "objects") for method in ("telea", "nearest", "truth")
    }
    assert (report / "index.html").is_file()
    again = vinpaint(*given, "--report", report)
    assert again.code == 6
    assert "-y" in again.err
    assert vinpaint(*given, "--report", report, "-y").code == 0


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--method", "tela"), 2, "did you mean 'telea'"),
        (("--size", "big"), 2, "--size 'big'"),
        (("--masks", "none"), 2, "--masks 'none'"),
        (("--clips", "dog"), 2, "no clip 'dog'"),
    ],
)
def test_what_cannot_be_read(
    vinpaint: Runner, tree: Path, options: tuple[str, str], code: int, message: str
) -> None:
    ended = vinpaint("evaluate", tree, *options)
    assert ended.code == code
    assert message in ended.err
    assert ended.out == ""


def test_no_dataset(vinpaint: Runner, tmp_path: Path) -> None:
    ended = vinpaint("evaluate", tmp_path / "nowhere")
    assert ended.code == 3
    assert "not a folder" in ended.err


def test_sizes() -> None:
    assert parse_size("native") is None
    assert parse_size("432x240") == parse_size("432X240") == (432, 240)
    for text in ("432", "0x9", "-4x4", "axb"):
        with pytest.raises(UsageError, match="--size"):
            parse_size(text)
