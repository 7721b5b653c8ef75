"""Builds packs: photos, shots of videos, and samples whose holes propagation has worked in.

Needs cv2, as `clips` and `candidate_scorer` do; it is imported when it runs.
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
from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.train.clips import (
    STILL_GROUPS,
    Material,
    find_material,
    group_of,
    read_photo,
    read_shots,
    resized,
)
from vinpaint_cli.train.pack import UNSTATED, DataSource, PackWriter, Photo, Sample, Shot, Span

if TYPE_CHECKING:
    from vinpaint_cli.train.pack import Bytes

STILL = 1.2
"""Mean difference of neighbours below which a shot is called still, in levels."""

VIDEO_SHARE = 0.67
"""How often a sample is drawn out of a video, not moved over a photo."""

NOT_FOUND = 0.02
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
    still_groups: str = STILL_GROUPS


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
        writer.index.sources = [DataSource(g, (licences or {}).get(g, UNSTATED)) for g in sorted(groups)]
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
    picture = read_photo(path)
    scale = min(1.0, options.photo_side / max(picture.shape[:2]))
    width, height = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    blob = writer.add(_jpeg(resized(picture, width, height), options.quality))
    writer.index.photos.append(Photo(path.name, group_of(path), (width, height), blob))


# ---------------------------------------------------------------- shots


def _runs(path: Path, options: PackOptions) -> Iterator[tuple[list[Bytes], float]]:
    """Runs of ``run`` frames spread over the shots of a clip, ``frames_per_video`` in all at most."""
    runs = [
        (shot[start : start + options.run], move)
        for shot, move in read_shots(path, options.shot_height)
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
    """A propagated sample: ``truth`` and ``found`` ``(T, h, w, 3)``, ``residual`` ``(T, h, w)``, uint8."""

    name: str
    group: str
    kind: str
    steps: tuple[int, ...]
    truth: Bytes
    found: Bytes
    residual: Bytes


def _propagated(material: Material, options: PackOptions) -> Iterator[Propagated]:
    """``options.propagated`` samples: two out of three from videos, the others from moved photos."""
    from vinpaint_cli.train.clips import Clips

    rng = np.random.default_rng(options.seed)
    clips = Clips(material, options.size, options.span, VIDEO_SHARE, options.still_groups)
    made = 0
    while made < options.propagated:
        drawn = clips.draw(rng)
        for sample in _two_samples(rng, drawn.clip, drawn.holes, options.frames):
            if made < options.propagated:
                made += 1
                yield Propagated(drawn.name, drawn.group, drawn.kind, *sample)


def _two_samples(
    rng: np.random.Generator, clip: Bytes, holes: npt.NDArray[np.bool_], count: int
) -> Iterator[tuple[tuple[int, ...], Bytes, Bytes, Bytes]]:
    """Propagate once; keep a run of neighbours and frames spread over the clip."""
    from vinpaint_cli.ops.image import membrane
    from vinpaint_cli.ops.propagate.propagation import PropagateOptions, propagate

    result = propagate(clip, list(holes), PropagateOptions(unit=clip.shape[1] / 240))
    residual = np.rint((1 - result.confidence) * 255).astype(np.uint8)
    # A smooth fill where nothing was found: black would ring into the found pixels of a jpeg.
    smooth = np.stack(
        [membrane(f, c.clip(0, 1)) for f, c in zip(result.frames, result.confidence, strict=True)]
    )
    pixels = np.where(result.confidence[..., None] < NOT_FOUND, smooth, result.frames)
    found = np.rint(pixels * 255).clip(0, 255).astype(np.uint8)
    count = min(count, len(clip))
    start = int(rng.integers(0, len(clip) - count + 1))
    spread = np.sort(rng.choice(len(clip), count, replace=False))
    for steps in (np.arange(start, start + count), spread):
        if int((residual[steps] > 8).sum()) >= 50 * count:
            yield tuple(int(s) for s in steps), clip[steps], found[steps], residual[steps]


def _add_sample(writer: PackWriter, sample: Propagated, quality: int) -> None:
    boxes = [hole_box(residual > 0) for residual in sample.residual]
    truth = tuple(writer.add(_jpeg(frame, quality)) for frame in sample.truth)
    found: list[Span | None] = []
    residual: list[Span | None] = []
    for picture, part, box in zip(sample.found, sample.residual, boxes, strict=True):
        if box is None:
            found.append(None)
            residual.append(None)
            continue
        inside = box.slices()
        found.append(writer.add(_jpeg(np.ascontiguousarray(picture[inside]), min(95, quality + 4))))
        residual.append(writer.add(zlib.compress(np.ascontiguousarray(part[inside]).tobytes(), 9)))
    size = sample.truth.shape[2], sample.truth.shape[1]
    writer.index.samples.append(
        Sample(
            *(sample.name, sample.group, size, sample.kind, sample.steps),
            *(truth, tuple(found), tuple(residual)),
            tuple(None if box is None else (box.x0, box.y0, box.x1, box.y1) for box in boxes),
        )
    )
