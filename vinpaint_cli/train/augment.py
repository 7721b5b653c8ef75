"""Random holes and augmentation: photos seen by a moving camera, cut-outs that move in front of a clip.

What is hard to fill is what moves by itself, before a camera that follows it. Clips that may be used for
training show little of that, so foregrounds are put in front of them: they drift, turn, grow and bend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.masks.sources.random import blob, moving_holes, shifted, stationary_holes, tight

Bool = npt.NDArray[np.bool_]

KINDS = {"still": 0.40, "moving": 0.20, "box": 0.20, "object": 0.20}
"""How often each kind is drawn."""

MOST_HOLES = 4
"""Most holes that are drawn over one clip to cover more of it."""

WANDERING = 120
"""Longest run of frames for which a wandering blob is drawn frame by frame."""


def draw_kind(rng: np.random.Generator) -> str:
    """Draw a kind of hole with the frequencies of `KINDS`."""
    return str(rng.choice(list(KINDS), p=list(KINDS.values())))


def draw_holes(rng: np.random.Generator, kind: str, steps: npt.NDArray[np.int64], h: int, w: int) -> Bool:
    """Holes at times ``steps`` ``(T,)`` (frames, the first the smallest): bool ``(T, h, w)``, 1 = fill."""
    if kind == "still":
        return np.array(stationary_holes(rng, len(steps), h, w))
    if kind == "box":
        return np.broadcast_to(_box(rng, h, w), (len(steps), h, w)).copy()
    if kind == "object":
        return _object(rng, steps, h, w)
    past = steps - steps[0]
    return np.array(
        moving_holes(rng, min(int(past[-1]) + 1, WANDERING), h, w)[np.minimum(past, WANDERING - 1)]
    )


def cover_more(
    rng: np.random.Generator,
    holes: Bool | None,
    steps: npt.NDArray[np.int64],
    size: tuple[int, ...],
    share: float,
) -> Bool:
    """Add holes of any kind to ``holes (T, h, w)`` (or None) until ``share`` of all pixels is hidden.

    At least one and at most `MOST_HOLES` are drawn, so the share may not be reached.
    """
    drawn = 0
    while holes is None or (drawn < MOST_HOLES and holes.mean() < share):
        more = draw_holes(rng, draw_kind(rng), steps, *size)
        holes = more if holes is None else holes | more
        drawn += 1
    return holes


def _box(rng: np.random.Generator, h: int, w: int) -> Bool:
    """An upright rectangle: a fifth to half of the frame each way, or a line of text."""
    low, high = ((0.05, 0.15), (0.25, 0.7)) if rng.random() < 0.3 else ((0.15, 0.5), (0.15, 0.45))
    rows, columns = max(2, round(h * rng.uniform(*low))), max(2, round(w * rng.uniform(*high)))
    y, x = int(rng.integers(0, h - rows + 1)), int(rng.integers(0, w - columns + 1))
    hole = np.zeros((h, w), np.bool_)
    hole[y : y + rows, x : x + columns] = True
    return hole


def moved_to(holes: Bool, place: npt.NDArray[np.float64]) -> Bool:
    """Shift all holes ``(T, h, w)`` alike so that the middle of their area is at ``place``, x and y.

    What leaves the picture is gone, so the middle is kept inside it.
    """
    rows, columns = (np.flatnonzero(holes.any((0, axis))) for axis in (2, 1))
    if not len(rows):
        return holes
    height, width = holes.shape[1:]
    down = round(float(np.clip(place[1], 0, height - 1)) - (rows[0] + rows[-1]) / 2)
    right = round(float(np.clip(place[0], 0, width - 1)) - (columns[0] + columns[-1]) / 2)
    return shifted(holes, down, right)


def _outline(rng: np.random.Generator, h: int, w: int) -> Bool:
    """The shape of an object, a blob of about a tenth of the frame, bool ``(a, b)``."""
    scale = rng.uniform(0.6, 1.2)
    return blob(rng, max(8, round(h * scale)), max(8, round(w * scale)))


def _object(rng: np.random.Generator, steps: npt.NDArray[np.int64], h: int, w: int) -> Bool:
    """One thing that crosses the frame, growing or shrinking; it may be cut off by the border."""
    shape = _outline(rng, h, w)
    past = (steps - steps[0]).astype(np.float64)
    middle = past[-1] / 2
    velocity = rng.normal(0, 1, 2) * min(3.0, 0.5 * w / max(1.0, past[-1]))
    centre = rng.uniform(0.2, 0.8, 2) * [h, w] + (past - middle)[:, None] * velocity
    growth = np.exp((past - middle) * rng.normal(0, 0.01))
    y, x = np.mgrid[:h, :w]
    holes = np.zeros((len(steps), h, w), np.bool_)
    for hole, (cy, cx), scale in zip(holes, centre, growth, strict=True):
        rows = np.rint((y - cy) / scale + shape.shape[0] / 2).astype(np.int64)
        columns = np.rint((x - cx) / scale + shape.shape[1] / 2).astype(np.int64)
        inside = (rows >= 0) & (rows < shape.shape[0]) & (columns >= 0) & (columns < shape.shape[1])
        hole[inside] = shape[rows[inside], columns[inside]]
    return holes


Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CameraPath:
    """Where the camera stands at each frame.

    ``centres`` ``(T, 2)``: what it looks at, x and y in photo pixels; ``scales`` ``(T,)``: photo pixels per
    frame pixel; ``angles`` ``(T,)``: roll in radians; ``tilts`` ``(T, 2)``: perspective, the relative change
    of scale from the picture's middle to its right and lower edge.
    """

    centres: Array
    scales: Array
    angles: Array
    tilts: Array


def random_camera_path(
    rng: np.random.Generator, steps: Array, photo: tuple[int, int], size: tuple[int, int], speed: float
) -> CameraPath:
    """A smooth path seen at times ``steps`` ``(T,)`` (frames), both sizes ``(width, height)``.

    ``speed`` scales everything that moves: about that many frame pixels per frame; 0 stands still.
    """
    fit = min(photo[0] / size[0], photo[1] / size[1])
    scale = fit * rng.uniform(0.45, 0.97) if fit > 0.6 else fit * rng.uniform(0.7, 0.97)
    room = np.maximum(np.array(photo) - np.array(size) * scale, 0) / 2
    start = np.array(photo) / 2 + rng.uniform(-1, 1, 2) * room
    velocity = rng.normal(0, 1, 2) * speed * scale
    time = steps - steps.mean()
    wave = np.sin(time[:, None] * rng.uniform(0.05, 0.5, 2) + rng.uniform(0, 6.28, 2))
    centres = start + time[:, None] * velocity + wave * speed * scale * rng.uniform(0, 1.5, 2)
    return CameraPath(
        centres,
        scale * np.exp(time * rng.normal(0, 0.004) * speed),
        rng.normal(0, 0.04) + time * rng.normal(0, 0.004) * speed,
        rng.normal(0, 0.03, 2) + time[:, None] * rng.normal(0, 0.002, 2) * speed,
    )


def camera_view(picture: Tensor, path: CameraPath, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """What the camera sees: ``picture`` ``(C, H, W)`` float → ``(T, C, h, w)``; mirrored beyond its edges."""
    grids = _grids(path, size, tuple(picture.shape[-2:]))
    source = picture[None].expand(len(grids), -1, -1, -1)
    return functional.grid_sample(source, grids, mode=mode, padding_mode="reflection", align_corners=False)


def _grids(path: CameraPath, size: tuple[int, int], photo: tuple[int, ...]) -> Tensor:
    """Where each pixel of each frame looks, ``(T, h, w, 2)``, −1 … 1 over the photo ``(H, W)``."""
    width, height = size
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32) - (height - 1) / 2,
        torch.arange(width, dtype=torch.float32) - (width - 1) / 2,
        indexing="ij",
    )
    return torch.stack([_grid(x, y, path, t, photo) for t in range(len(path.scales))])


def _grid(x: Tensor, y: Tensor, path: CameraPath, t: int, photo: tuple[int, ...]) -> Tensor:
    tilt = path.tilts[t]
    depth = 1 + tilt[0] * x / (x.abs().max() + 1) + tilt[1] * y / (y.abs().max() + 1)
    cos, sin = float(np.cos(path.angles[t])), float(np.sin(path.angles[t]))
    scale = float(path.scales[t])
    u = float(path.centres[t, 0]) + scale * (cos * x - sin * y) / depth
    v = float(path.centres[t, 1]) + scale * (sin * x + cos * y) / depth
    return torch.stack([(u + 0.5) * 2 / photo[1] - 1, (v + 0.5) * 2 / photo[0] - 1], -1)


FOLLOWED = 0.6
"""How often the camera follows the thing, so that it hardly moves in the picture."""

DRIFT, CROSSING = 0.4, 3.0
"""Standard deviation of its velocity each way, in pixels per frame, when it is followed and when it is not.

