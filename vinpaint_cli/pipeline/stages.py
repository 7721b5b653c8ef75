"""The chain of filling, written once: removal, evaluation, shadows, fits, estimates and training all run it.

::

    estimate motion → propagate → decide → structure → smooth → detail
    └──────── Stages.find ───────────┘     └──── Stages.fill ────────┘

One function for each stage, from arrays to arrays, so that any of them can be exchanged alone. `decide` says
what counts as seen; `add_detail` completes what was not. Both look at nothing but their arguments.

Arrays everywhere: frames float32 ``(T, h, w, 3)`` RGB in [0, 1]; residual float32 ``(T, h, w)`` in [0, 1],
the part of each pixel that is still to be filled, 0 outside the hole; scale: height of the whole frame / 240,
with which lengths in pixels grow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.ops.complete.key_frames import add_texture
from vinpaint_cli.ops.flow.motion import DisFlow, FlowEstimator, Motion
from vinpaint_cli.ops.propagate.propagation import PropagateOptions, propagate
from vinpaint_cli.ops.propagate.temporal_smoothing import even_out
from vinpaint_cli.pipeline.progress import Clock
from vinpaint_cli.pipeline.reader import Pictures
from vinpaint_cli.types import Clip, Method

if TYPE_CHECKING:
    from vinpaint_cli.ops.image import Array
    from vinpaint_cli.types import Hole


@dataclass(frozen=True, slots=True)
class Filling:
    """Frames on their way through the chain; the stages after `Stages.find` change ``frames`` in place.

    motion: completed optical flow of these frames, None where nothing was propagated.
    """

    frames: Array
    residual: Array
    motion: Motion | None
    scale: float

    def part(self, places: range) -> Filling:
        """Some frames alone, by their places; views, so what is filled in them is filled here."""
        taken = slice(places.start, places.stop)
        motion = None if self.motion is None else self.motion.part(places.start, places.stop)
        return Filling(self.frames[taken], self.residual[taken], motion, self.scale)


@dataclass(frozen=True, slots=True)
class Stages:
    """Which stages run, and with what.

    propagates: bring in real pixels of other frames. texture: complete with patches what a method leaves
    smooth. estimator: of optical flow. threads: frames that propagation works on at once. clock: is given the
    seconds of each stage.
    """

    propagates: bool = True
    texture: bool = True
    estimator: FlowEstimator = field(default_factory=DisFlow)
    threads: int = 1
    clock: Clock = field(default_factory=Clock)

    def find(
        self,
        pictures: Pictures,
        holes: Sequence[Hole],
        height: float,
        *,
        wanted: range | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> Filling:
        """Bring in what other frames show, and decide what is left to fill: all of it unless ``propagates``.

        pictures: uint8 or uint16 ``(T, h, w, 3)``. holes: T × bool ``(h, w)``, True = fill. height: of the
        whole frame in pixels. wanted: places of the frames to fill, all by default; the others serve as
        sources only. ``tick`` is called 2·T − 1 times where anything is propagated.
        """
        scale = height / 240
        with self.clock.time("propagate") if self.propagates else nullcontext():
            if not self.propagates:
                frames = pictures.astype(np.float32) * np.float32(1 / np.iinfo(pictures.dtype).max)
                return Filling(frames, np.stack(holes).astype(np.float32), None, scale)
            options = PropagateOptions(unit=scale, threads=self.threads)
            found = propagate(pictures, holes, options, self.estimator, wanted=wanted, tick=tick)
            return Filling(found.frames, decide(found.confidence), found.motion, scale)

    def fill(self, filling: Filling, method: Method, indices: Sequence[int]) -> None:
        """Fill the residual, in place; indices: the T frame numbers in the source."""
        if not filling.residual.any():
            return
        with self.clock.time("method"):
            add_structure(method, filling.frames, filling.residual, indices)
            if filling.motion is not None:
                even_out(filling.frames, filling.residual, filling.motion)
        if self.texture:
            with self.clock.time("texture"):
                if filling.motion is not None and not method.spec.invents:
                    add_detail(filling.frames, filling.residual, filling.motion, filling.scale)


def decide(confidence: Array) -> Array:
    """What is left to fill ``(T, h, w)`` where propagation is sure by ``confidence (T, h, w)`` in [0, 1]."""
    return 1 - confidence


def add_structure(method: Method, frames: Array, residual: Array, indices: Sequence[int]) -> None:
    """Let the method fill what is left, mixed in by the residual unless the method decides; in place."""
    import torch

    clip = Clip(
        torch.from_numpy(frames).permute(0, 3, 1, 2), torch.from_numpy(residual)[:, None], tuple(indices)
    )
    filled = method.fill(clip).permute(0, 2, 3, 1).cpu().numpy()
    for frame, rest, completion in zip(frames, residual, filled, strict=True):
        weight = rest if method.spec.mixes else (rest > 0).astype(np.float32)
        frame += weight[..., None] * (completion - frame)


def add_detail(frames: Array, residual: Array, motion: Motion, scale: float) -> None:
    """Complete what the method has left smooth with patches of what is seen around, in place."""
    add_texture(frames, residual, motion, scale)
