"""What a fit learns from and is scored on: crops around hidden pixels whose truth is known.

There are two ways to hide pixels. A *rolled* hole is that of another frame, shifted around the picture (the
paper's augmentation): what it hides is simply gone. A *pseudo-hole* is the hole once more, elsewhere in all
frames, after propagation has worked in it as it has in the true one: so the network sees what it will see,
and learns which propagated pixels to trust. One pseudo-hole is held out: it is never learned from, and the
network is scored on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vinpaint_cli.methods.fitting import FitFrames
from vinpaint_cli.methods.internal.method import fill_frames, start_of, surroundings
from vinpaint_cli.methods.internal.net import MULTIPLE, InternalNet
from vinpaint_cli.nets.holes import composite, smooth_start
from vinpaint_cli.nets.letterbox import Letterbox
from vinpaint_cli.types import Box, Clip

Bytes = npt.NDArray[np.uint8]

LEAST = 8
"""Residual or trust, of 255, from which on a pixel counts as to be filled, or as trusted."""

FINER_FRAMES = 6
"""Most frames of a pseudo-hole that finer scales learn from: each is a whole frame's work for the coarser."""

SCORED_FRAMES = 10
"""Most held-out frames that a network is scored on."""

BATCH_PARTS = ("frames", "residual", "truth", "weights", "scored")


@dataclass(frozen=True, slots=True)
class ScaledFrames:
    """`FitFrames` at the size a network sees: tensors uint8 ``(T, C, H, W)``, H and W multiples of 4.

    ``start``: for a pseudo-hole at a finer scale, the picture the network starts from. ``rolls``: whether
    holes are still to be laid over the frames.
    """

    truth: Tensor
    found: Tensor
    residual: Tensor
    trust: Tensor
    scored: Tensor
    start: Tensor | None = None
    rolls: bool = False

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True, slots=True)
class CropBatch:
    """Crops for a network: float32 ``(N, C, c, c)``, pictures in [-1, 1], residual and weights in [0, 1].

    ``weights``: how far the truth of a pixel is to be believed; ``scored``: 1 where it is hidden and known.
    """

    frames: Tensor
    residual: Tensor
    truth: Tensor
    weights: Tensor
    scored: Tensor
    start: Tensor | None

    def to(self, device: torch.device) -> CropBatch:
        """The same on a device, channels last in memory."""
        moved = {name: _channels_last(getattr(self, name).to(device)) for name in BATCH_PARTS}
        start = None if self.start is None else _channels_last(self.start.to(device))
        return replace(self, **moved, start=start)


def thinned(frames: FitFrames, most: int) -> FitFrames:
    """At most ``most`` frames, spread evenly; of a pseudo-hole, frames in which something is scored."""
    scored = frames.scored
    there = np.arange(len(frames.truth)) if scored is None else np.flatnonzero(scored.any((1, 2)))
    kept = there[np.unique(np.linspace(0, len(there) - 1, min(most, len(there))).round().astype(int))]
    truth, found, residual, trust = (
        part[kept] for part in (frames.truth, frames.found, frames.residual, frames.trust)
    )
    return FitFrames(truth, found, residual, trust, None if scored is None else scored[kept])


def scale_frames(frames: FitFrames, factor: float) -> ScaledFrames:
    """Frames at ``factor`` times their size, one by one."""
    rows = [_scaled(frames, t, factor) for t in range(len(frames.truth))]
    truth, found, residual, trust, scored = (torch.cat(column) for column in zip(*rows, strict=True))
    return ScaledFrames(truth, found, residual, trust, scored, rolls=frames.scored is None)


def _scaled(frames: FitFrames, t: int, factor: float) -> tuple[Tensor, ...]:
    """The tensors of frame ``t``, each ``(1, C, H, W)``."""
    found, truth = (planes(part[t : t + 1]) for part in (frames.found, frames.truth))
    residual, trust = (planes(part[t : t + 1, ..., None]) for part in (frames.residual, frames.trust))
    box = Letterbox.scaled(Clip(found, residual, (t,)), factor, MULTIPLE)
    small_found, small_residual = box.network_input([0])
    # A pixel that anything unknown contributes to is not known.
    unknown = box.resized((trust < LEAST / 255).float()) > 0
    small_trust = torch.where(unknown, 0.0, box.resized(trust))
    if frames.scored is None:
        scored = torch.zeros_like(small_residual)
    else:
        there = box.resized(planes(frames.scored[t : t + 1, ..., None].astype(np.uint8) * 255)) > 0
        scored = (there & (small_trust > 0) & (small_residual * 255 >= LEAST)).float()
    return tuple(
        part.mul(255).round().clamp(0, 255).to(torch.uint8)
        for part in (box.resized(truth), small_found, small_residual, small_trust, scored)
    )


