"""Photos made into clips: a virtual camera moves over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Path:
    """Where the camera stands at each frame.

    ``centres`` ``(T, 2)``: what it looks at, x and y in photo pixels; ``scales`` ``(T,)``: photo pixels per
    frame pixel; ``angles`` ``(T,)``: roll in radians; ``tilts`` ``(T, 2)``: perspective, the relative change
    of scale from the picture's middle to its right and lower edge.
    """

    centres: Array
    scales: Array
    angles: Array
    tilts: Array


def random_path(
    rng: np.random.Generator, steps: Array, photo: tuple[int, int], size: tuple[int, int], speed: float
) -> Path:
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
    return Path(
        centres,
        scale * np.exp(time * rng.normal(0, 0.004) * speed),
        rng.normal(0, 0.04) + time * rng.normal(0, 0.004) * speed,
        rng.normal(0, 0.03, 2) + time[:, None] * rng.normal(0, 0.002, 2) * speed,
    )


def view(picture: Tensor, path: Path, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """What the camera sees: ``picture`` ``(C, H, W)`` float → ``(T, C, h, w)``; mirrored beyond its edges."""
    grids = _grids(path, size, tuple(picture.shape[-2:]))
    source = picture[None].expand(len(grids), -1, -1, -1)
    return functional.grid_sample(source, grids, mode=mode, padding_mode="reflection", align_corners=False)


def _grids(path: Path, size: tuple[int, int], photo: tuple[int, ...]) -> Tensor:
    """Where each pixel of each frame looks, ``(T, h, w, 2)``, −1 … 1 over the photo ``(H, W)``."""
    width, height = size
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32) - (height - 1) / 2,
        torch.arange(width, dtype=torch.float32) - (width - 1) / 2,
        indexing="ij",
    )
    return torch.stack([_grid(x, y, path, t, photo) for t in range(len(path.scales))])


def _grid(x: Tensor, y: Tensor, path: Path, t: int, photo: tuple[int, ...]) -> Tensor:
    tilt = path.tilts[t]
    depth = 1 + tilt[0] * x / (x.abs().max() + 1) + tilt[1] * y / (y.abs().max() + 1)
    cos, sin = float(np.cos(path.angles[t])), float(np.sin(path.angles[t]))
    scale = float(path.scales[t])
    u = float(path.centres[t, 0]) + scale * (cos * x - sin * y) / depth
    v = float(path.centres[t, 1]) + scale * (sin * x + cos * y) / depth
    return torch.stack([(u + 0.5) * 2 / photo[1] - 1, (v + 0.5) * 2 / photo[0] - 1], -1)
