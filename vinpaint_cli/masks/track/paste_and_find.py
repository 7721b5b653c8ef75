"""The network of the tracker `internal`: a U-Net fitted to one object by finding pasted copies of it.

Paste and find, as internal video inpainting learns masks from one annotated frame (Ouyang, Wang and Chen,
ICCV 2021): the object, moved by a circular shift of its frame, is pasted over the frame, and must be
segmented.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.nets.blocks import MULTIPLE, UNet
from vinpaint_cli.ops.image import Array, Bytes, dilate

if TYPE_CHECKING:
    from vinpaint_cli.types import Plane

WIDTH, LAST = 16, 8
"""Channels of the U-Net at full resolution (the paper: 64), and before its output (the paper: 2)."""
STEPS, FINAL_STEPS = 160, 40
"""Most optimiser steps at the full learning rate, and steps after them over which it falls to 0.

A step takes 0.11 s on one thread of a server of the 2020s, all of them 22 to 26 s. The paper takes 8 000
steps on a GPU, with a network that needs 16 times as much for each pixel.
"""
BATCH = 2
RATE, UPDATE_RATE = 2e-3, 5e-4
WARM_UP = 10
"""Optimiser steps over which the learning rate rises at first."""
CONVERGED, LOSS_STEPS = 0.03, 32
"""Fitting ends when the mean loss of the last so many steps falls below this."""
WHITENING_EPSILON = 2.5e-4
"""Added to the variance of colours in [0, 1], so that a nearly uniform channel is not amplified."""
AVERAGING = 0.1
"""Rate per step of the moving average of weights that is used for prediction while frames are tracked."""
KEPT_FRAMES = 4
"""Segmented frames that are kept to learn from, beside those given."""


class ObjectNet:
    """A U-Net that segments one object, and can be updated with frames it has segmented.

    Deterministic for the same number of threads: the steps are counted, and its random generator is its own.
    """

    def __init__(self, frames: Sequence[TrainingFrame]) -> None:
        """``frames``: those whose mask was given, one or more."""
        self._given = tuple(frames)
        self._recent: deque[TrainingFrame] = deque(maxlen=KEPT_FRAMES)
        self._mean, self._whitener = whitening([frame.layers[..., :3] for frame in frames])
        self._rng = np.random.default_rng(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = UNet(WIDTH, last=LAST, dropout=0.0)
        self._net = net.to(memory_format=torch.channels_last)
        self._averaged = copy.deepcopy(self._net)
        self._restart_optimizer()

    def _restart_optimizer(self, rate: float = UPDATE_RATE) -> None:
        self._optimizer = torch.optim.Adam(self._net.parameters(), rate)

    def copy(self) -> ObjectNet:
        """A copy that can be updated independently."""
        other = copy.copy(self)
        other._recent, other._rng = self._recent.copy(), copy.deepcopy(self._rng)
        other._net, other._averaged = copy.deepcopy(self._net), copy.deepcopy(self._averaged)
        other._restart_optimizer()
        return other

    def fit(self, share: float = 1.0) -> list[float]:
        """Fit to the given frames in at most this share of the steps; returns the loss of each step."""
        steps, final = round(share * STEPS), round(share * FINAL_STEPS)
        self._restart_optimizer(RATE)
        losses: list[float] = []
        while len(losses) < steps and not _converged(losses):
            losses.append(self._step(self._draw(BATCH), RATE * min(1.0, (len(losses) + 1) / WARM_UP)))
        falling = [RATE * left / (final + 1) for left in range(final, 0, -1)]
        losses += [self._step(self._draw(BATCH), rate) for rate in falling]
        self._averaged.load_state_dict(self._net.state_dict())
        self._restart_optimizer()
        return losses

    def update(self, found: TrainingFrame, steps: int = 1) -> None:
        """Add a segmented frame and take ``steps`` optimiser steps, each on a segmented and a given frame.

        This is where the network learns backgrounds that come into view as the camera moves.
        """
        self._recent.append(found)
        for _ in range(steps):
            recent = self._recent[int(self._rng.integers(len(self._recent)))]
            self._step([*self._draw(BATCH - 1), draw_sample(self._rng, recent)], UPDATE_RATE)
            self._average_weights()

    @torch.no_grad()
    def _average_weights(self) -> None:
        for averaged, learning in zip(self._averaged.parameters(), self._net.parameters(), strict=True):
            averaged.lerp_(learning, AVERAGING)

    def log_odds(self, picture: Bytes) -> Plane:
        """Log-odds float32 ``(h, w)`` that a pixel of ``picture`` uint8 ``(h, w, 3)`` is of the object."""
        with torch.inference_mode():
            log_odds = self._answer(self._averaged, picture[None].astype(np.float32) / np.float32(255))
        return np.asarray(log_odds[0, 0].numpy(), np.float32)

    def _answer(self, net: UNet, pictures: Array) -> Tensor:
        """``(N, h, w, 3)`` in [0, 1] → log-odds ``(N, 1, h, w)``; padded in between."""
        height, width = pictures.shape[1:3]
        tensor = torch.from_numpy((pictures - self._mean) @ self._whitener).permute(0, 3, 1, 2)
        padded = functional.pad(tensor, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        with _arithmetic():
            log_odds: Tensor = net(padded.contiguous(memory_format=torch.channels_last))
        return log_odds[..., :height, :width].float()

    def _draw(self, count: int) -> list[PastedSample]:
        places = self._rng.integers(len(self._given), size=count)
        return [draw_sample(self._rng, self._given[int(place)]) for place in places]

    def _step(self, samples: Sequence[PastedSample], rate: float) -> float:
        """One optimiser step; returns the weighted binary cross-entropy, averaged over all pixels."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        target = torch.from_numpy(np.stack([sample.target for sample in samples]))[:, None]
        weight = torch.from_numpy(np.stack([sample.weight for sample in samples]))[:, None]
        log_odds = self._answer(self._net, np.stack([sample.picture for sample in samples]))
        # Pixels of weight 0 cost nothing but count in the mean.
        loss = functional.binary_cross_entropy_with_logits(log_odds, target, weight)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return float(loss.detach())