def scale_residual(residual: Bytes, factor: float) -> Tensor:
    """A residual map ``(h, w)`` of a hole bank at ``factor`` times its size, uint8 ``(H, W)``."""
    whole = planes(residual[None, ..., None])
    box = Letterbox.scaled(Clip(whole.expand(-1, 3, -1, -1), whole, (0,)), factor, MULTIPLE)
    return box.network_input([0])[1][0, 0].mul(255).round().to(torch.uint8)


def scale_with_start(frames: FitFrames, nets: Sequence[nn.Module], factors: Sequence[float]) -> ScaledFrames:
    """A pseudo-hole at the last of the scales ``factors``, with what the fitted coarser ``nets`` make of it.

    Networks run as they do when a clip is filled, frame by frame, on `FINER_FRAMES` frames.
    """
    frames = thinned(frames, FINER_FRAMES)
    sample = scale_frames(frames, factors[-1])
    starts = [_start(frames, t, nets, factors) for t in range(len(sample))]
    return replace(sample, start=torch.cat(starts))


def _start(frames: FitFrames, t: int, nets: Sequence[nn.Module], factors: Sequence[float]) -> Tensor:
    """What the last network starts from in frame ``t``: uint8 ``(1, 3, H, W)``."""
    found, residual = planes(frames.found[t : t + 1]), planes(frames.residual[t : t + 1, ..., None])
    clip = Clip(found, residual, (t,))
    (coarser,) = fill_frames(nets[:-1], factors[:-1], clip, [0])
    network = nets[-1]
    assert isinstance(network, InternalNet)
    start = start_of(network, Letterbox.scaled(clip, factors[-1], MULTIPLE), 0, coarser)
    return start.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def planes(pictures: Bytes) -> Tensor:
    """uint8 ``(N, h, w, C)`` → float ``(N, C, h, w)`` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


class CropSampler:
    """Draws batches that depend on seed and step alone, so that a resumed fit sees what it would have seen.

    hole_bank: residual maps uint8 ``(H, W)`` of any size, to be rolled. side: of the crops, at most the side
    of the samples. pseudo_hole_share: share of the batches that are cut out of pseudo-holes, in [0, 1].
    Raises ValueError when nothing is hidden whose truth is known.
    """

    def __init__(
        self,
        samples: Sequence[ScaledFrames],
        hole_bank: Sequence[Tensor],
        side: int,
        batch: int,
        pseudo_hole_share: float,
    ) -> None:
        self._side, self._batch = min([side, *(min(s.truth.shape[-2:]) for s in samples)]), batch
        self._hole_bank = list(hole_bank)
        self._rollable = [s for s in samples if s.rolls and self._hole_bank]
        self._pseudo_holes = [s for s in samples if not s.rolls and bool(s.scored.any())]
        both = self._rollable and self._pseudo_holes
        self._share = pseudo_hole_share if both else float(bool(self._pseudo_holes))
        if not self._rollable and not self._pseudo_holes:
            raise ValueError("nothing is hidden whose truth is known, so there is nothing to learn from")

    def draw(self, seed: int, step: int) -> CropBatch:
        """The batch of a step: all of one kind, since only pseudo-holes may have a start."""
        rng = np.random.default_rng((seed, step))
        cut_out = rng.random() < self._share
        pick: Callable[[np.random.Generator], CropBatch] = self._pseudo_hole if cut_out else self._rolled
        return concatenated([pick(rng) for _ in range(self._batch)])

    def _pseudo_hole(self, rng: np.random.Generator) -> CropBatch:
        sample = self._pseudo_holes[int(rng.integers(len(self._pseudo_holes)))]
        for _ in range(20):
            t = int(rng.integers(len(sample)))
            if bool(sample.scored[t].any()):
                break
        return crop(sample, t, self._square(rng, sample.scored[t, 0]))

    def _rolled(self, rng: np.random.Generator) -> CropBatch:
        sample = self._rollable[int(rng.integers(len(self._rollable)))]
        t = int(rng.integers(len(sample)))
        hole = self._hole_bank[int(rng.integers(len(self._hole_bank)))]
        shifts = [int(rng.integers(side)) for side in hole.shape]
        residual = _tiled(torch.roll(hole, shifts, (0, 1)), sample.truth.shape[-2:])
        scored = (residual >= LEAST) & (sample.trust[t, 0] >= LEAST)
        box = self._square(rng, scored)
        made = crop(sample, t, box)
        rows, columns = box.slices()
        made.residual[0, 0] = torch.maximum(made.residual[0, 0], residual[rows, columns].float() / 255)
        made.scored[0, 0] = scored[rows, columns].float()
        return made

    def _square(self, rng: np.random.Generator, wanted: Tensor) -> Box:
        """The crop's square: around one of the ``wanted`` pixels ``(H, W)``, if there are any."""
        height, width = wanted.shape
        places = wanted.flatten().nonzero().flatten()
        place = int(places[int(rng.integers(len(places)))]) if len(places) else height * width // 2
        x0 = _begin(rng, place % width, self._side, width)
        y0 = _begin(rng, place // width, self._side, height)
        return Box(x0, y0, x0 + self._side, y0 + self._side)


def _begin(rng: np.random.Generator, place: int, side: int, limit: int) -> int:
    """Where a crop begins that has ``place`` in its middle half, as far as the picture allows."""
    begin = place - side // 2 + int(rng.integers(-(side // 4), side // 4 + 1))
    return min(max(0, begin), limit - side)


def _tiled(residual: Tensor, size: tuple[int, ...]) -> Tensor:
    """A residual map repeated or cut to ``(H, W)``."""
    height, width = size
    times = [-(-want // have) for want, have in zip(size, residual.shape, strict=True)]
    return residual.repeat(*times)[:height, :width]


def crop(sample: ScaledFrames, t: int, box: Box) -> CropBatch:
    """A part of frame ``t``, as a batch of one."""
    rows, columns = box.slices()
    names = ("found", "residual", "truth", "trust", "scored")
    found, residual, truth, trust, scored = (
        getattr(sample, name)[t : t + 1, :, rows, columns].float() / 255 for name in names
    )
    start = None if sample.start is None else sample.start[t : t + 1, :, rows, columns].float() / 127.5 - 1
    return CropBatch(found * 2 - 1, residual, truth * 2 - 1, trust, scored, start)


def concatenated(parts: Sequence[CropBatch]) -> CropBatch:
    """Batches as one."""
    starts = [part.start for part in parts if part.start is not None]
    together = {name: torch.cat([getattr(part, name) for part in parts]) for name in BATCH_PARTS}
    return CropBatch(**together, start=torch.cat(starts) if len(starts) == len(parts) else None)


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


class HeldOutScore:
    """PSNR on held-out frames: the figure by which a fit keeps its best weights, and stops."""

    def __init__(self, held_out: Sequence[ScaledFrames]) -> None:
        places = [(sample, t) for sample in held_out for t in range(len(sample)) if sample.scored[t].any()]
        chosen = places[:: max(1, -(-len(places) // SCORED_FRAMES))]
        boxes = [surroundings(sample.scored[t, 0] > 0) for sample, t in chosen]
        pairs = zip(chosen, boxes, strict=True)
        self._crops = [crop(sample, t, box) for (sample, t), box in pairs if box is not None]

    def __call__(self, network: nn.Module | None) -> float:
        """PSNR in dB over the scored pixels of all frames; NaN when there are none.

        ``network`` None scores what networks start from.
        """
        wrong, count = 0.0, 0.0
        for one in self._crops:
            error, pixels = _error(network, one)
            wrong, count = wrong + error, count + pixels
        return 10 * math.log10(count / max(wrong, 1e-9)) if count else math.nan


@torch.no_grad()
def _error(network: nn.Module | None, batch: CropBatch) -> tuple[float, float]:
    """Sum of squared errors in units of the range, and the number of pixels, of one frame."""
    if network is None:
        picture = smooth_start(batch.frames, batch.residual) if batch.start is None else batch.start
    else:
        batch = batch.to(next(network.parameters()).device)
        picture = network(batch.frames, batch.residual, batch.start)[-1]
    shown = composite(batch.frames, picture.float(), batch.residual)
    square = ((shown.clamp(-1, 1) - batch.truth) / 2).square().mean(1, keepdim=True)
    return float((square * batch.scored).sum()), float(batch.scored.sum())
