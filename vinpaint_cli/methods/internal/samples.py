"""What a network is fitted to: pieces of the clip in which something is hidden whose truth is known.

There are two ways to hide it. A *rolled* hole is that of another frame, shifted around the picture
(spec: the paper's augmentation); what it hides is simply gone. In a *shadow* the hole stands somewhere else
throughout the clip and propagation has been at work in it, as it has in the true hole: so the network sees
what it will see, and learns which of propagation's pixels to trust. One shadow is kept aside: it is never
learned from, and judges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vinpaint_cli.methods.internal.net import MULTIPLE
from vinpaint_cli.nets.letterbox import Sheet
from vinpaint_cli.types import Box, Clip

Bytes = npt.NDArray[np.uint8]

LEAST = 8
"""Share of 255 from which on there is something to fill, or something to be trusted."""


@dataclass(frozen=True, slots=True)
class Footage:
    """Consecutive frames, as they are, with something hidden.

    truth, found: uint8 ``(T, h, w, 3)``, what is there and what propagation found. shares: uint8
    ``(T, h, w)``, how much of a pixel is still to be filled, 255 = all. trust: uint8 ``(T, h, w)``, how far
    ``truth`` is to be believed, 0 in a true hole that nothing is known of. judged: bool ``(T, h, w)``, the
    hidden pixels whose truth is known, which is where the network is fitted or, when this is what is kept
    aside, judged; None where holes are yet to be rolled over it.
    """

    truth: Bytes
    found: Bytes
    shares: Bytes
    trust: Bytes
    judged: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Footage at the size a network sees; tensors uint8 ``(T, C, H, W)``, H and W multiples of 4.

    ``start``: what a network of a finer scale starts from, for a shadow. ``rolls``: whether holes are to be
    rolled over it.
    """

    truth: Tensor
    found: Tensor
    shares: Tensor
    trust: Tensor
    judged: Tensor
    start: Tensor | None = None
    rolls: bool = False

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A batch for a network: float32 ``(N, C, c, c)``, pictures in [-1, 1], shares and weights in [0, 1].

    ``weights``: how far the truth of a pixel is to be believed; ``judged`` is 1 where it is hidden and known.
    """

    frames: Tensor
    shares: Tensor
    truth: Tensor
    weights: Tensor
    judged: Tensor
    start: Tensor | None

    def to(self, device: torch.device) -> Pieces:
        """The same on a device, laid out as networks like it."""
        names = ("frames", "shares", "truth", "weights", "judged")
        moved = {name: _laid_out(getattr(self, name).to(device)) for name in names}
        return replace(self, **moved, start=None if self.start is None else _laid_out(self.start.to(device)))


def thinned(footage: Footage, most: int) -> Footage:
    """At most so many of its frames, spread evenly; of a shadow those in which something is judged."""
    judged = footage.judged
    there = np.arange(len(footage.truth)) if judged is None else np.flatnonzero(judged.any((1, 2)))
    kept = there[np.unique(np.linspace(0, len(there) - 1, min(most, len(there))).round().astype(int))]
    truth, found = footage.truth[kept], footage.found[kept]
    shares, trust = footage.shares[kept], footage.trust[kept]
    return Footage(truth, found, shares, trust, None if judged is None else judged[kept])


def scale_sample(footage: Footage, factor: float) -> Sample:
    """Footage at ``factor`` times its size, frame by frame."""
    rows = [_scaled(footage, t, factor) for t in range(len(footage.truth))]
    parts = [torch.cat(column) for column in zip(*rows, strict=True)]
    truth, found, shares, trust, judged = parts
    return Sample(truth, found, shares, trust, judged, rolls=footage.judged is None)


def _scaled(footage: Footage, t: int, factor: float) -> tuple[Tensor, ...]:
    """The tensors of a frame, each ``(1, C, H, W)``."""
    found, truth = (planes(part[t : t + 1]) for part in (footage.found, footage.truth))
    shares, trust = (planes(part[t : t + 1, ..., None]) for part in (footage.shares, footage.trust))
    sheet = Sheet.scaled(Clip(found, shares, (t,)), factor, MULTIPLE)
    small_found, small_shares = sheet.shrink([0])
    # A pixel that anything unknown contributes to is not known.
    unknown = sheet.lay((trust < LEAST / 255).float()) > 0
    small_trust = torch.where(unknown, 0.0, sheet.lay(trust))
    if footage.judged is None:
        judged = torch.zeros_like(small_shares)
    else:
        there = sheet.lay(planes(footage.judged[t : t + 1, ..., None].astype(np.uint8) * 255)) > 0
        judged = (there & (small_trust > 0) & (small_shares * 255 >= LEAST)).float()
    return tuple(
        part.mul(255).round().clamp(0, 255).to(torch.uint8)
        for part in (sheet.lay(truth), small_found, small_shares, small_trust, judged)
    )


def scale_map(shares: Bytes, factor: float) -> Tensor:
    """A share map ``(h, w)`` at ``factor`` times its size, uint8 ``(H, W)``, to be rolled."""
    whole = planes(shares[None, ..., None])
    sheet = Sheet.scaled(Clip(whole.expand(-1, 3, -1, -1), whole, (0,)), factor, MULTIPLE)
    return sheet.shrink([0])[1][0, 0].mul(255).round().to(torch.uint8)


def planes(pictures: Bytes) -> Tensor:
    """uint8 ``(N, h, w, C)`` → float ``(N, C, h, w)`` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


