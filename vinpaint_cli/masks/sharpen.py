"""Bring a mask that is nearly right to the edges of the picture, at the picture's own size."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from vinpaint_cli.masks.cut import cut, edges_of
from vinpaint_cli.masks.palette import Palette, to_lab
from vinpaint_cli.ops.image import Array, Bool
from vinpaint_cli.types import Box

if TYPE_CHECKING:
    from vinpaint_cli.types import Picture, Plane

_PIXELS = 160_000
_SURE = 20.0


def sharpen(rgb: Picture, prior: Plane) -> Plane:
    """Probability ``(H, W)`` in [0, 1], decided anew within about 1.5 % of the frame's height of the outline.

    ``rgb (H, W, 3)`` 8 or 16 bit; ``prior (H, W)`` in [0, 1], such as a mask carried along flow. What is far
    from its outline stays as it is, and an empty or full prior stays so altogether. Work is on the part
    of the frame that holds the object, at most 160 000 pixels of it.
    """
    hole = prior > 0.5
    found = hole.astype(np.float32)
    if not hole.any() or hole.all():
        return found
    radius = max(2, round(0.012 * hole.shape[0]))
    frame = _frame(hole, 5 * radius)
    part = frame.slices()
    found[part] = _decide(rgb[part], prior[part], radius)
    return found


def _decide(rgb: Picture, prior: Array, radius: int) -> Array:
    """The part of a frame around the object, at a bounded size and back."""
    import cv2

    height, width = prior.shape
    scale = min(1.0, (_PIXELS / (height * width)) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size != (width, height):
        rgb = cast("Picture", cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
        prior = np.asarray(cv2.resize(prior, size, interpolation=cv2.INTER_AREA), np.float32)
    share = _cut_band(to_lab(rgb), prior, max(2, round(radius * scale)))
    if size != (width, height):
        share = np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return share


def _cut_band(lab: Array, prior: Array, radius: int) -> Array:
    """Cut within ``radius`` pixels of the outline by the colours on either side of it."""
    hole = prior > 0.5
    depth = _depth(hole)
    near = np.abs(depth) < 5 * radius
    palette = Palette(lab)
    sure_in, sure_out = near & (depth > 0.5 * radius), near & (depth < -0.5 * radius)
    if not sure_in.any():
        sure_in = hole
    colour = palette.ratio(sure_in, sure_out, 0.2)
    evidence = 1.2 * colour + 2.0 * np.clip(depth / radius, -1, 1)
    evidence = np.where(np.abs(depth) <= radius, evidence, np.where(hole, _SURE, -_SURE))
    return cut(evidence.astype(np.float32), edges_of(lab, 4.0), 40, hole.astype(np.float32))


def _depth(hole: Bool) -> Array:
    """Signed distance ``(h, w)`` from the outline in pixels, positive inside."""
    import cv2

    inside = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(inside - outside, np.float32)


def _frame(hole: Bool, margin: int) -> Box:
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    height, width = hole.shape
    return Box(
        max(0, int(columns[0]) - margin),
        max(0, int(rows[0]) - margin),
        min(width, int(columns[-1]) + 1 + margin),
        min(height, int(rows[-1]) + 1 + margin),
    )