It also swings, by up to `SWING` pixels.
"""

SWING = 3.0

BEND = (0.0, 2.0, 5.0)
"""By how many of its own pixels it may bend each way at most; each as often."""

EDGE = 3
"""Pixels around a cut-out; its outline fades over the first of them."""


@dataclass(frozen=True, slots=True)
class Wave:
    """One of the waves that bend a foreground.

    ``reach`` ``(2,)`` in pixels, ``number`` ``(2,)`` in radians per pixel, ``pace`` in radians per frame,
    ``phase`` in radians.
    """

    reach: Array
    number: Array
    pace: float
    phase: float


@dataclass(frozen=True, slots=True)
class ForegroundMotion:
    """How a foreground moves over T frames.

    ``places`` ``(T, 2)``: its middle, x and y in pixels of the frame; ``scales``, ``breadths`` and ``angles``
    ``(T,)``: its size, how broad it looks as it turns about itself, and its roll in radians.
    """

    places: Array
    scales: Array
    breadths: Array
    angles: Array
    waves: tuple[Wave, ...]


def random_motion(rng: np.random.Generator, steps: Array, size: tuple[int, int]) -> ForegroundMotion:
    """A smooth movement at times ``steps`` ``(T,)`` (frames) in pictures of ``size`` ``(width, height)``."""
    time = steps - steps.mean()
    velocity = rng.normal(0, DRIFT if rng.random() < FOLLOWED else CROSSING, 2)
    swing = np.sin(time[:, None] * _pace(rng, 2) + rng.uniform(0, 6.28, 2)) * rng.uniform(0, SWING, 2)
    roll = np.sin(time * _pace(rng, 1) + rng.uniform(0, 6.28)) * rng.uniform(0, 0.1)
    return ForegroundMotion(
        rng.uniform(0.2, 0.8, 2) * size + time[:, None] * velocity + swing,
        np.exp(time * rng.normal(0, 0.006)),
        np.exp(time * rng.normal(0, 0.008)),
        time * rng.normal(0, 0.006) + roll,
        _random_waves(rng),
    )


def _pace(rng: np.random.Generator, count: int) -> Array:
    """Radians per frame of something that comes back after 6 to 40 frames."""
    return 6.28 / rng.uniform(6, 40, count)


def _random_waves(rng: np.random.Generator) -> tuple[Wave, ...]:
    count = int(rng.integers(1, 4))
    most = float(rng.choice(BEND)) / count
    return tuple(
        Wave(
            rng.uniform(-most, most, 2),
            rng.normal(0, 2, 2) / rng.uniform(12, 60),
            float(_pace(rng, 1)[0] * rng.choice([-1, 1])),
            float(rng.uniform(0, 6.28)),
        )
        for _ in range(count)
    )


def random_outline(rng: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The shape of a thing ``(a, b)`` for pictures of ``size`` ``(width, height)``: one blob, or two."""
    scale = rng.uniform(0.5, 1.2)
    height, width = (max(8, round(side * scale)) for side in (size[1], size[0]))
    shape = blob(rng, height, width)
    if rng.random() < 0.5:
        return shape
    other = blob(rng, max(8, round(height * 0.7)), max(8, round(width * 0.7)))
    rows, columns = (
        max(a, b) + int(rng.integers(0, 30)) for a, b in zip(shape.shape, other.shape, strict=True)
    )
    both = np.zeros((rows, columns), np.bool_)
    for part in (shape, other):
        y, x = (
            int(rng.integers(0, rows - part.shape[0] + 1)),
            int(rng.integers(0, columns - part.shape[1] + 1)),
        )
        both[y : y + part.shape[0], x : x + part.shape[1]] |= part
    return tight(both)