def whitening(pictures: Sequence[Array]) -> tuple[Array, Array]:
    """Mean colour ``(3,)`` and matrix ``(3, 3)`` that make colours of ``pictures (h, w, 3)`` uncorrelated.

    Fitting takes fewer steps on uncorrelated channels.
    """
    pixels = np.concatenate([picture.reshape(-1, 3) for picture in pictures])
    strengths, axes = np.linalg.eigh(np.cov(pixels.T) + WHITENING_EPSILON * np.eye(3))
    return pixels.mean(0), np.asarray(axes / np.sqrt(strengths) @ axes.T, np.float32)


def _converged(losses: Sequence[float]) -> bool:
    return len(losses) >= LOSS_STEPS and sum(losses[-LOSS_STEPS:]) / LOSS_STEPS < CONVERGED


def _arithmetic() -> AbstractContextManager[object]:
    """Bfloat16 where the processor has instructions for it: half the time, but slower elsewhere."""
    can: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    native = any(can.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.autocast("cpu", torch.bfloat16, enabled=native)


Places = npt.NDArray[np.intp]

CROP = (144, 112)
"""Most width and height of a training crop, which also is at most three quarters of the frame.

The time of a step is proportional to their product.
"""
DECOYS = 0.5
"""Share of samples with a decoy, background pasted in the object's shape: a seam must not mean object."""
ON_OBJECT, ON_FALSE_POSITIVE = 0.4, 0.2
"""Shares of crops around the object itself, and around a false positive."""
ZOOM, TURN, SHEAR = 0.14, 6.0, 0.05
"""Most scaling (logarithm), rotation (degrees) and shear of a pasted object."""
LIGHT, TINT, CONTRAST = 0.03, 0.05, 0.06
"""Most change of brightness (of 1), of each colour and of contrast of what is pasted."""
SOFT_SEAMS = 0.6
"""Share of objects pasted with a blurred edge."""
UNKNOWN_BORDER, MIN_UNKNOWN_BORDER = 0.25, 5
"""Width of the border around a segmented object in which pixels are not taken for background.

A share of the square root of the object's area, and at least so many pixels: parts of the object that were
missed must not be unlearned.
"""


@dataclass(frozen=True, slots=True)
class TrainingFrame:
    """A frame to learn from: ``layers`` float32 ``(h, w, 4)``, RGB in [0, 1] and the object's mask in {0, 1}.

    known: ``(h, w)`` in {0, 1}, where the mask is trusted. false_positives: flat indices of the pixels that
    the network wrongly took for the object; they are drawn more often.
    """

    layers: Array
    known: Plane
    false_positives: Places


@dataclass(frozen=True, slots=True)
class PastedSample:
    """A training crop: ``picture`` float32 ``(h, w, 3)`` in [0, 1], ``target`` mask and loss ``weight``.

    The last two are ``(h, w)`` in {0, 1}.
    """

    picture: Array
    target: Plane
    weight: Plane


def given_frame(picture: Bytes, mask: Plane) -> TrainingFrame:
    """A frame ``picture`` uint8 ``(h, w, 3)`` with a given ``mask (h, w)``, above one half on the object."""
    return TrainingFrame(_layers(picture, mask), np.ones(mask.shape, np.float32), np.zeros(0, np.intp))


def segmented_frame(picture: Bytes, mask: Plane, log_odds: Plane) -> TrainingFrame:
    """A frame with a mask that the tracker found; the object and its border are not known, as in the paper.

    log_odds: the network's own, ``(h, w)``, above 0 for the object; where it is known better, a false
    positive.
    """
    core = mask > 0.5
    border = max(MIN_UNKNOWN_BORDER, round(UNKNOWN_BORDER * math.sqrt(np.count_nonzero(core))))
    known = ~dilate(core, border)
    mistaken = np.flatnonzero(known & (log_odds > 0))
    return TrainingFrame(_layers(picture, mask), known.astype(np.float32), mistaken)


def _layers(picture: Bytes, mask: Plane) -> Array:
    rgb = picture.astype(np.float32) / np.float32(255)
    return np.dstack([rgb, (mask > 0.5).astype(np.float32)])


def draw_sample(rng: np.random.Generator, frame: TrainingFrame) -> PastedSample:
    """A random crop of the frame with the object pasted on it, and sometimes a decoy.

    As the paper's X·(1−M') + X'·M' with the target M', where X' and M' are the frame and its mask shifted
    circularly. M, the object's own place, has weight 0 in segmented frames and is a target in given ones.
    """
    size = _crop_size(frame)
    corner = _corner(rng, frame, size)
    here, known = _cut(frame.layers, corner, size), _cut(frame.known, corner, size)
    picture, own = here[..., :3], here[..., 3]
    if rng.random() < DECOYS:
        picture = _over(picture, *_decoy(rng, frame, size, own))
    shifted, mask = _pasted(rng, frame, size)
    picture = _lit(rng, _over(picture, shifted, mask), 0.7)
    target = (np.maximum(mask, own) > 0.5).astype(np.float32)
    turn = slice(None, None, -1 if rng.random() < 0.5 else 1)
    return PastedSample(picture[:, turn], target[:, turn], known[:, turn])


def _crop_size(frame: TrainingFrame) -> tuple[int, int]:
    height, width = frame.layers.shape[:2]
    return min(CROP[0], -(-width * 3 // 4)), min(CROP[1], -(-height * 3 // 4))


def _corner(rng: np.random.Generator, frame: TrainingFrame, size: tuple[int, int]) -> tuple[int, int]:
    """Left and top of a crop of ``size``: on the object, on a false positive, or anywhere."""
    height, width = frame.layers.shape[:2]
    spare, chance = (width - size[0], height - size[1]), rng.random()
    if chance < ON_OBJECT:
        x, y = _some_pixel(rng, frame)
    elif frame.false_positives.size and chance < ON_OBJECT + ON_FALSE_POSITIVE:
        y, x = divmod(int(rng.choice(frame.false_positives)), width)
    else:
        return int(rng.integers(spare[0] + 1)), int(rng.integers(spare[1] + 1))
    x, y = x - int(rng.integers(size[0])), y - int(rng.integers(size[1]))
    return min(max(x, 0), spare[0]), min(max(y, 0), spare[1])


def _some_pixel(rng: np.random.Generator, frame: TrainingFrame) -> tuple[int, int]:
    """Column and row of a random pixel of the object, or of any pixel where there is no object."""
    mask = frame.layers[..., 3]
    marks = np.flatnonzero(mask)
    y, x = divmod(int(rng.choice(marks) if marks.size else rng.integers(mask.size)), mask.shape[1])
    return x, y


def _cut(layers: Array, corner: tuple[int, int], size: tuple[int, int]) -> Array:
    return layers[corner[1] : corner[1] + size[1], corner[0] : corner[0] + size[0]]


def _pasted(rng: np.random.Generator, frame: TrainingFrame, size: tuple[int, int]) -> tuple[Array, Plane]:
    """The frame, randomly transformed and shifted circularly, and the object's mask on it, of ``size``."""
    layers = _shifted(rng, frame, size)
    mask: Plane = layers[..., 3]
    if rng.random() < SOFT_SEAMS:
        mask = _softened(rng, mask)
    return _lit(rng, layers[..., :3], 1.0), mask


def _decoy(
    rng: np.random.Generator, frame: TrainingFrame, size: tuple[int, int], own: Plane
) -> tuple[Array, Plane]:
    """Another place of the frame and its mask: in the object's shape, without the object, and not over it."""
    shape, other = _shifted(rng, frame, size)[..., 3], _shifted(rng, frame, size)
    return _lit(rng, other[..., :3], 1.0), np.asarray(shape * (1 - other[..., 3]) * (1 - own), np.float32)


def _shifted(rng: np.random.Generator, frame: TrainingFrame, size: tuple[int, int]) -> Array:
    """Layers, randomly transformed and shifted circularly so that the object is in the crop."""
    import cv2

    x, y = _some_pixel(rng, frame)
    around = cv2.getRotationMatrix2D((x, y), rng.uniform(-TURN, TURN), math.exp(rng.uniform(-ZOOM, ZOOM)))
    slant = np.array([[-1.0 if rng.random() < 0.5 else 1.0, rng.uniform(-SHEAR, SHEAR)], [0.0, 1.0]])
    turned = around[:, :2] @ slant
    goal = np.array([rng.uniform(0, size[0]), rng.uniform(0, size[1])])
    matrix = np.column_stack([turned, goal - turned @ (x, y)])
    return np.asarray(
        cv2.warpAffine(frame.layers, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP),
        np.float32,
    )


def _softened(rng: np.random.Generator, mask: Plane) -> Plane:
    import cv2

    return np.asarray(cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 1.2)), np.float32)


def _over(below: Array, above: Array, mask: Plane) -> Array:
    share = mask[..., None]
    return np.asarray(below * (1 - share) + above * share, np.float32)


def _lit(rng: np.random.Generator, picture: Array, strength: float) -> Array:
    """The picture with random brightness, tint and contrast."""
    tint = 1 + strength * TINT * rng.uniform(-1, 1, 3)
    contrast = 1 + strength * CONTRAST * rng.uniform(-1, 1)
    light = strength * LIGHT * rng.uniform(-1, 1)
    return np.clip((picture * tint - 0.5) * contrast + 0.5 + light, 0, 1).astype(np.float32)
