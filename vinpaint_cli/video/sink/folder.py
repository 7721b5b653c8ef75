"""Frames into a folder of png pictures, one a frame."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import av

from vinpaint_cli.errors import OutputError
from vinpaint_cli.types import Frame, FrameSource
from vinpaint_cli.video.sink.animation import displayed
from vinpaint_cli.video.sink.publish import check_folder_of, replaced_name, temporary_name, translated
from vinpaint_cli.video.source.folder import SUFFIXES, picture_names

if TYPE_CHECKING:
    from os import PathLike

    from av.video.codeccontext import VideoCodecContext

_PNG_FORMATS = ("rgb24", "rgba", "rgb48be", "rgba64be", "gray", "gray16be", "ya8", "ya16be")


class PictureWriter:
    """Writes a folder of png pictures; use it in a ``with`` statement.

    Pictures are RGB of 8 bits, or of 16 for sources of more than 8, and take the names of the source's
    when that is a folder, else ``frame_000000.png`` and on. RGB and gray pictures that nothing was laid
    over are bit-exact, alpha included. The folder is made under a hidden temporary name and renamed when
    whole; one that stands there already is replaced only if it holds nothing but pictures.

    Raises:
        OutputError: the folder cannot be written or replaced, or the disk is full.

    """

    def __init__(
        self,
        path: str | PathLike[str],
        template: FrameSource,
        announce: Callable[[Path], None] | None = None,
    ) -> None:
        """``announce`` is called with ``temporary`` right before the folder gets its name."""
        self._path, self._announce = Path(path), announce
        self.temporary = temporary_name(self._path)
        source = Path(template.info.path)
        names = picture_names(source) if source.is_dir() else ()
        self._stems = [Path(name).stem for name in names]
        if len(set(self._stems)) < len(self._stems):
            self._stems = []  # 1.png beside 1.jpg: their stems cannot name pngs
        self._encoders: dict[tuple[str, int, int], VideoCodecContext] = {}
        self._count = 0
        self.warnings: list[str] = []

    def __enter__(self) -> Self:
        _check_replaceable(self._path)
        check_folder_of(self._path)
        with translated(self._path):
            self.temporary.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def write(self, frame: Frame) -> None:
        """Write the next picture.

        Raises:
            OutputError: see the class.

        """
        stem = self._stems[frame.index] if frame.index < len(self._stems) else f"frame_{frame.index:06d}"
        native = displayed(frame, _PNG_FORMATS)
        key = (native.format.name, native.width, native.height)
        with translated(self._path):
            encoder = self._encoders.get(key)
            if encoder is None:
                encoder = self._encoders[key] = _png_encoder(*key)
            native.pts = self._count
            native.time_base = encoder.time_base
            packets = encoder.encode(native)
            with open(self.temporary / f"{stem}.png", "wb") as file:
                for packet in packets:
                    file.write(bytes(packet))
        self._count += 1

    def _publish(self) -> None:
        if self._count == 0:
            raise OutputError(f"{self._path}: no frame was given to write")
        _check_replaceable(self._path)
        with translated(self._path):
            if self._announce is not None:
                self._announce(self.temporary)
            old = replaced_name(self.temporary)
            with suppress(FileNotFoundError):
                os.replace(self._path, old)
            os.replace(self.temporary, self._path)
            shutil.rmtree(old, ignore_errors=True)


def _check_replaceable(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise OutputError(f"{path}: is a file; give another name for the folder of pictures")
    others = [entry.name for entry in path.iterdir() if not entry.name.lower().endswith(SUFFIXES)]
    if others:
        raise OutputError(f"{path}: holds more than pictures ({others[0]}); give another folder")


def _png_encoder(name: str, width: int, height: int) -> VideoCodecContext:
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)  # png is a video codec
    encoder.width, encoder.height, encoder.pix_fmt = width, height, name
    encoder.framerate = Fraction(25)
    encoder.options = {"compression_level": "4"}
    encoder.open()
    return encoder
