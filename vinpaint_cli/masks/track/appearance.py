"""The object's appearance, learned from the clip itself: a small network that classifies features of pixels.

There is no pretraining. The network is fitted to the frames whose mask is given, and is then updated, at a
lower rate, with the tracked frames' confident pixels; half of every batch comes from the given frames, so
that it does not drift. In the spirit of OSVOS (Caelles et al., CVPR 2017) and of Robinson et al. (Learning
Fast and Robust Target Models for Video Object Segmentation, CVPR 2020), without their backbones.
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

from vinpaint_cli.masks.track.frame_reader import downscale, upscale
from vinpaint_cli.ops.image import Array, Bytes

if TYPE_CHECKING:
    from vinpaint_cli.types import Plane

TRAINING_PIXELS = 6000
"""Training pixels drawn from a given frame; a tracked one gives half as many."""

_HIDDEN = 48
_FIT_STEPS, _FIT_RATE = 250, 5e-3
_UPDATE_STEPS, _UPDATE_RATE = 6, 2e-3
_CONVERGED, _CHECK_EVERY = 0.105, 10
"""Loss at which training ends, checked every so many steps; label smoothing alone costs 0.098."""
_BATCH = 2000
_CHUNK = 4096
"""Pixels per forward pass: their activations stay in the processor's cache."""
_RECENT = 8
_NOISE = 0.05
_SMOOTHING = 0.02
_LIMIT = 6.0
_SURE_OBJECT, _SURE_BACKGROUND = 0.75, 0.2
_NEAR = 20
_DROPOUT = 0.3


@dataclass(frozen=True, slots=True)
class FeatureLayout:
    """How a pixel's features are grouped: ``kept`` columns, then one number of columns per ``dropped`` group.

    In training each of the ``dropped`` groups is set to 0 for 3 of 10 pixels, so that the network does not
    rely on one alone; noise of strength ``jitter`` is added to the last group.
    """

    kept: int
    dropped: tuple[int, ...]
    jitter: float

    @property
    def columns(self) -> int:
        """Features per pixel."""
        return self.kept + sum(self.dropped)

    def without_last(self, features: Array) -> Array:
        """``features (…, columns)`` with the last group set to 0."""
        result = features.copy()
        result[..., self.columns - self.dropped[-1] :] = 0
        return result

    def augment(self, features: Array, noise: Array, rng: np.random.Generator) -> None:
        """Drop groups of ``features (n, columns)`` and add ``noise``, of unit variance, in place."""
        features += np.float32(_NOISE) * noise
        last = self.columns - self.dropped[-1]
        features[:, last:] += np.float32(self.jitter) * noise[::-1, last:]
        start = self.kept
        for width in self.dropped:
            features[:, start : start + width] *= rng.random((len(features), 1), np.float32) > _DROPOUT
            start += width


@dataclass(frozen=True, slots=True)
class TrainingPixels:
    """Training pixels: ``features`` float32 ``(n, columns)``, ``labels`` float32 ``(n,)``, 1 = object."""

    features: Array
    labels: Array


