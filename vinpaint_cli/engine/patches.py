"""Where filled patches wait until they are composed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

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
    """Patches in main memory, for one segment at a time."""

    def __init__(self) -> None:
        self._patches: dict[int, list[Patch]] = {}

    def put(self, patches: Iterable[Patch]) -> None:
        """Keep patches."""
        for patch in patches:
            self._patches.setdefault(patch.index, []).append(patch)

    def take(self, index: int) -> list[Patch]:
        """Patches of one frame, which are then forgotten."""
        return self._patches.pop(index, [])
