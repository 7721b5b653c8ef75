"""Pictures on which an object was pasted somewhere else, to learn from what it looks like.

Paste and find, as internal video inpainting learns masks from one annotated frame (Ouyang, Wang and Chen,
ICCV 2021): the object, moved by a circular shift of its frame, is laid over the frame, and has to be found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.masks.track.frame_reader import Bytes
from vinpaint_cli.ops.image import Array, dilate

if TYPE_CHECKING:
    from vinpaint_cli.types import Plane

Places = npt.NDArray[np.intp]

CROP = (144, 112)
"""Width and height that are learned from at once, at most, and at most three quarters of the picture's.

A step takes as long as they have pixels.
"""
DECOYS = 0.5
"""Share of pictures on which something else was pasted too, in the object's shape: a seam is no object."""
ON_OBJECT, ON_MISTAKE = 0.4, 0.2
"""Shares of pictures cut out around the object itself, and around what was mistaken for it."""
ZOOM, TURN, SHEAR = 0.14, 6.0, 0.05
"""How much larger or smaller (a logarithm), turned (degrees) and slanted a pasted object is, at most."""
LIGHT, TINT, CONTRAST = 0.03, 0.05, 0.06
"""By how much the brightness (of 1), each colour and the contrast of what is pasted differ, at most."""
SOFT_SEAMS = 0.6
"""Share of objects pasted with an edge as soft as those of the picture."""
DOUBT, LEAST_DOUBT = 0.25, 5
"""Width of the border around a mask that was found, not given, in which nothing is taken for background.

A share of the object's size, the root of its area, and at least so many pixels: parts of it that were missed
are not to be unlearned.
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame to learn from: ``layers`` float32 ``(h, w, 4)``, RGB in [0, 1] and the object's mask in {0, 1}.

    known: ``(h, w)`` in {0, 1}, where the mask is learned as it stands. mistaken: numbers of the pixels that
    were taken for the object though they are not; they are looked at more often.
    """

    layers: Array
    known: Plane
    mistaken: Places


@dataclass(frozen=True, slots=True)
class Sample:
    """``picture`` float32 ``(h, w, 3)`` in [0, 1]; ``target``, what to find, and ``weight``, what counts.

    The last two are ``(h, w)`` in {0, 1}.
    """

    picture: Array
    target: Plane
    weight: Plane


def see_given(picture: Bytes, mask: Plane) -> Seen:
    """``picture`` uint8 ``(h, w, 3)`` and the mask ``(h, w)`` that a person gave, the object above a half."""
    return Seen(_layers(picture, mask), np.ones(mask.shape, np.float32), np.zeros(0, np.intp))


def see_found(picture: Bytes, mask: Plane, odds: Plane) -> Seen:
    """The same with a mask that was found: near it nothing is known, its own place included, as in the paper.

    odds: what was thought of the pixels by their looks alone, ``(h, w)``, above 0 for the object.
    """
    core = mask > 0.5
    known = ~dilate(core, max(LEAST_DOUBT, round(DOUBT * math.sqrt(np.count_nonzero(core)))))
    return Seen(_layers(picture, mask), known.astype(np.float32), np.flatnonzero(known & (odds > 0)))


def _layers(picture: Bytes, mask: Plane) -> Array:
    rgb = picture.astype(np.float32) / np.float32(255)
    return np.dstack([rgb, (mask > 0.5).astype(np.float32)])


def draw_sample(rng: np.random.Generator, seen: Seen) -> Sample:
    """A part of the frame with the object pasted on it, and sometimes something else in the object's shape.

    Like the paper's X·(1−M') + X'·M' with the target M', where X' and M' are the frame and its mask shifted
    circularly, and M, the object's own place, has no weight; where M was given, it is to be found as well.
    """
    size = _crop_size(seen)
    corner = _corner(rng, seen, size)
    here, known = _cut(seen.layers, corner, size), _cut(seen.known, corner, size)
    picture, own = here[..., :3], here[..., 3]
    if rng.random() < DECOYS:
        picture = _over(picture, *_decoy(rng, seen, size, own))
    shifted, mask = _pasted(rng, seen, size)
    picture = _lit(rng, _over(picture, shifted, mask), 0.7)
    target = (np.maximum(mask, own) > 0.5).astype(np.float32)
    turn = slice(None, None, -1 if rng.random() < 0.5 else 1)
    return Sample(picture[:, turn], target[:, turn], known[:, turn])


