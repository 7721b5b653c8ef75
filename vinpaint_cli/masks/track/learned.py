"""A U-Net that learns one object from the frames on which it is known, by looking for pasted copies of it."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.masks.track.augment import Sample, Seen, draw_sample
from vinpaint_cli.masks.track.frame_reader import Bytes
from vinpaint_cli.nets.unet import MULTIPLE, UNet
from vinpaint_cli.ops.image import Array

if TYPE_CHECKING:
    from vinpaint_cli.types import Plane

WIDTH, LAST = 16, 8
"""Channels of the network's finest level (the paper's: 64) and before its answer (2, which may both die)."""
STEPS, SETTLING = 160, 40
"""Most steps with the full learning rate, and steps after them in which it sinks to nothing.

A step takes a ninth of a second on one thread of a server of the 2020s, all of them 22 to 26 seconds. The
paper takes 8 000 of them on a GPU, with a network that needs 16 times as much for each pixel.
"""
BATCH = 2
RATE, RATE_LATER = 2e-3, 5e-4
WARM = 10
"""Steps over which the learning rate rises at first."""
LEARNED, OVER = 0.03, 32
"""Mean loss of so many steps below which there is nothing more to learn."""
FAINT = 2.5e-4
"""Added to the variance of colours in [0, 1], so that those which hardly differ are not blown up."""
CALM = 0.1
"""How far the network that is asked follows the one that learns, a step: a single step counts for little."""
RECENT = 4
"""Frames on which the object was found that are kept to learn from, too."""


class Finder:
    """Tells for each pixel of a picture how likely it is of the object; goes on learning from what was found.

    Deterministic for the same number of threads: the steps are counted, and chance has a seed of its own.
    """

    def __init__(self, seeds: Sequence[Seen]) -> None:
        """``seeds``: frames on which a person said where the object is, one or more."""
        self._seeds = tuple(seeds)
        self._recent: deque[Seen] = deque(maxlen=RECENT)
        self._middle, self._whitener = whitening([seed.layers[..., :3] for seed in seeds])
        self._rng = np.random.default_rng(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = UNet(WIDTH, last=LAST, dropout=0.0)
        self._net = net.to(memory_format=torch.channels_last)
        self._calm = copy.deepcopy(self._net)
        self._start_later()

    def _start_later(self, rate: float = RATE_LATER) -> None:
        self._optimizer = torch.optim.Adam(self._net.parameters(), rate)

    def copy(self) -> Finder:
        """Another that has learned the same, and learns on its own."""
        other = copy.copy(self)
        other._recent, other._rng = self._recent.copy(), copy.deepcopy(self._rng)
        other._net, other._calm = copy.deepcopy(self._net), copy.deepcopy(self._calm)
        other._start_later()
        return other

    def learn(self, share: float = 1.0) -> list[float]:
        """Learn the seeds in at most this share of the steps; the loss of each step."""
        steps, settling = round(share * STEPS), round(share * SETTLING)
        self._start_later(RATE)
        losses: list[float] = []
        while len(losses) < steps and not _learned(losses):
            losses.append(self._step(self._draw(BATCH), RATE * min(1.0, (len(losses) + 1) / WARM)))
        sinking = [RATE * left / (settling + 1) for left in range(settling, 0, -1)]
        losses += [self._step(self._draw(BATCH), rate) for rate in sinking]
        self._calm.load_state_dict(self._net.state_dict())
        self._start_later()
        return losses

    def learn_later(self, found: Seen, steps: int = 1) -> None:
        """Learn frames on which the object was found, and seeds beside them so that they are not forgotten.

        What there is around the object changes as the camera goes on: it is learned here that it is not it.
        """
        self._recent.append(found)
        for _ in range(steps):
            recent = self._recent[int(self._rng.integers(len(self._recent)))]
            self._step([*self._draw(BATCH - 1), draw_sample(self._rng, recent)], RATE_LATER)
            self._follow_calmly()

    @torch.no_grad()
    def _follow_calmly(self) -> None:
        for calm, learning in zip(self._calm.parameters(), self._net.parameters(), strict=True):
            calm.lerp_(learning, CALM)

    def odds(self, picture: Bytes) -> Plane:
        """Odds ``(h, w)``, a logarithm, that a pixel of ``picture`` uint8 ``(h, w, 3)`` is of the object."""
        with torch.inference_mode():
            odds = self._answer(self._calm, picture[None].astype(np.float32) / np.float32(255))
        return np.asarray(odds[0, 0].numpy(), np.float32)

    def _answer(self, net: UNet, pictures: Array) -> Tensor:
        """``(N, h, w, 3)`` in [0, 1] → odds ``(N, 1, h, w)``; padded for the network, and cut again."""
        height, width = pictures.shape[1:3]
        tensor = torch.from_numpy((pictures - self._middle) @ self._whitener).permute(0, 3, 1, 2)
        padded = functional.pad(tensor, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        with _arithmetic():
            odds: Tensor = net(padded.contiguous(memory_format=torch.channels_last))
        return odds[..., :height, :width].float()

    def _draw(self, count: int) -> list[Sample]:
        seeds = self._rng.integers(len(self._seeds), size=count)
        return [draw_sample(self._rng, self._seeds[int(seed)]) for seed in seeds]

    def _step(self, samples: Sequence[Sample], rate: float) -> float:
        """One step of learning; the loss is the binary cross-entropy of what counts, over all pixels."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        target = torch.from_numpy(np.stack([sample.target for sample in samples]))[:, None]
        weight = torch.from_numpy(np.stack([sample.weight for sample in samples]))[:, None]
        odds = self._answer(self._net, np.stack([sample.picture for sample in samples]))
        # Without weight both the prediction and the target are as good as 0, which costs nothing.
        loss = functional.binary_cross_entropy_with_logits(odds, target, weight)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return float(loss.detach())


def whitening(pictures: Sequence[Array]) -> tuple[Array, Array]:
    """Mean colour ``(3,)`` and matrix ``(3, 3)`` that make colours of ``pictures (h, w, 3)`` uncorrelated.

    Learning takes fewer steps when each channel says something that the others do not.
    """
    pixels = np.concatenate([picture.reshape(-1, 3) for picture in pictures])
    strengths, axes = np.linalg.eigh(np.cov(pixels.T) + FAINT * np.eye(3))
    return pixels.mean(0), np.asarray(axes / np.sqrt(strengths) @ axes.T, np.float32)


def _learned(losses: Sequence[float]) -> bool:
    return len(losses) >= OVER and sum(losses[-OVER:]) / OVER < LEARNED


def _arithmetic() -> AbstractContextManager[object]:
    """Bfloat16 where the processor has it, which halves the time; it is slower where it has not."""
    can: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    native = any(can.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.autocast("cpu", torch.bfloat16, enabled=native)
