"""Animated WebP as clips: Pillow decodes it, since FFmpeg's decoder knows only still ones."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

from vinpaint_cli.errors import VideoError, reason
from vinpaint_cli.types import Frame, VideoInfo
from vinpaint_cli.video.source.decode_pass import Damage
from vinpaint_cli.video.source.probe import Details, color_of, converter_for

if TYPE_CHECKING:
    from os import PathLike

_TICK = Fraction(1, 1000)
_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(EOFError, RuntimeError, Image.DecompressionBombError),
)


def is_animated_webp(path: str | PathLike[str]) -> bool:
    """Whether a file is a WebP of several pictures; False where it cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(21)
    except OSError:
        return False
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)


class AnimationSource:
    """An animated WebP as a ``FrameSource``; a pass that starts later decodes what is before.

    ``details`` is for this room alone.

    Raises:
        VideoError: it cannot be decoded.

    """

    damage = Damage()
    notes: tuple[str, ...] = ()

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(path)
        count, first, duration = self._look()
        converter = converter_for(path, first, None)
        layout = converter.layout
        self.info = VideoInfo(
            path=str(path),
            container="webp",
            codec="webp",
            width=first.width,
            height=first.height,
            rate=1 / (duration * _TICK) if duration else None,
            time_base=_TICK,
            pix_fmt=layout.name,
            bit_depth=layout.depth,
            color=color_of(first),
            sample_aspect=Fraction(1),
            rotation=0,
            duration=None,
            frames_from_header=count,
        )
        # A name keeps the writer from looking for further streams.
        size = first.width, first.height
        self.details = Details(self.info, 0, layout.name, size, converter, names=(self._path.name,))

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames ``[start, stop)``; each call starts anew. Errors: see the class."""
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError(f"frames {start} to {stop}: indices count from 0")
        pts = 0
        for index, (native, duration) in enumerate(self._pictures(stop)):
            if index >= start:
                yield Frame(index, pts, duration, native, self.details.converter)
            pts += duration

    def _look(self) -> tuple[int, av.VideoFrame, int]:
        """Number of pictures, the first of them and how many ticks it is shown."""
        try:
            with Image.open(self._path) as picture:
                count = int(getattr(picture, "n_frames", 1))
        except _UNREADABLE as exc:
            raise self._unreadable(exc) from exc
        return count, *next(self._pictures(1))

    def _pictures(self, stop: int | None) -> Iterator[tuple[av.VideoFrame, int]]:
        """Pictures from the first one on, and how many ticks each is shown."""
        try:
            with Image.open(self._path) as picture:
                count = int(getattr(picture, "n_frames", 1))
                for index in range(count if stop is None else min(stop, count)):
                    picture.seek(index)
                    rgba = np.asarray(picture.convert("RGBA"))
                    native = av.VideoFrame.from_ndarray(rgba, format="rgba")
                    yield native, max(1, int(picture.info.get("duration", 100)))
        except _UNREADABLE as exc:
            raise self._unreadable(exc) from exc

    def _unreadable(self, error: BaseException) -> VideoError:
        return VideoError(
            f"{self._path}: the animation cannot be decoded ({reason(error)}); give another file"
        )
