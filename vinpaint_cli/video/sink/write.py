"""Frames into a file: encoded with their own times, everything else of the source copied beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import av

from vinpaint_cli.errors import OutputError
from vinpaint_cli.types import EncodeOptions, Frame, FrameSource
from vinpaint_cli.video.colour.fields import FieldConverter, woven
from vinpaint_cli.video.sink.animation import repetition, write_last_duration
from vinpaint_cli.video.sink.codecs import ANIMATIONS, Source, choose, muxer_of
from vinpaint_cli.video.sink.encoder import Encoder
from vinpaint_cli.video.sink.matroska import PLACEHOLDER, write_sample_aspect
from vinpaint_cli.video.sink.publish import publish, reserve, temporary_name, translated
from vinpaint_cli.video.sink.remux import MOVIES, StreamCopier, muxer_options
from vinpaint_cli.video.source.probe import Details, inspect
from vinpaint_cli.video.source.timeline import Join

if TYPE_CHECKING:
    from os import PathLike

    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream


class FrameWriter(Protocol):
    """Writes frames in order; a context manager that publishes the output when its block succeeds.

    ``temporary`` is the hidden name under which it is made, and which a killed process leaves behind.
    """

    temporary: Path

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user on how the output differs from the source, one line each."""
        ...

    def write(self, frame: Frame) -> None:
        """Take the next frame."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_writer(
    path: str | PathLike[str],
    template: FrameSource,
    options: EncodeOptions,
    *,
    overwrite: bool = True,
    announce: Callable[[Path], None] | None = None,
    threads: int | None = None,
) -> FrameWriter:
    """A writer for a video file, or for a folder of png pictures when the path has no suffix or ends in /.

    Unless ``overwrite``, a video that appears under the name during the run is left as it is. ``announce``
    is called with the hidden name when the output is whole, right before it gets its own. ``threads`` of
    the encoder, on which the bytes may depend; None: as many as it likes.

    Raises:
        UsageError: the suffix, codec, pixel format or quality cannot be had together.

    """
    if is_folder_path(path):
        from vinpaint_cli.video.sink.folder import PictureWriter

        return PictureWriter(path, template, announce)
    return VideoWriter(path, template, options, overwrite=overwrite, announce=announce, threads=threads)


def is_folder_path(path: str | PathLike[str]) -> bool:
    """Whether an output path means a folder of pictures."""
    return str(path).endswith(("/", os.sep)) or not Path(path).suffix or Path(path).is_dir()


class VideoWriter:
    """Writes one video file; use it in a ``with`` statement.

    The output is made under a hidden temporary name in its folder and renamed when whole; after any
    exception nothing of it is left. Every frame keeps its pts and duration, as exactly as the container's
    own time base allows (Matroska and WebM: 1 ms; AVI: one tick per frame; MPEG-TS, MPEG-PS, NUT and FLV
    shift all streams by a constant). Colour tags, chroma siting, sample aspect and rotation are the
    template's; streams other than the picture come from the template's file.

    Raises:
        UsageError: on construction or entering; the options do not fit each other, the container or the
            encoder.
        OutputError: the folder cannot be written, the disk is full, or the muxer refuses.

    """

    def __init__(
        self,
        path: str | PathLike[str],
        template: FrameSource,
        options: EncodeOptions,
        *,
        overwrite: bool = True,
        announce: Callable[[Path], None] | None = None,
        threads: int | None = None,
    ) -> None:
        self._path = Path(path)
        self._overwrite, self._announce, self._threads = overwrite, announce, threads
        self._details = _details_of(template)
        self._joins: tuple[Join, ...] = getattr(template, "joins", ())
        self._muxer = muxer_of(self._path.suffix)
        details = self._details
        source = Source(
            details.info.codec,
            details.native_format,
            details.coded,
            details.profile,
            bool(details.names) or details.info.codec in ANIMATIONS,
            details.info.pix_fmt,
        )
        self._choice = choose(options, source, self._muxer)
        self._stack = ExitStack()
        self.temporary = temporary_name(self._path)
        self._output: OutputContainer | None = None
        self._copier: StreamCopier | None = None
        self._last: int | None = None
        self._end = self._lasts = 0
        self._held: Packet[VideoStream] | None = None
        self._first_packet = (0, 0)
        self._field: Frame | None = None

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user on how the output differs from the source, one line each."""
        lines = list(self._choice.warnings)
        if self._output is not None:
            lines += self._encoder.warnings
        return lines if self._copier is None else lines + self._copier.warnings

    def __enter__(self) -> Self:
        reserve(self._path, self.temporary)
        try:
            with translated(self._path):
                self._open()
        except BaseException:
            self._abort()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abort()
            return
        try:
            with translated(self._path):
                self._finish()
                publish(self.temporary, self._path, overwrite=self._overwrite, announce=self._announce)
        except BaseException:
            self._abort()
            raise

    def write(self, frame: Frame) -> None:
        """Encode the next frame and whatever of the other streams belongs before it.

        Raises:
            OutputError: see the class.
            ValueError: the frame is not later than the one before it.

        """
        whole = self._whole(frame)
        if whole is None:
            return
        frame = whole
        if self._last is not None and frame.pts <= self._last:
            raise ValueError(f"frame {frame.index} at {frame.pts} does not follow {self._last}")
        self._last, self._end, self._lasts = frame.pts, frame.pts + frame.duration, frame.duration
        with translated(self._path):
            self._mux(self._encoder.encode(frame))

    def _whole(self, frame: Frame) -> Frame | None:
        """The frame, or that of two fields when the second of them comes."""
        if not isinstance(frame.convert, FieldConverter):
            return frame
        field, self._field = self._field, frame
        if frame.index % 2 == 0 or field is None:
            return None
        return woven(field, frame, self._details.converter)

    def _open(self) -> None:
        source = None
        if not self._details.names:
            source = self._stack.enter_context(self._details.open())
        output = av.open(
            str(self.temporary.absolute()),
            "w",
            format=self._muxer,
            container_options=self._muxer_options(source),
            metadata_errors="surrogateescape",
        )
        copier = None
        if source is not None:
            copier = StreamCopier(source, self._details, output, self._joins)
            copier.declare(before=True)
        self._encoder = Encoder(output, self._details, self._choice, self._threads)
        self._output, self._copier = output, copier
        if copier is not None:
            copier.declare(before=False)
            copier.describe(self._encoder.stream)
            copier.start()
        self._encoder.mark_alpha()
        self._encoder.open()
        if self._lacks_aspect:
            title = self._encoder.stream.metadata.get("title", "")
            self._encoder.stream.metadata["title"] = title + PLACEHOLDER
        output.start_encoding()

    @property
    def _lacks_aspect(self) -> bool:
        """Whether the sample aspect has to be written into the whole file."""
        return self._muxer in ("matroska", "webm") and self._details.coded_aspect != 1

    def _muxer_options(self, source: InputContainer | None) -> dict[str, str]:
        options = {} if source is None else muxer_options(source, self._muxer)
        options["fflags"] = "+bitexact"  # no random ids, so that the same frames give the same file
        if self._muxer in ANIMATIONS:
            options |= repetition(Path(self._details.info.path), self._muxer)
        tick = self._details.info.time_base
        if self._muxer in MOVIES and tick.numerator == 1 and tick.denominator < 1 << 31:
            options["video_track_timescale"] = str(tick.denominator)
        return options

    def _mux(self, packets: Iterable[Packet[VideoStream]]) -> None:
        """Write packets but the last, whose duration is known when the last frame is."""
        assert self._output is not None  # opened on entering
        for packet in packets:
            if self._held is None:
                self._first_packet = (packet.pts or 0, packet.dts or 0)
            else:
                self._output.mux(self._held)
            self._held = packet
            if self._copier is not None and packet.dts is not None:
                self._copier.pump(float(packet.dts * packet.time_base))

    def _mux_last(self, output: OutputContainer) -> None:
        """Write the last packet in decoding order, which ends the clip where its last frame ends.

        A movie's sample lasts until the next is decoded, so with reordered frames the last packet is not
        the last frame, yet its duration is what the clip's length is made of.
        """
        packet = self._held
        if packet is None:
            return
        if self._muxer in MOVIES and packet.dts is not None:
            first_pts, first_dts = self._first_packet
            rest = self._end - first_pts - (packet.dts - first_dts)
            packet.duration = max(1, packet.duration or 0, rest)
        output.mux(packet)

    def _finish(self) -> None:
        encoder, output = self._encoder, self._output
        if output is None or encoder.frames == 0:
            raise OutputError(f"{self._path}: no frame was given to write")
        self._mux(encoder.encode(None))
        self._mux_last(output)
        if self._copier is not None:
            self._copier.finish()
        output.close()
        if self._lacks_aspect:
            write_sample_aspect(self.temporary, self._details.coded_aspect)
        if self._copier is not None and self._muxer != "webp":  # which FFmpeg cannot open again
            self._copier.check(self.temporary)
        self._stack.close()
        if self._muxer in ("apng", "webp") and encoder.frames > 1:
            write_last_duration(
                self.temporary, self._muxer, round(1000 * self._lasts * self._details.info.time_base)
            )
        if encoder.packets != encoder.frames and self._muxer != "webp":  # one packet there
            raise OutputError(
                f"{self._path}: {self._choice.recipe.encoder} made {encoder.packets} pictures of "
                f"{encoder.frames} frames; choose another --codec"
            )

    def _abort(self) -> None:
        """Remove the unfinished output."""
        if self._output is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._output.close()
        self._stack.close()
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)


def _details_of(template: FrameSource) -> Details:
    """What the template's file says; asked again when the source is not one of this room's."""
    details = getattr(template, "details", None)
    if isinstance(details, Details):
        return details
    if Path(template.info.path).is_dir():
        from vinpaint_cli.video.source.folder import inspect_folder

        return inspect_folder(Path(template.info.path), template.info.rate or Fraction(25))
    return inspect(template.info.path)
