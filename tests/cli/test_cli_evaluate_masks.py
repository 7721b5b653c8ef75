"""``vinpaint evaluate-masks``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers_cli import Runner
from helpers_evaluate import make_tree
from PIL import Image

from vinpaint_cli.evaluate.dataset import ClipEntry, read_truth
from vinpaint_cli.evaluate.mask_results import MaskEvaluation, MaskRow, correlation, markdown, summarise
from vinpaint_cli.evaluate.masks import deepest_point


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", {"bus": (5, 2), "cat": (4, 1)})


def row(clip: str, tracker: str, region: tuple[float, ...], confidence: tuple[float, ...]) -> MaskRow:
    boundary = tuple(value / 2 for value in region)
    return MaskRow(
        clip, "mask", tracker, 5, (1, 2, 3), region, boundary, confidence, start=region[0], seconds=1.0,
        prompt_seconds=0.25,
    )  # fmt: skip


def test_the_table_is_on_stdout(vinpaint: Runner, tree: Path) -> None:
    ended = vinpaint("evaluate-masks", tree, "--tracker", "warp", "--tracker", "copy")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert "J&F" in lines[0]
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["warp", "copy"]
    assert "bus, mask: warp" in ended.err


def test_json_and_report(vinpaint: Runner, tree: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    given = ["evaluate-masks", tree, "--prompt", "box", "--prompt", "mask", "--segmenter", "grabcut"]
    given += ["--clips", "bus", "--frames", "4"]
    ended = vinpaint(*given, "--report", report, "--json")
    assert ended.code == 0, ended.err
    found = ended.json
    assert found["setting"]["clips"] == ["bus"]
    assert found["setting"]["segmenter"] == "grabcut"
    assert [(line["prompt"], line["tracker"]) for line in found["totals"]] == [
        (prompt, tracker) for prompt in ("box", "mask") for tracker in ("flow", "warp", "copy")
    ]
    assert {tuple(line["frames"]) for line in found["clips"]} == {(1, 2)}
    drawn = {line["tracker"]: line for line in found["totals"] if line["prompt"] == "mask"}
    assert drawn["flow"]["first_frame_j"] == drawn["copy"]["first_frame_j"] == 1
    assert 0 < drawn["copy"]["j"] < 1
    assert sorted(path.name for path in report.iterdir()) == [
        "index.html", "results.json", "strips", "table.md",
    ]  # fmt: skip
    page = (report / "index.html").read_text(encoding="utf-8")
    for strip in sorted((report / "strips").iterdir()):
        assert f'src="strips/{strip.name}"' in page
        with Image.open(strip) as picture:
            assert picture.size[0] == 3 * 64 + 2 * 4
    assert "| bus" in (report / "table.md").read_text(encoding="utf-8")
    again = vinpaint(*given, "--report", report)
    assert again.code == 6
    assert "-y" in again.err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--tracker", "flwo"), 2, "did you mean 'flow'"),
        (("--tracker", "warp", "--tracker", "warp"), 2, "give each once"),
        (("--prompt", "line"), 2, "--prompt 'line'"),
        (("--segmenter", "magic"), 2, "'magic'"),
        (("--frames", "1"), 2, "--frames 1"),
        (("--clips", "dog"), 2, "no clip 'dog'"),
    ],
)
def test_what_cannot_be_read(
    vinpaint: Runner, tree: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    ended = vinpaint("evaluate-masks", tree, *options)
    assert ended.code == code
    assert message in ended.err
    assert ended.out == ""


def test_a_dataset_without_annotations(vinpaint: Runner, tree: Path) -> None:
    (tree / "Annotations").rename(tree / "Elsewhere")
    ended = vinpaint("evaluate-masks", tree)
    assert ended.code == 3
    assert "Annotations" in ended.err


def test_annotations_belong_to_the_picture_of_their_name(tree: Path) -> None:
    masks = tree / "Annotations" / "bus"
    for index in (0, 2, 3):
        (masks / f"{index:05d}.png").unlink()
    entry = ClipEntry("bus", tree / "JPEGImages" / "bus", masks)
    truth = read_truth(entry, 5, (64, 48))
    assert sorted(truth) == [1, 4]
    assert np.flatnonzero(truth[4].any(0))[0] == 14
    assert sorted(read_truth(entry, 3, (64, 48))) == [1]


def test_the_deepest_point_is_far_from_every_edge() -> None:
    mask = np.zeros((40, 60), bool)
    mask[:9] = True
    mask[20:39, 10:29] = True
    assert deepest_point(mask) == (19, 29)
    assert deepest_point(np.ones((5, 5), bool)) == (2, 2)


def test_clips_count_alike_and_confidence_is_compared_over_all_frames() -> None:
    rows = [
        row("a", "flow", (0.9, 0.8, 0.7), (0.9, 0.8, 0.7)),
        row("b", "flow", (0.4, 0.2, 0.0), (0.4, 0.2, 0.0)),
    ]
    total = summarise(rows, "all")
    assert total.j == pytest.approx(0.5)
    assert total.j_and_f == pytest.approx((0.5 + 0.25) / 2)
    assert total.seconds_per_frame == pytest.approx(2 / 10)
    assert (total.first_frame_good, total.clips) == (1, 2)
    assert total.confidence_correlation == pytest.approx(1)
    assert (total.doubted, total.trusted) == ((3, 3), (0, 0))
    (wrong,) = MaskEvaluation({}, (row("a", "flow", (0.71, 0.69, 0.7), (0.59, 0.6, 0.95)),)).totals()
    assert (wrong.doubted, wrong.trusted) == ((1, 0), (1, 1))
    assert correlation([1.0, 1.0], [0.2, 0.3]) is None
    setting = {"dataset": "x", "machine": "m", "segmenter": "grabcut"}
    table = markdown(MaskEvaluation(setting, tuple(rows)))
    assert "| mask   | flow    | 37.5 | 50.0 | 25.0 |" in table
    assert "| b    |      5 |          40.0 | 15.0 (20.0, 10.0) |" in table
