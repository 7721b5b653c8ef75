"""The clip or a mask changes while a run reads it: exit 3, nothing published, nothing wrong taken over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clip_factory import make_clip, png_bytes
from helpers_work import OPTIONS, WORK, StopsAt, bytes_of, go_on

from vinpaint_cli.errors import InputChanged, UsageError
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.removal.run import remove

pytestmark = pytest.mark.usefixtures("short")
SIZE = (64, 48)
Change = Callable[[Path, Path], None]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of nine frames at most."""
    monkeypatch.setattr("vinpaint_cli.pipeline.plan.LONGEST_SEGMENT", 9)


class ChangesAt(StopsAt):
    """Changes a file after some units of filling, and lets the run go on."""

    def __init__(self, units: int, change: Callable[[], None]) -> None:
        super().__init__(units)
        self.change = change

    def advance(self, n: int = 1) -> bool:
        was = self.left
        if not super().advance(n) and was > 0:
            self.change()
        return True


def overwritten(path: Path, other: Path) -> None:
    """Other bytes in the same file, as a second copy writes them."""
    with open(path, "r+b") as file:
        file.write(other.read_bytes())


def renamed_over(path: Path, other: Path) -> None:
    """Another file of the same size and time under the name."""
    shutil.copy(other, path.with_name("new"))
    os.utime(path.with_name("new"), ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    os.replace(path.with_name("new"), path)


def cut(path: Path, other: Path) -> None:
    """The file ends in its middle."""
    os.truncate(path, path.stat().st_size // 2)


def gone(path: Path, other: Path) -> None:
    """No file any more."""
    path.unlink()


def test_no_part_of_a_segment_that_saw_another_clip_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vinpaint_cli.resume.checkpoints.SECONDS", 0.0)
    path = make_clip(tmp_path / "in.mkv", frames=25, codec="ffv1", size=SIZE)
    (tmp_path / "else").mkdir()
    other = make_clip(tmp_path / "else" / "in.mkv", frames=25, codec="ffv1", size=SIZE, metadata={"a": "b"})
    options, seen = replace(OPTIONS, propagate=True), []
    folder = tmp_path / ".out.mkv.work"

    def change() -> None:
        seen.extend(folder.glob("part-*"))
        overwritten(path, other)

    with pytest.raises(InputChanged):
        remove(path, tmp_path / "out.mkv", options, listener=ChangesAt(30, change), work=WORK)
    assert seen
    assert not list(folder.glob("part-*"))


@pytest.mark.parametrize("change", [overwritten, renamed_over, cut, gone])
@pytest.mark.parametrize("units", [2, 12, 24])
@pytest.mark.parametrize("work", [WORK, None])
def test_a_clip_that_changes_ends_the_run(tmp_path: Path, change: Change, units: int, work: object) -> None:
    path = make_clip(tmp_path / "in.mkv", frames=25, codec="ffv1", size=SIZE)
    (tmp_path / "else").mkdir()
    other = make_clip(
        tmp_path / "else" / "in.mkv", frames=25, codec="ffv1", size=SIZE, metadata={"title": "T"}
    )
    then, target = path.read_bytes(), tmp_path / "out.mkv"
    with pytest.raises(InputChanged, match=r"in\.mkv was written to or replaced") as caught:
        remove(path, target, OPTIONS, listener=ChangesAt(units, lambda: change(path, other)), work=work)
    assert caught.value.exit_code == 3
    assert not target.exists()
    assert {file.name for file in tmp_path.iterdir()} <= {"in.mkv", "else", ".out.mkv.work"}
    if work is None or not (tmp_path / ".out.mkv.work").exists():
        return
    if path.exists():
        with suppress(UsageError):  # the folder is not taken for the new file
            go_on(path, target)
            pytest.fail("went on with another clip")
    path.write_bytes(then)
    report = go_on(path, target)
    assert report.segments_reused > 0
    remove(path, tmp_path / "whole.mkv", OPTIONS)
    assert bytes_of(target) == bytes_of(tmp_path / "whole.mkv")


def test_a_mask_that_changes_ends_the_run(tmp_path: Path) -> None:
    path, target = make_clip(tmp_path / "in.mkv", frames=25, codec="ffv1", size=SIZE), tmp_path / "out.mkv"
    masks = tmp_path / "masks"
    masks.mkdir()
    hole = np.zeros((48, 64), np.uint8)
    hole[8:24, 24:40] = 255
    for index in range(25):
        (masks / f"{index}.png").write_bytes(png_bytes(hole))
    options = replace(OPTIONS, mask=MaskOptions(masks=(str(masks),)))
    listener = ChangesAt(12, lambda: (masks / "20.png").write_bytes(png_bytes(hole[::-1])))
    with pytest.raises(InputChanged, match="the mask was written to"):
        remove(path, target, options, listener=listener, work=WORK)
    assert not target.exists()


def test_a_clip_that_was_only_looked_at_is_the_same(tmp_path: Path) -> None:
    path, target = make_clip(tmp_path / "in.mkv", frames=12, codec="ffv1", size=SIZE), tmp_path / "out.mkv"
    remove(path, target, OPTIONS, listener=ChangesAt(2, lambda: path.chmod(0o400)))
    assert target.exists()
