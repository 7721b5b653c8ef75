"""What counts as seen, in coherent pieces."""

from __future__ import annotations

import numpy as np

from vinpaint_cli.ops.complete.decide import decide
from vinpaint_cli.ops.flow.motion import Motion

SHAPE = 48, 64


def still(count: int) -> Motion:
    zero = np.zeros((*SHAPE, 2), np.float16)
    return Motion((zero,) * (count - 1), (zero,) * (count - 1), (np.eye(3),) * (count - 1))


def block() -> np.ndarray:
    hole = np.zeros(SHAPE, bool)
    hole[10:40, 12:52] = True
    return hole


def test_pieces_are_whole_and_specks_go_with_what_is_around() -> None:
    holes = np.stack([block()] * 3)
    confidence = np.where(holes, 0.9, 1).astype(np.float32)
    confidence[:, 10:40, 32:52] = 0.02
    confidence[:, 20, 20] = 0.1
    confidence[:, 25, 42] = 0.6
    seen = decide(confidence, holes, still(3))
    assert seen[~holes].all()
    assert seen[:, 10:40, 12:32].all()
    assert not seen[:, 10:40, 32:52].any()


def test_a_pixel_without_any_colour_is_never_seen() -> None:
    holes = np.stack([block()] * 3)
    confidence = np.where(holes, 0.95, 1).astype(np.float32)
    confidence[:, 20, 20] = 0
    seen = decide(confidence, holes, still(3))
    assert not seen[:, 20, 20].any()
    assert np.count_nonzero(~seen) == 3


def test_a_frame_in_doubt_goes_with_its_neighbours() -> None:
    holes = np.stack([block()] * 5)
    confidence = np.where(holes, 0.9, 1).astype(np.float32)
    confidence[2][holes[2]] = 0.12
    assert decide(confidence, holes, still(5))[2].all()
    assert not decide(confidence[2:3], holes[2:3], still(1))[0][holes[2]].any()


def test_a_thin_band_beside_the_hole_costs_no_border_there() -> None:
    holes = np.stack([block()] * 3)
    confidence = np.where(holes, 0.95, 1).astype(np.float32)
    confidence[:, 10:40, 47:52] = 0.02
    seen = decide(confidence, holes, still(3))
    assert not seen[:, 12:38, 48:52].any()
    assert seen[:, :, 12:46].all()
