"""How long a segment may be for the memory that is free; parsing and printing of byte counts."""

from __future__ import annotations

import re

from vinpaint_cli.errors import OutOfMemoryError, UsageError
from vinpaint_cli.plan.segments import SegmentLimits
from vinpaint_cli.types import Box

SAFE_SHARE = 0.6
CONTEXT_SHARE = 0.2
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(?:([KMGT])(?:I?B)?|(%))", re.IGNORECASE)


def segment_limits(
    region: Box,
    *,
    bytes_free: int,
    bytes_per_pixel: float,
    fixed_bytes: int = 0,
    longest: int = 80,
    shortest: int = 3,
    context: int = 16,
) -> SegmentLimits:
    """Longest segment that fits the memory.

    Raises OutOfMemoryError (not even ``shortest`` frames fit; names the bytes free and needed) and
    ValueError (figures that make no sense).

    * ``region``: the region a segment works on.
    * ``bytes_free``: memory the work may take.
    * ``bytes_per_pixel``: peak bytes per pixel of the region and frame of the segment.
    * ``fixed_bytes``: memory that does not depend on the length (a network's weights, one window).
    * ``longest``: cap on core plus context whatever is free, so that memory does not grow with the clip.
    * ``shortest``: fewest frames worth planning.
    * ``context``: most context frames on each side; a shorter segment keeps a fifth of itself each side.

    The limits found never have more than ``longest`` frames in all.
    """
    if not region.area or bytes_per_pixel <= 0 or not 1 <= shortest <= longest or context < 0:
        raise ValueError(
            f"region {region}, {bytes_per_pixel} bytes per pixel, {shortest} to {longest} frames and "
            f"context {context} make no plan; give an area, positive bytes, and shortest <= longest"
        )
    per_frame = bytes_per_pixel * region.area
    frames = min(longest, int(max(0, bytes_free - fixed_bytes) / per_frame))
    if frames < shortest:
        needed = int(fixed_bytes + shortest * per_frame) + 1
        raise OutOfMemoryError(
            f"the {region.width}x{region.height} region needs {format_bytes(needed)} for {shortest} frames, "
            f"{format_bytes(bytes_free)} may be used; raise --memory or take a smaller hole"
        )
    beside = min(context, max(1, round(frames * CONTEXT_SHARE)), (frames - 1) // 2)
    return SegmentLimits(frames - 2 * beside, beside)


def parse_memory(text: str, bytes_available: int) -> int:
    """Bytes of ``8G``, ``512M``, ``1.5GiB`` (powers of 1024) or ``50%`` of ``bytes_available``.

    Raises UsageError (anything else, nothing at all, or more than 100 %).
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"--memory {text!r} cannot be read; give a size with its unit (8G, 512M) or a share (50%)"
        )
    number = float(match[1])
    if match[3] and number > 100:
        raise UsageError(f"--memory {text!r} is more than there is; give at most 100%")
    size = int(bytes_available * number / 100 if match[3] else number * _UNITS[match[2].upper()])
    if size <= 0:
        raise UsageError(f"--memory {text!r} is no memory at all; give a size (8G, 512M) or a share (50%)")
    return size


def default_budget(bytes_available: int) -> int:
    """Bytes that may be used of those available; the rest is left to decoder, encoder and other programs."""
    return int(bytes_available * SAFE_SHARE)


def format_bytes(size: int) -> str:
    """``1.5 GiB``, ``512.0 MiB``, ``12 B``."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.1f} {unit}" if unit != "B" else f"{size} B"
        value /= 1024
    return f"{value:.1f} TiB"
