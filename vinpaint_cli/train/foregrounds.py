"""Things that move in front of a clip: cut-outs of photos that drift, turn, grow and bend.

What is hard to fill is what moves by itself, before a camera that follows it. Clips that may be used for
training show little of that, so it is put in front of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.masks.sources.random import blob, tight

Array = npt.NDArray[np.float64]

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
    """One of the waves that bend a thing.

    ``reach`` ``(2,)`` in pixels, ``number`` ``(2,)`` in radians per pixel, ``pace`` in radians per frame,
    ``phase`` in radians.
    """

    reach: Array
    number: Array
    pace: float
    phase: float


@dataclass(frozen=True, slots=True)
class Movement:
    """How a thing moves over T frames.

    ``places`` ``(T, 2)``: its middle, x and y in pixels of the frame; ``scales``, ``breadths`` and ``angles``
    ``(T,)``: its size, how broad it looks as it turns about itself, and its roll in radians.
    """

    places: Array
    scales: Array
    breadths: Array
    angles: Array
    waves: tuple[Wave, ...]


def random_movement(rng: np.random.Generator, steps: Array, size: tuple[int, int]) -> Movement:
    """A smooth movement at times ``steps`` ``(T,)`` (frames) in pictures of ``size`` ``(width, height)``."""
    time = steps - steps.mean()
    velocity = rng.normal(0, DRIFT if rng.random() < FOLLOWED else CROSSING, 2)
    swing = np.sin(time[:, None] * _pace(rng, 2) + rng.uniform(0, 6.28, 2)) * rng.uniform(0, SWING, 2)
    roll = np.sin(time * _pace(rng, 1) + rng.uniform(0, 6.28)) * rng.uniform(0, 0.1)
    return Movement(
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


def put_in_front(rng: np.random.Generator, clip: Tensor, other: Tensor, steps: Array) -> tuple[Tensor, Array]:
    """Move a piece of ``other`` ``(3, H, W)`` over ``clip`` ``(T, 3, h, w)``, both in 0…255.

    steps: times of the clip's frames ``(T,)``. Returns the new clip and where the piece's middle is, x and y
    in pixels ``(T, 2)``.
    """
    height, width = clip.shape[-2:]
    movement = random_movement(rng, steps, (width, height))
    piece = _cut_out(rng, other, torch.from_numpy(random_outline(rng, (width, height))).float()[None])
    frames = []
    for t, frame in enumerate(clip):
        seen = _seen(piece, movement, t, float(steps[t]), (width, height))
        frames.append(frame + seen[3:] * (seen[:3] - frame))
    return torch.stack(frames), movement.places


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


def _seen(piece: Tensor, movement: Movement, t: int, time: float, size: tuple[int, int]) -> Tensor:
    """The piece ``(4, a, b)`` as frame ``t``, at ``time``, shows it, ``(4, h, w)``; alpha 0 beyond it."""
    y, x = torch.meshgrid(
        torch.arange(size[1], dtype=torch.float32) - float(movement.places[t, 1]),
        torch.arange(size[0], dtype=torch.float32) - float(movement.places[t, 0]),
        indexing="ij",
    )
    cos, sin, scale = np.cos(movement.angles[t]), np.sin(movement.angles[t]), movement.scales[t]
    u = (float(cos) * x + float(sin) * y) / float(scale * movement.breadths[t])
    v = (float(cos) * y - float(sin) * x) / float(scale)
    u, v = _bent(u, v, movement.waves, time)
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
