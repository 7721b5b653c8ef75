"""The chain of filling, written once: removal, evaluation, shadows, fits, estimates and training all run it.

::

    estimate motion → propagate → structure → decide → complete
    └────── Stages.find ──────┘   └─────── Stages.fill ───────┘

One function for each stage, from arrays to arrays, so that any of them can be exchanged alone. `decide` finds
which hidden pixels were seen; they stay as propagation found them. `complete_background` fills the rest, and
the method's output guides it as a coarse picture. If the method invents, its output is the result instead.

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

from vinpaint_cli.ops.complete import Completer, open_completer
from vinpaint_cli.ops.complete.background import Shot, complete_background
from vinpaint_cli.ops.complete.decide import decide
from vinpaint_cli.ops.flow import FlowEstimator, open_flow
from vinpaint_cli.ops.flow.motion import NOTHING_KEPT, Motion
from vinpaint_cli.ops.propagate.propagation import PropagateOptions, propagate
from vinpaint_cli.ops.propagate.temporal_smoothing import smooth_filled
from vinpaint_cli.pipeline.progress import Clock
from vinpaint_cli.pipeline.reader import Pictures
from vinpaint_cli.types import Checkpoints, Clip, Method

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
        """Views of the frames at ``places``: filling them fills this one."""
        taken = slice(places.start, places.stop)
        motion = None if self.motion is None else self.motion.part(places.start, places.stop)
        return Filling(self.frames[taken], self.residual[taken], motion, self.scale)


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages to run and their settings.

    propagates: fill with real pixels of other frames first. texture: complete what no frame shows with pieces
    of its surroundings, unless the method invents. estimator: of optical flow. completer: of key
    frames. threads: frames that propagation works on at once. clock: collects the seconds of each stage.
    average: what other frames show, for comparison rather than for the eye. checkpoints: of the steps.
    """

    propagates: bool = True
    texture: bool = True
    estimator: FlowEstimator = field(default_factory=open_flow)
    completer: Completer = field(default_factory=open_completer)
    threads: int = 1
    clock: Clock = field(default_factory=Clock)
    average: bool = False
    checkpoints: Checkpoints = NOTHING_KEPT

    def find(
        self,
        pictures: Pictures,
        holes: Sequence[Hole],
        height: float,
        *,
        wanted: range | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> Filling:
        """Propagate real pixels from other frames; without ``propagates`` the residual is the whole hole.

        pictures: uint8 or uint16 ``(T, h, w, 3)``. holes: T × bool ``(h, w)``, True = fill. height: of the
        whole frame in pixels. wanted: places of the frames to fill, all by default; the others serve as
        sources only. ``tick`` is called 2·T − 1 times where anything is propagated.
        """
        scale = height / 240
        with self.clock.time("propagate") if self.propagates else nullcontext():
            if not self.propagates:
                frames = pictures.astype(np.float32) * np.float32(1 / np.iinfo(pictures.dtype).max)
                return Filling(frames, np.stack(holes).astype(np.float32), None, scale)
            options = PropagateOptions(unit=scale, threads=self.threads, average=self.average)
            found = propagate(
                pictures,
                holes,
                options,
                self.estimator,
                wanted=wanted,
                tick=tick,
                checkpoints=self.checkpoints,
            )
            return Filling(found.frames, 1 - found.confidence, found.motion, scale)

    def fill(self, filling: Filling, method: Method, indices: Sequence[int]) -> None:
        """Fill the residual, in place; indices: the T frame numbers in the source."""
        if not filling.residual.any():
            return
        drawn = self.texture and filling.motion is not None and not method.spec.invents
        found = filling.frames.copy() if drawn else filling.frames
        with self.clock.time("method"):
            hidden = filling.residual > 0
            if (kept := self.checkpoints.get("method")) is not None:
                filling.frames[hidden] = kept[0]
            else:
                add_structure(method, filling.frames, filling.residual, indices)
                if filling.motion is not None and not drawn:
                    smooth_filled(filling.frames, filling.residual, filling.motion)
                self.checkpoints.put("method", lambda: [filling.frames[hidden]])
        if drawn:
            with self.clock.time("texture"):
                add_detail(filling, found, self.estimator, self.completer, self.checkpoints)


def add_detail(
    filling: Filling,
    found: Array,
    estimator: FlowEstimator,
    completer: Completer,
    checkpoints: Checkpoints = NOTHING_KEPT,
) -> None:
    """Complete what no frame shows; what propagation ``found (T, h, w, 3)`` stays. Changes both in place.

    filling: with the motion known, and the frames as a method has filled them: coarse pictures.
    """
    if filling.motion is None:
        raise ValueError("what no frame shows is drawn along the motion, and none is known")
    hidden = filling.residual > 0
    lacking = hidden & ~decide(1 - filling.residual, hidden, filling.motion, filling.scale)
    coarse = found
    for frame, other in zip(filling.frames, found, strict=True):
        # Exchanged frame by frame, so that the clip is held no third time.
        structure = frame.copy()
        frame[...], other[...] = other, structure
    shot = Shot(filling.frames, lacking, hidden, filling.motion, filling.scale, coarse)
    complete_background(shot, estimator, completer, checkpoints)


def add_structure(method: Method, frames: Array, residual: Array, indices: Sequence[int]) -> None:
    """Fill with the method, in place: weighted by the residual if it ``mixes``, else the whole hole."""
    import torch

    clip = Clip(
        torch.from_numpy(frames).permute(0, 3, 1, 2), torch.from_numpy(residual)[:, None], tuple(indices)
    )
    filled = method.fill(clip).permute(0, 2, 3, 1).cpu().numpy()
    for frame, rest, completion in zip(frames, residual, filled, strict=True):
        weight = rest if method.spec.mixes else (rest > 0).astype(np.float32)
        frame += weight[..., None] * (completion - frame)