def add_foreground(
    rng: np.random.Generator, clip: Tensor, other: Tensor, steps: Array
) -> tuple[Tensor, Array]:
    """Move a piece of ``other`` ``(3, H, W)`` over ``clip`` ``(T, 3, h, w)``, both in 0…255.

    steps: times of the clip's frames ``(T,)``. Returns the new clip and where the piece's middle is, x and y
    in pixels ``(T, 2)``.
    """
    height, width = clip.shape[-2:]
    motion = random_motion(rng, steps, (width, height))
    piece = _cut_out(rng, other, torch.from_numpy(random_outline(rng, (width, height))).float()[None])
    frames = []
    for t, frame in enumerate(clip):
        seen = _rendered(piece, motion, t, float(steps[t]), (width, height))
        frames.append(frame + seen[3:] * (seen[:3] - frame))
    return torch.stack(frames), motion.places


def _cut_out(rng: np.random.Generator, other: Tensor, outline: Tensor) -> Tensor:
    """A piece of a photo with another exposure and alpha: the outline ``(1, a, b)`` and `EDGE` around it."""
    a, b = outline.shape[-2:]
    least = max(a / other.shape[1], b / other.shape[2])
    scale = max(least, 2 * a / other.shape[1] * rng.uniform(0.3, 1.0))
    rows, columns = max(a, round(other.shape[1] * scale)), max(b, round(other.shape[2] * scale))
    photo = functional.interpolate(other[None], (rows, columns), mode="bilinear", antialias=True)[0]
    top, left = int(rng.integers(0, rows - a + 1)), int(rng.integers(0, columns - b + 1))
    part = photo[:, top : top + a, left : left + b] * rng.uniform(0.7, 1.25) + rng.uniform(-20, 20)
    part = functional.pad(part.clamp(0, 255)[None], (EDGE,) * 4, mode="replicate")[0]
    alpha = functional.avg_pool2d(functional.pad(outline, (EDGE,) * 4)[None], 3, 1, 1)[0]
    return torch.cat([part, alpha])


