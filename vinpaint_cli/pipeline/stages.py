"""Fill one segment: frames and holes in, patches out. Knows nothing of any other segment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.ops.complete.key_frames import add_texture
from vinpaint_cli.ops.flow.motion import Motion
from vinpaint_cli.ops.propagate.propagation import PropagateOptions, propagate
from vinpaint_cli.ops.propagate.temporal_smoothing import even_out
from vinpaint_cli.pipeline.device import memory_errors
from vinpaint_cli.pipeline.progress import Clock
from vinpaint_cli.pipeline.reader import Pictures, SegmentReader
from vinpaint_cli.types import Box, Clip, Method, Patch, Segment

if TYPE_CHECKING:
    from vinpaint_cli.ops.image import Array
    from vinpaint_cli.types import Hole, Plane


@dataclass(frozen=True, slots=True)
class Fit:
    """What is known to fit into memory: ``frames`` of a segment in one go (None: as many as planned).

    ``on_cpu``: the network runs on the CPU, whatever device it was meant for.
    """

    frames: int | None = None
    on_cpu: bool = False


@dataclass(frozen=True, slots=True)
class Filled:
    """A segment's patches, and of its core the hole's pixels and those that propagation answers for.

    ``seconds`` per stage; ``fit`` is what whoever filled it has found to fit so far.
    """

    patches: tuple[Patch, ...]
    hole_pixels: int
    propagated_pixels: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    fit: Fit = field(default_factory=Fit)


@dataclass(frozen=True, slots=True)
class Filler:
    """How segments are filled: the method, and whether propagation runs before and texture comes after.

    threads: frames that propagation works on at once.
    """

    method: Method
    propagates: bool
    clock: Clock
    textures: bool = True
    threads: int = 1

    def fill(
        self,
        segment: Segment,
        reader: SegmentReader,
        tick: Callable[[], None] = lambda: None,
        answers: range | None = None,
    ) -> Filled:
        """Fill one segment; pixels of the frames ``answers`` (default: the core) are counted.

        ``tick`` is called once per frame of the segment, at the least.

        Raises OutOfMemoryError, and what the source, the mask and the method raise.
        """
        with memory_errors(f"segment {segment.index} ({len(segment.frames)} frames of its region)"):
            with self.clock.time("read"):
                pictures, alphas = reader.read(segment)
            targets = [alpha > 0 for alpha in alphas]
            wanted = self._wanted(segment)
            with self._timed("propagate"):
                frames, shares, motion = bring_in(
                    pictures,
                    targets,
                    reader.height,
                    propagates=self.propagates,
                    wanted=wanted,
                    threads=self.threads,
                    tick=tick,
                )
            part = slice(wanted.start, wanted.stop)
            if shares[part].any():
                with self.clock.time("method"):
                    followed = None if motion is None else motion.part(part.start, part.stop)
                    complete(self.method, frames[part], shares[part], segment.frames[part], followed)
                if self.textures:
                    with self.clock.time("texture"):
                        finish(self.method, frames[part], shares[part], followed, reader.height)
            counted = segment.core if answers is None else answers
            return self._patches(segment, counted, pictures, frames, alphas, shares)

    def _wanted(self, segment: Segment) -> range:
        """Places in the segment whose fill is needed: all for a method that looks at other frames."""
        if self.method.spec.window > 1:
            return range(len(segment.frames))
        first = segment.frames.start
        return range(segment.shown.start - first, segment.shown.stop - first)

    def _timed(self, stage: str) -> AbstractContextManager[None]:
        return self.clock.time(stage) if self.propagates else nullcontext()

    def _patches(
        self,
        segment: Segment,
        counted: range,
        pictures: Pictures,
        frames: Array,
        alphas: list[Plane],
        shares: Array,
    ) -> Filled:
        patches = []
        hole_pixels, propagated = 0, 0.0
        for place, index in enumerate(segment.frames):
            box = hole_box(alphas[place] > 0)
            if index not in segment.shown or box is None:
                continue
            if index in counted:
                hole = alphas[place] >= 1
                hole_pixels += int(np.count_nonzero(hole))
                propagated += float((1 - shares[place])[hole].sum())
            patch = _patch(index, segment.roi, box, frames[place], alphas[place], pictures.dtype)
            patches.append(replace(patch, weight=segment.weight(index)))
        return Filled(tuple(patches), hole_pixels, propagated)


def bring_in(
    pictures: Pictures,
    targets: Sequence[Hole],
    height: int,
    *,
    propagates: bool = True,
    wanted: range | None = None,
    threads: int = 1,
    tick: Callable[[], None] = lambda: None,
) -> tuple[Array, Array, Motion | None]:
    """Bring in what other frames show, the first stage of filling.

    pictures ``(T, h, w, 3)``; targets: T × bool ``(h, w)``, True = fill; height: that of the whole frame
    in pixels. Returns float32 frames ``(T, h, w, 3)`` in [0, 1] with what propagation found, and float32
    shares ``(T, h, w)``: how much of each pixel is still to be filled (all of it unless ``propagates``), and
    the completed motion, which nobody knows unless ``propagates``.
    Frames outside ``wanted`` (places in the clip; default all) serve as sources only. ``threads`` frames
    are worked on at once.
    """
    if not propagates:
        scale = np.float32(1 / np.iinfo(pictures.dtype).max)
        return pictures.astype(np.float32) * scale, np.stack(targets).astype(np.float32), None
    options = PropagateOptions(unit=height / 240, threads=threads)
    found = propagate(pictures, targets, options, wanted=wanted, tick=tick)
    return found.frames, 1 - found.confidence, found.motion


def complete(
    method: Method, frames: Array, shares: Array, indices: Sequence[int], motion: Motion | None = None
) -> None:
    """Let the method fill what is left, mixed in by its share unless it decides; changes ``frames`` in place.

    frames, shares and motion as `bring_in` returns them; indices: the T frame numbers in the source. Where
    the motion is known, what was filled is evened out along it, so that it does not flicker.
    """
    import torch

    clip = Clip(
        torch.from_numpy(frames).permute(0, 3, 1, 2), torch.from_numpy(shares)[:, None], tuple(indices)
    )
    filled = method.fill(clip).permute(0, 2, 3, 1).cpu().numpy()
    for frame, share, completion in zip(frames, shares, filled, strict=True):
        weight = share if method.spec.mixes else (share > 0).astype(np.float32)
        frame += weight[..., None] * (completion - frame)
    if motion is not None:
        even_out(frames, shares, motion)


def finish(method: Method, frames: Array, shares: Array, motion: Motion | None, height: int) -> None:
    """Give texture to what the method has left smooth, where the motion is known; in place.

    frames, shares and motion as `complete` leaves them; height: that of the whole frame in pixels.
    """
    if motion is not None and not method.spec.invents:
        add_texture(frames, shares, motion, height / 240)


def _patch(index: int, roi: Box, box: Box, frame: Array, alpha: Plane, dtype: np.dtype[Any]) -> Patch:
    """The smallest patch that holds the feathered hole; the picture is quantised here, once."""
    peak = np.iinfo(dtype).max
    window = box.slices()
    rgb = np.clip(np.rint(frame[window] * np.float32(peak)), 0, peak).astype(dtype)
    placed = Box(roi.x0 + box.x0, roi.y0 + box.y0, roi.x0 + box.x1, roi.y0 + box.y1)
    return Patch(index, placed, rgb, np.ascontiguousarray(alpha[window]))
