"""Fitting a method's network to one clip: what it learns from, how long it may take, how it stands.

The caller makes the material, since propagation and decoding are above this room; the method's ``fit.py``
learns from it. Importing this module needs neither torch nor a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vinpaint_cli.types import Method

    Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class FitFrames:
    """Consecutive frames of one region, with something hidden whose truth is known.

    truth, found: uint8 ``(T, h, w, 3)``, the true picture and what propagation found of it. residual: uint8
    ``(T, h, w)``, 255·(1 − confidence), so 255 = all is still to be filled. trust: uint8 ``(T, h, w)``, how
    far ``truth`` is to be believed, 0 in a true hole of which nothing is known. scored: bool ``(T, h, w)``,
    the hidden pixels whose truth is known: those the network is fitted to or, in held-out frames, scored on;
    None where holes are yet to be laid over the frames.
    """

    truth: Bytes
    found: Bytes
    residual: Bytes
    trust: Bytes
    scored: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class FitMaterial:
    """What a fit learns from in one run of frames.

    known: the frames with nothing hidden but the true hole; copies of ``hole_bank`` are laid over them.
    pseudo_holes: the frames with the hole once more elsewhere, filled by propagation as the true one is.
    held_out: such frames that are never learned from; the network is scored on them. hole_bank: residual
    maps uint8 ``(N, h, w)``.
    """

    known: FitFrames
    pseudo_holes: tuple[FitFrames, ...]
    held_out: FitFrames
    hole_bank: Bytes


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a fit may take: a number of steps or, where that is 0, of seconds."""

    steps: int = 0
    seconds: float = 0.0

    def part(self, share: float) -> Budget:
        """The budget multiplied by a share in [0, 1]."""
        return Budget(round(self.steps * share), self.seconds * share)

    def used(self, steps: int, seconds: float) -> float:
        """Share of the budget that so many steps and seconds use up; 1 or more at the end."""
        if self.steps:
            return steps / self.steps
        return seconds / self.seconds if self.seconds else 1.0


@dataclass(slots=True)
class FitStatus:
    """Progress of a fit: shown to people, and stored so that a fit that was stopped can be resumed.

    ``psnr``: in dB on the held-out pixels, now; ``best``: at its best; ``smooth``: of the smooth fill that
    the network starts from. ``judged`` times the scale was scored, ``stalled`` times in a row without a gain.
    ``share``: of the whole budget that is used up. ``used``: for each finished scale, whether its network
    gained enough to be used.
    """

    scale: int = 0
    step: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    psnr: float = math.nan
    best: float = -math.inf
    smooth: float = math.nan
    stalled: int = 0
    judged: int = 0
    share: float = 0.0
    used: list[bool] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


Report = Callable[[FitStatus], None]
"""Is given the status after every step; an exception from it stops the fit."""

Save = Callable[[dict[str, Any]], None]
"""Is given the state of the fit now and then: all that is needed to go on from there."""


class ClipFit(Protocol):
    """A fit of a method's network to one clip, made by `methods.start_fit`."""

    @property
    def status(self) -> FitStatus | None:
        """Progress of the fit; None until `run` has begun."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a person should be told, such as that the weights to start from are missing."""
        ...

    @property
    def scales(self) -> tuple[float, ...]:
        """Sizes of the pictures that the networks see, as factors of the clip's size."""
        ...

    def run(self, material: Sequence[FitMaterial], budget: Budget, report: Report, save: Save) -> None:
        """Fit until the budget is used up or nothing is gained; may be stopped anywhere by an exception.

        Afterwards, also after an exception, the networks are the best so far.
        """
        ...

    def method(self, precision: str) -> Method:
        """The method with the networks fitted so far, on the device of the fit."""
        ...

    def write(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write the networks fitted so far as weights of the method; raises OutputError."""
        ...
