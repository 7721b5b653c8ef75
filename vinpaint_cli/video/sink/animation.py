"""Animated pictures (GIF, APNG, WebP): what is displayed, how long, how often; no rotation and no sound.

A GIF has 256 colours a frame. Those outside what was filled are kept, and what was filled takes the nearest
of them and of as many new ones as there is room for; only a picture of more is brought down as a whole.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from PIL import Image

from vinpaint_cli.types import Frame
from vinpaint_cli.video.colour.convert import converter_of
from vinpaint_cli.video.colour.layouts import rows_of
from vinpaint_cli.video.colour.matrices import Orientation
from vinpaint_cli.video.sink.codecs import has_alpha

if TYPE_CHECKING:
    import numpy.typing as npt

    Colours = npt.NDArray[np.uint32]

_MOST = 256
_OPAQUE = 255 << 24


def displayed(frame: Frame, formats: tuple[str, ...] = ()) -> av.VideoFrame:
    """The frame as it is displayed, in RGB of 8 or 16 bits.

    Where nothing is turned, its own samples if one of ``formats`` holds them; without formats, if they are
    RGB or have alpha.
    """
    name, converter = frame.native.format.name, converter_of(frame)
    own = name in formats if formats else converter.layout.model == "rgb" or has_alpha(name)
    if (
        converter.orientation == Orientation()
        and own
        and converter.size(frame.native)[1] == frame.native.height
    ):
        native: av.VideoFrame = frame.native
        return native
    rgb = frame.rgb
    native = av.VideoFrame.from_ndarray(rgb, format="rgb24" if rgb.dtype == np.uint8 else "rgb48le")
    return native if rgb.dtype == np.uint8 else native.reformat(format="rgb48be")


def repetition(path: Path, muxer: str) -> dict[str, str]:
    """The muxer's option for how often it is shown: as the animation at ``path``, else without end."""
    times: Any = 0
    with suppress(OSError, ValueError, SyntaxError), Image.open(path) as picture:
        times = picture.info.get("loop", 1 if getattr(picture, "n_frames", 1) > 1 else 0)
    if muxer == "gif":
        return {"loop": "-1" if times == 1 else str(times)}
    return {"plays" if muxer == "apng" else "loop": str(times)}


class Palettes:
    """Makes frames with a palette of their own, and counts those that a GIF cannot hold exactly.

    ``clear`` says that some frame so far had clear pixels: each must then be written whole.
    """

    def __init__(self) -> None:
        self._first = self._last = np.empty(0, np.uint32)
        self.clear = False
        self.crowded = self.translucent = self.emerged = 0

    def convert(self, frame: Frame) -> av.VideoFrame:
        """A frame as ``pal8``; its size is the displayed one."""
        native = displayed(frame)
        colours = _packed(native)
        clear = colours >> 24 < 128
        self.translucent += bool(((colours >> 24) % 255).any())
        colours = np.where(clear, 0, colours | _OPAQUE).astype(np.uint32)
        filled = np.zeros(colours.shape, np.bool_)
        for box, covered in frame.touched if native is frame.native else ():
            filled[box.slices()] |= covered
        palette = self._palette(colours, filled)
        indices = _nearest(colours, palette)
        shown = palette
        self.emerged += bool(clear.any()) and not self.clear and len(self._first) > 0
        self.clear |= bool(clear.any())
        if np.array_equal(palette, self._first) and (
            self.clear or not np.array_equal(self._last, self._first)
        ):
            # With the palette of the first FFmpeg writes only what differs from the frame before: by the
            # indices, whose palette may have been another, and not what has become clear.
            kept = int(palette[0] == 0)
            shown = np.concatenate([palette[:kept], palette[kept:][::-1]])
            indices = np.where(indices < kept, indices, len(palette) - 1 - indices + kept)
        self._first, self._last = self._first if len(self._first) else palette, shown
        table = np.full((_MOST, 4), (255, 0, 0, 0), np.uint8)
        table[: len(shown)] = shown.astype(">u4").view(np.uint8).reshape(-1, 4)
        pair: Any = indices.astype(np.uint8), table  # which PyAV's stubs do not know of
        return av.VideoFrame.from_ndarray(pair, format="pal8")

    def _palette(self, colours: Colours, filled: npt.NDArray[np.bool_]) -> Colours:
        """At most 256 colours: all, or all outside what was filled and new ones for that, or a choice."""
        every = np.unique(colours)
        if 0 in self._first[:1]:
            every = np.union1d(every, self._first[:1])  # FFmpeg has one index for clear pixels in all frames
        if np.isin(every, self._first).all():
            return self._first
        if len(every) <= _MOST:
            return every
        kept = np.union1d(colours[~filled], every[every == 0])
        if len(kept) > _MOST:
            self.crowded += 1
            return _chosen(colours.reshape(-1), _MOST - 1, every)
        fresh = np.setdiff1d(colours[filled], kept)
        room = _MOST - len(kept)
        if len(fresh) > room:
            fresh = _chosen(colours[filled & np.isin(colours, fresh)], room, fresh[:0]) if room else fresh[:0]
        return np.union1d(kept, fresh)

    @property
    def warnings(self) -> list[str]:
        """What the frames lost, one line each."""
        lines = []
        if self.crowded:
            lines.append(
                f"{self.crowded} frames have more than the 256 colours that a gif holds; the nearest are used"
            )
        if self.emerged:
            lines.append(
                "pixels that become clear after opaque frames show for one frame more what was there"
            )
        if self.translucent:
            lines.append("a gif holds no half-transparent pixels; they become opaque or clear")
        return lines


