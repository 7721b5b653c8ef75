"""A work folder that was changed by others, or left by a kill at an unlucky moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_factory import make_clip, png_bytes
from helpers_work import OPTIONS, WORK, StopsAt, bytes_of, go_on, stopped

from vinpaint_cli.errors import OutputError, UsageError
from vinpaint_cli.masks.prompts import PromptOptions
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.removal.run import Removal, remove
from vinpaint_cli.resume.fingerprint import differences, take_fingerprint
from vinpaint_cli.resume.journal import read_journal
from vinpaint_cli.resume.stored import write_patches
from vinpaint_cli.resume.work import find_kept, folder_of
from vinpaint_cli.types import Box, EncodeOptions, Patch
from vinpaint_cli.util.hashing import file_sha256
from vinpaint_cli.video.sink.publish import is_temporary_of, temporary_name

pytestmark = pytest.mark.usefixtures("short")


@pytest.fixture(scope="module")
def short() -> Iterator[None]:
    """Segments of nine frames at most."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("vinpaint_cli.pipeline.plan.LONGEST_SEGMENT", 9)
        yield


@dataclass(frozen=True)
class Whole:
    """A clip, how its hole is told, and the output of a run that nobody stopped."""

    source: Path
    options: RemoveOptions
    output: bytes


def run_whole(folder: Path, frames: int, options: RemoveOptions = OPTIONS) -> Whole:
    source = make_clip(folder / "clip.mkv", codec="ffv1", frames=frames)
    remove(source, folder / "whole.mkv", options)
    return Whole(source, options, (folder / "whole.mkv").read_bytes())


