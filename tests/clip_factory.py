"""Clips made with PyAV: every kind that real files come in, a few frames long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FRAME_DURATION_FLAG = 1 << 8


def texture(index: int, width: int, height: int, seed: int = 0) -> np.ndarray:
    """A picture (h, w, 3) uint8 with smooth colour, fine grain and a square that moves two pixels a frame."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = index * 0.2 + seed
    planes = [np.sin(x / 9 + phase), np.cos(y / 7 - phase), np.sin((x + y) / 11 + 2 * phase)]
    picture = 128 + 80 * np.stack(planes, axis=-1)
    picture += np.random.default_rng(seed * 1000 + index).normal(0, 6, picture.shape)
    left = 2 * index % max(1, width - 8)
    picture[4:12, left : left + 8] = (230, 40, 60)
    return np.clip(picture, 0, 255).astype(np.uint8)


def native_frame(
    index: int, width: int, height: int, pix_fmt: str, full: bool | None = None
) -> av.VideoFrame:
    """One frame of the texture in a native format."""
    rgb = av.VideoFrame.from_ndarray(texture(index, width, height), "rgb24")
    if pix_fmt == "rgb24":
        return rgb
    return rgb.reformat(format=pix_fmt, dst_color_range=2 if full else 1)


def tone(index: int, samples: int, rate: int = 48000) -> av.AudioFrame:
    """A stereo piece of sound that continues from call to call."""
    time = np.arange(index * samples, (index + 1) * samples) / rate
    wave = np.stack([np.sin(440 * 2 * np.pi * time), np.sin(660 * 2 * np.pi * time)]).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(wave * 0.3, "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = rate, index * samples, Fraction(1, rate)
    return frame


def make_clip(
    path: Path,
    *,
    frames: int = 10,
    size: tuple[int, int] = (64, 48),
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    rate: Fraction = Fraction(25),
    time_base: Fraction | None = None,
    pts: Sequence[int] | None = None,
    durations: Sequence[int] | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    full: bool | None = None,
    color: tuple[int, int, int] | None = None,
    aspect: Fraction | None = None,
    options: Mapping[str, str] | None = None,
    audio: str | None = None,
    subtitles: Sequence[str] = (),
    chapters: Sequence[str] = (),
    attachments: Mapping[str, bytes] | None = None,
    cover: bool = False,
    metadata: Mapping[str, str] | None = None,
    field_order: int = 0,
    max_b_frames: int | None = None,
) -> Path:
    """Write a clip and return its path.

    ``pts`` and ``durations`` are in ticks of ``time_base`` (default one tick a frame); ``rotation`` is
    clockwise from coded to displayed; ``color`` are primaries, transfer and matrix as code points.
    """
    tick = time_base or 1 / rate
    step = round(1 / (rate * tick))
    times = list(pts) if pts is not None else [step * i for i in range(frames)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = *size, pix_fmt
        context.time_base, context.field_order = tick, field_order
        _set_up(context, full=full, color=color, aspect=aspect, max_b_frames=max_b_frames, options=options)
        if rotation or mirrored:
            stream.set_display_rotation(-rotation, hflip=mirrored)
        sound = output.add_stream(audio, rate=48000) if audio else None
        text = output.add_mux_stream("subrip") if subtitles else None
        for name, data in (attachments or {}).items():
            output.add_attachment(name, "application/octet-stream", data)
        output.metadata.update(metadata or {})
        output.set_chapters(_chapters(chapters))
        if cover:
            output.mux(_add_cover(output))
        for index, moment in enumerate(times):
            frame = native_frame(index, *size, pix_fmt, full)
            frame.pts, frame.time_base = moment, tick
            frame.duration = durations[index] if durations else step
            output.mux(stream.encode(frame))
            if sound is not None:
                output.mux(sound.encode(tone(index, round(48000 / rate))))
        for encoder in filter(None, (stream, sound)):
            output.mux(encoder.encode(None))
        _mux_text(output, text, subtitles)
    return path


def _set_up(
    context: av.VideoCodecContext,
    *,
    full: bool | None,
    color: tuple[int, int, int] | None,
    aspect: Fraction | None,
    max_b_frames: int | None,
    options: Mapping[str, str] | None,
) -> None:
    quick = {"preset": "ultrafast", "crf": "20"} if context.name in ("libx264", "libx265") else {}
    if context.name == "libx265":
        quick["x265-params"] = "log-level=none"
    context.options = {**quick, **(options or {})}
    context.thread_type = "AUTO"
    context.flags |= FRAME_DURATION_FLAG
    if full is not None:
        context.color_range = 2 if full else 1
    if color is not None:
        context.color_primaries, context.color_trc, context.colorspace = color
    if aspect is not None:
        context.sample_aspect_ratio = aspect
    if max_b_frames is not None:
        context.max_b_frames = max_b_frames


def _chapters(titles: Sequence[str]) -> list[dict]:
    base = Fraction(1, 1000)
    return [
        {"id": i + 1, "start": 100 * i, "end": 100 * (i + 1), "time_base": base, "metadata": {"title": title}}
        for i, title in enumerate(titles)
    ]


def _mux_text(
    output: av.container.OutputContainer, stream: av.stream.Stream | None, lines: Sequence[str]
) -> None:
    for index, line in enumerate(lines):
        packet = av.Packet(line.encode())
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = 100 * index
        packet.duration = 80
        output.mux(packet)


def _add_cover(output: av.container.OutputContainer) -> av.Packet:
    stream = output.add_mux_stream("png", width=16, height=16)
    stream.disposition = av.stream.Disposition.attached_pic
    packet = av.Packet(png_bytes(texture(0, 16, 16)))
    packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 90000), 0, 0
    packet.is_keyframe = True
    return packet


def png_bytes(picture: np.ndarray) -> bytes:
    """A picture (h, w, 3), uint8 or uint16, or (h, w) uint8, as a png file."""
    name = "gray" if picture.ndim == 2 else "rgb24" if picture.dtype == np.uint8 else "rgb48le"
    encoder = av.CodecContext.create("png", "w")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), name)
    if name == "rgb48le":
        frame = frame.reformat(format="rgb48be")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base = Fraction(1, 25)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def damage_packets(source: Path, target: Path, indices: Sequence[int]) -> Path:
    """Copy a clip's video packets, the named ones (in file order) overwritten with noise."""
    noise = np.random.default_rng(5)
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream, opaque=True)
        for number, packet in enumerate(p for p in reader.demux(stream) if p.size):
            if number in indices:
                data = bytes(packet)
                broken = av.Packet(
                    data[:6] + noise.integers(0, 256, max(0, len(data) - 6), np.uint8).tobytes()
                )
                broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                broken.duration = packet.duration
                broken.is_keyframe = packet.is_keyframe
                packet = broken
            packet.stream = copy
            writer.mux(packet)
    return target


def truncate(path: Path, share: float) -> Path:
    """Cut a file to a share of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
