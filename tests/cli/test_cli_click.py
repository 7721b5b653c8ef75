"""One click: the object is found, followed, shown and removed, with the embedded segmenter and tracker."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from clip_factory import png_bytes
from helpers_cli import Runner, names
from scenes import psnr, wall

from vinpaint_cli.cli.console import Console
from vinpaint_cli.video.source.read import open_source

FRAMES, HEIGHT, WIDTH, SIDE = 14, 96, 160, 32
STEP = 6


def place(index: int) -> tuple[int, int]:
    """Upper left corner of the object."""
    return 10 + STEP * index, 30 + index


def truth(index: int) -> np.ndarray:
    x, y = place(index)
    hole = np.zeros((HEIGHT, WIDTH), np.bool_)
    hole[y : y + SIDE, x : x + SIDE] = True
    return hole


@pytest.fixture(scope="module")
def background() -> np.ndarray:
    """A greenish wall."""
    return np.clip(wall(HEIGHT, WIDTH, seed=5) * (0.5, 1.0, 0.55), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, background: np.ndarray) -> Path:
    """A folder of pictures: a reddish textured square crosses a still wall."""
    folder = tmp_path_factory.mktemp("scene") / "scene"
    folder.mkdir()
    thing = np.clip(wall(SIDE, SIDE, seed=9) * (0.7, 0.25, 0.3) + (90, 0, 10), 0, 255).astype(np.uint8)
    for index in range(FRAMES):
        picture = background.copy()
        picture[truth(index)] = thing.reshape(-1, 3)
        cv2.imwrite(str(folder / f"{index:02d}.png"), picture[..., ::-1])
    return folder


def holes(path: Path) -> list[np.ndarray]:
    return [frame.rgb[..., 0] > 127 for frame in open_source(path).frames()]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def click(index: int) -> str:
    x, y = place(index)
    return f"{x + SIDE // 2},{y + SIDE // 2}@f{index}"


def test_the_mask_follows_one_click(vinpaint: Runner, scene: Path, tmp_path: Path) -> None:
    made, seen, sheet = tmp_path / "masks.mkv", tmp_path / "seen.mp4", tmp_path / "sheet.png"
    ended = vinpaint(
        "mask", scene, "--click", click(5), "--dilate", "0", "-o", made,
        "--preview", sheet, "--overlay", seen, "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    found = holes(made)
    assert len(found) == FRAMES
    assert min(overlap(hole, truth(index)) for index, hole in enumerate(found)) > 0.8
    report = ended.json
    assert (report["segmenter"], report["tracker"], report["seeds"]) == ("grabcut", "flow", [5])
    assert len(report["confidence"]) == FRAMES
    assert report["confidence"][5] > 0.8, "the click finds the thing"
    assert all(0 <= value <= 1 for value in report["confidence"])
    assert report["worst"] == sorted(report["worst"], key=lambda index: report["confidence"][index])
    assert "segmenter: grabcut" in ended.lines
    assert names(tmp_path) == ["masks.mkv", "seen.mp4", "sheet.png"]


def test_the_object_goes_and_the_wall_comes_back(
    vinpaint: Runner, scene: Path, background: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "removed"
    ended = vinpaint("remove", scene, "--click", click(5), "-o", f"{out}/", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["hole_frames"] == FRAMES
    for index, frame in enumerate(open_source(out).frames()):
        hole = truth(index)
        assert psnr(frame.rgb[hole], background[hole]) > 28
        assert (frame.rgb[:20] == background[:20]).all()


def test_written_and_used_it_is_the_same_hole(vinpaint: Runner, scene: Path, tmp_path: Path) -> None:
    pointed, made = ["--click", click(5), "--track", "copy"], tmp_path / "hole.mkv"
    direct = vinpaint("remove", scene, *pointed, "--dry-run", "-o", tmp_path / "a/", "--json")
    assert vinpaint("mask", scene, *pointed, "-o", made).code == 0
    back = vinpaint(
        "remove", scene, "--mask", made, "--dilate", "0", "--dry-run", "-o", tmp_path / "b/", "--json"
    )
    assert back.json["hole_pixels"] == direct.json["hole_pixels"] > 0
    assert direct.json["hole_frames"] == FRAMES


def test_looking_before_removing(vinpaint: Runner, scene: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.jpg"
    ended = vinpaint("remove", scene, "--click", click(5), "--track", "copy", "--preview", sheet, "--json")
    assert ended.code == 0, ended.err
    assert (ended.json["output"], ended.json["seeds"]) == (None, [5])
    assert names(tmp_path) == ["sheet.jpg"]


def test_from_a_drawn_mask_and_a_fix(vinpaint: Runner, scene: Path, tmp_path: Path) -> None:
    mask, fixed, made = tmp_path / "mask.png", tmp_path / "fixed.png", tmp_path / "masks.mkv"
    mask.write_bytes(png_bytes((truth(3) * 255).astype(np.uint8)))
    corrected = truth(9) & (np.arange(WIDTH) % 2 == 0)
    fixed.write_bytes(png_bytes((corrected * 255).astype(np.uint8)))
    ended = vinpaint(
        "mask",
        scene,
        "--from-frame",
        f"{mask}@f3",
        "--fix",
        f"f9={fixed}",
        "--track",
        "warp",
        "--dilate",
        "0",
        "-o",
        made,
        "--json",
    )
    assert ended.code == 0, ended.err
    assert ended.json["seeds"] == [3, 9]
    found = holes(made)
    assert (found[3] == truth(3)).all()
    assert (found[9] == corrected).all()
    assert overlap(found[4], truth(4)) > 0.8
    # The same file, one frame of it replaced, without following anything.
    ended = vinpaint(
        "mask", scene, "--mask", made, "--fix", f"f4={mask}", "--dilate", "0", "-o", tmp_path / "two.mkv"
    )
    assert ended.code == 0, ended.err
    changed = [(one != other).any() for one, other in zip(holes(tmp_path / "two.mkv"), found, strict=True)]
    assert [index for index, change in enumerate(changed) if change] == [4]
    assert (holes(tmp_path / "two.mkv")[4] == truth(3)).all()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "give --mask FILE, --box X,Y,W,H, --click X,Y or --text"),
        (["--click", "20"], 2, "give X,Y"),
        (["--click", "20,30@f99"], 2, "last frame is f13"),
        (["--click", "20,30@9.5"], 2, "last frame is f13"),
        (["--click", "160,30"], 3, "outside the 160x96 frame"),
        (["--not", "20,30"], 2, "add a --click"),
        (["--fix", "f3=x.png"], 2, "--fix corrects a mask"),
        (["--from-frame", "nowhere.png@f3"], 3, "does not exist"),
        (["--click", "20,30", "--segmenter", "grabkut"], 2, "did you mean 'grabcut'"),
        (["--click", "20,30", "--track", "flaw"], 2, "did you mean 'flow'"),
        (["--click", "20,30", "--mask-label", "2"], 2, "--mask-label 2 needs"),
    ],
)
@pytest.mark.parametrize("command", ["mask", "remove"])
def test_mistakes_are_answered_in_one_line(
    vinpaint: Runner, scene: Path, tmp_path: Path, command: str, options: list[str], code: int, said: str
) -> None:
    ended = vinpaint(command, scene, *options, "-o", tmp_path / "out.mkv", "-q")
    assert ended.code == code, ended.err
    assert len(ended.lines) == 1
    assert said in ended.lines[0]
    assert names(tmp_path) == []


@pytest.mark.parametrize("agreed", [True, False])
def test_a_person_at_a_terminal_is_asked_about_an_uncertain_mask(
    vinpaint: Runner, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agreed: bool
) -> None:
    asked: list[str] = []

    def answer(self: Console, question: str) -> bool:
        picture, _, rest = question.partition(" ")
        assert Path(picture).read_bytes()[1:4] == b"PNG"
        asked.append(rest)
        return agreed

    monkeypatch.setattr(Console, "ask", answer)
    monkeypatch.setattr(Console, "asks", True)
    out = tmp_path / "out.mp4"
    ended = vinpaint("remove", scene, "--click", "150,10", "--end", "f3", "-o", out, "--no-resume")
    assert asked == ["shows the mask; go on with it?"]
    assert "the mask is uncertain in f0" in ended.err
    assert (ended.code, out.exists()) == ((0, True) if agreed else (130, False))


def test_nobody_is_asked_about_a_mask_that_is_sure(
    vinpaint: Runner, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Console, "ask", lambda self, question: pytest.fail(question))
    monkeypatch.setattr(Console, "asks", True)
    out = tmp_path / "out.mp4"
    assert vinpaint("remove", scene, "--click", click(0), "--end", "f3", "-o", out).code == 0
