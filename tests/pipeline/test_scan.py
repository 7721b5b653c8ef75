from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from scenes import pan

from vinpaint_cli.masks.sources.options import MaskOptions, build_mask
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.pipeline.scan import CutDetector, scan
from vinpaint_cli.types import Box
from vinpaint_cli.video.source.read import open_source


def test_cuts_are_found_and_motion_is_none() -> None:
    shots = [
        pan(14, 60, 90, (1, 0), seed=1),
        pan(11, 60, 90, (1, 1), seed=2)[::-1] // 2,
        pan(9, 60, 90, (0, 1), seed=5),
    ]
    detector = CutDetector()
    for shot in shots:
        for frame in shot:
            detector.feed(frame)
    assert detector.cuts() == [14, 25]


def test_a_flash_of_light_in_a_still_picture_is_survived() -> None:
    detector = CutDetector()
    still = pan(1, 60, 90)[0]
    for t in range(20):
        detector.feed(np.clip(still.astype(int) + (60 if t == 9 else 0), 0, 255).astype(np.uint8))
    assert all(8 <= cut <= 11 for cut in detector.cuts())


def _cuts(frames: Iterable[npt.NDArray[np.uint8]]) -> list[int]:
    detector = CutDetector()
    for frame in frames:
        detector.feed(frame)
    return detector.cuts()


def _changed(gradual: int, *, through_black: bool = False) -> npt.NDArray[np.uint8]:
    """40 frames of a dark scene become, over ``gradual`` frames in the middle, another that is bright."""
    one = pan(10, 90, 160, (0, 1), seed=2).repeat(4, 0).astype(float) / 2
    other = 255 - pan(10, 90, 160, (1, 0), seed=5).repeat(4, 0).astype(float) / 2
    share = np.clip((np.arange(40) - 20 + gradual / 2 + 0.5) / (gradual + 1), 0, 1)[:, None, None, None]
    if through_black:
        mixed = one * np.clip(1 - 2 * share, 0, 1) + other * np.clip(2 * share - 1, 0, 1)
    else:
        mixed = one * (1 - share) + other * share
    return mixed.round().astype(np.uint8)


@pytest.mark.parametrize("gradual", [3, 8, 12, 16])
def test_a_dissolve_is_divided_from_what_is_before_and_after(gradual: int) -> None:
    cuts = _cuts(_changed(gradual))
    first, last = 20 - gradual // 2, 20 + gradual // 2
    assert any(first - 2 <= cut <= 20 for cut in cuts)
    assert any(20 <= cut <= last + 2 for cut in cuts)


def test_a_fade_through_black_is_divided_at_black() -> None:
    assert any(18 <= cut <= 22 for cut in _cuts(_changed(11, through_black=True)))


def test_a_fast_pan_and_a_flash_over_it_are_no_dissolve() -> None:
    frames = pan(60, 60, 90, (0, 6), seed=3).astype(int)
    assert _cuts(frames.astype(np.uint8)) == []
    frames[30] = np.clip(frames[30] + 40, 0, 255)
    assert all(29 <= cut <= 32 for cut in _cuts(frames.astype(np.uint8)))


def test_scan_knows_frames_shots_and_holes(tmp_path: Path) -> None:
    shots = pan(8, 60, 90, (1, 0), 1), pan(6, 60, 90, (1, 0), 7) // 3
    for index, frame in enumerate(np.concatenate(shots)):
        cv2.imwrite(str(tmp_path / f"{index:02d}.png"), frame[..., ::-1])
    source = open_source(tmp_path)
    mask = build_mask(MaskOptions(boxes=("80,10,10,20@f2-f4",)), source.info)
    found = scan(source, mask, 3, SilentListener())
    assert found.frames == 14
    assert found.shots == (range(8), range(8, 14))
    assert found.hole_pixels == 2 * 10 * 20
    assert [index for index, box in enumerate(found.holes) if box] == [2, 3]
    assert found.holes[2] == Box(77, 7, 90, 33)
