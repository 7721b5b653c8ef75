"""Making a pack: photos, shots of videos, and samples whose holes propagation has been through.

The part of training that decodes video and, with `agreement`, needs cv2; both are imported when it runs.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import InputError
from vinpaint_cli.train.pack import UNSTATED, PackWriter, Photo, Sample, Shot, Source, Span

if TYPE_CHECKING:
    from vinpaint_cli.train.pack import Bytes

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
VIDEOS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".ogv")

CUT = 24.0
"""Mean difference of two tiny grey pictures, in levels, from which on a cut lies between them."""

STILL = 1.2
"""Mean difference of neighbours below which a shot is called still, in levels."""


NOTHING = 0.02
"""Confidence below which propagation is taken to have found nothing."""


@dataclass(frozen=True, slots=True)
class PackOptions:
    """What goes into a pack.

    ``size``: ``(width, height)`` of propagated samples; ``photos_per_source``: at most, evenly chosen by
    name, 0 = all; ``photo_side``: longest side of a photo;
    ``shot_height``: lines of a shot's frames; ``run``: frames of a shot; ``frames_per_video``: at most;
    ``propagated``: number of samples; ``span``: frames propagation sees around a sample; ``frames``: frames
    kept of it; ``still_groups``: names (patterns) of sources whose camera stands still.
    """

    size: tuple[int, int] = (432, 240)
    photos_per_source: int = 0
    photo_side: int = 640
    shot_height: int = 288
    run: int = 24
    frames_per_video: int = 240
    quality: int = 90
    propagated: int = 0
    span: int = 31
    frames: int = 6
    seed: int = 0
    photos: bool = True
    shots: bool = True
    still_groups: str = "intel"


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


def build(
    paths: Sequence[str | Path],
    out: str | Path,
    options: PackOptions,
    licences: dict[str, str] | None = None,
    tick: Callable[[str], None] = lambda what: None,
) -> None:
    """Write a pack of everything under ``paths``; ``licences`` by group travel with it.

    ``tick`` is told the name of each thing packed. Raises InputError, VideoError and OutputError.
    """
    material = find_material(paths)
    groups = {group_of(p) for p in (*material.photos, *material.videos, *material.folders)}
    with PackWriter(out) as writer:
        writer.index.sources = [Source(g, (licences or {}).get(g, UNSTATED)) for g in sorted(groups)]
        if options.photos:
            for path in _thinned(material.photos, options.photos_per_source):
                _add_photo(writer, path, options)
                tick(path.name)
        if options.shots:
            for path in (*material.videos, *material.folders):
                _add_shots(writer, path, options)
                tick(path.name)
        for sample in _propagated(material, options):
            _add_sample(writer, sample, options.quality)
            tick(f"{sample.name} ({sample.kind})")


# ---------------------------------------------------------------- pictures


def _jpeg(picture: Bytes, quality: int) -> bytes:
    import cv2

    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InputError(f"cannot encode a picture of {picture.shape[1]}x{picture.shape[0]} as jpeg")
    return bytes(data)


def _resized(picture: Bytes, width: int, height: int) -> Bytes:
    import cv2

    larger = width > picture.shape[1] or height > picture.shape[0]
    how = cv2.INTER_CUBIC if larger else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def _read_photo(path: Path) -> Bytes:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError) as exc:
        raise InputError(f"cannot read the photo {path}: {exc}; remove it from the folder") from exc


def _thinned(photos: Sequence[Path], most: int) -> list[Path]:
    """At most so many photos of each source (0 = all), evenly chosen by name."""
    groups: dict[str, list[Path]] = {}
    for path in photos:
        groups.setdefault(group_of(path), []).append(path)
    kept = []
    for group in groups.values():
        count = min(len(group), most or len(group))
        kept += [group[i * len(group) // count] for i in range(count)]
    return kept


def _add_photo(writer: PackWriter, path: Path, options: PackOptions) -> None:
    picture = _read_photo(path)
    scale = min(1.0, options.photo_side / max(picture.shape[:2]))
    width, height = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    blob = writer.add(_jpeg(_resized(picture, width, height), options.quality))
    writer.index.photos.append(Photo(path.name, group_of(path), (width, height), blob))


# ---------------------------------------------------------------- shots


def _frames(path: Path) -> Iterator[Bytes]:
    """Displayed frames ``(h, w, 3)`` of a video or a folder, 8 bit."""
    from vinpaint_cli.video.read import open_source

    for frame in open_source(path).frames():
        rgb = frame.rgb
        yield np.asarray(rgb if rgb.dtype == np.uint8 else rgb >> 8, np.uint8)


def _shots(path: Path, height: int) -> Iterator[tuple[list[Bytes], float]]:
    """The shots of a clip, scaled to ``height`` lines at most, with the mean difference of neighbours."""
    shot: list[Bytes] = []
    moves: list[float] = []
    last: npt.NDArray[np.float32] | None = None
    for frame in _frames(path):
        lines = min(height, frame.shape[0])
        small = _resized(frame, round(frame.shape[1] * lines / frame.shape[0]), lines)
        tiny = _resized(small, 32, 18).astype(np.float32).mean(-1)
        move = 0.0 if last is None else float(np.abs(tiny - last).mean())
        if move > CUT:
            yield shot, float(np.mean(moves or [0.0]))
            shot, moves = [], []
        shot.append(small)
        moves.append(move)
        last = tiny
    if shot:
        yield shot, float(np.mean(moves))


def _runs(path: Path, options: PackOptions) -> Iterator[tuple[list[Bytes], float]]:
    """Runs of ``run`` frames spread over the shots of a clip, ``frames_per_video`` in all at most."""
    runs = [
        (shot[start : start + options.run], move)
        for shot, move in _shots(path, options.shot_height)
        for start in range(0, max(1, len(shot) - 4), options.run)
    ]
    runs = [run for run in runs if len(run[0]) >= 5]
    most = min(len(runs), max(1, options.frames_per_video // options.run))
    chosen = sorted({round(i * (len(runs) - 1) / max(1, most - 1)) for i in range(most)})
    for number in chosen:
        yield runs[number]


def _add_shots(writer: PackWriter, path: Path, options: PackOptions) -> None:
    group = group_of(path)
    standing = bool(re.search(options.still_groups, group)) if options.still_groups else False
    if standing:
        options = replace(options, frames_per_video=options.run)
    for number, (run, move) in enumerate(_runs(path, options)):
        blobs = tuple(writer.add(_jpeg(frame, options.quality)) for frame in run)
        size = run[0].shape[1], run[0].shape[0]
        name = f"{path.stem}#{number}"
        writer.index.shots.append(Shot(name, group, size, standing or move < STILL, blobs))


# ---------------------------------------------------------------- propagated samples


@dataclass(frozen=True, slots=True)
class Propagated:
    """A sample before it is written: ``truth`` and ``found`` ``(T, h, w, 3)``, ``shares`` ``(T, h, w)``."""

    name: str
    group: str
    kind: str
    steps: tuple[int, ...]
    truth: Bytes
    found: Bytes
    shares: Bytes


def _propagated(material: Material, options: PackOptions) -> Iterator[Propagated]:
    """``options.propagated`` samples: two out of three from videos, the others from moved photos."""
    from vinpaint_cli.train.holes import draw_holes, draw_kind

    rng = np.random.default_rng(options.seed)
    clips = Clips(material, options)
    made = 0
    while made < options.propagated:
        name, group, clip = clips.draw(rng)
        kind = draw_kind(rng)
        steps = np.arange(len(clip))
        holes = draw_holes(rng, kind, steps, options.size[1], options.size[0])
        for sample in _two_samples(rng, clip, holes, options.frames):
            if made < options.propagated:
                made += 1
                yield Propagated(name, group, kind, *sample)


class Clips:
    """Draws clips of ``span`` frames at the size of samples, and remembers the last videos decoded."""

    def __init__(self, material: Material, options: PackOptions, share: float = 0.67) -> None:
        """``share``: how often a video is drawn, if there is any."""
        self.options, self.share = options, share
        self.photos = [p for p in material.photos if group_of(p) != "tf-flowers"] or list(material.photos)
        self.videos = [*material.videos, *material.folders]
        self._shots: dict[Path, list[list[Bytes]]] = {}

    def draw(self, rng: np.random.Generator) -> tuple[str, str, Bytes]:
        """Name, group and ``(T, h, w, 3)``."""
        if self.videos and (rng.random() < self.share or not self.photos):
            weights = np.array([self._weight(path) for path in self.videos])
            path = self.videos[int(rng.choice(len(self.videos), p=weights / weights.sum()))]
            return path.stem, group_of(path), self._from_video(rng, path)
        path = self.photos[int(rng.integers(len(self.photos)))]
        return path.name, group_of(path), self._from_photo(rng, path)

    def _weight(self, path: Path) -> float:
        """Videos of standing cameras and single short clips come rarely, long ones of many shots often."""
        still = self.options.still_groups and re.search(self.options.still_groups, group_of(path))
        return 0.1 if still else min(3.0, max(0.3, path.stat().st_size / 2**20))

    def _from_video(self, rng: np.random.Generator, path: Path) -> Bytes:
        if path not in self._shots:
            if len(self._shots) >= 12:
                self._shots.pop(next(iter(self._shots)))
            shots = [shot for shot, _ in _shots(path, 360)]
            self._shots[path] = [shot for shot in shots if len(shot) >= 8] or shots[:1]
        shots = self._shots[path]
        lengths = np.array([len(shot) for shot in shots], np.float64)
        shot = shots[int(rng.choice(len(shots), p=lengths / lengths.sum()))]
        stride = int(rng.choice([1, 1, 2])) if len(shot) > self.options.span else 1
        length = min(len(shot), self.options.span * stride)
        start = int(rng.integers(0, len(shot) - length + 1))
        return self._cropped(rng, shot[start : start + length : stride])

    def _cropped(self, rng: np.random.Generator, frames: list[Bytes]) -> Bytes:
        """One random crop of the sample's shape for all frames, perhaps mirrored."""
        width, height = self.options.size
        h, w = frames[0].shape[:2]
        zoom = min(h / height, w / width) * rng.uniform(0.75, 1.0)
        rows, columns = int(height * zoom), int(width * zoom)
        y, x = int(rng.integers(0, h - rows + 1)), int(rng.integers(0, w - columns + 1))
        cut = [_resized(f[y : y + rows, x : x + columns], width, height) for f in frames]
        clip = np.stack(cut)
        return np.ascontiguousarray(clip[:, :, ::-1]) if rng.random() < 0.5 else clip

    def _from_photo(self, rng: np.random.Generator, path: Path) -> Bytes:
        from vinpaint_cli.train.draw import moved_photo

        photo = _read_photo(path)
        other = _read_photo(self.photos[int(rng.integers(len(self.photos)))])
        steps = np.arange(int(rng.integers(9, self.options.span + 1)))
        clip, _ = moved_photo(rng, photo, other, steps, self.options.size)
        return clip


