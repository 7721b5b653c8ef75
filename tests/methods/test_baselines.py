"""The two floors: each frame on its own, and the same pixel of the nearest frame."""

from __future__ import annotations

import numpy as np
import torch

from vinpaint_cli.methods import load_method
from vinpaint_cli.methods.nearest import nearest_known
from vinpaint_cli.types import Clip


def clip(frames: np.ndarray, holes: np.ndarray) -> Clip:
    return Clip(
        torch.from_numpy(frames.astype(np.float32)).permute(0, 3, 1, 2),
        torch.from_numpy(holes.astype(np.float32))[:, None],
        tuple(range(len(frames))),
    )


def greys(*values: float) -> np.ndarray:
    """Frames of one grey each, (T, 8, 8, 3)."""
    return np.stack([np.full((8, 8, 3), value, np.float32) for value in values])


def test_nearest_known_by_hand() -> None:
    known = np.array([True, False, False, False, True, False])[:, None, None]
    assert nearest_known(known).ravel().tolist() == [0, 0, 0, 4, 4, 4]
    assert nearest_known(~known).ravel().tolist() == [1, 1, 2, 3, 3, 5]
    assert nearest_known(np.zeros((3, 1, 1), bool)).ravel().tolist() == [-1, -1, -1]


def test_nearest_copies_along_time_pixel_by_pixel() -> None:
    frames = greys(0.1, 0.2, 0.3, 0.4)
    holes = np.zeros((4, 8, 8), bool)
    holes[1:3, 2, 2] = True
    holes[0:2, 5, 5] = True
    filled = load_method("nearest").fill(clip(np.where(holes[..., None], 0.9, frames), holes))
    assert torch.allclose(filled[:, 0, 2, 2], torch.tensor([0.1, 0.1, 0.4, 0.4]))
    assert torch.allclose(filled[:, 0, 5, 5], torch.tensor([0.3, 0.3, 0.3, 0.4]))


def test_what_no_frame_shows_is_filled_from_around() -> None:
    frames = greys(0.2, 0.2, 0.2)
    holes = np.zeros((3, 8, 8), bool)
    holes[:, 3:5, 3:5] = True
    spoiled = clip(np.where(holes[..., None], 1.0, frames), holes)
    for name in ("nearest", "telea"):
        assert torch.allclose(load_method(name).fill(spoiled), torch.tensor(0.2), atol=1 / 255)


def test_telea_sees_no_other_frame() -> None:
    holes = np.zeros((2, 8, 8), bool)
    holes[0, 3:5, 3:5] = True
    filled = load_method("telea").fill(clip(greys(0.2, 0.8), holes))
    assert torch.allclose(filled[0], torch.tensor(0.2), atol=1 / 255)
    assert torch.allclose(filled[1], torch.tensor(0.8))