def draw_training_pixels(
    features: Array, mask: Plane, count: int, rng: np.random.Generator
) -> TrainingPixels:
    """``count`` random pixels of one frame, half object and half background, where the soft mask is decided.

    features: ``(h, w, columns)``; mask: probability ``(h, w)``. Three in four background pixels lie near the
    object.
    """
    import cv2

    flat = mask.ravel()
    reach = np.ones((2 * _NEAR + 1, 2 * _NEAR + 1), np.uint8)
    near = cv2.dilate((mask > 0.3).astype(np.uint8), reach).ravel() > 0
    beside = flat < _SURE_BACKGROUND
    kinds = ((flat > _SURE_OBJECT, count // 2), (beside & near, count * 3 // 8), (beside & ~near, count // 8))
    places = np.concatenate([_some(np.flatnonzero(kind), share, rng) for kind, share in kinds])
    columns = features.shape[-1]
    return TrainingPixels(features.reshape(-1, columns)[places], (flat[places] > 0.5).astype(np.float32))


def _some(places: npt.NDArray[np.intp], count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    return places[rng.integers(0, len(places), count)] if len(places) else places


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: a small network is slower on several, and sums depend on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class AppearanceModel:
    """A perceptron ``columns → 48 → 48 → 1``, and the pixels it was trained on that may be drawn again.

    Deterministic: the same pixels in the same order give the same network.
    """

    def __init__(self, layout: FeatureLayout, given: Sequence[TrainingPixels]) -> None:
        """Fit the network to the pixels of the given frames, one or more."""
        import torch

        self._layout, self._given = layout, [pixels for pixels in given if len(pixels.labels)]
        self._recent: list[TrainingPixels] = []
        self._rng = np.random.default_rng(0)
        self._noise = self._rng.standard_normal((8 * _BATCH, layout.columns), np.float32)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._network = torch.nn.Sequential(
                torch.nn.Linear(layout.columns, _HIDDEN),
                torch.nn.ReLU(inplace=True),
                torch.nn.Linear(_HIDDEN, _HIDDEN),
                torch.nn.ReLU(inplace=True),
                torch.nn.Linear(_HIDDEN, 1),
            )
        self._adam = torch.optim.Adam(self._network.parameters())
        self._train(_FIT_STEPS, _FIT_RATE)

    def copy(self) -> AppearanceModel:
        """A copy that can be updated independently."""
        return copy.deepcopy(self)

    def update(self, pixels: TrainingPixels) -> None:
        """Add the pixels of a tracked frame, drop those of the oldest, and take a few optimiser steps."""
        if len(pixels.labels):
            self._recent = [*self._recent, pixels][-_RECENT:]
        self._train(_UPDATE_STEPS, _UPDATE_RATE)

    def log_odds(self, features: Array) -> Plane:
        """Log-odds ``(h, w)``, within ±6, that a pixel with ``features (h, w, columns)`` is of the object."""
        import torch

        height, width, columns = features.shape
        pieces = torch.from_numpy(features.reshape(-1, columns)).split(_CHUNK)  # type: ignore[no-untyped-call]
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
            if (
                step % _CHECK_EVERY == 0
                and losses
                and sum(losses[-_CHECK_EVERY:]) < _CHECK_EVERY * _CONVERGED
            ):
                return
            features, labels = self._batch(step)
            self._adam.zero_grad()
            found = self._network(torch.from_numpy(features))[:, 0]
            wanted = torch.from_numpy(labels) * (1 - 2 * _SMOOTHING) + _SMOOTHING
            loss = torch.nn.functional.binary_cross_entropy_with_logits(found, wanted)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.item())
            self._adam.step()

    def _batch(self, step: int) -> tuple[Array, Array]:
        """Features ``(n, columns)`` and labels ``(n,)`` of a given and, if there is one, a tracked frame."""
        chosen = [self._given[step % len(self._given)]]
        if self._recent:
            chosen.append(self._recent[self._rng.integers(0, len(self._recent))])
        places = [self._rng.integers(0, len(one.labels), _BATCH) for one in chosen]
        features = np.concatenate([one.features[place] for one, place in zip(chosen, places, strict=True)])
        labels = np.concatenate([one.labels[place] for one, place in zip(chosen, places, strict=True)])
        start = self._rng.integers(0, len(self._noise) - len(features))
        self._layout.augment(features, self._noise[start : start + len(features)], self._rng)
        return features, labels


FEATURES, TEXTURE_FEATURES = 39, 16
"""Features per pixel that `pixel_features` gives; the last of them describe texture."""

_SCALE = np.array((1 / 40, 1 / 25, 1 / 25), np.float32)
_RING = ((0, 2), (2, 2), (2, 0), (2, -2), (0, -2), (-2, -2), (-2, 0), (-2, 2))
_ORIENTATIONS = 4
_STEP = np.float32(12)


def pixel_features(rgb: Bytes) -> Array:
    """Features of every pixel of ``rgb`` uint8 ``(h, w, 3)``: float32 ``(h, w, 39)``, of about unit variance.

    Lab colour; the same blurred with a sigma of 1.5, 4 and 9 pixels; its standard deviation over 4; the
    strength of edges in four directions over 1.5 and 5; the differences of lightness to the 8 pixels at
    distance 2, signed over 2.5 and absolute over 5 (a soft local binary pattern). Wide blurs are computed on
    downscaled images.
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


def blurred(planes: Array, radius: float) -> Array:
    """Gaussian blur of float32 ``(h, w, c)`` at half size, or a quarter for a sigma of 8 and more."""
    height, width = planes.shape[:2]
    factor = 4 if radius >= 8 else 2
    small = max(1, width // factor), max(1, height // factor)
    parts = [
        upscale(_blur(downscale(planes[..., at : at + 4], small), radius / factor), (width, height)).reshape(
            height, width, -1
        )
        for at in range(0, planes.shape[2], 4)
    ]
    return np.concatenate(parts, axis=-1)


def _blur(planes: Array, radius: float) -> Array:
    import cv2

    return np.asarray(cv2.GaussianBlur(planes, (0, 0), radius), np.float32).reshape(planes.shape)


def _edges(light: Plane) -> Array:
    """Strength of edges in each of four directions ``(h, w, 4)``."""
    import cv2

    right, down = (cv2.Sobel(light, cv2.CV_32F, *way, ksize=3) / 2 for way in ((1, 0), (0, 1)))
    strength = np.sqrt(right * right + down * down) + np.float32(1e-6)
    angles = [math.pi * place / _ORIENTATIONS for place in range(_ORIENTATIONS)]
    along = [right * math.cos(angle) + down * math.sin(angle) for angle in angles]
    squares = [(step / strength) ** 2 for step in along]
    return np.dstack([strength * square * square for square in squares]).astype(np.float32, copy=False)


def _ring(light: Plane) -> Array:
    """Differences of lightness to 8 surrounding pixels, squashed to -1…1: ``(h, w, 8)``."""
    height, width = light.shape
    wide = np.pad(light, 2, mode="edge")
    near = [wide[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width] for dy, dx in _RING]
    return np.dstack([np.tanh((other - light) / _STEP) for other in near]).astype(np.float32)
