"""Probes a clip: reads the container's header and the first frame."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NoReturn, cast

import av
import av.logging
import numpy as np
from av.codec.context import CodecContext

from vinpaint_cli.errors import VideoError
from vinpaint_cli.types import ColorInfo, StreamInfo, VideoInfo
from vinpaint_cli.video.colour.convert import Converter
from vinpaint_cli.video.colour.layouts import layout_of, sibling_of, side_data
from vinpaint_cli.video.colour.matrices import Orientation, effective_matrix, effective_range, orientation_of
from vinpaint_cli.video.source.opening import open_input
from vinpaint_cli.video.source.playlist import files_of

if TYPE_CHECKING:
    from os import PathLike

    from av.container import InputContainer
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

_LOCATIONS = "left|center|topleft|top|bottomleft|bottom"
_DYNAMIC = {
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient light",
}
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_TOP_FIRST, _BOTTOM_SHOWN_FIRST = 2, (3, 4)  # AVFieldOrder: TT, BB, TB (coded, shown), BT
_LOG_LOCK = Lock()


@dataclass(frozen=True, slots=True)
class Light:
    """What a clip says of the display that it was made on; SMPTE ST 2086 and CTA-861.3.

    ``mastering`` are ten values: x and y of red, green, blue and white, least and greatest luminance in
    cd/m²; ``levels`` MaxCLL and MaxFALL in cd/m²; ``dynamic`` names what is told frame by frame.
    """

    mastering: tuple[Fraction, ...] = ()
    levels: tuple[int, ...] = ()
    dynamic: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Details:
    """A clip's ``VideoInfo`` and what only this room needs besides.

    ``stream`` is the index of the picture's stream, ``native_format`` the pixel format frames are given
    out in (the source's, or its planar sibling), ``coded`` the coded ``(width, height)``,
    ``display_matrix`` the container's nine numbers, ``location`` FFmpeg's name of the chroma siting.
    ``names`` are the picture files when the source is a folder, ``others`` the files of a playlist.
    ``field_order`` is FFmpeg's number, and ``first_field`` the parity of the field that is shown first (0: of
    the top line), None for a progressive clip.
    """

    info: VideoInfo
    stream: int
    native_format: str
    coded: tuple[int, int]
    converter: Converter
    display_matrix: tuple[int, ...] | None = None
    location: str | None = None
    names: tuple[str, ...] = ()
    profile: str | None = None
    light: Light = Light()
    others: tuple[str, ...] = ()
    field_order: int = 0
    first_field: int | None = None

    def open(self) -> AbstractContextManager[InputContainer]:
        """The clip's file, open to read packets; errors as of `open_input`."""
        return open_input(self.info.path, self.others)

    @property
    def coded_aspect(self) -> Fraction:
        """Sample aspect of the coded picture; ``info.sample_aspect`` is that of the displayed one."""
        aspect = self.info.sample_aspect
        return 1 / aspect if self.converter.orientation.sideways else aspect


def inspect(path: str | PathLike[str], playlists: bool = False) -> Details:
    """Open a video file, decode its first frame and gather what the room needs; errors as `read.probe`."""
    others = files_of(path) if playlists else ()
    with open_input(path, others) as container:
        return replace(inspect_open(path, container), others=others)


def inspect_open(path: str | PathLike[str], container: InputContainer) -> Details:
    """The same of a container that is open, and of which nothing was read yet."""
    stream = picture_stream(container, path)
    first = _first_frame(container, stream, path)
    return _details(path, container, stream, first)


def picture_stream(container: InputContainer, path: str | PathLike[str]) -> VideoStream:
    """The main video stream; cover art does not count.

    Raises:
        VideoError: there is none, or this build of FFmpeg cannot decode it.

    """
    pictures = [s for s in container.streams.video if not is_cover(s)]
    if not pictures:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "no streams"
        raise VideoError(f"{path}: no video stream (found: {kinds}); give a file with a picture")
    best = container.streams.best("video")
    stream = best if best in pictures else pictures[0]
    if stream.codec_context is None:
        raise VideoError(f"{path}: no decoder for its video codec; convert it with ffmpeg first")
    return stream


