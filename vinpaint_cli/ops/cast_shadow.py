"""Cast shadows of a removed object: where a picture is darker than the same place in other frames.

A shadow darkens all colours alike and leaves what lies under it to be seen (Finlayson et al., On the Removal
of Shadows from Images, PAMI 2006; here the unshadowed scene need not be guessed: other frames show it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.image import Array, Bool, dilate_exact, mean_around

REACH = 0.75
"""How far from an object its shadow is looked for, times the square root of the object's area."""

NEAREST, FARTHEST = 32, 60
"""Pixels at 240 lines between which that is."""

KNOWN = 0.5
"""Confidence in what other frames show from which on it is compared with."""

FLOOR = 0.03
"""Brightness (of 1) that is added before logarithms are taken: noise in black is no shadow."""

DARK = 0.12
"""Logarithm of how many times darker a pixel of a shadow is at the least."""

SLIGHT = 0.06
"""The same for its soft rim."""

CALM = 0.25
"""Part of what is compared that must be neither darker nor brighter; else the light has changed (a fade)."""

MOST = 0.45
"""Part of what is compared that may be darker; where more is, the light has changed too."""

UNEVEN = 1.25
"""How many times the spread of the differences around counts against a shadow: it darkens evenly.

Where flow has misled, things stand side by side instead, darker here and brighter there.
"""

HIDDEN = 0.5
"""How much of the scene's own light and dark is gone over a shadow, up to which it is one (0: all is there).

A thing that stands before the scene hides it: then seen and scene differ by what the scene is.
"""

PLAIN = 0.12
"""Spread of the scene (logarithms) below which nobody can tell."""

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
"""Pixels, at 240 lines, that a shadow may stray from where it should go with the hole."""

LASTING = 2
"""Frames around, of those that are given, in which a shadow must be found too, or may be."""

TOUCH = 4
"""Pixels, at 240 lines, between a shadow and what it touches."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Another frame's shadows, moved with the hole: bool ``(h, w)``; and where they are unknown."""

    shadow: Bool
    unknown: Bool


def search_zone(hole: Bool, unit: float = 1.0) -> Bool:
    """A hole and its surroundings, in which its shadows are looked for, bool ``(h, w)``."""
    scale = max(1.0, unit)
    reach = REACH * float(np.sqrt(np.count_nonzero(hole)))
    return dilate_exact(hole, round(min(max(reach, NEAREST * scale), FARTHEST * scale)))


def find_cast_shadow(seen: Array, found: Array, confidence: Array, hole: Bool, unit: float = 1.0) -> Bool:
    """Pixels outside the hole that lie in a shadow which other frames do not show, bool ``(h, w)``.

    seen: the picture, float32 ``(h, w, 3)`` in [0, 1]. found: what other frames show of it, alike.
    confidence: ``(h, w)`` in [0, 1], how surely they do, 0 where the picture speaks for itself. hole: bool
    ``(h, w)``, True = fill. unit: height of the whole picture / 240.
    """
    scale = max(1.0, unit)
    compared = (confidence >= KNOWN) & ~hole
    if not compared.any():
        return np.zeros_like(hole)
    scene = np.log(found + FLOOR).astype(np.float32)
    apart = scene - np.log(seen + FLOOR).astype(np.float32)
    mean, darkness, spread = _darkness(apart, compared, scale)
    if not _steady(mean[compared]):
        return np.zeros_like(hole)
    surely = compared & (darkness - UNEVEN * spread > DARK)
    reach = RIM * scale
    surely = _seen_through(surely, apart.mean(-1), scene.mean(-1), scale)
    rim = dilate_exact(surely, reach) & compared & (darkness > SLIGHT)
    closed = ~dilate_exact(~dilate_exact(surely | rim, reach + BEYOND * scale), reach)  # without narrow gaps
    return closed & ~hole


def lasting_shadow(
    shadow: Bool, before: Sequence[Glimpse], after: Sequence[Glimpse], unit: float = 1.0
) -> Bool:
    """A frame's shadows ``(h, w)`` that move with the hole in frames ``before`` and ``after`` too.

    And what frames on both sides show, so that a shadow does not flicker.
    """
    around = [*before, *after]
    votes = np.zeros(shadow.shape, np.int32)
    for other in around:
        votes += dilate_exact(other.shadow, DRIFT * max(1.0, unit)) | other.unknown
    kept = _parts(shadow, votes >= min(LASTING, len(around)), 0.5)
    sides = [_union([other.shadow for other in side], shadow) for side in (before, after)]
    return kept | (sides[0] & sides[1])


def attached_shadow(shadow: Bool, anchor: Bool, unit: float = 1.0) -> Bool:
    """The parts of a shadow ``(h, w)`` that touch an anchor, bool ``(h, w)``."""
    return _parts(shadow, dilate_exact(anchor, TOUCH * max(1.0, unit)), 0.0)


def _steady(mean: Array) -> bool:
    """Whether exposure is that of what was found, judged by how much darker pixels are in the mean."""
    return bool(np.mean(np.abs(mean) < SLIGHT) >= CALM and np.mean(mean > SLIGHT) <= MOST)


def _darkness(apart: Array, compared: Bool, scale: float) -> tuple[Array, Array, Array]:
    """Of ``apart (h, w, 3)``, how much darker (logarithms): mean, that of all colours, and spread; around."""
    weight = compared.astype(np.float32)
    radius = round(WINDOW * scale)
    colours, squares = (mean_around(values, weight, radius) for values in (apart, apart.mean(-1) ** 2))
    mean = colours.mean(-1)
    spread = np.sqrt(np.maximum(squares - mean**2, 0))
    dark = np.minimum(mean, TINGE * colours.min(-1))
    return mean, np.asarray(dark, np.float32), np.asarray(spread, np.float32)


def _seen_through(mask: Bool, apart: Array, scene: Array, scale: float) -> Bool:
    """The connected parts, but for specks, under which the scene ``(h, w)`` is still to be seen."""
    import cv2

    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    labels = labels[mask]
    area = np.bincount(labels, minlength=count)

    def mean(values: Array) -> npt.NDArray[np.float64]:
        return np.bincount(labels, values[mask], count) / np.maximum(area, 1)

    common = mean(apart * scene) - mean(apart) * mean(scene)
    own = np.maximum(mean(scene**2) - mean(scene) ** 2, PLAIN**2)
    through = common <= HIDDEN * own
    kept = np.zeros_like(mask)
    kept[mask] = (through & (area >= LEAST * scale**2))[labels]
    return kept


def _parts(mask: Bool, other: Bool, share: float) -> Bool:
    """The connected parts of a mask of which more than a share lies in another one, and something at all."""
    import cv2

    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    area = np.bincount(labels.ravel(), minlength=count)
    met = np.bincount(labels[mask & other], minlength=count)
    return np.asarray(mask & (met > share * area)[labels], np.bool_)


def _union(masks: Sequence[Bool], like: Bool) -> Bool:
    union = np.zeros_like(like)
    for mask in masks:
        union |= mask
    return union