def _rendered(piece: Tensor, motion: ForegroundMotion, t: int, time: float, size: tuple[int, int]) -> Tensor:
    """A cut-out ``(4, a, b)`` rendered into frame ``t`` at ``time``: ``(4, h, w)``, alpha 0 beyond it."""
    y, x = torch.meshgrid(
        torch.arange(size[1], dtype=torch.float32) - float(motion.places[t, 1]),
        torch.arange(size[0], dtype=torch.float32) - float(motion.places[t, 0]),
        indexing="ij",
    )
    cos, sin, scale = np.cos(motion.angles[t]), np.sin(motion.angles[t]), motion.scales[t]
    u = (float(cos) * x + float(sin) * y) / float(scale * motion.breadths[t])
    v = (float(cos) * y - float(sin) * x) / float(scale)
    u, v = _bent(u, v, motion.waves, time)
    rows, columns = piece.shape[-2:]
    grid = torch.stack([2 * u / columns, 2 * v / rows], -1)[None]
    seen = functional.grid_sample(piece[None], grid, padding_mode="border", align_corners=False)[0]
    inside = (grid[0].abs() < 1).all(-1)
    return torch.cat([seen[:3], seen[3:] * inside])


def _bent(u: Tensor, v: Tensor, waves: tuple[Wave, ...], time: float) -> tuple[Tensor, Tensor]:
    """Points of a piece moved by its waves."""
    right, down = torch.zeros_like(u), torch.zeros_like(v)
    for wave in waves:
        swell = (float(wave.number[0]) * u + float(wave.number[1]) * v + wave.pace * time + wave.phase).sin()
        right, down = right + float(wave.reach[0]) * swell, down + float(wave.reach[1]) * swell
    return u + right, v + down
