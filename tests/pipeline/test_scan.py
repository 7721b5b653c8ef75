from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
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