def _two_samples(
    rng: np.random.Generator, clip: Bytes, holes: npt.NDArray[np.bool_], count: int
) -> Iterator[tuple[tuple[int, ...], Bytes, Bytes, Bytes]]:
    """Propagate once; keep a run of neighbours and frames spread over the clip."""
    from vinpaint_cli.ops.image import membrane
    from vinpaint_cli.ops.propagate import PropagateOptions, propagate

    result = propagate(clip, list(holes), PropagateOptions(unit=clip.shape[1] / 240))
    shares = np.rint((1 - result.confidence) * 255).astype(np.uint8)
    # A smooth fill where nothing was found: black would ring into the found pixels of a jpeg.
    smooth = np.stack(
        [membrane(f, c.clip(0, 1)) for f, c in zip(result.frames, result.confidence, strict=True)]
    )
    pixels = np.where(result.confidence[..., None] < NOTHING, smooth, result.frames)
    found = np.rint(pixels * 255).clip(0, 255).astype(np.uint8)
    count = min(count, len(clip))
    start = int(rng.integers(0, len(clip) - count + 1))
    spread = np.sort(rng.choice(len(clip), count, replace=False))
    for steps in (np.arange(start, start + count), spread):
        if int((shares[steps] > 8).sum()) >= 50 * count:
            yield tuple(int(s) for s in steps), clip[steps], found[steps], shares[steps]


def _add_sample(writer: PackWriter, sample: Propagated, quality: int) -> None:
    boxes = [_box_of(share) for share in sample.shares]
    truth = tuple(writer.add(_jpeg(frame, quality)) for frame in sample.truth)
    found: list[Span | None] = []
    shares: list[Span | None] = []
    for picture, share, box in zip(sample.found, sample.shares, boxes, strict=True):
        if box is None:
            found.append(None)
            shares.append(None)
            continue
        part = slice(box[1], box[3]), slice(box[0], box[2])
        found.append(writer.add(_jpeg(np.ascontiguousarray(picture[part]), min(95, quality + 4))))
        shares.append(writer.add(zlib.compress(np.ascontiguousarray(share[part]).tobytes(), 9)))
    size = sample.truth.shape[2], sample.truth.shape[1]
    writer.index.samples.append(
        Sample(
            sample.name,
            sample.group,
            size,
            sample.kind,
            sample.steps,
            truth,
            tuple(found),
            tuple(shares),
            tuple(boxes),
        )
    )


def _box_of(share: Bytes) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(share.any(1)), np.flatnonzero(share.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
