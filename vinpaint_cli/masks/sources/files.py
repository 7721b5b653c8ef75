"""Mask sources of files: a picture, a folder of pictures, a video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.errors import MaskError, VideoError
from vinpaint_cli.masks.sources.pictures import IMAGE_SUFFIXES, bright, check_size, fit, read_hole
from vinpaint_cli.types import Frame, FrameSource

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

# Reading on over so few frames costs less than seeking.
_FEW_FRAMES = 32


class ImageMask:
    """One picture that holds for all frames."""

    count: int | None = None

    def __init__(
        self, path: Path, size: tuple[int, int], *, label: int | None = None, resize: bool = False
    ) -> None:
        """Read the picture; ``size`` is the clip's ``(width, height)``.

        Raises MaskError (the picture cannot be read or has another size).
        """
        lines: list[str] = []
        self._hole = read_hole(path, size, label=label, resize=resize, warnings=lines)
        self.warnings = tuple(lines)

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        return self._hole.copy()

    def check_count(self, frames: int) -> None:
        """Nothing to compare: one picture holds for any number of frames."""


class FolderMask:
    """A folder of pictures, one per frame, in name order (numbers by value)."""

    def __init__(
        self,
        folder: Path,
        size: tuple[int, int],
        *,
        label: int | None = None,
        hold: bool = False,
        resize: bool = False,
        ends: bool = False,
    ) -> None:
        """List the pictures and try the first; ``ends``: frames after the last have no hole.

        Raises MaskError (no picture, or the first cannot be read or has another size).
        """
        self._folder = folder
        self._size, self._label, self._hold, self._resize = size, label, hold, resize
        self._ends = ends
        self._paths = _pictures(folder)
        self._lines: list[str] = []
        self._last = (0, self._read(0))

    @property
    def count(self) -> int | None:
        """Number of pictures."""
        return len(self._paths)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The first warning of the pictures read so far."""
        return tuple(self._lines[:1])

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill.

        Raises MaskError (no picture for this frame, or one that cannot be read or has another size).
        """
        if frame.index >= len(self._paths) and self._ends:
            return np.zeros(self._size[::-1], np.bool_)
        if frame.index >= len(self._paths) and not self._hold:
            raise _too_few(str(self._folder), len(self._paths), frame.index)
        place = min(frame.index, len(self._paths) - 1)
        if self._last[0] != place:
            self._last = (place, self._read(place))
        return self._last[1].copy()

    def check_count(self, frames: int) -> None:
        """Compare the number of pictures with the clip's frames.

        Raises MaskError (they differ and ``hold`` is not set).
        """
        if not self._hold:
            check_equal(str(self._folder), len(self._paths), frames)

    def _read(self, place: int) -> Hole:
        path = self._paths[place]
        return read_hole(path, self._size, label=self._label, resize=self._resize, warnings=self._lines)


class VideoMask:
    """A mask video, matched to the clip frame by frame in presentation order."""

    warnings: tuple[str, ...] = ()

    def __init__(
        self,
        source: FrameSource,
        size: tuple[int, int],
        *,
        name: str = "video",
        hold: bool = False,
        resize: bool = False,
        ends: bool = False,
    ) -> None:
        """Take the opened video; ``name`` is what messages call it; ``ends`` as of `FolderMask`.

        Raises MaskError (its frames have another size).
        """
        check_size(name, (source.info.width, source.info.height), size, resize)
        self._source, self._size, self._name, self._hold = source, size, name, hold
        self._ends = ends
        self._frames: Iterator[Frame] = iter(())
        self._shown: Frame | None = None
        self._last: tuple[int, Hole] | None = None
        self._count: int | None = None

    @property
    def rate(self) -> Fraction | None:
        """Masks per second."""
        return self._source.info.rate

    @property
    def count(self) -> int | None:
        """Number of frames once the end was reached, None before."""
        return self._count

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill.

        Raises MaskError (no mask for this frame, or one that cannot be decoded).
        """
        with self._translated():
            shown = self._seek(frame.index)
            if shown.index != frame.index and self._ends:
                return np.zeros(self._size[::-1], np.bool_)
            if shown.index != frame.index and not self._hold:
                raise _too_few(self._name, shown.index + 1, frame.index)
            if self._last is None or self._last[0] != shown.index:
                self._last = (shown.index, fit(bright(shown.rgb), self._size))
        return self._last[1].copy()

    def check_count(self, frames: int) -> None:
        """Compare the number of masks with the clip's frames; reads on to the end of the video.

        Raises MaskError (they differ and ``hold`` is not set, or the video cannot be decoded).
        """
        if self._hold:
            return
        with self._translated():
            shown = self._seek(frames)
            while self._count is None:
                shown = self._seek(shown.index + 1)
            check_equal(self._name, self._count, frames)

    def _seek(self, index: int) -> Frame:
        """Frame ``index`` of the video, or its last one when it is shorter."""
        wanted = index if self._count is None else min(index, self._count - 1)
        if self._shown is None or not self._shown.index <= wanted <= self._shown.index + _FEW_FRAMES:
            self._frames = self._source.frames(wanted)
            self._shown = None
        while self._shown is None or self._shown.index < wanted:
            following = next(self._frames, None)
            if following is None:
                return self._at_end(wanted)
            self._shown = following
        return self._shown

    def _at_end(self, wanted: int) -> Frame:
        """Note the count and return the last frame; a jump past the end has to look for it."""
        if self._shown is None:
            for shown in self._source.frames(0, wanted):
                self._shown = shown
        if self._shown is None:
            raise MaskError(f"mask {self._name} has no frame that can be decoded; give another file")
        self._count = self._shown.index + 1
        return self._shown

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate decoding errors into MaskError."""
        try:
            yield
        except VideoError as exc:
            raise MaskError(f"mask {self._name} cannot be decoded: {exc}") from exc


def check_equal(name: str, count: int, frames: int) -> None:
    """Compare the number of masks with the number of frames.

    Raises MaskError (they differ).
    """
    if count != frames:
        raise MaskError(
            f"mask {name} has {count} frames but the video has {frames}; give one mask per frame, "
            "or --mask-hold to hold the last one and leave out any surplus"
        )


def _too_few(name: str, count: int, index: int) -> MaskError:
    return MaskError(
        f"mask {name} has {count} frames but the video has {index + 1} or more; give one mask per frame, "
        "or --mask-hold to hold the last one"
    )


def _pictures(folder: Path) -> list[Path]:
    """Pictures of a folder, hidden files left out, in name order with numbers by value."""
    try:
        entries = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as exc:
        raise MaskError(
            f"mask folder {folder} cannot be read ({exc.strerror}); check its permissions"
        ) from exc
    paths = [path for path in entries if path.is_file() and not path.name.startswith(".")]
    if not paths:
        raise MaskError(f"mask folder {folder} holds no picture; put one PNG or JPEG per frame there")
    return sorted(paths, key=lambda path: (_natural(path.name), path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """Natural sort key: frame2 comes before frame10."""
    parts = re.split(r"(\d+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts if part]