class Draws:
    """Batches as functions of seed and step alone, so that a resumed fit sees what it would have seen.

    samples: what is learned from. bank: share maps uint8 ``(N, H, W)`` to be rolled, of any size. side: of
    the pieces, cut down to the samples' size. shadowed: share of the pieces that are cut out of shadows.
    """

    def __init__(
        self, samples: Sequence[Sample], bank: Sequence[Tensor], side: int, batch: int, shadowed: float
    ) -> None:
        sizes = [side, *(min(sample.truth.shape[-2:]) for sample in samples)]
        self._side, self._batch = min(sizes), batch
        self._bank = list(bank)
        self._rolling = [sample for sample in samples if sample.rolls and self._bank]
        self._shadows = [s for s in samples if not s.rolls and bool(s.judged.any())]
        self._shadowed = shadowed if self._rolling and self._shadows else float(bool(self._shadows))
        if not self._rolling and not self._shadows:
            raise ValueError("nothing is hidden whose truth is known, so there is nothing to learn from")

    def draw(self, seed: int, step: int) -> Pieces:
        """The batch of a step."""
        rng = np.random.default_rng((seed, step))
        shadowed = rng.random() < self._shadowed  # one kind per batch, since only one may have a start
        pick: Callable[[np.random.Generator], Pieces] = self._shadow if shadowed else self._rolled
        return joined([pick(rng) for _ in range(self._batch)])

    def _shadow(self, rng: np.random.Generator) -> Pieces:
        sample = self._shadows[int(rng.integers(len(self._shadows)))]
        for _ in range(20):
            t = int(rng.integers(len(sample)))
            if bool(sample.judged[t].any()):
                break
        return cut(sample, t, self._around(rng, sample.judged[t, 0]))

    def _rolled(self, rng: np.random.Generator) -> Pieces:
        sample = self._rolling[int(rng.integers(len(self._rolling)))]
        t = int(rng.integers(len(sample)))
        hole = self._bank[int(rng.integers(len(self._bank)))]
        shifts = [int(rng.integers(side)) for side in hole.shape]
        laid = _laid_over(torch.roll(hole, shifts, (0, 1)), sample.truth.shape[-2:])
        judged = (laid >= LEAST) & (sample.trust[t, 0] >= LEAST)
        box = self._around(rng, judged)
        part = cut(sample, t, box)
        rows, columns = box.slices()
        part.shares[0, 0] = torch.maximum(part.shares[0, 0], laid[rows, columns].float() / 255)
        part.judged[0, 0] = judged[rows, columns].float()
        return part

    def _around(self, rng: np.random.Generator, wanted: Tensor) -> Box:
        """A square of the side asked for around one of the ``wanted`` pixels ``(H, W)``, if there is any."""
        height, width = wanted.shape
        places = wanted.flatten().nonzero().flatten()
        place = int(places[int(rng.integers(len(places)))]) if len(places) else height * width // 2
        x0 = _start(rng, place % width, self._side, width)
        y0 = _start(rng, place // width, self._side, height)
        return Box(x0, y0, x0 + self._side, y0 + self._side)


def _start(rng: np.random.Generator, place: int, side: int, limit: int) -> int:
    """Where a piece begins that has a place in its middle half, as far as the picture allows."""
    begin = place - side // 2 + int(rng.integers(-(side // 4), side // 4 + 1))
    return min(max(0, begin), limit - side)


def _laid_over(hole: Tensor, size: tuple[int, ...]) -> Tensor:
    """A share map repeated or cut to ``(H, W)``."""
    height, width = size
    times = [-(-want // have) for want, have in zip(size, hole.shape, strict=True)]
    return hole.repeat(*times)[:height, :width]


def cut(sample: Sample, t: int, box: Box) -> Pieces:
    """A part of frame ``t``, as a batch of one."""
    rows, columns = box.slices()
    parts = [x[t : t + 1, :, rows, columns].float() / 255 for x in (sample.found, sample.shares)]
    truth, trust, judged = (
        x[t : t + 1, :, rows, columns].float() / 255 for x in (sample.truth, sample.trust, sample.judged)
    )
    start = None if sample.start is None else sample.start[t : t + 1, :, rows, columns].float() / 127.5 - 1
    return Pieces(parts[0] * 2 - 1, parts[1], truth * 2 - 1, trust, judged, start)


def joined(parts: Sequence[Pieces]) -> Pieces:
    """Batches as one."""
    starts = [part.start for part in parts if part.start is not None]
    names = ("frames", "shares", "truth", "weights", "judged")
    together = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    return Pieces(**together, start=torch.cat(starts) if len(starts) == len(parts) else None)


def _laid_out(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)
