"""`PackedMasks`: the masks of a whole clip in memory, compressed, with one bit per pixel."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.errors import MaskError
from vinpaint_cli.types import Frame

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

# Level 1 packs a mask of 854x480 in a tenth of a millisecond; higher levels save a few hundred bytes.
_LEVEL = 1


class PackedMasks:
    """A mask and a confidence for each frame of a clip, put in any order; a `HoleSource`.

    A frame for which nothing was put has an empty hole and confidence 0.
    """

    warnings: tuple[str, ...] = ()

    def __init__(self, width: int, height: int, frames: int) -> None:
        """Make room for ``frames`` masks of ``width`` x ``height`` pixels."""
        self._shape = (height, width)
        self._packed: list[bytes | None] = [None] * frames
        self._confidence = [0.0] * frames

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self._packed)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self._shape
        return width, height

    @property
    def confidence(self) -> Sequence[float]:
        """Confidence in [0, 1] of each frame."""
        return tuple(self._confidence)

    @property
    def nbytes(self) -> int:
        """Bytes that the packed masks take."""
        return sum(len(packed) for packed in self._packed if packed is not None)

    def put(self, index: int, hole: Hole, confidence: float) -> None:
        """Keep the mask of a frame, bool ``(H, W)``, True = fill; one put before is replaced.

        Raises MaskError (the mask has another size, or there is no such frame).
        """
        if hole.shape != self._shape or not 0 <= index < self.count:
            height, width = self._shape
            raise MaskError(
                f"a mask of shape {hole.shape} for frame {index} does not fit {self.count} frames of "
                f"{width}x{height}; give one of each frame's size"
            )
        bits = np.packbits(np.ascontiguousarray(hole, dtype=np.bool_))
        self._packed[index] = zlib.compress(bits.tobytes(), _LEVEL)
        self._confidence[index] = min(1.0, max(0.0, float(confidence)))

    def has(self, index: int) -> bool:
        """Whether a mask was put for the frame."""
        return 0 <= index < self.count and self._packed[index] is not None

    def hole(self, index: int) -> Hole:
        """Mask of frame ``index``, bool ``(H, W)``, a fresh array.

        Raises MaskError (there is no such frame).
        """
        if not 0 <= index < self.count:
            raise MaskError(
                f"tracked masks have {self.count} frames but the video has {index + 1} or more; "
                "track the object again in this clip"
            )
        height, width = self._shape
        packed = self._packed[index]
        if packed is None:
            return np.zeros(self._shape, np.bool_)
        bits = np.frombuffer(zlib.decompress(packed), np.uint8)
        return np.unpackbits(bits, count=height * width).reshape(self._shape).astype(np.bool_)

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill.

        Raises MaskError (the clip has more frames than there are masks).
        """
        return self.hole(frame.index)

    def check_count(self, frames: int) -> None:
        """Compare with the number of frames of the clip.

        Raises MaskError (they differ).
        """
        if frames != self.count:
            raise MaskError(
                f"tracked masks have {self.count} frames but the video has {frames}; "
                "track the object again in this clip"
            )
