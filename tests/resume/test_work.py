"""The work folder: what is reused, what is refused, and that nothing of it can spoil an output."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clip_factory import make_clip, png_bytes
from helpers_work import OPTIONS, WORK, StopsAt, bytes_of, go_on, stopped

from vinpaint_cli.errors import InputError, Interrupted, OutputError, UsageError
from vinpaint_cli.mask_making.clip import open_clip
from vinpaint_cli.masks.prompts import PromptOptions
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.removal.run import remove
from vinpaint_cli.resume.journal import read_journal
from vinpaint_cli.resume.stored import plan_from_dict, plan_to_dict, read_patches, write_patches
from vinpaint_cli.resume.work import find_kept, folder_of
from vinpaint_cli.types import Box, EncodeOptions, Patch, Segment

pytestmark = pytest.mark.usefixtures("short")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of nine frames at most."""
    monkeypatch.setattr("vinpaint_cli.pipeline.plan.LONGEST_SEGMENT", 9)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.webm", "out.mov", "out"])
@pytest.mark.parametrize("propagate", [False, True])
def test_going_on_gives_the_same_bytes(
    clip: Callable[..., Path], tmp_path: Path, name: str, propagate: bool
) -> None:
    source = clip("in.mp4", frames=20 if propagate else 30, audio="aac", subtitles=())
    options = replace(OPTIONS, propagate=propagate)
    (tmp_path / "whole").mkdir()
    remove(source, tmp_path / "whole" / name, options)
    folder = stopped(source, tmp_path / name, options, 30 if propagate else 12)
    listener = StopsAt()
    report = remove(source, tmp_path / name, options, listener=listener, work=WORK)
    assert bytes_of(tmp_path / name) == bytes_of(tmp_path / "whole" / name)
    assert 0 < report.segments_reused < report.segments
    assert listener.stages == ["hash", "fill"]
    assert f"{report.segments_reused} of {report.segments} segments are there" in listener.notes[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.mp4", name, "whole"])
    assert not folder.exists()


def test_a_run_without_a_folder_leaves_none(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=20)
    with pytest.raises(Interrupted):
        remove(source, tmp_path / "out.mkv", OPTIONS, listener=StopsAt(10))
    assert list(tmp_path.iterdir()) == [source]


def test_the_report_is_that_of_a_whole_run(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=20)
    options = RemoveOptions(OPTIONS.mask)
    whole = remove(source, tmp_path / "whole.mkv", options)
    stopped(source, tmp_path / "out.mkv", options, 40)
    report = go_on(source, tmp_path / "out.mkv", options)
    assert report.segments_reused > 0
    for name in ("frames", "hole_frames", "hole_pixels", "by_propagation", "segments", "shots", "warnings"):
        assert getattr(report, name) == getattr(whole, name)


def changed_input(folder: Path) -> None:
    make_clip(folder / "in.mkv", frames=20, codec="ffv1", size=(64, 48), metadata={"title": "another"})


def changed_mask(folder: Path) -> None:
    hole = np.zeros((48, 64), np.uint8)
    hole[20:30, 20:30] = 255
    (folder / "mask.png").write_bytes(png_bytes(hole))


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (changed_input, {}, "the input has changed since"),
        (changed_mask, {}, "the mask has changed since"),
        (None, {"feather": 4}, "--feather was 2, is 4"),
        (None, {"method": "nearest"}, "--method was telea, is nearest"),
        (None, {"encode": EncodeOptions(lossless=True)}, "--lossless was off, is on"),
    ],
)
def test_another_job_is_refused_and_told_how_it_differs(
    tmp_path: Path, change: Callable[[Path], None] | None, options: dict[str, object], words: str
) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=20, codec="ffv1")
    (tmp_path / "mask.png").write_bytes(png_bytes(np.full((48, 64), 255, np.uint8)))
    begun = replace(OPTIONS, mask=MaskOptions(masks=(str(tmp_path / "mask.png"),)), feather=2)
    folder = stopped(source, tmp_path / "out.mkv", begun)
    before = bytes_of(folder)
    if change is not None:
        change(tmp_path)
    now = replace(begun, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=words) as caught:
        go_on(source, tmp_path / "out.mkv", now)
    assert str(caught.value).count(" was ") + str(caught.value).count("changed") == 2  # it "was begun" too
    assert "--no-resume" in str(caught.value)
    assert [len(data) for data in bytes_of(folder)] == [len(data) for data in before]
    report = remove(source, tmp_path / "out.mkv", now, work=WorkOptions(resume=False))
    assert report.segments_reused == 0
    assert not folder.exists()