def _crop_size(seen: Seen) -> tuple[int, int]:
    height, width = seen.layers.shape[:2]
    return min(CROP[0], -(-width * 3 // 4)), min(CROP[1], -(-height * 3 // 4))


def _corner(rng: np.random.Generator, seen: Seen, size: tuple[int, int]) -> tuple[int, int]:
    """Left and top of a part of ``size``: on the object, on what was mistaken for it, or anywhere."""
    height, width = seen.layers.shape[:2]
    spare, chance = (width - size[0], height - size[1]), rng.random()
    if chance < ON_OBJECT:
        x, y = _some_pixel(rng, seen)
    elif seen.mistaken.size and chance < ON_OBJECT + ON_MISTAKE:
        y, x = divmod(int(rng.choice(seen.mistaken)), width)
    else:
        return int(rng.integers(spare[0] + 1)), int(rng.integers(spare[1] + 1))
    x, y = x - int(rng.integers(size[0])), y - int(rng.integers(size[1]))
    return min(max(x, 0), spare[0]), min(max(y, 0), spare[1])


def _some_pixel(rng: np.random.Generator, seen: Seen) -> tuple[int, int]:
    """Column and row of a pixel of the object, or of any where there is none."""
    mask = seen.layers[..., 3]
    marks = np.flatnonzero(mask)
    y, x = divmod(int(rng.choice(marks) if marks.size else rng.integers(mask.size)), mask.shape[1])
    return x, y


def _cut(layers: Array, corner: tuple[int, int], size: tuple[int, int]) -> Array:
    return layers[corner[1] : corner[1] + size[1], corner[0] : corner[0] + size[0]]


def _pasted(rng: np.random.Generator, seen: Seen, size: tuple[int, int]) -> tuple[Array, Plane]:
    """The frame, changed a little and shifted circularly, and the object's mask on it, of ``size``."""
    layers = _shifted(rng, seen, size)
    mask: Plane = layers[..., 3]
    if rng.random() < SOFT_SEAMS:
        mask = _softened(rng, mask)
    return _lit(rng, layers[..., :3], 1.0), mask


def _decoy(rng: np.random.Generator, seen: Seen, size: tuple[int, int], own: Plane) -> tuple[Array, Plane]:
    """Another place of the frame, and where it goes: in the object's shape, but never on or of the object."""
    shape, other = _shifted(rng, seen, size)[..., 3], _shifted(rng, seen, size)
    return _lit(rng, other[..., :3], 1.0), np.asarray(shape * (1 - other[..., 3]) * (1 - own), np.float32)


def _shifted(rng: np.random.Generator, seen: Seen, size: tuple[int, int]) -> Array:
    """Layers turned, zoomed, slanted and mirrored a little, and shifted so that the object is in the part."""
    import cv2

    x, y = _some_pixel(rng, seen)
    around = cv2.getRotationMatrix2D((x, y), rng.uniform(-TURN, TURN), math.exp(rng.uniform(-ZOOM, ZOOM)))
    slant = np.array([[-1.0 if rng.random() < 0.5 else 1.0, rng.uniform(-SHEAR, SHEAR)], [0.0, 1.0]])
    turned = around[:, :2] @ slant
    goal = np.array([rng.uniform(0, size[0]), rng.uniform(0, size[1])])
    matrix = np.column_stack([turned, goal - turned @ (x, y)])
    return np.asarray(
        cv2.warpAffine(seen.layers, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP),
        np.float32,
    )


def _softened(rng: np.random.Generator, mask: Plane) -> Plane:
    import cv2

    return np.asarray(cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 1.2)), np.float32)


def _over(below: Array, above: Array, mask: Plane) -> Array:
    share = mask[..., None]
    return np.asarray(below * (1 - share) + above * share, np.float32)


def _lit(rng: np.random.Generator, picture: Array, strength: float) -> Array:
    """Another light: brighter or darker, tinted, with more or less contrast."""
    tint = 1 + strength * TINT * rng.uniform(-1, 1, 3)
    contrast = 1 + strength * CONTRAST * rng.uniform(-1, 1)
    light = strength * LIGHT * rng.uniform(-1, 1)
    return np.clip((picture * tint - 0.5) * contrast + 0.5 + light, 0, 1).astype(np.float32)
