"""A textured disc that moves over a textured wall: clips whose object is known on every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np
from scenes import wall

from vinpaint_cli.types import ColorInfo, Frame, VideoInfo

WIDTH, HEIGHT = 160, 96
RADIUS = 15
Place = tuple[float, float]


def memory_info(width: int, height: int, time_base: Fraction = Fraction(1, 25)) -> VideoInfo:
    """Properties of a clip of 25 frames a second that is in no file."""
    return VideoInfo(
        path="clip.mkv",
        container="matroska",
        codec="ffv1",
        width=width,
        height=height,
        rate=Fraction(25),
        time_base=time_base,
        pix_fmt="rgb24",
        bit_depth=8,
        color=ColorInfo(),
        sample_aspect=Fraction(1),
        rotation=0,
        duration=None,
        frames_from_header=None,
    )


@dataclass
class MemorySource:
    """Pictures in memory as a ``FrameSource``; notes every frame that was asked for."""

    pictures: list[np.ndarray]
    asked: list[int] = field(default_factory=list)
    begun: list[tuple[int, int | None]] = field(default_factory=list)

    @property
    def info(self) -> VideoInfo:
        height, width = self.pictures[0].shape[:2]
        return memory_info(width, height)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        self.begun.append((start, stop))
        for index in range(len(self.pictures))[start:stop]:
            self.asked.append(index)
            yield Frame(index, index, 1, self.pictures[index], lambda native: native)


@dataclass
class DiscClip:
    """Pictures and the disc's mask on each, bool ``(h, w)``, as far as it is to be seen."""

    source: MemorySource
    masks: list[np.ndarray]


def disc_clip(
    places: Sequence[Place | None],
    *,
    pillar: tuple[int, int] | None = None,
    wall_seed: Callable[[int], int] = lambda index: 3,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> DiscClip:
    """A clip with the disc's middle at ``places``, None where there is none.

    pillar: columns in front of the disc. wall_seed: which wall stands behind frame ``index``.
    """
    width, height = size
    skin = cv2.cvtColor(wall(2 * RADIUS + 9, 2 * RADIUS + 9, seed=8), cv2.COLOR_RGB2HSV)
    skin[..., 0], skin[..., 1] = 5 + skin[..., 0] // 12, 150 + skin[..., 1] // 3
    skin = cv2.cvtColor(skin, cv2.COLOR_HSV2RGB)
    pictures, masks = [], []
    for index, place in enumerate(places):
        behind = cooled(wall(height, width, wall_seed(index)))
        picture, mask = behind.copy(), np.zeros((height, width), bool)
        if place is not None:
            y, x = np.mgrid[:height, :width]
            mask = (x - place[0]) ** 2 + (y - place[1]) ** 2 <= RADIUS**2
            shift = np.array([[1, 0, place[0] - RADIUS - 4], [0, 1, place[1] - RADIUS - 4]], np.float32)
            moved = cv2.warpAffine(skin, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
            picture[mask] = moved[mask]
        if pillar:
            inside = slice(*pillar)
            picture[:, inside], mask[:, inside] = cooled(wall(height, width, 21))[:, inside] // 2, False
        pictures.append(picture)
        masks.append(mask)
    return DiscClip(MemorySource(pictures), masks)


def cooled(picture: np.ndarray) -> np.ndarray:
    """Without the reds of the disc."""
    return (picture * np.array([0.55, 0.95, 1.0])).astype(np.uint8)


def line(count: int, start: Place, step: Place) -> list[Place | None]:
    """Places along a straight line."""
    return [(start[0] + t * step[0], start[1] + t * step[1]) for t in range(count)]
