"""Encoder of the video stream: set up like the source's stream, with each frame's own time stamp."""

from __future__ import annotations

import os
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
from av.video.reformatter import Interpolation

from vinpaint_cli.errors import UsageError, reason
from vinpaint_cli.types import Frame
from vinpaint_cli.util import allowed_cores
from vinpaint_cli.video.colour.layouts import layout_of, twin_of
from vinpaint_cli.video.colour.planes import copy_native
from vinpaint_cli.video.sink.animation import Palettes, cleared_after, displayed
from vinpaint_cli.video.sink.codecs import ANIMATIONS, Choice, has_alpha
from vinpaint_cli.video.source.probe import Details, Light

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

_FRAME_DURATION = 1 << 8
_INTERLACED_DCT, _INTERLACED_ME = 1 << 18, 1 << 29
_FIELD_CODERS = ("h264", "mpeg2video", "mpeg4", "prores", "dvvideo")
_QP_TO_LAMBDA = 118
_AVX512 = 256  # of cv::CpuFeatures, which has no names in Python
_PACED = ("avi", "mpeg", "vob", "svcd", "dvd")
_PACE_WARNING = (
    "such a file has one constant rate, this clip's varies; use the suffix .mp4 or .mkv to keep it"
)
_MOST_THREADS = 16
_LIGHT_PARAMETERS = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}
_MPEG_RATES = ("24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60")


