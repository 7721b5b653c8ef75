"""Input of the search for real pixels: frames, holes, motion, options; sampling at positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.flow import FlowEstimator
from vinpaint_cli.ops.flow.camera import Homography, accumulate
from vinpaint_cli.ops.flow.motion import NOTHING_KEPT, Motion, estimate_motion
from vinpaint_cli.ops.image import Array, Bool, Bytes, dilate, inside, luma, membrane, sample, to_levels
from vinpaint_cli.ops.parallel import collected
from vinpaint_cli.types import Checkpoints

Integers = npt.NDArray[np.int32]

SUPPORT = 2
"""Pixels around a hole that are not taken as a source: bicubic sampling there would read the hole."""


@dataclass(frozen=True, slots=True)
class PropagateOptions:
    """Parameters of propagation.

    ``unit``: frame height in units of 240 lines; lengths in pixels grow with it. ``band``: width of the
    ring around a hole where candidates are checked. ``margin``: pixels around a hole whose flow is not
    trusted. ``context``: pixels around a hole that far frames are aligned on. ``nearest``: how many frames
    away the camera's motion alone is followed. ``far``: how many far frames are tried at most, out of those
    ``reaches`` frames away in both directions; none is where no more than a share of ``enough`` of the hole
    has a confidence below ``sure`` without them. ``fade``: pixels over which a candidate fades out at the
    edge of what its source shows. ``exposure``: largest correction of brightness in levels. ``threads``:
    frames that are worked on at once; the result is the same. ``average``: mix all candidates, whatever they
    show, instead of choosing: a scene without what passes through it.
    """

    unit: float = 1.0
    band: int = 6
    margin: int = 8
    context: int = 48
    nearest: int = 24
    far: int = 4
    reaches: tuple[int, ...] = (4, 8, 16, 32, 64)
    sure: float = 0.9
    enough: float = 0.02
    fade: int = 5
    exposure: float = 24.0
    threads: int = 1
    average: bool = False

    def pixels(self, length: int) -> int:
        """A length at 240 lines, in pixels of this clip; grows with the square root beyond that."""
        growth: float = max(1.0, self.unit) ** 0.5
        return max(2, round(length * growth))


@dataclass(frozen=True, slots=True)
class Scene:
    """Frames, holes and motion of a clip, as the search for candidates reads them.

    ``frames`` are float32 in [0, 1]; they may be filled while they are read, because nothing reads inside
    ``blocked``, the holes grown by `SUPPORT`.
    """

    frames: Array
    holes: Sequence[Bool]
    blocked: Sequence[Bool]
    grey: Sequence[Bytes]
    motion: Motion
    path: Sequence[Homography]
    estimator: FlowEstimator
    options: PropagateOptions

    def targets(self, t: int) -> Bool:
        """The hole of frame t and the band around it."""
        return dilate(self.holes[t], self.options.pixels(self.options.band))

    def target_pixels(self, t: int) -> tuple[Integers, Integers]:
        """Rows and columns of the targets of frame t."""
        rows, columns = np.nonzero(self.targets(t))
        return rows.astype(np.int32), columns.astype(np.int32)


def make_scene(
    frames: Array,
    holes: Sequence[Bool],
    options: PropagateOptions,
    estimator: FlowEstimator,
    tick: Callable[[], None],
    checkpoints: Checkpoints = NOTHING_KEPT,
) -> Scene:
    """Estimate the motion of ``frames (T, h, w, 3)`` in [0, 1] around the ``holes``."""
    pairs = zip(frames, holes, strict=True)
    grey = collected(pairs, lambda pair: _neutral_grey(*pair), options.threads)
    margin = options.pixels(options.margin)
    motion = estimate_motion(
        grey.__getitem__,
        holes,
        estimator,
        margin=margin,
        threads=options.threads,
        tick=tick,
        checkpoints=checkpoints,
    )
    blocked = [dilate(hole, SUPPORT) for hole in holes]
    return Scene(frames, holes, blocked, grey, motion, accumulate(motion.camera), estimator, options)


def _neutral_grey(frame: Array, hole: Bool) -> Bytes:
    """Grey picture with the hole filled smoothly, so that its content and edge do not disturb the flow."""
    grey = luma(to_levels(frame))
    if not hole.any():
        return grey
    smooth = membrane(grey[..., None].astype(np.float32), (~hole).astype(np.float32))
    return np.clip(np.rint(smooth[..., 0]), 0, 255).astype(np.uint8)


def visible_at(hole: Bool, positions: Array) -> tuple[Bool, Bool, tuple[Integers, Integers]]:
    """For ``positions``: whether inside the picture, whether on known pixels only, and the nearest pixel."""
    height, width = hole.shape
    x, y = positions[:, 0], positions[:, 1]
    within = inside(positions, height, width)
    x0 = np.clip(np.floor(x), 0, max(width - 2, 0)).astype(np.int32)
    y0 = np.clip(np.floor(y), 0, max(height - 2, 0)).astype(np.int32)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    hidden = hole[y0, x0] | hole[y1, x0] | hole[y0, x1] | hole[y1, x1]
    nx = np.clip(np.rint(x), 0, width - 1).astype(np.int32)
    ny = np.clip(np.rint(y), 0, height - 1).astype(np.int32)
    return within, within & ~hidden, (ny, nx)


def bicubic_levels(frame: Array, positions: Array) -> Array:
    """Bicubic samples of one frame in [0, 1] at ``positions (n, 2)``, in 0…255 ``(n, 3)``."""
    return sample(frame, positions, order=3) * np.float32(255)
