"""Small pictures of a shot, one after the other in either direction of time, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import MaskError
from vinpaint_cli.types import FrameSource, VideoInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vinpaint_cli.types import Hole, Plane

Bytes = npt.NDArray[np.uint8]

WORK_PIXELS = 427 * 240
"""Pixels of the pictures that are worked on; larger frames are made smaller, smaller ones stay."""
CHUNK_BYTES = 64 * 2**20
"""Small pictures held at once when going backwards: some 200 at the full work size."""


def work_size(info: VideoInfo, pixels: int = WORK_PIXELS) -> tuple[int, int]:
    """``(width, height)`` to work at: the frame's own, or its shape with about ``pixels``."""
    scale = min(1.0, math.sqrt(pixels / (info.width * info.height)))
    return max(1, round(info.width * scale)), max(1, round(info.height * scale))


def small_pictures(
    source: FrameSource, frames: range, size: tuple[int, int], chunk_bytes: int = CHUNK_BYTES
) -> Iterator[tuple[int, Bytes]]:
    """Index and picture, uint8 RGB ``(h, w, 3)`` of ``size`` = ``(width, height)``, in that order.

    ``frames`` steps by 1 or -1. Backwards, as many pictures as fit ``chunk_bytes`` are read at a time.
    """
    if frames.step > 0:
        yield from _ahead(source, frames, size)
        return
    held = max(1, chunk_bytes // (size[0] * size[1] * 3))
    for stop in range(frames.start + 1, frames.stop + 1, -held):
        piece = list(_ahead(source, range(max(frames.stop + 1, stop - held), stop), size))
        while piece:
            yield piece.pop()


def _ahead(source: FrameSource, frames: range, size: tuple[int, int]) -> Iterator[tuple[int, Bytes]]:
    if not frames:
        return
    for frame in source.frames(frames.start, frames.stop):
        yield frame.index, shrunk(eight_bits(frame.rgb), size)


def eight_bits(picture: npt.NDArray[Any]) -> Bytes:
    """``picture (h, w, 3)`` uint8 or uint16 as uint8."""
    return picture if picture.dtype == np.uint8 else np.asarray((picture + np.uint32(128)) // 257, np.uint8)


def shrunk(picture: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """``picture (h, w[, c])`` at ``(width, height)``, averaged over areas; as it is at its own size."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    import cv2

    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), picture.dtype)


def grown(plane: Plane, size: tuple[int, int]) -> Plane:
    """``plane (h, w)`` float32 at ``(width, height)``, bilinear."""
    if (plane.shape[1], plane.shape[0]) == size:
        return plane
    import cv2

    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32)


def seeds_within(info: VideoInfo, shot: range, seeds: Mapping[int, Hole]) -> dict[int, Hole]:
    """Seeds of the shot's frames in order; raises MaskError (one of another size than the frame)."""
    for index, hole in seeds.items():
        if hole.shape != (info.height, info.width):
            height, width = hole.shape
            raise MaskError(
                f"the mask of frame {index} is {width}x{height} but the video is {info.width}x{info.height}; "
                "give one of the video's size"
            )
    return {index: np.asarray(seeds[index], np.bool_) for index in sorted(seeds) if index in shot}