class Encoder:
    """Adds the picture's stream to an output and turns frames into packets.

    ``stream`` is the output's stream, ``frames`` and ``packets`` the counts so far; at the end they must be
    equal. ``threads``: see `thread_count`; None: as many as the
    encoder likes.

    Raises:
        UsageError: by :meth:`open`, the encoder refuses its options.

    """

    def __init__(
        self, output: OutputContainer, details: Details, choice: Choice, threads: int | None = None
    ) -> None:
        self._details, self._choice, self._threads = details, choice, threads
        self._avi = output.format.name == "avi"
        self._paced = output.format.name in _PACED
        self._animation = output.format.name in ANIMATIONS
        self._palettes = Palettes()
        self._times: deque[tuple[int, int]] = deque()
        self._first_tick, self._pace = 0, Fraction(0)
        self.frames = 0
        self.packets = 0
        self._warnings: list[str] = []
        self.stream = self._add_to(output)

    @property
    def warnings(self) -> list[str]:
        """What a person should know, one line each."""
        return [*self._warnings, *self._palettes.warnings]

    def open(self) -> None:
        """Open the encoder, before the container's header is written. Errors: see the class."""
        context = self.stream.codec_context
        encoder, options = self._choice.recipe.encoder, self._choice.options
        if encoder == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # or it tells its settings on standard error
        try:
            context.open()
        except (av.FFmpegError, ValueError) as exc:
            asked = ", ".join(f"{key}={value}" for key, value in options.items()) or "no options"
            raise UsageError(
                f"{encoder} refuses {self._choice.pix_fmt} with {asked} ({reason(exc)}); "
                "change --crf, --preset, --pix-fmt or --codec"
            ) from exc
        left = sorted(set(context.options) & set(options))  # what the encoder did not understand stays
        if left:
            raise UsageError(f"{encoder} does not know the option {', '.join(left)}; leave it out")

    def encode(self, frame: Frame | None) -> list[Packet[VideoStream]]:
        """Packets that are ready after the next frame, or all that are left after None."""
        native = None
        if frame is not None:
            native = self._prepared(frame)
            self._times.append((frame.pts, frame.duration))
            self.frames += 1
        packets = cast("list[Packet[VideoStream]]", self.stream.encode(native))
        if native is None and self.packets == 0 and self._choice.recipe.encoder == "libx265":
            _set_decoding_times(packets)
        for packet in packets:
            if self._palettes.clear:
                packet.update(cleared_after(bytes(packet)))
            self._retime(packet)
            self.packets += 1
        return packets

    @property
    def _counts(self) -> bool:
        """Whether the encoder sees one tick per frame and its packets are retimed afterwards."""
        return self._choice.recipe.counts or self._avi

    @property
    def _tick(self) -> Fraction:
        """Time base of the encoder."""
        if self._counts:
            return 1 / _encoder_rate(self._choice, self._details.info.rate)
        return self._details.info.time_base

    def _add_to(self, output: OutputContainer) -> VideoStream:
        details, choice = self._details, self._choice
        rate = _encoder_rate(choice, details.info.rate)
        stream = cast("VideoStream", output.add_stream(choice.recipe.encoder, rate=rate))
        context = stream.codec_context
        info = details.info
        context.width, context.height = (info.width, info.height) if self._animation else details.coded
        context.pix_fmt = choice.pix_fmt
        context.thread_type = "AUTO"
        if self._threads is not None:
            context.thread_count = _threads_for(choice.recipe.encoder, self._threads)
        context.flags |= _FRAME_DURATION
        context.sample_aspect_ratio = details.coded_aspect
        context.time_base = self._tick
        stream.time_base = self._tick if self._avi else details.info.time_base
        context.options = _joined(
            choice.options,
            steady_options(choice.recipe.encoder),
            _light_options(choice.recipe.encoder, details.light),
        )
        self._warnings += _lost_light(choice.recipe.encoder, details.light)
        if output.format.name in ("avi", "asf"):
            context.max_b_frames = 0  # they hold no times of presentation
        self._tag(stream, output.format.name)
        if details.first_field is not None:
            self._interlace(context)
        if choice.qscale is not None:
            context.qscale = True
            context.global_quality = round(choice.qscale * _QP_TO_LAMBDA)
            context.qmin = min(choice.recipe.finest, max(1, round(choice.qscale)))
        if not self._animation:
            self._turn(stream)
        return stream

    def _interlace(self, context: VideoCodecContext) -> None:
        """Say that frames are of two fields, where the encoder or the container can."""
        family = self._choice.recipe.family
        context.field_order = self._details.field_order or 2 + (self._details.first_field or 0)
        if family in _FIELD_CODERS:
            context.flags |= _INTERLACED_DCT | (_INTERLACED_ME if family != "prores" else 0)

    def mark_alpha(self) -> None:
        """Say whether VP8 or VP9 has alpha beside the picture; the source's own mark may be stale."""
        metadata = self.stream.metadata
        for key in [key for key in metadata if key.lower() == "alpha_mode"]:
            del metadata[key]
        if self._choice.recipe.family in ("vp8", "vp9") and has_alpha(self._choice.pix_fmt):
            metadata["alpha_mode"] = "1"

    def _turn(self, stream: VideoStream) -> None:
        """Rotation and mirroring, as the container writes them."""
        if self._details.display_matrix is not None:
            stream.set_display_matrix(self._details.display_matrix)
        elif self._details.info.rotation:
            stream.set_display_rotation(-self._details.info.rotation)

    def _tag(self, stream: VideoStream, muxer: str) -> None:
        """Colour tags; a change between RGB and YUV brings its own."""
        context, color = stream.codec_context, self._details.info.color
        context.color_primaries, context.color_trc = color.primaries, color.transfer
        context.colorspace, full = color.matrix, color.full_range
        if self._turns_yuv:
            context.colorspace, full = 1, False
        elif _is_rgb(self._choice.pix_fmt) and not _is_rgb(self._details.native_format):
            context.colorspace, full = 0, True
        context.color_range = 0 if full is None else 1 + full
        if self._details.location is not None and not self._turns_yuv:
            context.options["chroma_sample_location"] = self._details.location
        if self._choice.recipe.family == "hevc" and muxer in ("mp4", "mov", "ipod"):
            context.codec_tag = "hvc1"  # the tag that Apple's players insist on

    @property
    def _turns_yuv(self) -> bool:
        return _is_rgb(self._details.native_format) and not _is_rgb(self._choice.pix_fmt)

    def _prepared(self, frame: Frame) -> av.VideoFrame:
        """The native frame in the encoder's format, with the time the encoder is to see."""
        if self._choice.pix_fmt == "pal8":
            native = self._palettes.convert(frame)
        else:
            native = displayed(frame) if self._animation else frame.native
        if native.format.name != self._choice.pix_fmt:
            native = self._reformatted(native)
        if self._paced:
            self._check_pace(frame)
        native.pict_type = 0  # the encoder decides, not the source's frame types
        native.pts = self._tick_of(frame) if self._counts else frame.pts
        native.duration = 1 if self._counts else frame.duration
        native.time_base = self._tick
        return native

    def _check_pace(self, frame: Frame) -> None:
        """Tell once of a varying rate where the container has no times of frames."""
        due = frame.pts * self._details.info.time_base * _encoder_rate(self._choice, self._details.info.rate)
        self._pace = due if self.frames == 0 else self._pace
        if abs(due - self._pace - self.frames) > 1 and _PACE_WARNING not in self._warnings:
            self._warnings.append(_PACE_WARNING)

    def _tick_of(self, frame: Frame) -> int:
        """Counted time of a frame."""
        if self.frames == 0:
            self._first_tick = max(0, round(frame.pts * self._details.info.time_base / self._tick))
        return self._first_tick + self.frames

    def _reformatted(self, native: av.VideoFrame) -> av.VideoFrame:
        wanted = self._choice.pix_fmt
        if twin_of(native.format.name) == wanted:
            return copy_native(native, wanted)
        flags = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
        if self._turns_yuv:
            return native.reformat(
                format=wanted, dst_colorspace=1, src_color_range=2, dst_color_range=1, interpolation=flags
            )
        return native.reformat(format=wanted, interpolation=flags)

    def _retime(self, packet: Packet[VideoStream]) -> None:
        """Give a packet its frame's duration, and its time where the encoder only counted.

        Encoders that count have no delay, so their packets come in the frames' order.
        """
        if self._avi:
            return
        if self._counts:
            packet.time_base = self._details.info.time_base
            packet.pts, packet.duration = self._times.popleft()
            packet.dts = packet.pts
            return
        for pts, duration in self._times:
            if pts == packet.pts:
                packet.duration = duration
                self._times.remove((pts, duration))
                return


