from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from clip_factory import texture
from scenes import pan

from vinpaint_cli.masks.sources.options import MaskOptions, build_mask
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.pipeline.scan import CutDetector, hole_boxes, scan
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


def cuts(frames: Iterable[npt.NDArray[np.uint8]]) -> list[int]:
    detector = CutDetector()
    for frame in frames:
        detector.feed(frame)
    return detector.cuts()


def two_scenes(gradual: int, *, through: int | None = None) -> npt.NDArray[np.uint8]:
    """60 frames: a dark scene becomes, in ``gradual`` frames from the 20th on, a bright one; both move."""
    one, other = pan(60, 90, 160, (1, 0), seed=2) * 0.6, 255 - pan(60, 90, 160, (0, 1), seed=5) * 0.5
    share = np.clip((np.arange(60) - 19) / (gradual + 1), 0, 1)[:, None, None, None]
    if through is None:
        return (one * (1 - share) + other * share).round().astype(np.uint8)
    first, last = np.clip(1 - 2 * share, 0, 1), np.clip(2 * share - 1, 0, 1)
    return (one * first + other * last + through * (1 - first - last)).round().astype(np.uint8)


@pytest.mark.parametrize("gradual", [4, 8, 12, 16, 24])
def test_a_dissolve_is_a_shot_of_its_own(gradual: int) -> None:
    first, last = cuts(two_scenes(gradual))
    assert abs(first - 20) <= 1
    assert abs(last - (20 + gradual)) <= 1


@pytest.mark.parametrize("colour", [0, 255])
def test_a_fade_is_divided_where_nothing_is_shown(colour: int) -> None:
    found = cuts(two_scenes(15, through=colour))
    assert found
    assert all(26 <= cut <= 29 for cut in found)


def test_things_are_followed_to_the_middle_of_a_dissolve() -> None:
    detector = CutDetector()
    for frame in two_scenes(8):
        detector.feed(frame)
    (middle,) = detector.scene_cuts()
    assert abs(middle - 24) <= 1


def brighter(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The same, twice as bright in the end: much of it is white then."""
    gain = 1 + np.clip((np.arange(len(frames)) - 20) / 10, 0, 1)[:, None, None, None]
    return np.clip(frames * gain, 0, 255).astype(np.uint8)


def crossed(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The same, and another texture that covers half of it moves over it."""
    thing = pan(1, 90, 80, seed=8)[0] // 2
    wide = np.concatenate([np.full((len(frames), 90, 80, 3), 0, np.uint8), frames], axis=2)
    for t, frame in enumerate(wide):
        frame[:, 4 * t : 4 * t + 80] = thing[:, : max(0, 240 - 4 * t)]
    return wide[:, :, 80:]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(pan(50, 90, 160, (6, 0), seed=3), id="fast pan"),
        pytest.param(brighter(pan(50, 90, 160, (1, 0), seed=4)), id="light"),
        pytest.param(crossed(pan(40, 90, 160, (0, 0), seed=4)), id="thing"),
        pytest.param(np.stack([texture(t, 64, 48) for t in range(40)]), id="waves"),
        pytest.param(np.zeros((20, 48, 64, 3), np.uint8), id="black"),
    ],
)
def test_what_moves_or_changes_in_one_scene_is_no_transition(frames: npt.NDArray[np.uint8]) -> None:
    assert cuts(frames) == []


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


def test_a_hole_is_cut_where_rows_or_columns_are_empty() -> None:
    hole = np.zeros((90, 120), bool)
    parts = [Box(2, 3, 12, 9), Box(100, 3, 117, 9), Box(4, 60, 9, 80), Box(100, 50, 110, 88)]
    for part in (*parts, Box(14, 5, 16, 7)):
        hole[part.slices()] = True
    assert sorted(hole_boxes(hole, 20), key=lambda box: (box.x0, box.y0)) == [
        Box(2, 3, 16, 9),
        Box(4, 60, 9, 80),
        Box(100, 3, 117, 9),
        Box(100, 50, 110, 88),
    ]
    assert hole_boxes(hole, 200) == [Box(2, 3, 117, 88)]
    assert hole_boxes(np.zeros((9, 9), bool), 4) == []


def test_a_ring_is_one_hole() -> None:
    hole = np.ones((60, 60), bool)
    hole[5:55, 5:55] = False
    assert hole_boxes(hole, 10) == [Box(0, 0, 60, 60)]
