"""A tiny dataset as DAVIS has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scenes import block, pan

WIDTH, HEIGHT = 64, 48


def write_pictures(folder: Path, pictures: np.ndarray, suffix: str) -> Path:
    """One file per picture, numbered from 0."""
    folder.mkdir(parents=True)
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{index:05d}{suffix}", quality=95)
    return folder


def object_masks(frames: int, side: int) -> np.ndarray:
    """A square that moves one pixel a frame to the right, 0/255 ``(T, h, w)``."""
    boxes = [(10 + t, 14, 10 + t + side, 14 + side) for t in range(frames)]
    return np.stack([block(HEIGHT, WIDTH, box) for box in boxes]).astype(np.uint8) * 255


def make_tree(root: Path, clips: Mapping[str, tuple[int, int]], below: str = "") -> Path:
    """``clips``: name → frames and pixels the camera moves per frame; each has an object of its own size."""
    for place, (name, (frames, step)) in enumerate(clips.items()):
        pictures = pan(frames, HEIGHT, WIDTH, (step, 0), seed=place + 3)
        write_pictures(root / "JPEGImages" / below / name, pictures, ".jpg")
        write_pictures(root / "Annotations" / below / name, object_masks(frames, 8 + 3 * place), ".png")
    return root