def test_a_picture_changed_in_a_folder_is_noticed(pictures: Callable[..., Path], tmp_path: Path) -> None:
    source = pictures(count=20, size=(64, 48))
    stopped(source, tmp_path / "out")
    first, second = sorted(source.iterdir())[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(UsageError, match="the input has changed since"):
        go_on(source, tmp_path / "out")


@pytest.mark.parametrize("damage", ["short", "other", "gone"])
def test_a_damaged_segment_is_filled_again(clip: Callable[..., Path], tmp_path: Path, damage: str) -> None:
    source = clip(codec="ffv1", frames=30)
    remove(source, tmp_path / "whole.mkv", OPTIONS)
    folder = stopped(source, tmp_path / "out.mkv", frames=20)
    first = folder / "segment-000000.npz"
    count = len(list(folder.glob("segment-*")))
    data = first.read_bytes()
    if damage == "gone":
        first.unlink()
    else:
        first.write_bytes(data[: len(data) // 2] if damage == "short" else data[:-9] + bytes(9))
    report = go_on(source, tmp_path / "out.mkv")
    assert report.segments_reused == count - 1
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


@pytest.mark.parametrize("file", ["plan.json", "journal.jsonl"])
def test_a_damaged_plan_or_journal_costs_work_not_the_output(
    clip: Callable[..., Path], tmp_path: Path, file: str
) -> None:
    source = clip(codec="ffv1", frames=30)
    remove(source, tmp_path / "whole.mkv", OPTIONS)
    folder = stopped(source, tmp_path / "out.mkv", frames=20)
    (folder / file).write_bytes((folder / file).read_bytes()[:40])
    assert go_on(source, tmp_path / "out.mkv").segments_reused == 0
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


def test_a_killed_runs_hidden_output_is_removed(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=20)
    folder = stopped(source, tmp_path / "out.mkv")
    (part,) = (entry["part"] for entry in read_journal(folder / "journal.jsonl").entries if "part" in entry)
    (tmp_path / part).write_bytes(b"half")
    (tmp_path / ".out.12345678.part.mkv").write_bytes(b"somebody else's")
    go_on(source, tmp_path / "out.mkv")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".out.12345678.part.mkv", "clip.mkv", "out.mkv"]


def test_what_a_killed_run_was_writing_is_removed(clip: Callable[..., Path], tmp_path: Path) -> None:
    source, target = clip(codec="ffv1", frames=20), tmp_path / "out.mkv"
    folder = stopped(source, target, frames=12)
    before = sorted(path.name for path in folder.iterdir())
    for name in (".segment-000001.npz.7.part", ".plan.json.7.part", ".tracked.0a1b.part.mkv"):
        (folder / name).write_bytes(b"half")
    remove(source, target, OPTIONS, work=WorkOptions(keep=True))
    left = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
    assert left == [name for name in before if name.startswith(".")]


def test_a_second_process_is_refused(clip: Callable[..., Path], tmp_path: Path) -> None:
    source, target = clip(codec="ffv1", frames=20), tmp_path / "out.mkv"
    folder = stopped(source, target)
    code = (
        "import sys; from pathlib import Path; from vinpaint_cli.resume.lock import lock_folder\n"
        "lock = lock_folder(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    held = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match=f"in use by process {held.pid}"):
        go_on(source, target)
    held.kill()
    held.communicate()
    assert go_on(source, target).segments_reused > 0


def test_a_full_disk_keeps_what_is_finished(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = clip(codec="ffv1", frames=30), tmp_path / "out.mkv"
    written: list[Path] = []

    def write(path: Path, patches: tuple[Patch, ...]) -> str:
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_patches(path, patches)

    with monkeypatch.context() as patched:
        patched.setattr("vinpaint_cli.resume.work_folder.write_patches", write)
        with pytest.raises(OutputError, match="the disk is full") as caught:
            go_on(source, target)
    assert "2 of " in caught.value.__notes__[0]
    assert len(list(tmp_path.iterdir())) == 2
    assert go_on(source, target).segments_reused == 2


def test_a_run_that_finished_nothing_leaves_nothing(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=20)
    with pytest.raises(Interrupted):
        remove(source, tmp_path / "out.mkv", OPTIONS, listener=StopsAt(0), work=WORK)
    with pytest.raises(InputError):
        go_on(tmp_path / "no.mkv", tmp_path / "out.mkv")
    assert list(tmp_path.iterdir()) == [source]


def test_a_clip_without_a_hole_needs_no_folder_in_the_end(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=4)
    empty = replace(OPTIONS, mask=MaskOptions(boxes=("0,0,8,8@f90-",)))
    go_on(source, tmp_path / "out.mkv", empty)
    assert (tmp_path / "out.mkv").read_bytes() == source.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_with_files_of_others_is_not_touched(clip: Callable[..., Path], tmp_path: Path) -> None:
    source, target = clip(codec="ffv1", frames=4), tmp_path / "out.mkv"
    folder = folder_of(WORK, str(target))
    folder.mkdir()
    (folder / "diary.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"diary\.txt"):
        go_on(source, target)
    assert (folder / "diary.txt").read_text() == "precious"


def test_kept_work_is_used_again(clip: Callable[..., Path], tmp_path: Path) -> None:
    source, target = clip(codec="ffv1", frames=20), tmp_path / "out.mkv"
    work = WorkOptions(str(tmp_path / "w"), keep=True)
    first = remove(source, target, OPTIONS, work=work)
    assert first.work == str(folder_of(work, str(target)))
    kept = find_kept(work, str(target))
    assert kept is not None
    assert (kept.finished, kept.segments) == (first.segments, first.segments)
    data = target.read_bytes()
    again = remove(source, target, OPTIONS, work=work, overwrite=True)
    assert again.segments_reused == first.segments
    assert target.read_bytes() == data
    with pytest.raises(UsageError, match="nothing to go on with"):
        remove(source, tmp_path / "b.mkv", OPTIONS, work=replace(work, resume=True))


def test_outputs_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    work = WorkOptions(str(tmp_path))
    folders = {folder_of(work, str(tmp_path / name / "out.mkv")).name for name in "ab"}
    assert len(folders) == 2
    assert all(name.startswith("out.mkv.") for name in folders)
    assert folder_of(WORK, f"{tmp_path}/out/") == tmp_path / ".out.work"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_patches_come_back_as_they_were(tmp_path: Path, dtype: type) -> None:
    rng = np.random.default_rng(1)
    patches = [
        Patch(
            index,
            Box(index, 1, index + 4, 6),
            rng.integers(0, 255, (5, 4, 3)).astype(dtype),
            rng.random((5, 4), np.float32),
            0.1 * index,
        )
        for index in range(3)
    ]
    segment = Segment(0, range(3), range(3), Box(0, 0, 9, 9), (9, 9))
    write_patches(tmp_path / "p.npz", patches)
    for one, other in zip(patches, read_patches(tmp_path / "p.npz", segment), strict=True):
        assert (one.index, one.roi, one.weight) == (other.index, other.roi, other.weight)
        assert np.array_equal(one.rgb, other.rgb)
        assert one.rgb.dtype == other.rgb.dtype
        assert np.array_equal(one.alpha, other.alpha)
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]
    write_patches(tmp_path / "none.npz", [])
    assert read_patches(tmp_path / "none.npz", segment) == ()


def test_a_plan_comes_back_as_it_was(clip: Callable[..., Path]) -> None:
    job = open_clip(clip(codec="ffv1", frames=20), OPTIONS)
    plan = job.plan(SilentListener())
    assert plan_from_dict(json.loads(json.dumps(plan_to_dict(plan))), job.spec) == plan


def test_an_object_is_followed_once(clip: Callable[..., Path], tmp_path: Path) -> None:
    source, drawn = clip(codec="ffv1", frames=14), np.zeros((48, 64), np.uint8)
    drawn[16:32, 24:40] = 255
    (tmp_path / "drawn.png").write_bytes(png_bytes(drawn))
    prompts = PromptOptions(from_frames=(f"{tmp_path}/drawn.png@f0",))
    options = replace(OPTIONS, mask=MaskOptions(prompts=prompts))
    remove(source, tmp_path / "whole.mkv", options)
    folder = stopped(source, tmp_path / "out.mkv", options, 8)
    assert (folder / "tracked.mkv").exists()
    (tmp_path / "drawn.png").write_bytes(png_bytes(np.roll(drawn, 4, 1)))
    with pytest.raises(UsageError, match="the drawn mask has changed since"):
        go_on(source, tmp_path / "out.mkv", options)
    (tmp_path / "drawn.png").write_bytes(png_bytes(drawn))
    listener = StopsAt()
    remove(source, tmp_path / "out.mkv", options, listener=listener, work=WORK)
    assert listener.stages == ["hash", "fill"]
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


@pytest.mark.parametrize("side", [0, 1])
def test_each_of_two_far_holes_is_gone_on_with_by_itself(
    clip: Callable[..., Path], tmp_path: Path, side: int
) -> None:
    source = clip(codec="ffv1", frames=20, size=(480, 48))
    options = replace(OPTIONS, mask=MaskOptions(boxes=("10,16,16,16", "454,12,16,16@f4-")))
    whole = remove(source, tmp_path / "whole.mkv", options)
    kept = WorkOptions(keep=True)
    remove(source, tmp_path / "out.mkv", options, work=kept)
    folder = folder_of(kept, str(tmp_path / "out.mkv"))
    plan = json.loads((folder / "plan.json").read_text())
    lost = [segment["index"] for segment in plan["segments"] if (segment["own"][0] > 240) == bool(side)]
    for index in lost:
        (folder / f"segment-{index:06d}.npz").unlink()
    report = remove(source, tmp_path / "out.mkv", options, work=kept, overwrite=True)
    assert 0 < report.segments_reused == whole.segments - len(lost)
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()
