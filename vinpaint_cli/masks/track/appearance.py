"""What the object looks like, learned in the clip itself: a small network on the looks of pixels.

Nothing is learned beforehand. The network is fitted to the frames whose mask is given, and then goes on
learning, at a lower rate, from what it was sure of lately, with every batch half from the given frames so
that it cannot drift from them. In the spirit of OSVOS (Caelles et al., CVPR 2017) and of Robinson et al.
(Learning Fast and Robust Target Models for Video Object Segmentation, CVPR 2020), without their backbones.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.masks.track.frame_reader import Bytes, grown, shrunk

if TYPE_CHECKING:
    import numpy.typing as npt

    from vinpaint_cli.types import Plane

    Planes = npt.NDArray[np.float32]

Array = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

EXAMPLES = 6000
"""Pixels that a given frame teaches; a followed one teaches half as many."""

_HIDDEN = 48
_FIT_STEPS, _FIT_RATE = 250, 5e-3
_LEARN_STEPS, _LEARN_RATE = 6, 2e-3
_FITTED, _LOOK_EVERY = 0.105, 10
"""Loss at which nothing is left to learn, looked at every so many steps; smoothing alone costs 0.098."""
_BATCH = 2000
_AT_ONCE = 4096
"""Pixels that pass the network together: their figures stay in the processor's cache."""
_RECENT = 8
_NOISE = 0.05
_SMOOTHING = 0.02
_LIMIT = 6.0
_SURE, _SURELY_NOT = 0.75, 0.2
_NEAR = 20


@dataclass(frozen=True, slots=True)
class Looks:
    """Kinds of figures a pixel is described by, in their order, each a number of columns.

    ``kept`` are always seen. Of the others, each group of ``dropped`` is hidden from the network in 3 of 10
    examples, so that it does not lean on one alone; the last group is blurred by ``jitter`` as well.
    """

    kept: int
    dropped: tuple[int, ...]
    jitter: float

    @property
    def columns(self) -> int:
        """Figures per pixel."""
        return self.kept + sum(self.dropped)

    def without_last(self, looks: Array) -> Array:
        """``looks (…, columns)`` with the last group hidden."""
        result = looks.copy()
        result[..., self.columns - self.dropped[-1] :] = 0
        return result

    def disturb(self, looks: Array, noise: Array, rng: np.random.Generator) -> None:
        """Hide groups of ``looks (n, columns)`` and add ``noise`` of unit strength, of the same shape."""
        looks += np.float32(_NOISE) * noise
        last = self.columns - self.dropped[-1]
        looks[:, last:] += np.float32(self.jitter) * noise[::-1, last:]
        start = self.kept
        for width in self.dropped:
            looks[:, start : start + width] *= rng.random((len(looks), 1), np.float32) > _HIDDEN_SHARE
            start += width


_HIDDEN_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Examples:
    """Pixels to learn from: ``looks`` float32 ``(n, columns)``, ``labels`` float32 ``(n,)``, 1 = object."""

    looks: Array
    labels: Array


