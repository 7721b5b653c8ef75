"""Checkpoints on disk: the steps of a segment that is not finished, so that a stop costs seconds of it.

A file ``part-000003-0-80-000.npz`` holds steps of segment 3 with the frames 0 to 79: arrays ``NAME.0``,
``NAME.1`` and so on for each step. Files are written every `SECONDS` while a segment takes longer than that.
"""

from __future__ import annotations

import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.types import Checkpoints, Segment
from vinpaint_cli.util.atomic_write import atomic_write

SECONDS = 10.0
"""Of work that a stop may cost, beside a step that is in progress."""

LEAST_SECONDS = 2.0
"""Of work that are worth a file when a run is stopped."""

LEAST_FREE = 1 << 30
"""Bytes of the disk that are left to others."""

Arrays = list[npt.NDArray[Any]]


class StoredCheckpoints(Checkpoints):
    """Checkpoints in files whose names begin with ``stem``."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._files = sorted(stem.parent.glob(f"{stem.name}-*.npz"))
        self._places = {name: file for file in self._files for name in _names(file)}
        self._pending: dict[str, Sequence[npt.NDArray[Any]]] = {}
        self._saved = time.monotonic()

    def get(self, name: str) -> Arrays | None:
        """The arrays of a step, if an earlier run has left them whole."""
        file = self._places.get(f"{name}.0")
        if file is None:
            return None
        try:
            with np.load(file, allow_pickle=False) as arrays:
                count = sum(key.rpartition(".")[0] == name for key in arrays.files)
                return [arrays[f"{name}.{number}"] for number in range(count)]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def put(self, name: str, make: Callable[[], Sequence[npt.NDArray[Any]]]) -> None:
        """Keep a step, unless an earlier run has."""
        if f"{name}.0" not in self._places:
            self._pending[name] = make()
        if time.monotonic() - self._saved > SECONDS:
            self.save()

    def save(self, least: float = 0.0) -> None:
        """Write what is kept in memory, if it took ``least`` seconds or more and the disk has room for it."""
        steps, self._pending = self._pending, {}
        size = sum(array.nbytes for arrays in steps.values() for array in arrays)
        if not steps or time.monotonic() - self._saved < least:
            return
        file = Path(f"{self._stem}-{len(self._files):03d}.npz")
        with suppress(OSError):  # then more is lost if the run is stopped, but it goes on
            if shutil.disk_usage(file.parent).free > size + LEAST_FREE:
                with atomic_write(file) as temporary, zipfile.ZipFile(temporary, "w") as archive:
                    for name, arrays in steps.items():
                        for number, array in enumerate(arrays):
                            with archive.open(f"{name}.{number}.npy", "w", force_zip64=True) as entry:
                                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)
                self._files.append(file)
        self._saved = time.monotonic()


def _names(file: Path) -> list[str]:
    """Names of the arrays of a file; none if it is damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return []


@contextmanager
def checkpoints_of(folder: str | None, segment: Segment) -> Iterator[Checkpoints]:
    """The checkpoints of a segment in a work folder, if there is one; saved when the block raises."""
    if folder is None:
        yield Checkpoints()
        return
    frames = segment.frames
    kept = StoredCheckpoints(Path(folder) / f"part-{segment.index:06d}-{frames.start}-{frames.stop}")
    try:
        yield kept
    except BaseException:
        kept.save(LEAST_SECONDS)
        raise


def remove_parts(folder: Path, segment: str = "") -> None:
    """Remove the checkpoints of all segments whose names begin so; raises OSError."""
    for file in folder.glob(f"part-{segment}*.npz"):
        file.unlink()
