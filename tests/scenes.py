"""Moving pictures whose truth is known, for tests of what fills a hole."""

from __future__ import annotations

import cv2
import numpy as np


def wall(height: int, width: int, seed: int = 3) -> np.ndarray:
    """A still texture (h, w, 3) uint8 with structure at several sizes, so that flow has something to hold."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128.0)
    for size, strength in ((3, 30), (9, 60), (25, 50)):
        noise = rng.normal(size=(height, width, 3))
        soft = cv2.GaussianBlur(noise, (0, 0), size / 2)
        picture += strength * soft / soft.std()
    return np.clip(picture, 0, 255).astype(np.uint8)


def pan(frames: int, height: int, width: int, step: tuple[int, int] = (3, 0), seed: int = 3) -> np.ndarray:
    """A camera that moves ``step`` = (x, y) whole pixels a frame over a wall: (T, h, w, 3) uint8."""
    dx, dy = step
    wide = wall(height + abs(dy) * frames, width + abs(dx) * frames, seed)
    return np.stack([wide[t * dy : t * dy + height, t * dx : t * dx + width] for t in range(frames)])


def block(height: int, width: int, box: tuple[int, int, int, int]) -> np.ndarray:
    """A hole (h, w) that covers ``x0, y0, x1, y1``."""
    hole = np.zeros((height, width), bool)
    x0, y0, x1, y1 = box
    hole[y0:y1, x0:x1] = True
    return hole


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Of pictures in 0…255."""
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-6)))
