"""Single pictures filled without a network."""

from __future__ import annotations

import numpy as np

from vinpaint_cli.ops.image import Array, Bool, depth_inside, membrane

RADIUS = 3

SURE = 0.05
"""Share still to be filled from which on a pixel does not count as surely known."""

TELEA_SHARE = 0.5
"""Telea's part of a smooth fill; the rest is a membrane."""

SOFTEN = 3.0
"""Standard deviation in pixels of the blur that Telea's part has at twice this depth, at least."""

DEEP = 12.0
"""The greatest depth of a hole in such standard deviations, at most: a large hole is softened more."""


def telea(picture: Array, hole: Bool) -> Array:
    """Fill one picture by fast marching (Telea, 2004), as OpenCV has it.

    picture: float32 ``(h, w, 3)`` in [0, 1]; values inside the hole are not looked at. hole: bool
    ``(h, w)``, True = fill. Returns a new float32 ``(h, w, 3)``, outside the hole exactly the picture;
    mid-grey inside when nothing is known.
    """
    import cv2

    result = picture.astype(np.float32)
    if not hole.any():
        return result
    if hole.all():
        return np.full_like(result, 0.5)
    # Plane by plane in 16 bits: in 8 bits OpenCV's version drifts upwards by a level, and three at once
    # it takes in 8 bits only.
    levels = np.clip(np.rint(np.where(hole[..., None], 0, picture) * 65535), 0, 65535).astype(np.uint16)
    for channel in range(levels.shape[-1]):
        plane = np.ascontiguousarray(levels[..., channel])
        filled = cv2.inpaint(plane, hole.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)
        result[hole, channel] = np.asarray(filled, np.float32)[hole] / np.float32(65535)
    return result


def fill_smoothly(picture: Array, share: Array) -> Array:
    """Smooth values for one picture: a membrane over what is known, mixed with Telea's fast marching.

    Telea's carries edges further; together they err less than either. Deep inside, where its fronts meet in
    hard lines, its part is softened.

    ``picture (h, w, 3)`` float32 in [0, 1]; ``share (h, w)`` in [0, 1], how much of a pixel is unknown.
    A pixel counts as evidence as far as it is known better than by half. Returns ``(h, w, 3)``.
    """
    known = np.clip(1 - 2 * share, 0, 1).astype(np.float32)
    values = np.where(share[..., None] < 0.5, picture, 0).astype(np.float32)
    if not (known > 0).any():
        return np.full_like(picture, 0.5)
    smooth = membrane(values, known)
    return np.asarray(
        np.clip(smooth + TELEA_SHARE * (_soft_telea(values, share >= 0.5) - smooth), 0, 1), np.float32
    )


def fill_left(picture: Array, share: Array) -> Array:
    """Smooth values for what propagation has left of one picture, as :func:`fill_smoothly` has them.

    The mean of two fills: one makes use of what was half found, the other (a membrane) of what is surely
    known alone. Where what was found is wrong the second is better, where it is right the first; together
    they err less than either.

    ``picture (h, w, 3)`` float32 in [0, 1], not read where ``share (h, w)`` is 1; returns ``(h, w, 3)``.
    """
    found = fill_smoothly(picture, share)
    known = np.clip(1 - share / SURE, 0, 1).astype(np.float32)
    if not (known > 0).any():
        return found
    values = np.where(known[..., None] > 0, picture, 0).astype(np.float32)
    return np.asarray((found + np.clip(membrane(values, known), 0, 1)) / 2, np.float32)


def _soft_telea(picture: Array, hole: Bool) -> Array:
    import cv2

    carried = telea(picture, hole)
    inside = depth_inside(hole)
    width = max(SOFTEN, float(inside.max()) / DEEP)
    soft = np.asarray(cv2.GaussianBlur(carried, (0, 0), width), np.float32).reshape(picture.shape)
    depth = np.clip(inside / (2 * width), 0, 1)[..., None]
    return np.asarray(carried + depth * (soft - carried), np.float32)
