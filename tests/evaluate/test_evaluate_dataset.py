"""What is found in a dataset, and the holes that are made in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers_evaluate import HEIGHT, WIDTH, make_tree, object_masks, write_pictures

from vinpaint_cli.errors import InputError, MaskError, UsageError
from vinpaint_cli.evaluate.dataset import (
    KINDS,
    check_kinds,
    count_frames,
    find_clips,
    make_holes,
    read_clip,
    read_objects,
)

SHAPE = (5, HEIGHT, WIDTH)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", {"bus": (3, 2), "cat": (5, 1)})


@pytest.mark.parametrize("below", ["", "480p"])
def test_a_tree_as_davis_has_it(tmp_path: Path, below: str) -> None:
    root = make_tree(tmp_path, {"bus": (2, 2), "ant": (3, 1)}, below)
    clips = find_clips(root)
    assert [clip.name for clip in clips] == ["ant", "bus"]
    assert clips[0].annotations == root / "Annotations" / below / "ant"
    assert [count_frames(clip) for clip in clips] == [3, 2]
    assert count_frames(clips[0], 2) == 2


def test_a_folder_of_videos_and_of_pictures(tmp_path: Path, clip: Callable[..., Path]) -> None:
    film = clip("film.mkv", frames=4)
    write_pictures(film.parent / "stills", np.zeros((2, 20, 30, 3), np.uint8), ".png")
    (film.parent / "notes.txt").write_text("no clip")
    found = find_clips(film.parent)
    assert [(entry.name, entry.annotations) for entry in found] == [("film", None), ("stills", None)]
    assert [len(read_clip(entry, None)) for entry in found] == [4, 2]


def test_wanted_clips(tree: Path) -> None:
    assert [clip.name for clip in find_clips(tree, ("cat",))] == ["cat"]
    with pytest.raises(UsageError, match=r"no clip 'cta'.*cat"):
        find_clips(tree, ("cta",))


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        find_clips(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no clip"):
        find_clips(tmp_path)


def test_clips_are_scaled_and_cut(tree: Path) -> None:
    entry = find_clips(tree)[1]
    assert read_clip(entry, None).shape == (5, HEIGHT, WIDTH, 3)
    small = read_clip(entry, (32, 16), 2)
    assert small.shape == (2, 16, 32, 3)
    whole = read_clip(entry, None)[0].astype(float)
    assert abs(small[0].mean() - whole.mean()) < 2


def test_deep_pictures_become_bytes(pictures: Callable[..., Path]) -> None:
    deep = read_clip(find_clips(pictures("deep", 2, deep=True).parent)[0], None)
    assert deep.dtype == np.uint8
    assert deep.max() > 150


def test_objects_run_to_and_fro(tree: Path) -> None:
    masks = read_objects(find_clips(tree)[0], 7, (WIDTH, HEIGHT))
    columns = [int(np.flatnonzero(mask.any(0))[0]) for mask in masks]
    assert columns == [10, 11, 12, 11, 10, 11, 12]


# ---------------------------------------------------------------- holes


@pytest.mark.parametrize("kind", KINDS)
def test_seed_clip_and_kind_fix_the_holes(tree: Path, kind: str) -> None:
    clips = find_clips(tree)
    one = make_holes(kind, clips[0], clips, SHAPE, 0)
    assert one.shape == SHAPE
    assert one.dtype == np.bool_
    assert one.any()
    assert not one.all()
    assert np.array_equal(make_holes(kind, clips[0], clips, SHAPE, 0), one)
    if kind != "box":
        assert np.array_equal(make_holes(kind, clips[0], clips, SHAPE, 1), one) is (kind == "borrowed")
        assert not np.array_equal(make_holes(kind, clips[1], clips, SHAPE, 0), one)


@pytest.mark.parametrize(("size", "box"), [((432, 240), (110, 60)), ((864, 480), (220, 120))])
def test_the_box_keeps_its_proportion(tree: Path, size: tuple[int, int], box: tuple[int, int]) -> None:
    clips = find_clips(tree)
    hole = make_holes("box", clips[0], clips, (1, size[1], size[0]), 0)[0]
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    assert (len(columns), len(rows)) == box
    assert hole.sum() == box[0] * box[1]
    assert abs(columns[0] + columns[-1] + 1 - size[0]) <= 1
    assert abs(rows[0] + rows[-1] + 1 - size[1]) <= 1


def test_the_ellipse_moves_and_stays_inside(tree: Path) -> None:
    clips = find_clips(tree)
    holes = make_holes("moving-ellipse", clips[0], clips, (50, 240, 432), 0)
    areas = holes.sum((1, 2))
    assert np.allclose(areas, np.pi * 110 * 76 / 4, rtol=0.01)
    centres = [np.argwhere(hole).mean(0) for hole in holes]
    assert np.ptp(centres, axis=0).min() > 50


def test_the_object_pasted_is_that_of_another_clip(tree: Path) -> None:
    clips = find_clips(tree)
    sides = {"bus": 8, "cat": 11}
    for clip, donor in ((clips[0], "cat"), (clips[1], "bus")):
        holes = make_holes("objects", clip, clips, SHAPE, 0)
        assert [int(hole.sum()) for hole in holes] == [sides[donor] ** 2] * 5
        assert len({np.argwhere(hole).mean(0).tobytes() for hole in holes}) > 1


def test_the_borrowed_object_is_that_of_the_next_clip_as_it_moves(tree: Path) -> None:
    clips = find_clips(make_tree(tree.parent / "three", {"ant": (5, 1), "bus": (5, 1), "cat": (5, 1)}))
    for place, clip in enumerate(clips):
        holes = make_holes("borrowed", clip, clips, SHAPE, 0)
        side = 8 + 3 * ((place + 1) % 3)
        assert np.array_equal(holes, object_masks(5, side) > 0)
        assert not np.array_equal(holes, read_objects(clip, 5, (WIDTH, HEIGHT)))
    without = replace(clips[1], annotations=None)
    assert np.array_equal(
        make_holes("borrowed", clips[0], (clips[0], without, clips[2]), SHAPE, 0), object_masks(5, 14) > 0
    )


def test_a_folder_of_masks(tree: Path, tmp_path: Path) -> None:
    clips = find_clips(tree)
    masks = object_masks(5, 9)
    write_pictures(tmp_path / "masks" / "cat", masks, ".png")
    write_pictures(tmp_path / "spare", masks[:1], ".png")
    (tmp_path / "spare" / "00000.png").rename(tmp_path / "masks" / "bus.png")
    kind = str(tmp_path / "masks")
    assert np.array_equal(make_holes(kind, clips[1], clips, SHAPE, 0), masks > 0)
    held = make_holes(kind, clips[0], clips, SHAPE, 0)
    assert np.array_equal(held, np.repeat(masks[:1] > 0, 5, 0))
    half = make_holes(kind, clips[1], clips, (5, HEIGHT // 2, WIDTH // 2), 0)
    assert abs(float(half.mean()) / float((masks > 0).mean()) - 1) < 0.25
    with pytest.raises(MaskError, match="has 5 frames"):
        make_holes(kind, clips[1], clips, (6, HEIGHT, WIDTH), 0)
    (tmp_path / "masks" / "bus.png").unlink()
    with pytest.raises(InputError, match="no masks for clip bus"):
        make_holes(kind, clips[0], clips, SHAPE, 0)


def test_kinds_that_cannot_be_had(tree: Path, tmp_path: Path) -> None:
    clips = find_clips(tree)
    check_kinds(KINDS, clips)
    for kinds in ((), ("box", "box"), ("bx",)):
        with pytest.raises(UsageError, match="--masks"):
            check_kinds(kinds, clips)
    for kind in ("objects", "borrowed"):
        with pytest.raises(InputError, match=f"--masks {kind} .*Annotations of two clips"):
            check_kinds((kind,), clips[:1])
