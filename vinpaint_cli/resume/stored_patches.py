"""Patches of a finished segment in a plain ``.npz`` file, written atomically."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vinpaint_cli.types import Box, Patch
from vinpaint_cli.util.atomic_write import atomic_write
from vinpaint_cli.util.hashing import file_sha256

LEVEL = 1
"""Of deflate: alphas shrink to nothing at any level, pictures hardly more at a higher one."""


def write_patches(path: Path, patches: Sequence[Patch]) -> str:
    """Write patches and wait until they are on the disk; returns the file's SHA-256.

    Arrays: ``table`` int64 ``(n, 5)`` of frame and box x0 y0 x1 y1, ``weights`` float64 ``(n,)``, and for
    patch i ``rgb-i`` and ``alpha-i`` as they are.

    Raises OSError, after which nothing is left of it.
    """
    with atomic_write(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as file:
            boxes = [(p.index, p.roi.x0, p.roi.y0, p.roi.x1, p.roi.y1) for p in patches]
            _put(file, "table", np.array(boxes, np.int64).reshape(-1, 5))
            _put(file, "weights", np.array([patch.weight for patch in patches], np.float64))
            for number, patch in enumerate(patches):
                _put(file, f"rgb-{number}", patch.rgb)
                _put(file, f"alpha-{number}", patch.alpha)
        return file_sha256(temporary)


def read_patches(path: Path) -> tuple[Patch, ...]:
    """Patches as they were written; raises OSError, ValueError or BadZipFile for a file that is not whole."""
    with np.load(path, allow_pickle=False) as arrays:
        table, weights = arrays["table"].tolist(), arrays["weights"].tolist()
        return tuple(
            Patch(index, Box(*box), arrays[f"rgb-{number}"], arrays[f"alpha-{number}"], weight)
            for number, ((index, *box), weight) in enumerate(zip(table, weights, strict=True))
        )


def _put(file: zipfile.ZipFile, name: str, array: npt.NDArray[np.generic]) -> None:
    with file.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
        np.lib.format.write_array(entry, array, allow_pickle=False)
