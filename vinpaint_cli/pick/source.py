"""One clip for several threads: read once in the background, then by index, as JPEG; masks as PNG."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from vinpaint_cli.errors import Interrupted, VideoError, VinpaintError
from vinpaint_cli.types import Frame, FrameSource, VideoInfo

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

_WAIT_SECONDS = 0.5


class SharedSource:
    """A `FrameSource` that several threads may read at once; they take turns frame by frame.

    `read_through` counts the frames; other reads wait until it has passed their frame, so that they can seek
    instead of decoding from the start. Reading raises what the source raises, and Interrupted after `close`.
    """

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._known = threading.Condition()
        self._read = 0
        self._finished = False
        self._closed = False
        self._error: VinpaintError | None = None

    @property
    def info(self) -> VideoInfo:
        """Properties of the clip."""
        return self._source.info

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on how the clip is read, one line each."""
        return tuple(getattr(self._source, "notes", ()))

    @property
    def read(self) -> int:
        """Frames counted so far; all of them once ``finished``."""
        return self._read

    @property
    def finished(self) -> bool:
        """Whether the clip has been read to its end, or as far as it can be."""
        return self._finished

    @property
    def error(self) -> VinpaintError | None:
        """The error that ended reading early."""
        return self._error

    def start(self) -> None:
        """Start `read_through` in a thread."""
        threading.Thread(target=self.read_through, name="vinpaint-read", daemon=True).start()

    def read_through(self) -> None:
        """Decode the clip once and count its frames; an error is kept in ``error``."""
        try:
            for count, _ in enumerate(self._locked(0, None), 1):
                self._tell(read=count)
        except VinpaintError as exc:
            self._error = exc
        finally:
            self._tell(finished=True)

    def close(self) -> None:
        """End all reading, in every thread, at its next frame."""
        self._closed = True
        self._tell()

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames ``[start, stop)`` in presentation order, each once `read_through` has passed it."""
        passing = self._locked(start, stop)
        position = start
        while stop is None or position < stop:
            self._wait_for(position)
            frame = next(passing, None)
            if frame is None:
                return
            yield frame
            position += 1

    def _locked(self, start: int, stop: int | None) -> Iterator[Frame]:
        """Frames of the source, decoded only while no other thread decodes."""
        passing = self._source.frames(start, stop)
        while not self._closed:
            with self._lock:
                frame = next(passing, None)
            if frame is None:
                return
            yield frame
        raise Interrupted("stopped; nothing was written")

    def _wait_for(self, index: int) -> None:
        with self._known:
            while not (self._read > index or self._finished or self._closed):
                self._known.wait(_WAIT_SECONDS)

    def _tell(self, read: int | None = None, finished: bool = False) -> None:
        with self._known:
            self._read = self._read if read is None else read
            self._finished = self._finished or finished
            self._known.notify_all()


LONGEST = 1920
"""Most pixels of the long side of a served picture."""

_QUALITY = 88
_CACHE_BYTES = 256 << 20
_NEAR = 12


class FrameCache:
    """Cache of frames as JPEG; stepping in either direction decodes each frame about once.

    Forward, decoding continues. Backward, a few frames before the requested one are decoded with it and held,
    and encoded only when they are requested.
    """

    def __init__(self, source: FrameSource, most_bytes: int = _CACHE_BYTES) -> None:
        self._source = source
        self._most = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._held: dict[int, Frame] = {}
        self._pass: Iterator[Frame] | None = None
        self._next = 0

    def jpeg(self, index: int) -> bytes:
        """Frame ``index`` as JPEG, at most `LONGEST` wide and high; raises VideoError when there is none."""
        with self._lock:
            if index not in self._kept:
                frame = self._held.pop(index, None) or self._decode(index)
                self._keep(index, encode_jpeg(frame))
            self._kept.move_to_end(index)
            return self._kept[index]

    def _decode(self, index: int) -> Frame:
        first = self._seek(index)
        self._held.clear()
        for frame in self._pass or ():
            self._next = frame.index + 1
            if frame.index == index:
                return frame
            if frame.index >= first:
                self._held[frame.index] = frame
        self._pass = None
        raise VideoError(f"there is no frame {index}: the clip ends before it; frames count from 0")

    def _seek(self, index: int) -> int:
        """Start or continue decoding towards ``index``; returns the first frame on the way to hold."""
        ahead = index - self._next
        if self._pass is not None and 0 <= ahead <= _NEAR:
            return self._next
        backwards = self._pass is not None and -2 * _NEAR <= ahead < 0
        first = max(0, index - _NEAR) if backwards else index
        self._pass, self._next = self._source.frames(first), first
        return first

    def _keep(self, index: int, picture: bytes) -> None:
        self._kept[index] = picture
        self._bytes += len(picture)
        while self._bytes > self._most and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1])


def served_size(width: int, height: int) -> tuple[int, int]:
    """``(width, height)`` at which pictures of a clip are served."""
    scale = min(1.0, LONGEST / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def encode_jpeg(frame: Frame) -> bytes:
    """The displayed picture as JPEG."""
    rgb = frame.rgb
    levels = (rgb if rgb.dtype == np.uint8 else rgb >> 8).astype(np.uint8)
    size = served_size(levels.shape[1], levels.shape[0])
    if size != levels.shape[1::-1]:
        levels = np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def encode_mask(hole: Hole) -> bytes:
    """A mask bool ``(H, W)`` as PNG of the served size: white, opaque where it is True, else transparent."""
    size = served_size(hole.shape[1], hole.shape[0])
    alpha = hole.astype(np.uint8) * np.uint8(255)
    if size != hole.shape[1::-1]:
        alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.uint8)
    buffer = io.BytesIO()
    picture = Image.merge("LA", (Image.new("L", size, 255), Image.fromarray(alpha)))
    picture.save(buffer, "png", compress_level=1)
    return buffer.getvalue()
