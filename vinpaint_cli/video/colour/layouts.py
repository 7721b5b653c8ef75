"""Where the samples of a pixel format lie: one table for everything that touches native planes.

Supported as they are: planar YUV (a, j) 4:2:0, 4:2:2, 4:4:4, 4:4:0, 4:1:1 and 4:1:0, gray (with alpha),
planar GBR and packed RGB, 8 to 16 bits, either byte order. Other formats have a planar sibling
(:func:`sibling_of`) into which swscale repacks them without loss when they are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np

if TYPE_CHECKING:
    import av
    import numpy.typing as npt
    from av.buffer import Buffer

    Samples: TypeAlias = npt.NDArray[Any]

_SHIFTS = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}
_PLANAR_YUV = re.compile(r"yuv(?P<alpha>[aj])?(?P<sub>\d{3})p(?P<depth>\d+)?(?P<end>le|be)?")
_PLANAR_GBR = re.compile(r"gbra?p(?P<depth>\d+)?(?P<end>le|be)?")
_GRAY = re.compile(r"(?P<kind>gray|ya)(?P<depth>\d+)?(?P<end>le|be)?")
_PACKED = re.compile(r"(?P<order>[rgbax0]{3,4})(?P<bits>24|48|64)?(?P<end>le|be)?")
_SIBLINGS = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "nv42": "yuv444p",
    "nv20le": "yuv422p10le",
    "nv20be": "yuv422p10le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "uyyvyy411": "yuv411p",
    "monow": "gray",
    "monob": "gray",
    "pal8": "rgba",
    "p010le": "yuv420p10le",
    "p010be": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p012be": "yuv420p12le",
    "p016le": "yuv420p16le",
    "p016be": "yuv420p16le",
    "p210le": "yuv422p10le",
    "p210be": "yuv422p10le",
    "p212le": "yuv422p12le",
    "p212be": "yuv422p12le",
    "p216le": "yuv422p16le",
    "p216be": "yuv422p16le",
    "p410le": "yuv444p10le",
    "p410be": "yuv444p10le",
    "p412le": "yuv444p12le",
    "p412be": "yuv444p12le",
    "p416le": "yuv444p16le",
    "p416be": "yuv444p16le",
    "y210le": "yuv422p10le",
    "y212le": "yuv422p12le",
    "xv30le": "yuv444p10le",
    "y216le": "yuv422p16le",
    "v30xle": "yuv444p10le",
    "xv36le": "yuv444p12le",
    "xv36be": "yuv444p12le",
    "xv48le": "yuv444p16le",
    "xv48be": "yuv444p16le",
    "vyu444": "yuv444p",
    "vuyx": "yuv444p",
    "vuya": "yuva444p",
    "ayuv": "yuva444p",
    "ayuv64le": "yuva444p16le",
    "ayuv64be": "yuva444p16le",
    "x2rgb10le": "gbrp10le",
    "x2bgr10le": "gbrp10le",
    "bgr8": "rgb24",
    "rgb8": "rgb24",
    "rgb565le": "rgb24",
    "rgb555le": "rgb24",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """One pixel format.

    ``channels`` are the colour channels, as ``(plane, offset, step)`` in samples: Y, Cb, Cr for ``yuv``,
    the one Y for ``gray``, R, G, B for ``rgb``. ``shift_x``/``shift_y`` are the log2 of the chroma
    subsampling, ``depth`` the significant bits (in the low bits of ``dtype``).
    """

    name: str
    model: Literal["yuv", "gray", "rgb"]
    depth: int
    dtype: str
    channels: tuple[tuple[int, int, int], ...]
    shift_x: int = 0
    shift_y: int = 0

    @property
    def peak(self) -> int:
        """Largest sample value."""
        return (1 << self.depth) - 1


def _dtype(depth: int, end: str | None) -> str:
    if depth <= 8:
        return "|u1"
    return ">u2" if end == "be" else "<u2"


def _planar_yuv(name: str) -> Layout | None:
    match = _PLANAR_YUV.fullmatch(name)
    if match is None or match["sub"] not in _SHIFTS:
        return None
    depth = int(match["depth"] or 8)
    shift_x, shift_y = _SHIFTS[match["sub"]]
    channels = ((0, 0, 1), (1, 0, 1), (2, 0, 1))
    return Layout(name, "yuv", depth, _dtype(depth, match["end"]), channels, shift_x, shift_y)


def _planar_gbr(name: str) -> Layout | None:
    match = _PLANAR_GBR.fullmatch(name)
    if match is None:
        return None
    depth = int(match["depth"] or 8)
    return Layout(name, "rgb", depth, _dtype(depth, match["end"]), ((2, 0, 1), (0, 0, 1), (1, 0, 1)))


def _gray(name: str) -> Layout | None:
    match = _GRAY.fullmatch(name)
    if match is None:
        return None
    depth = int(match["depth"] or 8)
    step = 2 if match["kind"] == "ya" else 1
    return Layout(name, "gray", depth, _dtype(depth, match["end"]), ((0, 0, step),))


def _packed(name: str) -> Layout | None:
    match = _PACKED.fullmatch(name)
    if match is None or not {"r", "g", "b"} <= set(match["order"]):
        return None
    order = match["order"]
    depth = 16 if match["bits"] in ("48", "64") else 8
    channels = tuple((0, order.index(color), len(order)) for color in "rgb")
    return Layout(name, "rgb", depth, _dtype(depth, match["end"]), channels)


@lru_cache(maxsize=64)
def layout_of(name: str) -> Layout | None:
    """Layout of a pixel format, None when it must be repacked first (:func:`sibling_of`)."""
    for read in (_planar_yuv, _planar_gbr, _gray, _packed):
        layout = read(name)
        if layout is not None:
            return layout
    return None


def sibling_of(name: str) -> str | None:
    """The supported format that a format is repacked into when read; itself when supported, else None."""
    if layout_of(name) is not None:
        return name
    return _SIBLINGS.get(name)


def twin_of(name: str) -> str:
    """The format with the same samples that carries its range as a tag: ``yuvj420p`` → ``yuv420p``."""
    return name.replace("yuvj", "yuv", 1) if name.startswith("yuvj") else name


def channel(native: av.VideoFrame, layout: Layout, index: int) -> Samples:
    """Writable view ``(h, w)`` of one colour channel; writes go into the frame."""
    plane, offset, step = layout.channels[index]
    buffer = native.planes[plane]
    return rows_of(buffer, np.dtype(layout.dtype), buffer.width * step)[:, offset::step]


def rows_of(plane: av.video.plane.VideoPlane, dtype: np.dtype[Any], samples: int) -> Samples:
    """View ``(h, samples)`` of a plane without its padding, top row first."""
    stride = abs(plane.line_size)
    data = np.frombuffer(memoryview(plane), np.uint8)[: stride * plane.height]
    data = data.reshape(plane.height, stride)
    if plane.line_size < 0:
        data = data[::-1]
    view: Samples = data[:, : samples * dtype.itemsize].view(dtype)
    return view


def side_data(native: av.VideoFrame, kind: str) -> bytes | None:
    """Payload of one kind of frame side data, None when the frame has none.

    PyAV cannot list the side data of a frame that carries a kind it does not know: that reads as none.
    """
    try:
        data = native.side_data.get(kind)
    except ValueError:
        return None
    return None if data is None else bytes(memoryview(cast("Buffer", data)))
