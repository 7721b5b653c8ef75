"""Shadows that go with what is removed, on a scene whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clip_factory import png_bytes
from helpers_work import WORK, StopsAt, stopped
from scenes import psnr, wall

from vinpaint_cli.errors import Interrupted
from vinpaint_cli.mask_making.cast_shadows import NOT_FOUND_NOTE, SEARCH_LINES
from vinpaint_cli.mask_making.clip import MaskedClip, open_clip
from vinpaint_cli.mask_making.run import make_mask
from vinpaint_cli.masks.prompts import PromptOptions
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.ops.propagate.propagation import Propagation, propagate
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.removal.run import remove
from vinpaint_cli.resume.fingerprint import take_fingerprint
from vinpaint_cli.video.source.read import open_source

WIDTH, HEIGHT, COUNT = 160, 96, 14
STEP = 7


def scene() -> np.ndarray:
    return (60 + 0.6 * wall(HEIGHT, WIDTH)).astype(np.uint8)


def thing(t: int) -> tuple[slice, slice]:
    return slice(24, 56), slice(10 + STEP * t, 30 + STEP * t)


def shadow(t: int) -> tuple[slice, slice]:
    return slice(57, 67), slice(14 + STEP * t, 42 + STEP * t)


@pytest.fixture
def walk(tmp_path: Path) -> tuple[Path, RemoveOptions]:
    """A red thing that walks over a wall and darkens it below; with its mask, which is the thing alone."""
    (tmp_path / "walk").mkdir()
    (tmp_path / "masks").mkdir()
    for t in range(COUNT):
        frame, mask = scene(), np.zeros((HEIGHT, WIDTH), np.uint8)
        frame[shadow(t)] = (frame[shadow(t)] * 0.55).astype(np.uint8)
        frame[thing(t)] = (200, 20, 20)
        mask[thing(t)] = 255
        (tmp_path / "walk" / f"{t:03d}.png").write_bytes(png_bytes(frame))
        (tmp_path / "masks" / f"{t:03d}.png").write_bytes(png_bytes(mask))
    hole = MaskOptions(masks=(str(tmp_path / "masks"),), dilate=0, shadows=True)
    return tmp_path / "walk", RemoveOptions(mask=hole)


def holes(clip: MaskedClip) -> list[np.ndarray]:
    return [clip.mask.at(frame) for frame in clip.source.frames()]


def holes_of(path: Path, options: RemoveOptions) -> list[np.ndarray]:
    return holes(open_clip(path, options))


def test_a_shadow_goes_with_what_casts_it(walk: tuple[Path, RemoveOptions], tmp_path: Path) -> None:
    path, options = walk
    job = open_clip(path, options)
    for t, hole in enumerate(holes(job)):
        assert hole[thing(t)].all()
        assert hole[shadow(t)].mean() > 0.9
        assert hole.sum() < 2 * (32 * 20 + 10 * 28)
    assert NOT_FOUND_NOTE not in job.notes()
    without = replace(options, mask=replace(options.mask, shadows=False))
    quality = []
    for name, chosen in (("with", options), ("without", without)):
        remove(path, tmp_path / name, chosen)
        frames = [frame.rgb for frame in open_source(tmp_path / name).frames()]
        quality.append(np.mean([psnr(frame, scene()) for frame in frames]))
    assert quality[0] > quality[1] + 6


def test_in_a_tall_picture_it_is_found_in_a_small_copy(walk: tuple[Path, RemoveOptions]) -> None:
    path, options = walk
    for folder in (path, path.parent / "masks"):
        for file in folder.iterdir():
            picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(file), cv2.resize(picture, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST))
    assert 3 * HEIGHT > SEARCH_LINES
    for t, hole in enumerate(holes_of(path, options)):
        assert hole.shape == (3 * HEIGHT, 3 * WIDTH)
        assert hole[tuple(slice(3 * side.start, 3 * side.stop) for side in shadow(t))].mean() > 0.9
        assert hole.sum() < 9 * 2 * (32 * 20 + 10 * 28)


def test_what_is_dark_in_few_frames_is_no_shadow(walk: tuple[Path, RemoveOptions]) -> None:
    path, options = walk

    def briefly(t: int, frame: np.ndarray) -> None:
        if t in (5, 6, 7):
            frame[shadow(t)] = (frame[shadow(t)] * 0.55).astype(np.uint8)

    repaint(path, briefly)
    job = open_clip(path, options)
    assert all(hole.sum() == hole[thing(t)].sum() for t, hole in enumerate(holes(job)))
    assert NOT_FOUND_NOTE in job.notes()


def test_it_is_carried_to_where_nobody_knows(walk: tuple[Path, RemoveOptions]) -> None:
    """The thing stops: from then on no frame shows what lies under its shadow."""
    path, options = walk
    for t in range(9, COUNT):
        for folder in (path, path.parent / "masks"):
            (folder / f"{t:03d}.png").write_bytes((folder / "008.png").read_bytes())
    assert all(hole[shadow(min(t, 8))].mean() > 0.8 for t, hole in enumerate(holes_of(path, options)))


@pytest.mark.parametrize("backwards", [False, True])
def test_it_is_carried_past_something_else_that_is_masked(
    walk: tuple[Path, RemoveOptions], backwards: bool
) -> None:
    """Around a logo no frame shows the ground, but the shadow comes there from elsewhere, or goes on."""
    path, options = walk
    logo, late = (slice(84, 92), slice(104, 112)), (slice(2, 8), slice(20, 26))
    for t in range(COUNT):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[thing(t)] = mask[logo] = 255
        mask[late] = 255 * (t >= 10)
        (path.parent / "masks" / f"{t:03d}.png").write_bytes(png_bytes(mask))
    if backwards:
        for folder in (path, path.parent / "masks"):
            pictures = [file.read_bytes() for file in sorted(folder.iterdir())]
            for t, picture in enumerate(reversed(pictures)):
                (folder / f"{t:03d}.png").write_bytes(picture)
    found = holes_of(path, options)[:: -1 if backwards else 1]
    for t, hole in enumerate(found):
        assert hole[shadow(t)].mean() > 0.8
        assert hole.sum() < 2 * (32 * 20 + 10 * 28 + 8 * 8 + 6 * 6)


def test_what_comes_into_the_picture_brings_its_shadow(walk: tuple[Path, RemoveOptions]) -> None:
    path, options = walk
    cut = 45
    for folder in (path, path.parent / "masks"):
        for file in folder.iterdir():
            picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)[:, cut:]
            if folder != path:
                picture[84:92, 104 - cut : 112 - cut] = 255
            cv2.imwrite(str(file), picture)
    found = holes_of(path, options)
    assert not found[0][:80].any()
    for t in range(7, COUNT):
        rows, columns = shadow(t)
        assert found[t][rows, columns.start - cut : columns.stop - cut].mean() > 0.8


def test_it_is_not_carried_to_where_frames_show_none(walk: tuple[Path, RemoveOptions]) -> None:
    """The sun goes in: from then on the thing casts no shadow."""
    path, options = walk
    for t in range(7, COUNT):
        frame = scene()
        frame[thing(t)] = (200, 20, 20)
        (path / f"{t:03d}.png").write_bytes(png_bytes(frame))
    found = holes_of(path, options)
    assert all(found[t][shadow(t)].mean() > 0.8 for t in range(5))
    assert all(found[t].sum() == found[t][thing(t)].sum() for t in range(10, COUNT))


@pytest.mark.parametrize("begun", [0, 4])
def test_the_shadow_of_what_jumps_stays_on_the_ground(walk: tuple[Path, RemoveOptions], begun: int) -> None:
    """When the clip begins it stands on the ground, or is in the air already."""
    path, options = walk
    for t in range(COUNT):
        frame, mask = scene(), np.zeros((HEIGHT, WIDTH), np.uint8)
        frame[shadow(t)] = (frame[shadow(t)] * 0.55).astype(np.uint8)
        rows, columns = thing(t)
        up = round(22 * abs(np.sin((t + begun) / 3)))
        inside = slice(rows.start - up, rows.stop - up), columns
        frame[inside], mask[inside] = (200, 20, 20), 255
        (path / f"{t:03d}.png").write_bytes(png_bytes(frame))
        (path.parent / "masks" / f"{t:03d}.png").write_bytes(png_bytes(mask))
    assert all(hole[shadow(t)].mean() > 0.9 for t, hole in enumerate(holes_of(path, options)))


def test_without_a_shadow_the_mask_stays_and_it_is_said(walk: tuple[Path, RemoveOptions]) -> None:
    path, options = walk
    for t in range(COUNT):
        frame = scene()
        frame[thing(t)] = (200, 20, 20)
        (path / f"{t:03d}.png").write_bytes(png_bytes(frame))
    job = open_clip(path, options)
    for t, hole in enumerate(holes(job)):
        assert hole.sum() == hole[thing(t)].sum()
    assert NOT_FOUND_NOTE in job.notes()


def test_an_empty_mask_stays_empty_and_nothing_is_said(walk: tuple[Path, RemoveOptions]) -> None:
    path, options = walk
    for mask in (path.parent / "masks").iterdir():
        mask.write_bytes(png_bytes(np.zeros((HEIGHT, WIDTH), np.uint8)))
    job = open_clip(path, options)
    assert not any(hole.any() for hole in holes(job))
    assert NOT_FOUND_NOTE not in job.notes()


def test_shadows_are_looked_for_during_the_range_of_time(walk: tuple[Path, RemoveOptions]) -> None:
    path, options = walk
    job = open_clip(path, replace(options, mask=replace(options.mask, start="f2", end="f13")))
    found = holes(job)
    assert [t for t, hole in enumerate(found) if hole.any()] == list(range(2, 13))
    assert all(found[t][shadow(t)].mean() > 0.8 for t in range(2, 13))


def test_the_mask_command_writes_what_remove_takes(walk: tuple[Path, RemoveOptions], tmp_path: Path) -> None:
    path, options = walk
    make_mask(path, tmp_path / "mask.mkv", options.mask)
    written = MaskOptions(masks=(str(tmp_path / "mask.mkv"),), dilate=0)
    for one, other in zip(holes_of(path, options), holes_of(path, RemoveOptions(written)), strict=True):
        assert np.array_equal(one, other)


def test_they_are_found_once(
    walk: tuple[Path, RemoveOptions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, options = walk
    monkeypatch.setattr("vinpaint_cli.pipeline.plan.LONGEST_SEGMENT", 9)
    remove(path, tmp_path / "whole.mkv", options)
    stopped(path, tmp_path / "out.mkv", options, 20)
    listener = StopsAt()
    remove(path, tmp_path / "out.mkv", options, listener=listener, work=WORK)
    assert listener.stages == ["hash", "fill"]
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


def test_what_was_followed_before_a_stop_is_kept(
    walk: tuple[Path, RemoveOptions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, options = walk
    drawn, later = (str(tmp_path / "masks" / f"{t:03d}.png") for t in (0, 3))
    prompts = PromptOptions(from_frames=(f"1:{drawn}@f0", f"2:{drawn}@f0"), fixes=(f"f3={later}",))
    options = replace(options, mask=replace(options.mask, masks=(), prompts=prompts))
    whole = remove(path, tmp_path / "whole.mkv", options)

    class Stops(StopsAt):
        def advance(self, n: int = 1) -> bool:
            return self.stages[-1] != "shadows"

    with pytest.raises(Interrupted) as raised:
        remove(path, tmp_path / "out.mkv", options, listener=Stops(), work=WORK)
    assert "the mask is kept in" in raised.value.__notes__[0]
    listener = StopsAt()
    report = remove(path, tmp_path / "out.mkv", options, listener=listener, work=WORK)
    assert "track" not in listener.stages
    assert report.warnings == whole.warnings
    assert any("--fix holds for its own frame alone" in line for line in report.warnings)
    assert "shadows" in listener.stages
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


def test_looking_can_be_stopped_and_its_time_is_told(walk: tuple[Path, RemoveOptions]) -> None:
    class Stops(StopsAt):
        def advance(self, n: int = 1) -> bool:
            return self.stages[-1] != "shadows"

    path, options = walk
    with pytest.raises(Interrupted):
        open_clip(path, options, Stops())
    listener = StopsAt()
    assert open_clip(path, options, listener).seconds["shadows"] > 0
    assert listener.stages == ["scan", "shadows"]
    assert listener.notes == [f"shadows are found on {COUNT} of {COUNT} frames with a hole"]


def test_what_depends_on_it_knows(walk: tuple[Path, RemoveOptions]) -> None:
    path, options = walk
    without = replace(options, mask=replace(options.mask, shadows=False))
    said = [take_fingerprint(path, one, "o.mkv", SilentListener()).options for one in (options, without)]
    assert [one["--shadows"] for one in said] == [True, False]


def repaint(path: Path, paint: Callable[[int, np.ndarray], None]) -> None:
    """Draw the walk without its shadow, and something else."""
    for t in range(COUNT):
        frame = scene()
        paint(t, frame)
        frame[thing(t)] = (200, 20, 20)
        (path / f"{t:03d}.png").write_bytes(png_bytes(frame))


def test_a_dark_thing_that_goes_its_own_way_is_left(walk: tuple[Path, RemoveOptions]) -> None:
    path, options = walk

    def passer(t: int, frame: np.ndarray) -> None:
        frame[60:90, max(0, 100 - 6 * t) : max(0, 124 - 6 * t)] = (30, 28, 32)

    repaint(path, passer)
    job = open_clip(path, options)
    assert all(hole.sum() == hole[thing(t)].sum() for t, hole in enumerate(holes(job)))
    assert NOT_FOUND_NOTE in job.notes()


def test_a_fade_is_no_shadow(walk: tuple[Path, RemoveOptions]) -> None:
    path, options = walk

    def fade(t: int, frame: np.ndarray) -> None:
        frame[:] = (frame * min(1.0, max(0.1, (COUNT - t) / 7))).astype(np.uint8)

    repaint(path, fade)
    assert all(hole.sum() == hole[thing(t)].sum() for t, hole in enumerate(holes_of(path, options)))


def test_a_second_thing_far_away_does_not_take_the_shadow_along(walk: tuple[Path, RemoveOptions]) -> None:
    path, options = walk
    alone = holes_of(path, options)
    other = slice(2, 14), slice(140, 152)
    for t in range(9, COUNT):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[thing(t)] = mask[other] = 255
        (path.parent / "masks" / f"{t:03d}.png").write_bytes(png_bytes(mask))
    for one, both in zip(alone, holes_of(path, options), strict=True):
        both[:18, 130:] = False
        assert np.count_nonzero(one != both) < 0.15 * one.sum()


def test_memory_that_does_not_suffice_is_made_do_with(
    walk: tuple[Path, RemoveOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, options = walk

    def little(pictures: np.ndarray, *given: Any, **more: Any) -> Propagation:
        if len(pictures) > 8:
            raise MemoryError
        return propagate(pictures, *given, **more)

    monkeypatch.setattr("vinpaint_cli.pipeline.stages.propagate", little)
    assert all(hole[shadow(t)].mean() > 0.8 for t, hole in enumerate(holes_of(path, options)))
