"""Where filled patches wait until they are composed, and are blended where segments join."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from vinpaint_cli.types import Patch


class PatchStore(Protocol):
    """Keeps patches by frame."""

    def put(self, patches: Iterable[Patch]) -> None:
        """Keep patches."""
        ...

    def take(self, index: int) -> list[Patch]:
        """Patches of one frame, which are then forgotten."""
        ...


class MemoryPatches:
    """Patches in main memory, for one segment at a time and its join with the next."""

    def __init__(self) -> None:
        self._patches: dict[int, list[Patch]] = {}

    def put(self, patches: Iterable[Patch]) -> None:
        """Keep patches."""
        for patch in patches:
            self._patches.setdefault(patch.index, []).append(patch)

    def take(self, index: int) -> list[Patch]:
        """The patch of one frame, if it has one, which is then forgotten."""
        patches = self._patches.pop(index, [])
        return [blend(patches)] if patches else []


def blend(patches: Sequence[Patch]) -> Patch:
    """One patch from those of neighbouring segments for the same frame and hole, by their weights."""
    first = patches[0]
    if len(patches) == 1:
        return first
    mixed = sum(patch.weight * patch.rgb.astype(np.float32) for patch in patches)
    total = sum(patch.weight for patch in patches)
    rounded = np.rint(np.asarray(mixed) / total)
    rgb = rounded.astype(np.uint8) if first.rgb.dtype == np.uint8 else rounded.astype(np.uint16)
    return replace(first, rgb=rgb, weight=total)
