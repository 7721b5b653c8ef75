"""What the tests of this room compare clips by."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vinpaint_cli.types import EncodeOptions, Frame, FrameSource
from vinpaint_cli.video.colour.layouts import rows_of
from vinpaint_cli.video.sink.write import open_writer
from vinpaint_cli.video.source.read import open_source

FFV1 = EncodeOptions(codec="ffv1")


def planes(native: av.VideoFrame) -> list[np.ndarray]:
    """All planes of a frame as samples, without padding."""
    wide = native.format.components[0].bits > 8
    dtype = np.dtype("<u2" if wide else "u1")
    packed = 1
    if len(native.planes) == 1 and len(native.format.components) > 1:
        packed = native.format.padded_bits_per_pixel // (16 if wide else 8)
    return [rows_of(plane, dtype, plane.width * packed).copy() for plane in native.planes]


def same_planes(first: Frame, second: Frame) -> bool:
    """Whether two frames have the same samples in the same format (a j-format's twin counts as the same)."""
    names = [frame.native.format.name.replace("yuvj", "yuv") for frame in (first, second)]
    pairs = zip(planes(first.native), planes(second.native), strict=True)
    return names[0] == names[1] and all(np.array_equal(a, b) for a, b in pairs)


def seconds(source: FrameSource) -> list[Fraction]:
    """Presentation times of all frames."""
    return [frame.pts * source.info.time_base for frame in source.frames()]


def copy_clip(source: Path, target: Path, options: EncodeOptions = FFV1) -> list[str]:
    """Write every frame of a clip anew; returns the warnings."""
    clip = open_source(source)
    with open_writer(target, clip, options) as writer:
        for frame in clip.frames():
            writer.write(frame)
    return writer.warnings


def packets(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """Times in seconds and payloads of all packets of one kind of stream."""
    with av.open(str(path)) as container:
        wanted = container.demux([s for s in container.streams if s.type == kind])
        return [(float(p.pts * p.time_base), bytes(p)) for p in wanted if p.size]
