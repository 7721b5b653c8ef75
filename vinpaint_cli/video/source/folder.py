"""Folders of png or jpg pictures as clips: one picture a frame, in natural order of their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

from vinpaint_cli.errors import VideoError, reason
from vinpaint_cli.types import Frame, VideoInfo
from vinpaint_cli.video.source.decode_pass import Damage
from vinpaint_cli.video.source.opening import open_input
from vinpaint_cli.video.source.probe import Details, converter_for, inspect

if TYPE_CHECKING:
    from os import PathLike

SUFFIXES = (".png", ".jpg", ".jpeg")
DEFAULT_RATE = Fraction(25)


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sort key that puts ``frame2`` before ``frame10``."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def picture_names(folder: Path) -> tuple[str, ...]:
    """Names of the pictures of a folder in natural order; hidden files do not count.

    Raises:
        VideoError: there are none, or the folder cannot be read.

    """
    try:
        files = [entry.name for entry in folder.iterdir() if entry.is_file()]
    except OSError as exc:
        raise VideoError(f"{folder}: the folder cannot be read ({exc.strerror})") from exc
    names = [n for n in files if n.lower().endswith(SUFFIXES) and not n.startswith(".")]
    if not names:
        raise VideoError(f"{folder}: a folder without png or jpg pictures; give a video or such a folder")
    return tuple(sorted(names, key=lambda name: (natural_key(name), name)))


def inspect_folder(folder: Path, rate: Fraction = DEFAULT_RATE) -> Details:
    """Gather what the room needs of a folder of pictures; its time base is one tick per picture.

    Raises:
        VideoError: no pictures, or the first one cannot be read.

    """
    names = picture_names(folder)
    first = inspect(folder / names[0])
    info = replace(
        first.info,
        path=str(folder),
        container="folder",
        rate=rate,
        time_base=1 / rate,
        duration=float(len(names) / rate),
        frames_from_header=len(names),
        metadata=(),
    )
    return replace(first, info=info, names=names)


class PictureSource:
    """A folder of pictures as a ``FrameSource``: frame i is the i-th picture, at a constant rate.

    ``details`` is for this room alone.

    Raises:
        VideoError: no pictures, one that cannot be read, or one of another size than the first.

    """

    def __init__(self, path: str | PathLike[str], rate: Fraction = DEFAULT_RATE) -> None:
        self._folder = Path(path)
        self.details = inspect_folder(self._folder, rate)

    @property
    def info(self) -> VideoInfo:
        """Properties of the folder as a clip; ``rate`` is what the caller chose."""
        return self.details.info

    @property
    def damage(self) -> Damage:
        """Empty, and so false: a picture that cannot be read is an error."""
        return Damage()

    @property
    def notes(self) -> tuple[str, ...]:
        """Always empty: there is nothing to warn of."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """File names in frame order."""
        return self.details.names

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames ``[start, stop)``; each call starts anew. Errors: see the class."""
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError(f"frames {start} to {stop}: indices count from 0")
        for index, name in enumerate(self.names[start:stop], start):
            yield self._frame(index, self._folder / name)

    def _frame(self, index: int, path: Path) -> Frame:
        native = _read_picture(path)
        converter = converter_for(path, native, None)
        width, height = converter.orientation.displayed_size(native.width, native.height)
        if (width, height) != (self.info.width, self.info.height):
            raise VideoError(
                f"{path}: {width}×{height}, but the folder's first picture is "
                f"{self.info.width}×{self.info.height}; all pictures of a clip must be of one size"
            )
        if native.format.name != converter.layout.name:
            native = native.reformat(format=converter.layout.name)
        return Frame(index, index, 1, native, converter)


def _read_picture(path: Path) -> av.VideoFrame:
    """The only frame of a picture file."""
    try:
        with open_input(path) as container:
            for frame in container.decode(video=0):
                return frame
    except (av.FFmpegError, VideoError, IndexError) as exc:
        raise VideoError(f"{path}: the picture cannot be read ({reason(exc)}); replace or remove it") from exc
    raise VideoError(f"{path}: the picture is empty; replace or remove it")
