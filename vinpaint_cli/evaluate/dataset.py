"""Datasets: clips to measure on, and the holes that are made in them.

Clips come from a tree laid out as DAVIS, or a folder of videos or picture folders. The same seed, clip and
kind of hole give the same holes everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import InputError, UsageError, VideoError
from vinpaint_cli.masks.sources.options import open_mask
from vinpaint_cli.masks.sources.pictures import read_hole
from vinpaint_cli.masks.sources.random import moving_holes, shifted, stationary_holes
from vinpaint_cli.ops.image import eight_bits
from vinpaint_cli.types import Frame
from vinpaint_cli.util.registry import did_you_mean
from vinpaint_cli.video.source.folder import SUFFIXES as PICTURES
from vinpaint_cli.video.source.folder import picture_names
from vinpaint_cli.video.source.read import open_source

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole


Bytes = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

VIDEOS = frozenset(
    (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".ogv", ".y4m", ".wmv", ".flv")
)
RESOLUTION = "480p"
"""Folder that DAVIS puts between ``JPEGImages`` and its clips."""


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """One clip: a video or a folder of pictures, and the folder of its object masks if there is one."""

    name: str
    path: Path
    annotations: Path | None = None


def find_clips(dataset: str | Path, wanted: Sequence[str] = ()) -> tuple[ClipEntry, ...]:
    """Find the clips of a dataset in the order of their names: all, or those ``wanted``.

    dataset: ``JPEGImages[/480p]/<clip>/*.jpg`` with ``Annotations[/480p]/<clip>/*.png``, or a folder that
    holds videos or folders of pictures. Raises InputError (nothing there), UsageError (a wanted clip that
    is not there).
    """
    root = Path(dataset)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give a tree with JPEGImages/, or a folder of videos")
    clips = _tree(root) if (root / "JPEGImages").is_dir() else _loose(root)
    if not clips:
        raise InputError(f"{root} holds no clip; give a tree with JPEGImages/<clip>/*.jpg, or videos")
    known = {clip.name: clip for clip in clips}
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known) or f"it has {', '.join([*known][:3])} …"
            raise UsageError(f"there is no clip {name!r} in {root}; {hint}")
    return tuple(clip for clip in clips if not wanted or clip.name in wanted)


def _tree(root: Path) -> list[ClipEntry]:
    pictures, masks = _resolution(root / "JPEGImages"), _resolution(root / "Annotations")
    return [
        ClipEntry(folder.name, folder, masks / folder.name if (masks / folder.name).is_dir() else None)
        for folder in sorted(pictures.iterdir())
        if folder.is_dir() and _has_pictures(folder)
    ]


def _loose(root: Path) -> list[ClipEntry]:
    return [
        ClipEntry(path.stem if path.is_file() else path.name, path)
        for path in sorted(root.iterdir())
        if not path.name.startswith(".")
        and (path.suffix.lower() in VIDEOS if path.is_file() else _has_pictures(path))
    ]


def _resolution(folder: Path) -> Path:
    return folder / RESOLUTION if (folder / RESOLUTION).is_dir() else folder


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in PICTURES for path in folder.iterdir())


def read_clip(clip: ClipEntry, size: tuple[int, int] | None, limit: int | None = None) -> Bytes:
    """Decode at most ``limit`` frames of a clip: uint8 RGB ``(T, h, w, 3)``.

    size: ``(width, height)`` to scale to (by area when smaller, else bicubic; proportions are not kept, as
    the papers do), None for the clip's own. Raises VideoError (unreadable, or no frame).
    """
    frames = islice(open_source(clip.path).frames(), limit)
    pictures = [scaled(eight_bits(frame.rgb), size) for frame in frames]
    if not pictures:
        raise VideoError(f"{clip.path} has no frame; take it out of the dataset")
    return np.stack(pictures)


def count_frames(clip: ClipEntry, limit: int | None = None) -> int:
    """Frames the clip says it has, for showing progress; 0 when it does not say."""
    claimed = open_source(clip.path).info.frames_from_header or 0
    return min(claimed, limit) if limit else claimed


def read_masks(path: Path, count: int, size: tuple[int, int]) -> Bool:
    """First ``count`` masks of a picture, a folder or a video, scaled to ``size``: bool ``(T, h, w)``.

    Raises MaskError (unreadable, or fewer than ``count``).
    """
    source = open_mask(str(path), size, resize=True)
    return np.stack([source.at(_numbered(index)) for index in range(count)])


def read_objects(clip: ClipEntry, count: int, size: tuple[int, int]) -> Bool:
    """Object masks for ``count`` frames, played back and forth when there are fewer: bool ``(T, h, w)``.

    Raises InputError when the clip has no annotations.
    """
    if clip.annotations is None:
        raise InputError(f"clip {clip.name} has no Annotations; choose other --masks than objects")
    there = sum(path.suffix.lower() in PICTURES for path in clip.annotations.iterdir())
    if not there:
        raise InputError(f"{clip.annotations} holds no picture; choose other --masks than objects")
    order = [*range(there), *range(there - 2, 0, -1)]
    wanted = [order[index % len(order)] for index in range(count)]
    masks = read_masks(clip.annotations, max(wanted) + 1, size)
    return np.asarray(masks[wanted])


def read_truth(clip: ClipEntry, count: int, size: tuple[int, int]) -> dict[int, Hole]:
    """Annotations of the first ``count`` frames by frame, bool ``(h, w)``; all objects of a frame are one.

    An annotation belongs to the picture of its name; in a video, or when no name fits, to the frame of its
    place in the order of names. Raises InputError (no annotations), MaskError (one cannot be read).
    """
    if clip.annotations is None:
        raise InputError(f"clip {clip.name} has no Annotations; give Annotations/{clip.name}/*.png")
    found = _by_stem(clip.annotations)
    stems = list(_by_stem(clip.path)) if clip.path.is_dir() else []
    if not set(stems) & set(found):
        stems = list(found)
    wanted = {index: found[stem] for index, stem in enumerate(stems[:count]) if stem in found}
    return {index: read_hole(path, size, resize=True) for index, path in wanted.items()}


def _by_stem(folder: Path) -> dict[str, Path]:
    """Pictures of a folder in frame order, by name without suffix."""
    return {Path(name).stem: folder / name for name in picture_names(folder)}


def scaled(picture: Bytes, size: tuple[int, int] | None) -> Bytes:
    """``picture (h, w, 3)`` at ``(width, height)``; as it is for None or its own size."""
    if size is None or (picture.shape[1], picture.shape[0]) == size:
        return picture
    import cv2

    smaller = size[0] <= picture.shape[1] and size[1] <= picture.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _numbered(index: int) -> Frame:
    """A frame with a number and no picture, which is all that mask sources read."""

    def nothing(native: Any) -> Hole:
        raise AssertionError("a mask does not depend on the picture")

    return Frame(index, index, 1, None, nothing)  # type: ignore[arg-type]  # never called


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
