"""Makes holes of several kinds for measuring; the same seed, clip and kind give the same holes everywhere."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import InputError, UsageError
from vinpaint_cli.evaluate.dataset import ClipEntry, read_masks, read_objects
from vinpaint_cli.masks.sources.random import moving_holes, shifted, stationary_holes

Bool = npt.NDArray[np.bool_]
Maker = Callable[[np.random.Generator, int, int, int], Bool]

REFERENCE_SIZE = (432, 240)
BOX = (110, 60)
ELLIPSE = (110, 76)
"""Width and height of the fixed box and of the wandering ellipse in pixels of a 432×240 frame."""


def fixed_box(rng: np.random.Generator, frames: int, height: int, width: int) -> Bool:
    """Return the same box in the middle of all frames, 110×60 at 432×240: bool ``(T, h, w)``."""
    box_width, box_height = _in_proportion(BOX, width, height)
    x0, y0 = (width - box_width) // 2, (height - box_height) // 2
    hole = np.zeros((height, width), np.bool_)
    hole[y0 : y0 + box_height, x0 : x0 + box_width] = True
    return np.broadcast_to(hole, (frames, height, width))


def moving_ellipse(rng: np.random.Generator, frames: int, height: int, width: int) -> Bool:
    """An ellipse, 110×76 at 432×240, that swings through the frame: bool ``(T, h, w)``."""
    a, b = (side / 2 for side in _in_proportion(ELLIPSE, width, height))
    phases = rng.uniform(0, 2 * np.pi, 2)
    time = np.arange(frames)
    x = width / 2 + (width / 2 - a) * np.sin(2 * np.pi * time / 50 + phases[0])
    y = height / 2 + 0.7 * (height / 2 - b) * np.cos(2 * np.pi * time / 37 + phases[1])
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    inside = [((columns - cx) / a) ** 2 + ((rows - cy) / b) ** 2 <= 1 for cx, cy in zip(x, y, strict=True)]
    return np.stack(inside)


MAKERS: dict[str, Maker] = {
    "stationary": stationary_holes,
    "moving": moving_holes,
    "box": fixed_box,
    "moving-ellipse": moving_ellipse,
}
OBJECTS, BORROWED = "objects", "borrowed"
KINDS = (*MAKERS, OBJECTS, BORROWED)
"""Kinds of holes by name; anything else is a folder of masks."""


def check_kinds(kinds: Sequence[str], clips: Sequence[ClipEntry]) -> None:
    """Check the kinds of holes against the clips, before anything is decoded.

    Raises UsageError (neither a kind nor a folder, or twice the same), InputError (objects without
    annotations).
    """
    if not kinds or len(set(kinds)) != len(kinds):
        raise UsageError(f"--masks {', '.join(kinds) or 'without a kind'}: give each kind once")
    for kind in kinds:
        if kind not in KINDS and not Path(kind).is_dir():
            raise UsageError(f"--masks {kind!r} is no folder; use a folder or one of {', '.join(KINDS)}")
    pasted = {OBJECTS, BORROWED} & set(kinds)
    if pasted and sum(clip.annotations is not None for clip in clips) < 2:
        raise InputError(
            f"--masks {pasted.pop()} pastes the object of one clip over another and needs Annotations of "
            "two clips"
        )


def make_holes(
    kind: str, clip: ClipEntry, clips: Sequence[ClipEntry], shape: tuple[int, int, int], seed: int
) -> Bool:
    """Holes of one clip, bool ``(T, h, w)`` of ``shape``, 1 = fill; may be a read-only view.

    kind: a name of `KINDS`, or a folder with ``<clip>/*.png``, ``<clip>.png`` or a video of that name.
    clips: whose objects may be pasted. Raises InputError, MaskError (a folder without masks for it).
    """
    rng = np.random.default_rng([seed, zlib.crc32(clip.name.encode()), zlib.crc32(kind.encode())])
    if kind in MAKERS:
        return MAKERS[kind](rng, *shape)
    if kind == BORROWED:
        return _borrowed_object(clip, clips, shape)
    if kind == OBJECTS:
        return _swinging_object(rng, clip, clips, shape)
    return read_masks(_masks_of(Path(kind), clip), shape[0], (shape[2], shape[1]))


def _borrowed_object(clip: ClipEntry, clips: Sequence[ClipEntry], shape: tuple[int, int, int]) -> Bool:
    """The object of the next annotated clip by name, where it is there; the last clip takes the first's."""
    frames, height, width = shape
    annotated = [other for other in clips if other.annotations is not None]
    donors = [other for other in annotated if other.name > clip.name] + annotated
    donor = next(other for other in donors if other.name != clip.name)
    return read_objects(donor, frames, (width, height))


def _swinging_object(
    rng: np.random.Generator, clip: ClipEntry, clips: Sequence[ClipEntry], shape: tuple[int, int, int]
) -> Bool:
    """The borrowed object, swinging by up to a sixth of the frame besides."""
    frames, height, width = shape
    objects = _borrowed_object(clip, clips, shape)
    phases = rng.uniform(0, 2 * np.pi, 2)
    periods = rng.uniform(40, 80, 2)
    time = np.arange(frames)[:, None]
    offsets = np.sin(2 * np.pi * time / periods + phases) * (height / 6, width / 6)
    moved = [shifted(hole, int(dy), int(dx)) for hole, (dy, dx) in zip(objects, offsets, strict=True)]
    return np.stack(moved)


def _masks_of(folder: Path, clip: ClipEntry) -> Path:
    """The folder, picture or video of masks that belongs to a clip."""
    if (folder / clip.name).is_dir():
        return folder / clip.name
    found = sorted(path for path in folder.iterdir() if path.is_file() and path.stem == clip.name)
    if not found:
        raise InputError(f"{folder} has no masks for clip {clip.name}; put them in {folder / clip.name}/")
    return found[0]


def _in_proportion(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    return (
        max(1, round(size[0] * width / REFERENCE_SIZE[0])),
        max(1, round(size[1] * height / REFERENCE_SIZE[1])),
    )
