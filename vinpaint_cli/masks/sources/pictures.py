"""Reads a mask from a picture file.

White is the hole. Whether a pixel is hole follows from, in this order,

1. its index, when a label is asked for (indexed and greyscale pictures);
2. its alpha above 127, when the picture has transparent pixels at all;
3. its index above 0, for indexed pictures, unless the palette is black-and-white or a grey ramp;
4. its luminance above 127 of 255, which also tolerates the noise of JPEG.

A picture is turned as its EXIF orientation says, which is how a person sees it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps

from vinpaint_cli.errors import MaskError, reason
from vinpaint_cli.util import is_pattern

if TYPE_CHECKING:
    import numpy.typing as npt

    from vinpaint_cli.types import Hole, Picture

THRESHOLD = 127
IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm", ".tga")
)
# What Pillow makes of damaged files: its decoders check little, and say so by whatever comes of it.
_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(EOFError, RuntimeError, struct.error, zlib.error, Image.DecompressionBombError),
)
_DARKEST_LABELS = 64


def read_hole(
    path: Path,
    size: tuple[int, int],
    *,
    label: int | None = None,
    resize: bool = False,
    warnings: list[str] | None = None,
) -> Hole:
    """Hole of a picture file, bool ``(H, W)``, True = fill.

    Raises MaskError (not a picture, damaged, of another size, animated, or of a kind without labels).

    * ``path``: the picture.
    * ``size``: ``(width, height)`` of the clip's frames.
    * ``label``: take pixels of this index (or grey value) alone.
    * ``resize``: let a picture of another size pass, scaled to ``size`` by nearest neighbour.
    * ``warnings``: takes a line when the picture looks like labels but none was asked for.
    """
    with _translated(path), Image.open(path) as picture:
        if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
            raise MaskError(f"mask {path} holds several pictures; give a folder of pictures or a video")
        upright = _upright(picture, size)
        check_size(str(path), upright.size, size, resize)
        hole = _indices(upright, path) == label if label is not None else _marked(upright, path, warnings)
    return fit(hole, size)


def _upright(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture as its EXIF orientation turns it, unless only as it lies in the file it fits ``size``."""
    if picture.getexif().get(ExifTags.Base.Orientation, 1) == 1:
        return picture
    upright = ImageOps.exif_transpose(picture)
    upright.format = picture.format
    return picture if picture.size == size != upright.size else upright


def check_size(name: str, given: tuple[int, int], size: tuple[int, int], resize: bool) -> None:
    """Compare a mask's ``(width, height)`` with the clip's.

    Raises MaskError (they differ and ``resize`` is not set).
    """
    if given != size and not resize:
        raise MaskError(
            f"mask {name} is {given[0]}x{given[1]} but the video is {size[0]}x{size[1]}; "
            "give a mask of that size, or --mask-resize to scale it"
        )


def fit(hole: Hole, size: tuple[int, int]) -> Hole:
    """Scale a hole to ``(width, height)`` by nearest neighbour; bool ``(H, W)`` to the same."""
    if (hole.shape[1], hole.shape[0]) == size:
        return hole
    import cv2

    scaled = cv2.resize(hole.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(scaled, dtype=np.bool_)


def bright(rgb: Picture) -> Hole:
    """Pixels whose luminance is above half: uint8 or uint16 ``(H, W, 3)`` to bool ``(H, W)``."""
    import cv2

    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    return grey > (THRESHOLD if rgb.dtype == np.uint8 else 32767)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Translate errors of the picture library into MaskError."""
    try:
        yield
    except _UNREADABLE as exc:
        if not path.exists():
            way_out = "give the folder of the pictures alone" if is_pattern(str(path)) else "check the path"
            raise MaskError(f"mask {path} does not exist; {way_out}") from exc
        raise MaskError(
            f"mask {path} cannot be read as a picture ({reason(exc)}); give a PNG or JPEG"
        ) from exc


def _indices(picture: Image.Image, path: Path) -> npt.NDArray[np.int64]:
    """Palette indices or grey values ``(H, W)``."""
    if picture.mode not in ("P", "L", "I", "I;16"):
        raise MaskError(
            f"mask {path} is a colour picture ({picture.mode}) and has no labels; "
            "give an indexed or greyscale one, or leave out --mask-label"
        )
    return np.asarray(picture).astype(np.int64)


def _marked(picture: Image.Image, path: Path, warnings: list[str] | None) -> Hole:
    """Hole of a picture without a label."""
    alpha = _alpha(picture)
    if alpha is not None:
        # A drawing in black and white whose corners are transparent is read by its colours.
        light = np.asarray(picture.convert("RGBA").convert("L")) > THRESHOLD
        drawn = light[alpha]
        return alpha & light if drawn.any() and not drawn.all() else alpha
    if picture.mode == "P" and not _is_grey_scale(picture):
        return np.asarray(picture) > 0
    if picture.mode == "F":
        raise MaskError(f"mask {path} has floating-point samples; give one of 8 or 16 bits")
    if picture.mode.startswith("I"):
        grey = np.asarray(picture).astype(np.int64) >> 8
    else:
        grey = np.asarray(picture.convert("L")).astype(np.int64)
    brightest = int(grey.max())
    if warnings is not None and picture.format != "JPEG" and 0 < brightest <= _DARKEST_LABELS:
        warnings.append(
            f"mask {path} is nearly black (brightest value {brightest} of 255), so it has no hole; "
            "if its values are labels, pick one with --mask-label"
        )
    return grey > THRESHOLD


def _alpha(picture: Image.Image) -> Hole | None:
    """Opaque pixels, or None when all pixels are opaque."""
    if not (picture.has_transparency_data or picture.mode in ("La", "RGBa")):
        return None
    opaque = np.asarray(picture.convert("RGBA").getchannel("A")) > THRESHOLD
    return None if opaque.all() else opaque


def _is_grey_scale(picture: Image.Image) -> bool:
    """Whether the palette is grey and has bright entries: a plain picture, not labels."""
    entries = np.asarray(picture.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
    return bool((entries == entries[:, :1]).all() and entries.max() > THRESHOLD)
