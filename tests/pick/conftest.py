"""A workbench on a small clip, and the server over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from helpers_pick import FRAMES, SIZE, Sitting


@pytest.fixture
def sit(clip: Callable[..., Path]) -> Iterator[Callable[..., Sitting]]:
    """``sit(**options)``: a sitting over ten frames with a red square that moves two pixels a frame."""
    open_ones: list[Sitting] = []

    def make(aspect: Fraction | None = None, **options: Any) -> Sitting:
        film = clip("clip.mkv", frames=FRAMES, size=SIZE, pix_fmt="yuv444p", aspect=aspect)
        made = Sitting(film, **options)
        open_ones.append(made)
        return made

    yield make
    for one in open_ones:
        one.close()


@pytest.fixture
def sitting(sit: Callable[..., Sitting]) -> Sitting:
    return sit()
