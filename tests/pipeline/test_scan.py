from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
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
