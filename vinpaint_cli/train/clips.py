"""Clips for packs: drawn out of videos and photos, with foregrounds before them, and holes to be filled.

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

from vinpaint_cli.errors import InputError, reason

if TYPE_CHECKING:
    from vinpaint_cli.train.pack import Bytes
from typing import TYPE_CHECKING

import torch

from vinpaint_cli.train.augment import add_foreground, draw_holes, draw_kind, moved_to
from vinpaint_cli.train.draw import FLOWERS, held_out, moved_photo

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
    """A photo turned as its EXIF says, ``(h, w, 3)``; raises InputError."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError) as exc:
        raise InputError(f"cannot read the photo {path}: {reason(exc)}; remove it from the folder") from exc


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


LINES = 360
"""Lines of a video that crops are cut from."""

VIDEOS_KEPT = 12
"""Videos whose frames are remembered."""

FOREGROUNDS = (0.5, 0.3, 0.2)
"""How often a clip gets no foreground, one and two."""

HOLE_ON_FOREGROUND = 0.7
"""How often a hole lies on the foreground, unless it wanders."""

BESIDE = (30.0, 20.0)
"""Standard deviation of its distance from the foreground's middle, in pixels across and down."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A clip ``(T, h, w, 3)`` in 0…255 and its holes, bool ``(T, h, w)``, 1 = fill.

    ``name`` and ``group`` of what it was drawn from; ``kind`` of holes.
    """

    name: str
    group: str
    clip: Bytes
    kind: str
    holes: npt.NDArray[np.bool_]


class Clips:
    """Draws clips of at most ``span`` frames of ``size`` ``(width, height)``.

    share: how often a video is drawn, if there is any; the others are photos seen by a camera that moves.
    still_groups: pattern of the names of sources whose camera stands still.
    """

    def __init__(
        self, material: Material, size: tuple[int, int], span: int, share: float, still_groups: str
    ) -> None:
        self.size, self.span, self.share, self.still_groups = size, span, share, still_groups
        self.photos = [p for p in material.photos if group_of(p) != FLOWERS] or list(material.photos)
        self.videos = [*material.videos, *material.folders]
        self._shots: dict[Path, list[list[Bytes]]] = {}

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw a clip and holes in it."""
        video = bool(self.videos) and (rng.random() < self.share or not self.photos)
        path = self._video(rng) if video else self._photo(rng)
        clip = self._from_video(rng, path) if video else self._from_photo(rng, path)
        name = path.stem if video else path.name
        clip, place = self._with_foregrounds(rng, clip, held_out(name))
        kind = draw_kind(rng)
        holes = draw_holes(rng, kind, np.arange(len(clip)), self.size[1], self.size[0])
        if place is not None and kind != "moving" and rng.random() < HOLE_ON_FOREGROUND:
            holes = moved_to(holes, place + rng.normal(0, BESIDE))
        return Drawn(name, group_of(path), clip, kind, holes)

    def _with_foregrounds(
        self, rng: np.random.Generator, clip: Bytes, held: bool
    ) -> tuple[Bytes, npt.NDArray[np.float64] | None]:
        """The clip with foregrounds, and the last one's middle, x and y; None without any."""
        count = int(rng.choice(len(FOREGROUNDS), p=FOREGROUNDS))
        photos = [p for p in self.photos if held_out(p.name) == held] or self.photos
        if not photos or not count:
            return clip, None
        shown = _planes(clip)
        for _ in range(count):
            other = read_photo(photos[int(rng.integers(len(photos)))])
            shown, places = add_foreground(rng, shown, _planes(other), np.arange(float(len(clip))))
        pixels = shown.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return pixels, places.mean(0).clip(0, np.array(self.size) - 1.0)

    def _photo(self, rng: np.random.Generator) -> Path:
        return self.photos[int(rng.integers(len(self.photos)))]

    def _video(self, rng: np.random.Generator) -> Path:
        weights = np.array([self._weight(path) for path in self.videos])
        return self.videos[int(rng.choice(len(self.videos), p=weights / weights.sum()))]

    def _from_photo(self, rng: np.random.Generator, path: Path) -> Bytes:
        steps = np.arange(int(rng.integers(min(9, self.span), self.span + 1)))
        return moved_photo(rng, read_photo(path), None, steps, self.size)[0]

    def _weight(self, path: Path) -> float:
        """Videos of standing cameras and single short clips come rarely, long ones of many shots often."""
        still = self.still_groups and re.search(self.still_groups, group_of(path))
        return 0.1 if still else min(3.0, max(0.3, path.stat().st_size / 2**20))

    def _from_video(self, rng: np.random.Generator, path: Path) -> Bytes:
        if path not in self._shots:
            if len(self._shots) >= VIDEOS_KEPT:
                self._shots.pop(next(iter(self._shots)))
            shots = [shot for shot, _ in read_shots(path, LINES)]
            self._shots[path] = [shot for shot in shots if len(shot) >= 8] or shots[:1]
        shots = self._shots[path]
        lengths = np.array([len(shot) for shot in shots], np.float64)
        shot = shots[int(rng.choice(len(shots), p=lengths / lengths.sum()))]
        stride = int(rng.choice([1, 1, 2])) if len(shot) > self.span else 1
        length = min(len(shot), self.span * stride)
        start = int(rng.integers(0, len(shot) - length + 1))
        return self._cropped(rng, shot[start : start + length : stride])

    def _cropped(self, rng: np.random.Generator, frames: list[Bytes]) -> Bytes:
        """One random crop of the sample's shape for all frames, perhaps mirrored."""
        width, height = self.size
        h, w = frames[0].shape[:2]
        zoom = min(h / height, w / width) * rng.uniform(0.75, 1.0)
        rows, columns = int(height * zoom), int(width * zoom)
        y, x = int(rng.integers(0, h - rows + 1)), int(rng.integers(0, w - columns + 1))
        cut = [resized(f[y : y + rows, x : x + columns], width, height) for f in frames]
        clip = np.stack(cut)
        return np.ascontiguousarray(clip[:, :, ::-1]) if rng.random() < 0.5 else clip


def _planes(pictures: Bytes) -> torch.Tensor:
    """``(…, h, w, 3)`` → float32 ``(…, 3, h, w)``."""
    return torch.from_numpy(np.array(pictures)).movedim(-1, -3).float()
