"""Soft masks drawn to the edges of a picture: the guided filter (He, Sun and Tang, ECCV 2010)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.masks.track.frame_reader import Bytes

if TYPE_CHECKING:
    from vinpaint_cli.types import Plane

RADIUS = 4
"""Pixels; the window is twice as wide and one more."""
FLAT = 1e-3
"""Variance of light in [0, 1] below which a window counts as flat and is only blurred."""


def snap(belief: Plane, grey: Bytes, radius: int = RADIUS) -> Plane:
    """``belief (h, w)`` in [0, 1] with its edges moved to those of the 8-bit picture ``grey (h, w)``."""
    import cv2

    def mean(plane: Plane) -> Plane:
        return np.asarray(cv2.blur(plane, (2 * radius + 1, 2 * radius + 1)), np.float32)

    light: Plane = grey.astype(np.float32) / np.float32(255)
    light_mean, belief_mean = mean(light), mean(belief)
    variance = mean(light * light) - light_mean * light_mean
    covariance = mean(light * belief) - light_mean * belief_mean
    slope = np.asarray(covariance / (np.maximum(variance, 0) + FLAT), np.float32)
    offset = belief_mean - slope * light_mean
    return np.asarray(np.clip(mean(slope) * light + mean(offset), 0, 1), np.float32)