def _packed(native: av.VideoFrame) -> Colours:
    """Pixels ``(h, w)`` as 0xAARRGGBB."""
    bgra = native if native.format.name == "bgra" else native.reformat(format="bgra")
    return rows_of(bgra.planes[0], np.dtype("<u4"), bgra.width).astype(np.uint32)


def _chosen(colours: Colours, count: int, every: Colours) -> Colours:
    """``count`` colours that stand for many, and the clear one if it is among ``every``."""
    rgb = np.stack([colours >> shift & 255 for shift in (16, 8, 0)], axis=-1).astype(np.uint8)
    small = Image.fromarray(rgb.reshape(1, -1, 3)).quantize(count, Image.Quantize.MEDIANCUT)
    table = np.asarray(small.getpalette("RGB"), np.uint32).reshape(-1, 3)[:count]
    packed = (table[:, 0] << 16 | table[:, 1] << 8 | table[:, 2] | _OPAQUE).astype(np.uint32)
    return np.union1d(packed, every[every == 0])


def _nearest(colours: Colours, palette: Colours) -> npt.NDArray[np.intp]:
    """Index ``(h, w)`` of each pixel's colour in a sorted palette: the same, else the nearest opaque one."""
    values, where = np.unique(colours, return_inverse=True)
    places = np.minimum(np.searchsorted(palette, values), len(palette) - 1)
    other = np.flatnonzero(palette[places] != values)
    table = _channels(palette)
    table[palette == 0] = 1 << 14
    for start in range(0, len(other), 4096):
        part = other[start : start + 4096]
        apart = ((_channels(values[part])[:, None] - table[None]) ** 2).sum(-1)
        places[part] = apart.argmin(-1)
    return places[where].reshape(colours.shape)


def _channels(colours: Colours) -> npt.NDArray[np.int64]:
    return np.stack([colours >> shift & 255 for shift in (16, 8, 0)], axis=-1).astype(np.int64)


def cleared_after(packet: bytes) -> bytes:
    """A packet of a GIF with the mark that what it shows is cleared before the next frame."""
    place = packet.find(b"\x21\xf9\x04") + 3
    return packet[:place] + bytes([packet[place] & ~0x1C | 2 << 2]) + packet[place + 1 :]


def write_last_duration(path: Path, muxer: str, milliseconds: int) -> None:
    """Write how long the last frame is shown, which the muxers of APNG and WebP are not told."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        if muxer == "apng":
            # fcTL: sequence, size and place, then the delay as two figures; a CRC follows the 26 bytes.
            *_, place = (start for tag, start in _chunks(data, 8, ">") if tag == b"fcTL")
            data[place + 20 : place + 24] = min(milliseconds, 0xFFFF).to_bytes(2, "big") + b"\x03\xe8"
            data[place + 26 : place + 30] = zlib.crc32(data[place - 4 : place + 26]).to_bytes(4, "big")
        else:
            *_, place = (start for tag, start in _chunks(data, 12, "<") if tag == b"ANMF")
            data[place + 12 : place + 15] = min(milliseconds, 0xFFFFFF).to_bytes(3, "little")


def _chunks(data: mmap.mmap, start: int, order: str) -> Iterator[tuple[bytes, int]]:
    """Tag and start of each chunk: PNG's, big-endian with a CRC, or RIFF's, little-endian and padded."""
    while start + 8 <= len(data):
        head = data[start : start + 8]
        if order == ">":
            yield head[4:], start + 8
            start += 12 + int.from_bytes(head[:4], "big")
        else:
            size = int.from_bytes(head[4:], "little")
            yield head[:4], start + 8
            start += 8 + size + size % 2