def _set_decoding_times(packets: list[Packet[VideoStream]]) -> None:
    """Times of decoding for a whole clip; x265 leaves them unwritten when its delay is longer."""
    shown = sorted(packet.pts for packet in packets if packet.pts is not None)
    if len(shown) < len(packets) or not shown:
        return
    step = max(1, packets[0].duration or (shown[-1] - shown[0]) // max(1, len(shown) - 1))
    delay = max(i - shown.index(packet.pts) for i, packet in enumerate(packets) if packet.pts is not None)
    early = [shown[0] - step * (delay - i) for i in range(delay)]
    for packet, moment in zip(packets, early + shown, strict=False):
        packet.dts = moment


def thread_count() -> int:
    """Cores that this process may use, 16 at most: x264 gives other bytes for another number of threads."""
    return min(_MOST_THREADS, allowed_cores())


def _threads_for(encoder: str, threads: int) -> int:
    """For x265 the figure is of pictures encoded at once, by its own choice about a quarter of the cores."""
    return 1 + threads // 4 if encoder == "libx265" else threads


def steady_options(encoder: str) -> dict[str, str]:
    """Options without which an encoder gives other bytes for the same frames.

    x264's AVX-512 code reads memory it never wrote (mbtree, sizes that are no multiple of 32): up to AVX2 it
    is as fast and gives the same bytes every time.
    """
    import cv2

    if encoder in ("libx264", "libx264rgb") and cv2.checkHardwareSupport(_AVX512):
        return {"x264-params": "asm=avx2"}
    return {}


def _joined(*parts: dict[str, str]) -> dict[str, str]:
    """Options of several parts; parameter lists (x264, x265, SVT-AV1) that more than one has are joined."""
    options: dict[str, str] = {}
    for key, value in (item for part in parts for item in part.items()):
        options[key] = f"{options[key]}:{value}" if key.endswith("-params") and key in options else value
    return options


def _light_options(encoder: str, light: Light) -> dict[str, str]:
    """The option that has an encoder write HDR metadata; SVT-AV1 counts in units, x264 and x265 in steps."""
    if encoder not in _LIGHT_PARAMETERS or not (light.mastering or light.levels):
        return {}
    option, display, levels = _LIGHT_PARAMETERS[encoder]
    lines = [f"{levels}={','.join(map(str, light.levels))}"] if light.levels else []
    if light.mastering:
        steps = (1, 1, "{:.6f}") if encoder == "libsvtav1" else (50_000, 10_000, "{:.0f}")
        chroma, luma, form = steps
        figures = [form.format(float(x * (chroma if i < 8 else luma))) for i, x in enumerate(light.mastering)]
        red, green, blue, white = (",".join(figures[i : i + 2]) for i in range(0, 8, 2))
        lines.append(f"{display}=G({green})B({blue})R({red})WP({white})L({figures[9]},{figures[8]})")
    return {option: ":".join(lines)}


def _lost_light(encoder: str, light: Light) -> list[str]:
    """What is not carried over of a clip's HDR metadata, one line at most."""
    static = {"mastering display": light.mastering, "MaxCLL and MaxFALL": light.levels}
    lost = [] if encoder in _LIGHT_PARAMETERS else [name for name, values in static.items() if values]
    lost += light.dynamic
    if not lost:
        return []
    way_out = "" if light.dynamic else "; --codec hevc or av1 keeps it"
    return [f"HDR metadata is not carried over ({', '.join(lost)}), colour tags are{way_out}"]


def _is_rgb(name: str) -> bool:
    layout = layout_of(name)
    return layout is not None and layout.model == "rgb"


def _encoder_rate(choice: Choice, rate: Fraction | None) -> Fraction:
    """The rate to tell an encoder; MPEG-1 and 2 know only a few."""
    rate = rate or Fraction(25)
    if choice.recipe.family not in ("mpeg1video", "mpeg2video"):
        return rate.limit_denominator(65535)
    return min((Fraction(known) for known in _MPEG_RATES), key=lambda known: abs(known - rate))
