"""Photos and videos to learn from: which there are, and what is in them.

Videos are decoded and pictures resized with libraries that training itself does without; they are imported
when they are needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import InputError

if TYPE_CHECKING:
    from vinpaint_cli.train.pack import Bytes

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
VIDEOS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".ogv")

STILL_GROUPS = "intel"
"""Pattern of the names of sources whose camera stands still."""

CUT = 24.0
"""Mean difference of two tiny grey pictures, in levels, from which on a cut lies between them."""


@dataclass(frozen=True, slots=True)
class Material:
    """Source files by kind; the group of a file is its name before ``__``, or its folder's."""

    photos: tuple[Path, ...]
    videos: tuple[Path, ...]
    folders: tuple[Path, ...]


def find_material(paths: Sequence[str | Path]) -> Material:
    """Photos, videos and folders of numbered frames under ``paths``; InputError when there is none."""
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path} does not exist; give folders of photos and videos")
        files += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    pictures = [f for f in files if f.suffix.lower() in PICTURES]
    numbered = {f.parent for f in pictures if re.fullmatch(r"\d+", f.stem)}
    found = Material(
        tuple(f for f in pictures if f.parent not in numbered),
        tuple(f for f in files if f.suffix.lower() in VIDEOS),
        tuple(sorted(numbered)),
    )
    if not (found.photos or found.videos or found.folders):
        raise InputError(f"no photo and no video under {', '.join(map(str, paths))}; give other folders")
    return found


def group_of(path: Path) -> str:
    """Name of the source a file comes from."""
    head, mark, _ = path.name.partition("__")
    return head if mark else path.parent.name if path.is_file() else path.name


def resized(picture: Bytes, width: int, height: int) -> Bytes:
    """A picture ``(h, w, 3)`` at another size."""
    import cv2

    larger = width > picture.shape[1] or height > picture.shape[0]
    how = cv2.INTER_CUBIC if larger else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def read_photo(path: Path) -> Bytes:
    """A photo as it is meant to be seen, ``(h, w, 3)``; raises InputError."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError) as exc:
        raise InputError(f"cannot read the photo {path}: {exc}; remove it from the folder") from exc


def _frames(path: Path) -> Iterator[Bytes]:
    """Displayed frames ``(h, w, 3)`` of a video or a folder, 8 bit."""
    from vinpaint_cli.video.source.read import open_source

    for frame in open_source(path).frames():
        rgb = frame.rgb
        yield np.asarray(rgb if rgb.dtype == np.uint8 else rgb >> 8, np.uint8)


def read_shots(path: Path, height: int) -> Iterator[tuple[list[Bytes], float]]:
    """The shots of a clip, scaled to ``height`` lines at most, with the mean difference of neighbours."""
    shot: list[Bytes] = []
    moves: list[float] = []
    last: npt.NDArray[np.float32] | None = None
    for frame in _frames(path):
        lines = min(height, frame.shape[0])
        small = resized(frame, round(frame.shape[1] * lines / frame.shape[0]), lines)
        tiny = resized(small, 32, 18).astype(np.float32).mean(-1)
        move = 0.0 if last is None else float(np.abs(tiny - last).mean())
        if move > CUT:
            yield shot, float(np.mean(moves or [0.0]))
            shot, moves = [], []
        shot.append(small)
        moves.append(move)
        last = tiny
    if shot:
        yield shot, float(np.mean(moves))
