"""Datasets: clips to measure on, from a tree laid out as DAVIS, or a folder of videos or picture folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import InputError, UsageError, VideoError
from vinpaint_cli.masks.sources.options import open_mask
from vinpaint_cli.masks.sources.pictures import read_hole
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
    pictures = [scaled(_eight_bits(frame.rgb), size) for frame in frames]
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
    """The clip's object in ``count`` frames, running to and fro when there are fewer: bool ``(T, h, w)``.

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


def _eight_bits(picture: npt.NDArray[Any]) -> Bytes:
    return picture if picture.dtype == np.uint8 else np.asarray((picture + np.uint32(128)) // 257, np.uint8)


def _numbered(index: int) -> Frame:
    """A frame of which mask sources read the number only."""

    def nothing(native: Any) -> Hole:
        raise AssertionError("a mask does not depend on the picture")

    return Frame(index, index, 1, None, nothing)  # type: ignore[arg-type]  # never called