@pytest.fixture(scope="module")
def thirty(short: None, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return run_whole(tmp_path_factory.mktemp("thirty"), 30)


@pytest.fixture(scope="module")
def tracked(short: None, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("tracked")
    return run_whole(folder, 14, replace(OPTIONS, mask=followed(folder)))


@pytest.mark.parametrize("name", ["out.mp4", "out", "a.b [1].mkv", "über\n.mov", "ü" * 125 + ".mov"])
def test_hidden_names_are_known_again(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    hidden = temporary_name(target).name
    assert is_temporary_of(hidden, target)
    for other in (
        "",
        "..",
        name,
        f"x{hidden}",
        f"{hidden}x",
        f"../{hidden}",
        hidden.replace(".part", ".prt"),
    ):
        assert not is_temporary_of(other, target)


@pytest.mark.parametrize("resume", [None, False])
def test_only_hidden_outputs_are_removed(
    clip: Callable[..., Path], tmp_path: Path, resume: bool | None
) -> None:
    home = tmp_path / "home"
    (home / "precious").mkdir(parents=True)
    (home / "precious.txt").write_text("precious")
    (home / "precious" / "file").write_text("precious")
    source = clip(codec="ffv1", frames=20)
    folder = stopped(source, home / "out.mkv")
    for part in ("precious.txt", "precious", "", "..", ".", 7, None, ["precious.txt"]):
        read_journal(folder / "journal.jsonl").append(part=part)
    remove(source, home / "out.mkv", OPTIONS, work=WorkOptions(resume=resume))
    assert sorted(path.name for path in home.iterdir()) == ["out.mkv", "precious", "precious.txt"]
    assert (home / "precious" / "file").exists()


@pytest.mark.parametrize("lost", [Path.unlink, lambda path: path.write_bytes(b"\0" * 40)])
def test_a_hidden_output_goes_although_the_journal_is_lost(
    thirty: Whole, tmp_path: Path, lost: Callable[[Path], None]
) -> None:
    target = tmp_path / "out.mkv"
    folder = stopped(thirty.source, target, frames=20)
    temporary_name(target).write_bytes(b"what a killed run leaves")
    other = temporary_name(tmp_path / "other.mkv")
    other.write_bytes(b"of a run to another output")
    lost(folder / "journal.jsonl")
    go_on(thirty.source, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "out.mkv"]
    assert target.read_bytes() == thirty.output


def test_a_folder_or_link_under_a_hidden_name_stays(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=20)
    folder = stopped(source, tmp_path / "out.mkv")
    names = [f".out.0000000{number}.part.mkv" for number in range(3)]
    diary = tmp_path / names[0] / "diary.txt"
    diary.parent.mkdir()
    diary.write_text("precious")
    (tmp_path / names[1]).symlink_to(source)
    (tmp_path / names[2]).mkdir()
    (tmp_path / names[2] / "frame_000000.png").write_bytes(b"")
    for name in names:
        read_journal(folder / "journal.jsonl").append(part=name)
    go_on(source, tmp_path / "out.mkv")
    assert diary.exists()
    assert (tmp_path / names[1]).is_symlink()
    assert not (tmp_path / names[2]).exists()


def emptied(data: dict[str, Any]) -> object:
    return {**data, "segments": [], "frames": data["frames"] + 1}


@pytest.mark.parametrize("change", [emptied, lambda data: [data], lambda data: 1, lambda data: {}])
def test_a_changed_plan_is_made_again(
    thirty: Whole, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    source = thirty.source
    plan = stopped(source, tmp_path / "out.mkv", frames=20) / "plan.json"
    plan.write_text(json.dumps(change(json.loads(plan.read_text()))))
    assert find_kept(WORK, str(tmp_path / "out.mkv")) is None
    assert go_on(source, tmp_path / "out.mkv").segments_reused == 0
    assert (tmp_path / "out.mkv").read_bytes() == thirty.output


@pytest.mark.parametrize("data", ["[]", "1", "null", "{}", '{"version": 1}', "[" * 100_000])
@pytest.mark.parametrize("key", [None, "options", "contents"])
def test_a_fingerprint_of_another_form_is_said(
    clip: Callable[..., Path], tmp_path: Path, data: str, key: str | None
) -> None:
    source = clip(codec="ffv1", frames=20)
    path = stopped(source, tmp_path / "out.mkv") / "fingerprint.json"
    if key is not None:
        data = json.dumps({**json.loads(path.read_text()), key: data})
    path.write_text(data)
    with pytest.raises(OutputError, match="is damaged; give --no-resume"):
        go_on(source, tmp_path / "out.mkv")
    remove(source, tmp_path / "out.mkv", OPTIONS, work=WorkOptions(resume=False))


@pytest.mark.parametrize(
    "wrong",
    [
        {"segment": "0"},
        {"segment": [0]},
        {"segment": -1},
        {"segment": True},
        {"sha256": None},
        {"hole_pixels": "many"},
        {"propagated_pixels": float("nan")},
        {"fit": {}},
        {"fit": {"frames": "x", "on_cpu": False}},
        {"fit": {"frames": 0, "on_cpu": False}},
        {"fit": [1]},
        {"segment": 99},
    ],
)
def test_a_line_of_another_form_costs_its_segment(
    thirty: Whole, tmp_path: Path, wrong: dict[str, object]
) -> None:
    source, target = thirty.source, tmp_path / "out.mkv"
    folder = stopped(source, target, frames=20)
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    count = sum("segment" in line for line in lines)
    lines = [{**line, **wrong} if line.get("segment") == 0 else line for line in lines]
    (folder / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    kept = find_kept(WORK, str(target))
    assert kept is not None
    assert kept.finished == count - 1
    assert go_on(source, target).segments_reused == count - 1
    assert target.read_bytes() == thirty.output


def of_another_size(path: Path, patches: Sequence[Patch]) -> None:
    write_patches(path, [replace(patch, rgb=patch.rgb[1:]) for patch in patches])


def outside(path: Path, patches: Sequence[Patch]) -> None:
    write_patches(path, [replace(patch, roi=Box(60, 40, 76, 56)) for patch in patches])


def of_another_frame(path: Path, patches: Sequence[Patch]) -> None:
    write_patches(path, [replace(patch, index=1000) for patch in patches])


def not_finite(path: Path, patches: Sequence[Patch]) -> None:
    write_patches(path, [replace(patch, alpha=patch.alpha * np.float32("nan")) for patch in patches])


def of_another_kind(path: Path, patches: Sequence[Patch]) -> None:
    write_patches(path, [replace(patch, rgb=patch.rgb.astype(np.float64)) for patch in patches])


def no_patches(path: Path, patches: Sequence[Patch]) -> None:
    np.savez(path, table=np.array(["a"], object), weights=np.zeros(3))


def no_archive(path: Path, patches: Sequence[Patch]) -> None:
    path.write_bytes(b"PK\3\4" + bytes(400))


@pytest.mark.parametrize(
    "forge",
    [of_another_size, outside, of_another_frame, not_finite, of_another_kind, no_patches, no_archive],
)
def test_a_segment_whose_hash_fits_is_looked_at_all_the_same(
    thirty: Whole, tmp_path: Path, forge: Callable[[Path, Sequence[Patch]], None]
) -> None:
    source, target = thirty.source, tmp_path / "out.mkv"
    folder = stopped(source, target, frames=20)
    path = folder / "segment-000000.npz"
    with np.load(path) as arrays:
        patches = [
            Patch(int(row[0]), Box(*map(int, row[1:])), arrays[f"rgb-{i}"], arrays[f"alpha-{i}"])
            for i, row in enumerate(arrays["table"])
        ]
    forge(path, patches)
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    digest = file_sha256(path)
    lines = [{**line, "sha256": digest} if line.get("segment") == 0 else line for line in lines]
    (folder / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(OutputError, match="was damaged and is removed; give the same command again"):
        go_on(source, target)
    go_on(source, target)
    assert target.read_bytes() == thirty.output


def followed(folder: Path) -> MaskOptions:
    """A square drawn on the first frame."""
    drawn = np.zeros((48, 64), np.uint8)
    drawn[16:32, 24:40] = 255
    (folder / "drawn.png").write_bytes(png_bytes(drawn))
    return MaskOptions(prompts=PromptOptions(from_frames=(f"{folder}/drawn.png@f0",)))


@pytest.mark.parametrize("damage", ["gone", "short", "other", "no sum", "another sum"])
def test_a_damaged_followed_mask_is_followed_again(tracked: Whole, tmp_path: Path, damage: str) -> None:
    source, options, target = tracked.source, tracked.options, tmp_path / "out.mkv"
    folder = stopped(source, target, options, 12)
    file, data = folder / "tracked.mkv", (folder / "tracked.mkv").read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "no sum":
        (folder / "tracked.json").unlink()
    elif damage == "another sum":
        (folder / "tracked.json").write_text('{"size": 1}')
    else:
        file.write_bytes(data[: len(data) // 2] if damage == "short" else data[:-99] + bytes(99))
    listener = StopsAt()
    report = remove(source, target, options, listener=listener, work=WORK)
    assert "track" in listener.stages
    assert (report.segments_reused > 0) == ("sum" not in damage)
    assert target.read_bytes() == tracked.output
    assert not folder.exists()


def killed_when_whole(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, work: WorkOptions = WORK
) -> Path:
    """The folder of a run that ended between the output's appearing and the folder's removal."""
    with monkeypatch.context() as patched:
        patched.setattr(Removal, "report", lambda *_: 1 / 0)
        patched.setattr("vinpaint_cli.resume.work_folder.discard", lambda _: None)
        with pytest.raises(ZeroDivisionError):
            remove(source, target, OPTIONS, work=work)
    folder = folder_of(work, str(target))
    assert folder.exists()
    return folder


@pytest.mark.parametrize("name", ["out.mkv", "out"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_whole_output_is_known_again(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, overwrite: bool
) -> None:
    source, target = clip(codec="ffv1", frames=20), tmp_path / name
    whole = remove(source, tmp_path / f"whole_{name}", OPTIONS)
    folder = killed_when_whole(source, target, monkeypatch)
    data, node = bytes_of(target), target.stat().st_ino
    listener = StopsAt()
    report = remove(source, target, OPTIONS, listener=listener, work=WORK, overwrite=overwrite)
    assert (bytes_of(target), target.stat().st_ino) == (data, node)
    assert listener.stages == ["hash"]
    assert [f"{target} is whole" in note for note in listener.notes] == [True]
    assert not folder.exists()
    assert (report.hole_pixels, report.by_method) == (whole.hole_pixels, whole.by_method)
    with pytest.raises(OutputError, match="exists"):
        go_on(source, target)


def test_a_copied_output_is_known_again(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = clip(codec="ffv1", frames=4), tmp_path / "out.mkv"
    empty = replace(OPTIONS, mask=MaskOptions(boxes=("0,0,8,8@f90-",)))
    with monkeypatch.context() as patched:
        patched.setattr("vinpaint_cli.resume.work_folder.discard", lambda _: None)
        remove(source, target, empty, work=WORK)
    assert go_on(source, target, empty).hole_pixels == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mkv", "out.mkv"]


@pytest.mark.parametrize("change", ["output", "plan", "afresh", "options"])
def test_another_output_is_not_taken_for_the_whole_one(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    source, target = clip(codec="ffv1", frames=20), tmp_path / "out.mkv"
    folder = killed_when_whole(source, target, monkeypatch)
    options, work, words = OPTIONS, WORK, "exists"
    if change == "output":
        target.write_bytes(target.read_bytes()[:-1] + b"\0")
    elif change == "plan":
        (folder / "plan.json").unlink()
    elif change == "afresh":
        work = WorkOptions(resume=False)
    else:
        options, words = replace(OPTIONS, feather=7), "--feather was not given"
    data = target.read_bytes()
    with pytest.raises((OutputError, UsageError), match=words):
        remove(source, target, options, work=work)
    assert target.read_bytes() == data


def test_kept_work_of_a_run_that_ended_well_protects_the_output(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target, work = clip(codec="ffv1", frames=20), tmp_path / "out.mkv", WorkOptions(keep=True)
    killed_when_whole(source, target, monkeypatch, work)
    report = remove(source, target, OPTIONS, work=work)
    assert report.segments_reused == report.segments
    with pytest.raises(OutputError, match="exists"):
        remove(source, target, OPTIONS, work=work)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_going_on_with_other_cores_gives_the_same_bytes(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    source, target = clip(codec="ffv1", frames=30), tmp_path / "out.mkv"
    options = replace(OPTIONS, encode=EncodeOptions(codec=codec, preset="ultrafast"))
    for cores in (1, 8):
        monkeypatch.setattr("vinpaint_cli.resume.work.thread_count", lambda cores=cores: cores)
        remove(source, tmp_path / f"{cores}.mkv", options)
    assert (tmp_path / "1.mkv").read_bytes() != (tmp_path / "8.mkv").read_bytes()
    monkeypatch.setattr("vinpaint_cli.resume.work_folder.thread_count", lambda: 8)
    stopped(source, target, options, frames=20)
    monkeypatch.setattr("vinpaint_cli.resume.work_folder.thread_count", lambda: 1)
    assert go_on(source, target, options).segments_reused > 0
    assert target.read_bytes() == (tmp_path / "8.mkv").read_bytes()


def fingerprint(source: Path, prompts: PromptOptions) -> dict[str, Any]:
    options = replace(OPTIONS, mask=MaskOptions(prompts=prompts))
    return take_fingerprint(source, options, "out.mkv", SilentListener()).to_dict()


def test_drawn_masks_count_by_content_object_and_moment(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clip(codec="ffv1", frames=4)
    (tmp_path / "mk.png").write_bytes(png_bytes(np.full((48, 64), 255, np.uint8)))
    monkeypatch.chdir(tmp_path)
    begun = PromptOptions(from_frames=("mk.png@f1",), fixes=("f3=mk.png",))
    then = fingerprint(source, begun)
    same = PromptOptions(from_frames=(f"1:{tmp_path}/mk.png@f1",), fixes=(f"f3={tmp_path}/mk.png",))
    assert fingerprint(source, same) == then
    for other in (("mk.png@f2",), ("2:mk.png@f1",)):
        assert fingerprint(source, replace(begun, from_frames=other)) != then
    assert fingerprint(source, replace(begun, fixes=("f2=mk.png",))) != then


def test_only_the_pictures_of_a_folder_count(pictures: Callable[..., Path], tmp_path: Path) -> None:
    source = pictures(count=20, size=(64, 48))
    stopped(source, tmp_path / "out")
    (source / "Thumbs.db").write_text("not a picture")
    assert go_on(source, tmp_path / "out").segments_reused > 0


def test_a_work_dir_that_cannot_be_is_said(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=4)
    with pytest.raises(UsageError, match="empty name was given for --work-dir"):
        remove(source, tmp_path / "out.mkv", OPTIONS, work=WorkOptions(""))
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "no" / "w"):
        with pytest.raises(OutputError, match=r"cannot be made \(.*\); give --work-dir a folder"):
            remove(source, tmp_path / "out.mkv", OPTIONS, work=WorkOptions(str(folder)))


def test_an_option_that_is_newer_than_the_folder_had_its_default(clip: Callable[..., Path]) -> None:
    source = clip(codec="ffv1", frames=2)
    then = take_fingerprint(source, OPTIONS, "out.mkv", SilentListener()).to_dict()
    del then["options"]["--flow"]
    assert differences(then, take_fingerprint(source, OPTIONS, "out.mkv", SilentListener())) == []
    now = take_fingerprint(source, replace(OPTIONS, flow="raft"), "out.mkv", SilentListener())
    assert differences(then, now) == ["--flow was dis, is raft"]
