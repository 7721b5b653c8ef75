"""Shadows that what is removed casts: where a picture is darker than other frames show the place to be.

A shadow darkens all colours alike and leaves what lies under it to be seen (Finlayson et al., On the Removal
of Shadows from Images, PAMI 2006; here the unshadowed scene need not be guessed: other frames show it).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vinpaint_cli.ops.image import Array, Bool, dilate

KNOWN = 0.5
"""Confidence in what other frames show from which on it is compared with."""

FLOOR = 0.03
"""Brightness (of 1) that is added before logarithms are taken: noise in black is no shadow."""

DARK = 0.12
"""Logarithm of how many times darker a pixel of a shadow is at the least."""

SLIGHT = 0.06
"""The same for its soft rim."""

UNEVEN = 1.25
"""How many times the spread of the differences around counts against a shadow: it darkens evenly.

Where flow has misled, things stand side by side instead, darker here and brighter there.
"""

TINGE = 1.5
"""How many times more than the colour that is darkened least a shadow may darken on average."""

WINDOW = 2
"""Pixels, at 240 lines, on each side over which differences are averaged."""

RIM = 4
"""Pixels, at 240 lines, that the soft rim may reach out from what is surely shadow."""

BEYOND = 2
"""Pixels, at 240 lines, by which a shadow is taken to be larger than what is seen of it."""

LEAST = 12
"""Pixels, at 240 lines, that are surely shadow, without which there is none."""

DRIFT = 4
"""Pixels, at 240 lines, that a shadow may move from frame to frame."""

LASTING = 2
"""Frames around, of those that are given, in which a shadow must be found too."""


def find_shade(seen: Array, found: Array, confidence: Array, hole: Bool, unit: float = 1.0) -> Bool:
    """Where a picture lies in a shadow that the scene does without, bool ``(h, w)``, outside the hole.

    seen: the picture, float32 ``(h, w, 3)`` in [0, 1]. found: what other frames show of it, alike.
    confidence: ``(h, w)`` in [0, 1], how surely they do, 0 where the picture speaks for itself. hole: bool
    ``(h, w)``, True = fill. unit: height of the whole picture / 240.
    """
    scale = max(1.0, unit)
    compared = (confidence >= KNOWN) & ~hole
    darkness, spread = _darkness(seen, found, compared, scale)
    surely = _large(compared & (darkness - UNEVEN * spread > DARK), LEAST * scale**2)
    reach = round(RIM * scale)
    rim = dilate(surely, reach) & compared & (darkness > SLIGHT)
    grown = dilate(surely | rim, reach + round(BEYOND * scale))
    return ~dilate(~grown, reach) & ~hole  # gaps that are narrower than the rim are closed


def lasting_shade(shades: Sequence[Bool], place: int, unit: float = 1.0) -> Bool:
    """The shadow of frame ``place`` of some neighbouring ones ``(h, w)``, without what only it shows.

    And with what frames on both sides of it show, so that a shadow does not flicker.
    """
    shade, around = shades[place], [*shades[:place], *shades[place + 1 :]]
    reach = round(DRIFT * max(1.0, unit))
    support = np.sum([dilate(other, reach) for other in around], axis=0) if around else np.zeros(shade.shape)
    kept = _touching(shade, support >= min(LASTING, len(around)))
    before, after = (_union(part, shade) for part in (shades[:place], shades[place + 1 :]))
    return kept | (before & after)


def _darkness(seen: Array, found: Array, compared: Bool, scale: float) -> tuple[Array, Array]:
    """Logarithm of how many times darker a picture is than what was found, and its spread; means around."""
    weight = compared.astype(np.float32)
    apart = np.log((found + FLOOR) / (seen + FLOOR)).astype(np.float32)
    colours = _mean(apart, weight, scale)
    grey = apart.mean(-1)
    mean = colours.mean(-1)
    spread = np.sqrt(np.maximum(_mean(grey**2, weight, scale) - mean**2, 0))
    return np.minimum(mean, TINGE * colours.min(-1)), spread


def _mean(values: Array, weight: Array, scale: float) -> Array:
    """Weighted mean around of ``values (h, w[, c])``; 0 where there is no weight."""
    import cv2

    side = (2 * round(WINDOW * scale) + 1,) * 2
    shape = values.shape[:2] + (1,) * (values.ndim - 2)
    total = np.asarray(cv2.blur(values * weight.reshape(shape), side), np.float32)
    return np.asarray(total / np.maximum(cv2.blur(weight, side), 1e-3).reshape(shape), np.float32)


def _large(mask: Bool, least: float) -> Bool:
    """Without the connected parts that have fewer than ``least`` pixels."""
    import cv2

    _, labels, parts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    enough = parts[:, cv2.CC_STAT_AREA] >= least
    return np.asarray(mask & enough[labels], np.bool_)


def _touching(mask: Bool, other: Bool) -> Bool:
    """The connected parts of a mask that meet another one."""
    import cv2

    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    met = np.zeros(count, np.bool_)
    met[labels[mask & other]] = True
    return np.asarray(mask & met[labels], np.bool_)


def _union(masks: Sequence[Bool], like: Bool) -> Bool:
    union = np.zeros_like(like)
    for mask in masks:
        union |= mask
    return union