def draw_examples(looks: Array, belief: Plane, count: int, rng: np.random.Generator) -> Examples:
    """``count`` pixels of one picture, as many of the object as beside it, only where ``belief`` is sure.

    looks: ``(h, w, columns)``; belief: probability ``(h, w)``. Of those beside it three in four lie near.
    """
    import cv2

    flat = belief.ravel()
    reach = np.ones((2 * _NEAR + 1, 2 * _NEAR + 1), np.uint8)
    near = cv2.dilate((belief > 0.3).astype(np.uint8), reach).ravel() > 0
    beside = flat < _SURELY_NOT
    kinds = ((flat > _SURE, count // 2), (beside & near, count * 3 // 8), (beside & ~near, count // 8))
    places = np.concatenate([_some(np.flatnonzero(kind), share, rng) for kind, share in kinds])
    columns = looks.shape[-1]
    return Examples(looks.reshape(-1, columns)[places], (flat[places] > 0.5).astype(np.float32))


def _some(places: npt.NDArray[np.intp], count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    return places[rng.integers(0, len(places), count)] if len(places) else places


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: for work so small more are slower, and sums depend on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Appearance:
    """A network ``columns → 48 → 48 → 1`` and its memory: the given frames, and the last few followed.

    Deterministic: the same examples in the same order give the same network.
    """

    def __init__(self, looks: Looks, given: Sequence[Examples]) -> None:
        """Fit the network to the examples of the given frames, one or more."""
        import torch

        self._looks, self._given = looks, [examples for examples in given if len(examples.labels)]
        self._recent: list[Examples] = []
        self._rng = np.random.default_rng(0)
        self._noise = self._rng.standard_normal((8 * _BATCH, looks.columns), np.float32)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._network = torch.nn.Sequential(
                torch.nn.Linear(looks.columns, _HIDDEN),
                torch.nn.ReLU(inplace=True),
                torch.nn.Linear(_HIDDEN, _HIDDEN),
                torch.nn.ReLU(inplace=True),
                torch.nn.Linear(_HIDDEN, 1),
            )
        self._adam = torch.optim.Adam(self._network.parameters())
        self._train(_FIT_STEPS, _FIT_RATE)

    def copy(self) -> Appearance:
        """One that learns on its own from here."""
        return copy.deepcopy(self)

    def learn(self, examples: Examples) -> None:
        """Remember the examples of a followed frame, forget those of the oldest, and go on learning."""
        if len(examples.labels):
            self._recent = [*self._recent, examples][-_RECENT:]
        self._train(_LEARN_STEPS, _LEARN_RATE)

    def odds(self, looks: Array) -> Plane:
        """Logarithm of the odds that a pixel is of the object, in -6…6: ``(h, w)`` of ``(h, w, columns)``."""
        import torch

        height, width, columns = looks.shape
        pieces = torch.from_numpy(looks.reshape(-1, columns)).split(_AT_ONCE)  # type: ignore[no-untyped-call]
        with one_thread(), torch.inference_mode():
            found = torch.cat([self._network(piece) for piece in pieces])
        return np.asarray(np.clip(found.numpy().reshape(height, width), -_LIMIT, _LIMIT), np.float32)

    def _train(self, steps: int, rate: float) -> None:
        with one_thread():
            self._descend(steps, rate)

    def _descend(self, steps: int, rate: float) -> None:
        import torch

        for group in self._adam.param_groups:
            group["lr"] = rate
        losses: list[float] = []
        for step in range(steps):
            if step % _LOOK_EVERY == 0 and losses and sum(losses[-_LOOK_EVERY:]) < _LOOK_EVERY * _FITTED:
                return
            looks, labels = self._batch(step)
            self._adam.zero_grad()
            found = self._network(torch.from_numpy(looks))[:, 0]
            wanted = torch.from_numpy(labels) * (1 - 2 * _SMOOTHING) + _SMOOTHING
            loss = torch.nn.functional.binary_cross_entropy_with_logits(found, wanted)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.item())
            self._adam.step()

    def _batch(self, step: int) -> tuple[Array, Array]:
        """Half of a given frame, half of a recent one if there is one."""
        chosen = [self._given[step % len(self._given)]]
        if self._recent:
            chosen.append(self._recent[self._rng.integers(0, len(self._recent))])
        places = [self._rng.integers(0, len(one.labels), _BATCH) for one in chosen]
        looks = np.concatenate([one.looks[place] for one, place in zip(chosen, places, strict=True)])
        labels = np.concatenate([one.labels[place] for one, place in zip(chosen, places, strict=True)])
        start = self._rng.integers(0, len(self._noise) - len(looks))
        self._looks.disturb(looks, self._noise[start : start + len(looks)], self._rng)
        return looks, labels


LOOKS, TEXTURE = 39, 16
"""Figures per pixel that `describe` gives; the last of them are texture."""

_SCALE = np.array((1 / 40, 1 / 25, 1 / 25), np.float32)
_RING = ((0, 2), (2, 2), (2, 0), (2, -2), (0, -2), (-2, -2), (-2, 0), (-2, 2))
_ORIENTATIONS = 4
_STEP = np.float32(12)


def describe(rgb: Bytes) -> Planes:
    """Looks of every pixel of ``rgb`` uint8 ``(h, w, 3)``: float32 ``(h, w, LOOKS)``, of about unit size.

    Lab colour, the same blurred over 1.5, 4 and 9 pixels, its deviation over 4; the strength of edges in
    four directions over 1.5 and 5; how the ring of pixels two away differs in light, signed over 2.5 and
    absolute over 5 (a soft local binary pattern). Wide blurs are taken of smaller pictures.
    """
    import cv2

    lab = np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    lab *= _SCALE
    light = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (0, 0), 0.8).astype(np.float32)
    ring, edges = _ring(light), _edges(np.ascontiguousarray(lab[..., 0]))
    middle = blurred(np.dstack([lab, lab * lab]), 4)
    spread = np.sqrt(np.maximum(middle[..., 3:] - middle[..., :3] ** 2, 0))
    parts = [lab, _blur(lab, 1.5), middle[..., :3], blurred(lab, 9)]
    parts += [3 * _blur(edges, 1.5), 3 * blurred(edges, 5), 2 * spread]
    parts += [2 * _blur(ring, 2.5), 2 * blurred(np.abs(ring), 5)]
    return np.asarray(cv2.merge(parts), np.float32)


def blurred(planes: Planes, radius: float) -> Planes:
    """Wide Gaussian blur of float32 ``(h, w, c)``, on a picture smaller by 2, or by 4 from 8 pixels on."""
    height, width = planes.shape[:2]
    factor = 4 if radius >= 8 else 2
    small = max(1, width // factor), max(1, height // factor)
    parts = [
        grown(_blur(shrunk(planes[..., at : at + 4], small), radius / factor), (width, height)).reshape(
            height, width, -1
        )
        for at in range(0, planes.shape[2], 4)
    ]
    return np.concatenate(parts, axis=-1)


def _blur(planes: Planes, radius: float) -> Planes:
    import cv2

    return np.asarray(cv2.GaussianBlur(planes, (0, 0), radius), np.float32).reshape(planes.shape)


def _edges(light: Plane) -> Planes:
    """Strength of edges along each of four directions ``(h, w, 4)``."""
    import cv2

    right, down = (cv2.Sobel(light, cv2.CV_32F, *way, ksize=3) / 2 for way in ((1, 0), (0, 1)))
    strength = np.sqrt(right * right + down * down) + np.float32(1e-6)
    angles = [math.pi * place / _ORIENTATIONS for place in range(_ORIENTATIONS)]
    along = [right * math.cos(angle) + down * math.sin(angle) for angle in angles]
    squares = [(step / strength) ** 2 for step in along]
    return np.dstack([strength * square * square for square in squares]).astype(np.float32, copy=False)


def _ring(light: Plane) -> Planes:
    """How much lighter each pixel of the ring is, squashed to -1…1: ``(h, w, 8)``."""
    height, width = light.shape
    wide = np.pad(light, 2, mode="edge")
    near = [wide[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width] for dy, dx in _RING]
    return np.dstack([np.tanh((other - light) / _STEP) for other in near]).astype(np.float32)
