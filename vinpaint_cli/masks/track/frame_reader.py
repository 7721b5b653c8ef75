"""Reads the frames of a shot, downscaled, forward or backward in time, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import MaskError
from vinpaint_cli.ops.image import Bytes, eight_bits, luma
from vinpaint_cli.types import FrameSource, VideoInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vinpaint_cli.types import Hole, Plane

WORK_PIXELS = 427 * 240
"""Pixels of the frames that trackers work on; larger frames are downscaled, smaller ones stay."""
CHUNK_BYTES = 64 * 2**20
"""Memory of the downscaled frames held while reading backward: about 200 frames."""


def work_size(info: VideoInfo, pixels: int = WORK_PIXELS) -> tuple[int, int]:
    """``(width, height)`` that trackers work at: the frame's own, or scaled to about ``pixels``."""
    scale = min(1.0, math.sqrt(pixels / (info.width * info.height)))
    return max(1, round(info.width * scale)), max(1, round(info.height * scale))


def small_frames(
    source: FrameSource, frames: range, size: tuple[int, int], chunk_bytes: int = CHUNK_BYTES
) -> Iterator[tuple[int, Bytes]]:
    """Pairs of frame index and picture, uint8 RGB ``(h, w, 3)`` of ``size`` = ``(width, height)``.

    ``frames`` steps by 1 or -1. Backward, as many frames as fit into ``chunk_bytes`` are decoded at a time.
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
        yield frame.index, downscale(eight_bits(frame.rgb), size)


def to_grey(picture: Bytes) -> Bytes:
    """8-bit grey ``(h, w)`` of RGB ``(h, w, 3)``, as optical flow takes it."""
    return luma(picture.astype(np.float32))


def downscale(picture: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """A picture ``(h, w[, c])`` resized to ``(width, height)`` by area; itself if it has that size."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    import cv2

    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), picture.dtype)


def upscale(plane: Plane, size: tuple[int, int]) -> Plane:
    """A plane ``(h, w)`` float32 resized to ``(width, height)``, bilinear; itself if it has that size."""
    if (plane.shape[1], plane.shape[0]) == size:
        return plane
    import cv2

    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32)


def prompt_masks_in_shot(info: VideoInfo, shot: range, prompt_masks: Mapping[int, Hole]) -> dict[int, Hole]:
    """Prompt masks of the shot's frames by index, bool ``(H, W)``, in order.

    Raises MaskError (a mask of another size than the frame).
    """
    for index, hole in prompt_masks.items():
        if hole.shape != (info.height, info.width):
            height, width = hole.shape
            raise MaskError(
                f"the mask of frame {index} is {width}x{height} but the video is {info.width}x{info.height}; "
                "give one of the video's size"
            )
    return {
        index: np.asarray(prompt_masks[index], np.bool_) for index in sorted(prompt_masks) if index in shot
    }
