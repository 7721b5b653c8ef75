"""Training clips drawn from packs, cut to size, mirrored, and put together as batches.

Every step's batch is a function of the seed and the step alone, so a resumed run sees exactly what an
uninterrupted one would have seen, with any number of workers.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from vinpaint_cli.errors import InputError
from vinpaint_cli.train.augment import (
    CameraPath,
    add_foreground,
    camera_view,
    cover_more,
    draw_holes,
    draw_kind,
    random_camera_path,
)
from vinpaint_cli.train.pack import Bytes, Pack, Sample


@dataclass(frozen=True, slots=True)
class Batch:
    """uint8 tensors: ``truth`` and ``found`` ``(B, T, 3, h, w)``, ``residual`` ``(B, T, 1, h, w)``.

    ``found`` is the truth outside holes, arbitrary where the residual is 255 and what propagation found in
    between.
    """

    truth: Tensor
    found: Tensor
    residual: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        parts = (part.to(device, non_blocking=True) for part in (self.truth, self.found, self.residual))
        return Batch(*parts)


def collate(clips: Sequence[tuple[Bytes, Bytes, Bytes]]) -> Batch:
    """Clips of one shape, channels last, as one batch, channels first."""
    truth, found, residual = (torch.from_numpy(np.stack(parts)) for parts in zip(*clips, strict=True))
    return Batch(
        truth.permute(0, 1, 4, 2, 3).contiguous(),
        found.permute(0, 1, 4, 2, 3).contiguous(),
        residual[:, :, None],
    )


def crop(
    rng: np.random.Generator,
    truth: Bytes,
    found: Bytes,
    residual: Bytes,
    size: tuple[int, int],
    hidden: float = 0.5,
) -> tuple[Bytes, Bytes, Bytes]:
    """Scale down at random and cut to ``size``, so that something is left to fill.

    ``hidden``: see :func:`shrink_residual`.
    """
    width, height = size
    h, w = truth.shape[1:3]
    least = max(width / w, height / h)
    scale = float(np.exp(rng.uniform(np.log(least), 0.0))) if least < 1 else least
    new = max(height, round(h * scale)), max(width, round(w * scale))
    if new != (h, w):
        truth, found, residual = (
            _scaled(truth, new),
            _scaled(found, new),
            shrink_residual(residual, new, hidden),
        )
    spots = [
        (int(rng.integers(new[0] - height + 1)), int(rng.integers(new[1] - width + 1))) for _ in range(4)
    ]
    fullest = max(int((residual[:, y : y + height, x : x + width] > 8).sum()) for y, x in spots)
    y, x = next(s for s in spots if _open(residual, s, size) * 3 >= fullest)
    part = slice(None), slice(y, y + height), slice(x, x + width)
    return truth[part], found[part], residual[part]


def shrink_residual(residual: Bytes, size: tuple[int, int], hidden: float = 0.5) -> Bytes:
    """Residual ``(T, h, w)`` at another ``(height, width)``; what a hidden pixel contributes to is hidden.

    A pixel is hidden from a residual of ``hidden`` (in [0, 1]) on. As the adapters of networks do it, so that
    training sees the borders that they make.
    """
    mean = _scaled(residual[..., None], size)[..., 0]
    least = round(hidden * 255 + 0.5)
    there = torch.from_numpy((residual >= least).astype(np.float32))[:, None]
    touched = functional.interpolate(there, size=size, mode="bilinear", antialias=True)[:, 0] > 0
    return np.where(touched.numpy(), np.maximum(mean, least), mean).astype(np.uint8)


def _open(residual: Bytes, spot: tuple[int, int], size: tuple[int, int]) -> int:
    y, x = spot
    return int((residual[:, y : y + size[1], x : x + size[0]] > 8).sum())


def _scaled(pictures: Bytes, size: tuple[int, int]) -> Bytes:
    """``(T, h, w, C)`` at another ``(height, width)``, antialiased."""
    planes = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
    small = functional.interpolate(planes, size=size, mode="bilinear", antialias=True)
    return np.ascontiguousarray(small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy())


def random_resized_crop(rng: np.random.Generator, frames: Bytes, size: tuple[int, int]) -> Bytes:
    """The same random part of all frames ``(T, H, W, 3)``, scaled to ``size`` ``(width, height)``."""
    width, height = size
    h, w = frames.shape[1:3]
    zoom = min(h / height, w / width) * rng.uniform(0.6, 1.0)
    rows, columns = max(1, int(height * zoom)), max(1, int(width * zoom))
    y, x = int(rng.integers(h - rows + 1)), int(rng.integers(w - columns + 1))
    return _scaled(frames[:, y : y + rows, x : x + columns], (height, width))


def flipped(rng: np.random.Generator, *parts: Bytes) -> tuple[Bytes, Bytes, Bytes]:
    """Clips mirrored left to right and played backwards at random, each half of the time."""
    mirrored, backwards = rng.random(2) < 0.5
    ways = [part[:, :, ::-1] if mirrored else part for part in parts]
    ways = [part[::-1] if backwards else part for part in ways]
    first, second, third = (np.ascontiguousarray(part) for part in ways)
    return first, second, third


Steps = npt.NDArray[np.int64]

FLOWERS = "tf-flowers"
FLOWER_SHARE = 0.35
"""Most of the photos drawn that may show flowers: there are many of them and they are alike."""

STILL_WEIGHT = 0.1
"""How often a shot of a standing camera is drawn, compared with others."""

HELD_OUT = 24
"""One in so many names is kept for validation."""


LEAST_HOLE = 0.01
"""Share of the pixels that must be left to fill in a clip for validation."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Mixture of data that batches are drawn from.

    ``size``: ``(width, height)``. ``frames`` and ``frame_weights``: numbers of frames a batch may have and
    how often. ``propagated``, ``shots``, ``photos``: how often each kind of data is drawn, as far as the
    packs hold it. ``attached``: share of the holes in moved photos that move with the photo, so that no
    frame shows what they hide. ``cover``: holes are added to shots and photos until about that share of the
    picture is hidden, so that a step has more to learn from. ``hidden``: share from which on a pixel stays
    hidden when a sample is scaled down. ``consecutive``: frames of a clip follow each
    other always, as networks need that know the order of frames; else half of the time.
    """

    size: tuple[int, int] = (432, 240)
    batch: int = 4
    frames: tuple[int, ...] = (5,)
    frame_weights: tuple[float, ...] = (1.0,)
    propagated: float = 0.55
    shots: float = 0.15
    photos: float = 0.30
    attached: float = 0.6
    cover: float = 0.0
    hidden: float = 0.5
    consecutive: bool = False


class Draws(Dataset[Batch]):
    """Data set of a run: ``draws[step]`` is the batch of that step."""

    def __init__(self, packs: Sequence[Pack], mix: Mix, seed: int, steps: int = 1 << 40) -> None:
        self.packs, self.mix, self.seed, self.steps = tuple(packs), mix, seed, steps
        self._photos = [(p, x) for p in packs for x in p.index.photos if not held_out(x.name)]
        self._shots = [(p, x) for p in packs for x in p.index.shots if len(x.blobs) >= max(mix.frames)]
        samples = [(p, x) for p in packs for x in p.index.samples if len(x.truth) >= max(mix.frames)]
        self._samples = [(p, x) for p, x in samples if not held_out(x.name) and _usable(x, mix.consecutive)]
        self._kinds = {
            "propagated": mix.propagated * bool(self._samples),
            "shots": mix.shots * bool(self._shots),
            "photos": mix.photos * bool(self._photos),
        }
        if sum(self._kinds.values()) <= 0:
            raise InputError("the packs hold nothing of the kinds asked for; pack photos, videos or both")

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self.seed, step))
        weights = np.array(self.mix.frame_weights)
        frames = int(rng.choice(self.mix.frames, p=weights / weights.sum()))
        return collate([self._draw(rng, frames) for _ in range(self.mix.batch)])

    def _draw(self, rng: np.random.Generator, frames: int) -> tuple[Bytes, Bytes, Bytes]:
        weights = np.array(list(self._kinds.values()))
        kind = str(rng.choice(list(self._kinds), p=weights / weights.sum()))
        if kind == "propagated":
            clip = self._propagated(rng, frames)
        else:
            clip = self._shot(rng, frames) if kind == "shots" else self._photo(rng, frames)
        return flipped(rng, *clip)

    def _propagated(self, rng: np.random.Generator, frames: int) -> tuple[Bytes, Bytes, Bytes]:
        pack, sample = self._samples[int(rng.integers(len(self._samples)))]
        chosen = np.sort(rng.choice(len(sample.truth), frames, replace=False))
        if self.mix.consecutive:
            start = int(rng.integers(len(sample.truth) - frames + 1))
            chosen = np.arange(start, start + frames)
        return crop(rng, *pack.sample(sample, [int(i) for i in chosen]), self.mix.size, self.mix.hidden)

    def _shot(self, rng: np.random.Generator, frames: int) -> tuple[Bytes, Bytes, Bytes]:
        weights = np.array([STILL_WEIGHT if shot.still else 1.0 for _, shot in self._shots])
        pack, shot = self._shots[int(rng.choice(len(self._shots), p=weights / weights.sum()))]
        steps = _draw_steps(rng, len(shot.blobs), frames, self.mix.consecutive)
        whole = np.stack([pack.picture(shot.blobs[int(i)]) for i in steps])
        truth = random_resized_crop(rng, whole, self.mix.size)
        holes = cover_more(rng, None, steps, truth.shape[1:3], self.mix.cover)
        return truth, truth, holes.astype(np.uint8) * 255

    def _photo(self, rng: np.random.Generator, frames: int) -> tuple[Bytes, Bytes, Bytes]:
        photo, other = (self._picture(rng) for _ in range(2))
        steps = _draw_steps(rng, max(31, frames), frames, self.mix.consecutive)
        attached = rng.random() < self.mix.attached
        truth, holes = moved_photo(rng, photo, other, steps, self.mix.size, attached)
        holes = cover_more(rng, holes, steps, truth.shape[1:3], self.mix.cover)
        return truth, truth, holes.astype(np.uint8) * 255

    def _picture(self, rng: np.random.Generator) -> Bytes:
        flowers = [x for x in self._photos if x[1].group == FLOWERS]
        others = [x for x in self._photos if x[1].group != FLOWERS]
        pool = flowers if flowers and (rng.random() < FLOWER_SHARE or not others) else others
        pack, photo = pool[int(rng.integers(len(pool)))]
        return pack.picture(photo.blob)


def held_out(name: str) -> bool:
    """Whether data of this name is for validation only."""
    return zlib.crc32(name.encode()) % HELD_OUT == 0


def validation(
    packs: Sequence[Pack],
    size: tuple[int, int],
    frames: int,
    most: int = 24,
    *,
    consecutive: bool = False,
    hidden: float = 0.5,
) -> list[Batch]:
    """Fixed batches of one clip each, of held-out names: propagated samples first, then photos.

    They do not depend on the seed of a run, so that runs compare. Photos stand still, unless frames are to
    be ``consecutive``.
    """
    rng = np.random.default_rng(20)
    clips: list[tuple[Bytes, Bytes, Bytes]] = []
    found = [(p, x) for p in packs for x in p.index.samples if held_out(x.name) and len(x.truth) >= frames]
    for pack, sample in ((p, x) for p, x in found if _usable(x, consecutive)):
        clip = crop(rng, *pack.sample(sample, range(frames)), size, hidden)
        if len(clips) < most * 2 // 3 and (clip[2] > 25).mean() > LEAST_HOLE:
            clips.append(clip)
    photos = [(p, x) for p in packs for x in p.index.photos if held_out(x.name) and x.group != FLOWERS]
    for pack, photo in photos[: most - len(clips)]:
        picture = pack.picture(photo.blob)
        steps = np.arange(frames) if consecutive else np.zeros(frames, np.int64)
        truth, _ = moved_photo(rng, picture, picture, steps, size)
        holes = draw_holes(rng, draw_kind(rng), np.arange(frames), *truth.shape[1:3])
        clips.append((truth, truth, holes.astype(np.uint8) * 255))
    return [collate([clip]) for clip in clips]


def moved_photo(
    rng: np.random.Generator,
    photo: Bytes,
    other: Bytes | None,
    steps: Steps,
    size: tuple[int, int],
    attached: bool = False,
) -> tuple[Bytes, npt.NDArray[np.bool_] | None]:
    """A clip ``(T, h, w, 3)`` of a photo seen by a moving camera at times ``steps``.

    Half of the clips have a cut-out of ``other`` moving in front, if it is given. With ``attached`` a hole
    that lies on the photo comes too, bool ``(T, h, w)``, else None.
    """
    picture = torch.from_numpy(np.array(photo)).permute(2, 0, 1).float()
    time = steps.astype(np.float64)
    speed = float(rng.choice([0.0, 0.5, 1.0, 2.0]))
    path = random_camera_path(rng, time, (photo.shape[1], photo.shape[0]), size, speed)
    hole = torch.zeros(1, *picture.shape[1:])
    if attached:
        hole = torch.from_numpy(_attached(rng, photo.shape[:2], path, size))
    seen = camera_view(torch.cat([picture, hole]), path, size)
    clip = seen[:, :3]
    if other is not None and rng.random() < 0.5:
        second = torch.from_numpy(np.array(other)).permute(2, 0, 1).float()
        clip, _ = add_foreground(rng, clip, second, time)
    pixels = clip.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return pixels, (seen[:, 3] > 0.5).numpy() if attached else None


def _attached(
    rng: np.random.Generator, photo: tuple[int, ...], path: CameraPath, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """A hole on the photo itself ``(H, W)``, where the camera looks: float ``(1, H, W)``."""
    h, w = photo[:2]
    centre, scale = path.centres.mean(0), float(path.scales.mean())
    height, width = max(8, round(size[1] * scale)), max(8, round(size[0] * scale))
    inner = draw_holes(rng, "still", np.zeros(1, np.int64), height, width)[0]
    hole = np.zeros((1, h, w), np.float32)
    y, x = round(centre[1] - inner.shape[0] / 2), round(centre[0] - inner.shape[1] / 2)
    rows = slice(max(0, y), min(h, y + inner.shape[0]))
    columns = slice(max(0, x), min(w, x + inner.shape[1]))
    part = inner[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    hole[0, rows, columns] = part
    return hole


def _usable(sample: Sample, consecutive: bool) -> bool:
    """Whether a sample's frames follow each other, where that is asked for."""
    return not consecutive or sample.steps[-1] - sample.steps[0] == len(sample.steps) - 1


def _draw_steps(rng: np.random.Generator, length: int, frames: int, consecutive: bool) -> Steps:
    """Half of the clips: consecutive frames; the others: random ones in order (STTN, section 4.1)."""
    if rng.random() < 0.5 or length <= frames or consecutive:
        start = int(rng.integers(max(1, length - frames + 1)))
        return np.arange(start, start + frames).clip(0, length - 1)
    return np.sort(rng.choice(length, frames, replace=False)).astype(np.int64)
