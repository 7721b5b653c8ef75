"""One clip for several threads: read through once in the background, then found by index."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from vinpaint_cli.errors import Interrupted, VinpaintError
from vinpaint_cli.types import Frame, FrameSource, VideoInfo

_WAIT_SECONDS = 0.5


class SharedSource:
    """A `FrameSource` that several threads may read at once, frame by frame in turn.

    `read_through` counts the frames; a pass waits until it has been there, so that it can seek instead of
    decoding from the beginning. Passes raise what the source raises, and Interrupted after `close`.
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
        """What the clip says of itself."""
        return self._source.info

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how the clip is read, one line each."""
        return tuple(getattr(self._source, "notes", ()))

    @property
    def read(self) -> int:
        """Frames found so far; all of them once ``finished``."""
        return self._read

    @property
    def finished(self) -> bool:
        """Whether the clip has been read to its end, or as far as it can be."""
        return self._finished

    @property
    def error(self) -> VinpaintError | None:
        """What ended the reading early."""
        return self._error

    def start(self) -> None:
        """Read through in the background."""
        threading.Thread(target=self.read_through, name="vinpaint-read", daemon=True).start()

    def read_through(self) -> None:
        """Decode the clip once, counting; errors are kept in ``error``."""
        try:
            for count, _ in enumerate(self._locked(0, None), 1):
                self._tell(read=count)
        except VinpaintError as exc:
            self._error = exc
        finally:
            self._tell(finished=True)

    def close(self) -> None:
        """End all passes, in whatever thread, at their next frame."""
        self._closed = True
        self._tell()

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames ``[start, stop)`` in presentation order, each as soon as it has been read through."""
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
        """A pass of the source that decodes only while no other does."""
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
