"""Single frames of a mask, drawn by a person, in place of what the files have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clip_factory import png_bytes

from vinpaint_cli.errors import MaskError, UsageError
from vinpaint_cli.masks.prompts import PromptOptions
from vinpaint_cli.masks.sources.options import MaskOptions, build_mask, read_fixes
from vinpaint_cli.types import Frame, VideoInfo

FrameMaker = Callable[..., Frame]


def picture(path: Path, *, columns: slice, value: int = 255) -> str:
    levels = np.zeros((48, 64), np.uint8)
    levels[10:20, columns] = value
    path.write_bytes(png_bytes(levels))
    return str(path)


@pytest.fixture
def spec(tmp_path: Path) -> MaskOptions:
    """A mask held for all frames, and another one for frame 5."""
    mask = picture(tmp_path / "mask.png", columns=slice(0, 20))
    fixed = picture(tmp_path / "fixed.png", columns=slice(40, 50))
    return MaskOptions((mask,), dilate=0, prompts=PromptOptions(fixes=(f"f5={fixed}",)))


def test_a_fix_replaces_its_frame_alone(spec: MaskOptions, info: VideoInfo, frame: FrameMaker) -> None:
    mask = build_mask(spec, info)
    fixed = mask.at(frame(5))
    assert (fixed.sum(), fixed[15, 45], fixed[15, 5]) == (100, True, False)
    assert all(mask.at(frame(index)).sum() == 200 for index in (4, 6))
    fixed[:] = True
    assert mask.at(frame(5)).sum() == 100, "every answer is an array of its own"


def test_a_fix_is_grown_and_inverted_as_the_masks_are(
    spec: MaskOptions, info: VideoInfo, frame: FrameMaker
) -> None:
    assert build_mask(replace(spec, dilate=2), info).at(frame(5)).sum() > 100
    assert build_mask(replace(spec, invert=True), info).at(frame(5)).sum() == 48 * 64 - 100


def test_boxes_lie_over_a_fix(spec: MaskOptions, info: VideoInfo, frame: FrameMaker) -> None:
    mask = build_mask(replace(spec, boxes=("0,40,4,4",)), info)
    assert mask.at(frame(5)).sum() == 116


def test_a_fix_after_the_end_is_told_of(spec: MaskOptions, info: VideoInfo) -> None:
    build_mask(spec, info, 6)
    with pytest.raises(MaskError, match="--fix f5 is beyond the clip, whose last frame is f4"):
        build_mask(spec, info, 5)


def test_a_fix_needs_something_to_correct_and_a_frame(spec: MaskOptions, info: VideoInfo) -> None:
    with pytest.raises(UsageError, match="--fix corrects a mask; give --mask FILE"):
        build_mask(replace(spec, masks=(), boxes=("0,0,4,4",)), info)
    with pytest.raises(UsageError, match="give the frame's number"):
        read_fixes(PromptOptions(fixes=("1.5=fixed.png",)), (64, 48))
    with pytest.raises(MaskError, match="does not exist"):
        read_fixes(PromptOptions(fixes=("f2=nowhere.png",)), (64, 48))


def test_the_last_fix_of_a_frame_counts(tmp_path: Path) -> None:
    names = [picture(tmp_path / f"{width}.png", columns=slice(0, width)) for width in (5, 7)]
    options = PromptOptions(fixes=tuple(f"f3={name}" for name in names))
    assert read_fixes(options, (64, 48))[3].sum() == 70


def test_labels_and_other_sizes_hold_for_fixes(tmp_path: Path) -> None:
    path = picture(tmp_path / "labels.png", columns=slice(0, 8), value=3)
    options = PromptOptions(fixes=(f"f3={path}",))
    assert read_fixes(options, (64, 48), label=3)[3].sum() == 80
    with pytest.raises(MaskError, match="--mask-resize"):
        read_fixes(options, (32, 24), label=3)
    assert read_fixes(options, (32, 24), label=3, resize=True)[3].shape == (24, 32)


def test_nothing_given_names_every_way(info: VideoInfo) -> None:
    with pytest.raises(UsageError, match=r"give --mask FILE, --box X,Y,W,H, --click X,Y or --text"):
        build_mask(MaskOptions(), info)


def test_prompts_must_be_tracked_first(info: VideoInfo) -> None:
    with pytest.raises(ValueError, match="tracked first"):
        build_mask(MaskOptions(prompts=PromptOptions(clicks=("3,4",))), info)
