"""Stand-ins for a clip: masks need a frame's number and time, and a clip's size and clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from moving_disc import memory_info

from vinpaint_cli.types import Frame, VideoInfo

TIME_BASE = Fraction(1, 1000)


def make_info(width: int = 64, height: int = 48) -> VideoInfo:
    return memory_info(width, height, TIME_BASE)


def make_frame(index: int, pts: int | None = None) -> Frame:
    return Frame(index, 40 * index if pts is None else pts, 40, None, lambda native: native)


@dataclass
class FakeSource:
    """Decoded pictures in memory; notes where reading began and how many pictures were converted."""

    pictures: list[npt.NDArray[np.uint8]]
    info: VideoInfo
    error: Exception | None = None
    starts: list[int] = field(default_factory=list)
    converted: int = 0

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        self.starts.append(start)
        for index, picture in list(enumerate(self.pictures))[start:stop]:
            yield Frame(index, index, 1, picture, self.convert)
        if self.error is not None:
            raise self.error

    def convert(self, native: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        self.converted += 1
        return native


@pytest.fixture
def info() -> VideoInfo:
    return make_info()


@pytest.fixture
def frame() -> Callable[..., Frame]:
    return make_frame


@pytest.fixture
def fake_video() -> Callable[..., FakeSource]:
    """A mask video of ``count`` frames with a white column that steps right by one each frame."""

    def build(count: int, width: int = 64, height: int = 48, error: Exception | None = None) -> FakeSource:
        pictures = [np.zeros((height, width, 3), np.uint8) for _ in range(count)]
        for index, picture in enumerate(pictures):
            picture[:, index] = 255
        return FakeSource(pictures, make_info(width, height), error)

    return build