def picture_decoder(stream: VideoStream) -> VideoCodecContext:
    """The decoder of a picture's stream, not yet open; for VP8 and VP9 with alpha the one that keeps it."""
    context = stream.codec_context
    tag = {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode")
    name = _ALPHA_DECODERS.get(context.codec.canonical_name)
    if tag != "1" or name is None:
        return context
    decoder = cast("VideoCodecContext", CodecContext.create(name, "r"))
    decoder.extradata = context.extradata
    decoder.color_range, decoder.colorspace = context.color_range, context.colorspace
    decoder.color_primaries, decoder.color_trc = context.color_primaries, context.color_trc
    return decoder


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a still picture attached to the file."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def first_field(path: str | PathLike[str], stream: VideoStream, frame: av.VideoFrame) -> int | None:
    """Parity of the field that is shown first (0: of the top line); None for a progressive clip.

    Where nothing but the first frame says that there are fields it is that of the top line, in DV the other.

    Raises:
        VideoError: there are fields, of different heights.

    """
    order = stream.codec_context.field_order
    if not frame.interlaced_frame and order < _TOP_FIRST:
        return None
    if any(plane.height % 2 for plane in frame.planes):
        refuse_interlaced(path, "fields of different heights")
    unknown = order < _TOP_FIRST and stream.codec_context.codec.canonical_name == "dvvideo"
    return int(unknown or order in _BOTTOM_SHOWN_FIRST)


def refuse_interlaced(path: str | PathLike[str], what: str) -> NoReturn:
    """Stop at fields that cannot be told apart: as one picture they would be smeared; raises VideoError."""
    name = Path(path)
    raise VideoError(
        f"{path}: interlaced video, with {what}; deinterlace it first, for example: "
        f"ffmpeg -i {name.name} -vf bwdif=mode=send_field -c:a copy {name.stem}.progressive{name.suffix}"
    )


def orient(frame: av.VideoFrame) -> tuple[tuple[int, ...] | None, Orientation]:
    """Display matrix and orientation of a decoded frame."""
    payload = side_data(frame, "DISPLAYMATRIX")
    if payload is None:
        turn = round(-frame.rotation / 90) * 90 % 360
        return None, Orientation(turn)
    matrix = tuple(int(value) for value in np.frombuffer(payload, "=i4", 9))
    return matrix, orientation_of(matrix)


def native_format(path: str | PathLike[str], name: str) -> str:
    """Format that frames are given out in: the source's own, or the sibling it is repacked into.

    Raises:
        VideoError: the format has none (floating point, for example).

    """
    sibling = sibling_of(name)
    if sibling is None:
        raise VideoError(
            f"{path}: pixel format {name} is not supported (planar YUV, gray and RGB of 8 to 16 bits are); "
            "convert it first with ffmpeg -pix_fmt"
        )
    return sibling


def converter_for(path: str | PathLike[str], frame: av.VideoFrame, location: str | None) -> Converter:
    """How frames like this one become RGB."""
    layout = layout_of(native_format(path, frame.format.name))
    assert layout is not None  # native_format only gives supported ones
    color = color_of(frame)
    matrix = effective_matrix(color, frame.width, frame.height)
    full = effective_range(color, layout) or frame.format.name.startswith("yuvj")
    return Converter(layout, matrix, full, orient(frame)[1], location)


def color_of(frame: av.VideoFrame) -> ColorInfo:
    """Colour tags of a decoded frame."""
    full = {1: False, 2: True}.get(frame.color_range)
    if frame.format.name.startswith("yuvj"):
        full = True
    return ColorInfo(full, frame.color_primaries, frame.color_trc, frame.colorspace)


def _first_frame(container: InputContainer, stream: VideoStream, path: str | PathLike[str]) -> av.VideoFrame:
    """First frame that can be decoded; damaged packets before it are passed over."""
    decoder = picture_decoder(stream)
    try:
        for packet in container.demux(stream):
            try:
                frames = decoder.decode(packet)
            except (av.FFmpegError, EOFError):
                continue
            if frames:
                return frames[0]
    except (av.FFmpegError, OSError):
        pass  # a damaged container ends where it cannot be read any further
    raise VideoError(f"{path}: no frame can be decoded ({stream.codec_context.name}); the file is damaged")


def _details(
    path: str | PathLike[str], container: InputContainer, stream: VideoStream, first: av.VideoFrame
) -> Details:
    location = _chroma_location(container, stream.index)
    converter = converter_for(path, first, location)
    info = _video_info(path, container, stream, first, converter)
    parity = first_field(path, stream, first)
    return Details(
        info=replace(info, interlaced=parity is not None),
        stream=stream.index,
        native_format=converter.layout.name,
        coded=(first.width, first.height),
        converter=converter,
        display_matrix=orient(first)[0],
        location=location,
        profile=stream.codec_context.profile,
        light=_light(first),
        field_order=stream.codec_context.field_order,
        first_field=parity,
    )


def _light(frame: av.VideoFrame) -> Light:
    """HDR metadata of a decoded frame, as FFmpeg's AVMasteringDisplayMetadata and AVContentLightMetadata."""
    display, levels = side_data(frame, "MASTERING_DISPLAY_METADATA"), side_data(frame, "CONTENT_LIGHT_LEVEL")
    mastering: tuple[Fraction, ...] = ()
    if display is not None and len(display) >= 88:
        numbers = [int(value) for value in np.frombuffer(display, "=i4", 22)]
        if all(numbers[20:]) and all(numbers[1:20:2]):
            mastering = tuple(Fraction(numbers[i], numbers[i + 1]) for i in range(0, 20, 2))
    known = () if levels is None else tuple(int(value) for value in np.frombuffer(levels, "=u4", 2))
    return Light(
        mastering, known, tuple(name for kind, name in _DYNAMIC.items() if side_data(frame, kind) is not None)
    )


def _video_info(
    path: str | PathLike[str],
    container: InputContainer,
    stream: VideoStream,
    first: av.VideoFrame,
    converter: Converter,
) -> VideoInfo:
    orientation = converter.orientation
    width, height = orientation.displayed_size(first.width, first.height)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return VideoInfo(
        path=str(path),
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        width=width,
        height=height,
        rate=stream.average_rate or stream.guessed_rate or stream.base_rate,
        time_base=stream.time_base or Fraction(1, 90000),
        pix_fmt=first.format.name,
        bit_depth=max(component.bits for component in first.format.components),
        color=color_of(first),
        sample_aspect=1 / aspect if orientation.sideways else aspect,
        rotation=orientation.rotation,
        duration=_duration(container, stream),
        frames_from_header=stream.frames or None,
        streams=tuple(_stream_info(s) for s in container.streams),
        chapters=len(container.chapters()),
        metadata=tuple(container.metadata.items()),
    )


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds of the video stream, else of the container."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


def _stream_info(stream: Stream) -> StreamInfo:
    context = stream.codec_context
    codec = context.codec.canonical_name if context is not None else getattr(stream, "name", None)
    kind = "cover" if is_cover(stream) else stream.type
    return StreamInfo(stream.index, kind, codec or "unknown", stream.metadata.get("language"))


def _chroma_location(container: InputContainer, index: int) -> str | None:
    """Name of the chroma siting, which PyAV tells only in FFmpeg's printed description of the stream."""
    with _LOG_LOCK:
        before = av.logging.get_level()
        av.logging.set_level(av.logging.VERBOSE)
        av.logging.set_libav_level(av.logging.VERBOSE)
        try:
            text: str = container.dumps_format()  # type: ignore[attr-defined]  # missing in PyAV's stubs
        finally:
            av.logging.set_libav_level(av.logging.INFO)
            av.logging.set_level(before)
    line = re.search(rf"Stream #0:{index}\b.*: Video: .*", text)
    found = re.search(rf"\([^()]*\b({_LOCATIONS})\)", line[0]) if line else None
    return found[1] if found else None
