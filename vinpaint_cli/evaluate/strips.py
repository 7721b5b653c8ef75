"""Strips of pictures to look at: source, hole, each method's result and what it got wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vinpaint_cli.evaluate.results import Row

Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

DIFFERENCE_GAIN = 4
MARGIN_SHARE = 0.2
"""Surroundings of the hole that are shown, as a share of the frame's height."""
GAP = 4
TINT = (255, 0, 128)


def strip_frames(rows: Sequence[Row]) -> tuple[int, ...]:
    """The frame in the middle of those with a hole, and the one that all methods together fill worst."""
    frames = rows[0].frames
    if not frames:
        return ()
    middle = frames[len(frames) // 2]
    worst = frames[int(np.argmin(np.mean([row.values["psnr_hole"] for row in rows], axis=0)))]
    return (middle,) if worst == middle else (middle, worst)


def strip(truth: Bytes, holes: Bool, results: Mapping[str, Bytes], frames: Sequence[int]) -> Bytes:
    """Two rows per frame, uint8 ``(H, W, 3)``: source and results, below them the hole and differences ×4.

    truth and results: uint8 ``(T, h, w, 3)``; holes: bool ``(T, h, w)``. All cells show the same part of
    the frame at full size: the holes of these frames with their surroundings.
    """
    part = _around(np.any(holes[list(frames)], axis=0))
    rows = []
    for t in frames:
        source, hole = truth[t][part], holes[t][part]
        filled = [result[t][part] for result in results.values()]
        rows.append(joined([source, *filled], axis=1))
        wrong = [difference(picture, source) for picture in filled]
        rows.append(joined([tinted(source, hole), *wrong], axis=1))
    return joined(rows, axis=0)


def captions(methods: Sequence[str]) -> list[str]:
    """What stands above the columns of a strip."""
    return ["source, hole", *(f"{name}, difference ×{DIFFERENCE_GAIN}" for name in methods)]


def tinted(picture: Bytes, hole: Bool) -> Bytes:
    """The picture with its hole painted over, as much as one must see to know where it was."""
    result = picture.copy()
    result[hole] = (0.35 * result[hole] + 0.65 * np.array(TINT)).astype(np.uint8)
    return result


def difference(result: Bytes, truth: Bytes) -> Bytes:
    """Absolute difference ×4 around black, cut at white."""
    gap = np.abs(result.astype(np.int16) - truth.astype(np.int16)) * DIFFERENCE_GAIN
    return np.asarray(np.minimum(gap, 255), np.uint8)


def save_png(picture: Bytes, path: Path) -> None:
    """Write uint8 RGB ``(h, w, 3)``; OSError when it cannot be written."""
    from PIL import Image

    Image.fromarray(picture).save(path, optimize=False, compress_level=6)


def _around(hole: Bool) -> tuple[slice, slice]:
    height, width = hole.shape
    margin = max(8, round(MARGIN_SHARE * height))
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    return (
        slice(max(0, int(rows[0]) - margin), min(height, int(rows[-1]) + 1 + margin)),
        slice(max(0, int(columns[0]) - margin), min(width, int(columns[-1]) + 1 + margin)),
    )


def joined(pictures: Sequence[Bytes], axis: int) -> Bytes:
    """Pictures of one size beside each other (axis 1) or below (axis 0), with white gaps."""
    height, width = pictures[0].shape[:2]
    gap = np.full((height, GAP, 3) if axis else (GAP, width, 3), 255, np.uint8)
    return np.concatenate([piece for picture in pictures for piece in (picture, gap)][:-1], axis)
