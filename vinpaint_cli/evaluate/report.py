"""The folder that a measurement leaves: table.md, results.json, index.html and strips of pictures."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import OutputError
from vinpaint_cli.util import fitting_name, printable

Bytes = npt.NDArray[np.uint8]

RESULTS = "results.json"


@dataclass(frozen=True, slots=True)
class Strip:
    """Pictures of one clip in one file.

    kind: of holes or of prompt. file: address from the page. width, height: in pixels. captions: of the
    columns. shows: what is to be seen, for the line below it.
    """

    clip: str
    kind: str
    file: str
    width: int
    height: int
    captions: tuple[str, ...]
    shows: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the page's table of means; ``best``: places of the cells that are set off."""

    name: str
    cells: Sequence[str]
    best: frozenset[int] = frozenset()
    is_truth: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves over the frames of a clip, in pixels.

    axis: height and text of each line across. lines: name, points ``x,y x,y`` and colour. last: last frame.
    """

    width: int
    height: int
    left: int
    axis: Sequence[tuple[str, str]]
    lines: Sequence[tuple[str, str, str]]
    last: int


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of hole or prompt of a clip on the page; legend: name, figures and colour (or empty) each."""

    title: str
    measure: str
    legend: Sequence[tuple[str, str, str]]
    strips: Sequence[Strip]
    plot: Plot | None = None


class ReportFolder:
    """Collects pictures in a hidden folder beside the target, which gets its name when all is there.

    target: None does nothing at all. An existing folder is replaced with ``overwrite`` only, and only when
    it is empty or an earlier report. Raises OutputError when it cannot be written.
    """

    def __init__(self, target: str | Path | None, overwrite: bool = False) -> None:
        self._target = None if target is None else Path(target)
        self._overwrite = overwrite
        self._temporary: Path | None = None
        self.strips: list[Strip] = []

    @property
    def wanted(self) -> bool:
        """Whether a report was asked for."""
        return self._target is not None

    def __enter__(self) -> Self:
        if self._target is not None:
            check_report(self._target, self._overwrite)
            with _translated(self._target):
                folder = tempfile.mkdtemp(
                    prefix=f".{self._target.name[:50]}.", dir=self._target.absolute().parent
                )
                self._temporary = Path(folder)
                self._temporary.chmod(0o755)
                (self._temporary / "strips").mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def add_strip(self, clip: str, kind: str, picture: Bytes, captions: Sequence[str], shows: str) -> None:
        """Write a strip, uint8 RGB ``(h, w, 3)``, for the page; the other values are those of `Strip`."""
        from PIL import Image

        if self._temporary is None:
            return
        stem = f"{len(self.strips):03d}-{_plain(clip)}-{_plain(Path(kind).name)}"
        file = f"strips/{fitting_name(stem, '.png')}"
        with _translated(self._temporary):
            Image.fromarray(picture).save(self._temporary / file, optimize=False, compress_level=6)
        height, width = picture.shape[:2]
        self.strips.append(Strip(clip, kind, file, width, height, tuple(captions), shows))

    def publish(self, table: str, results: Mapping[str, Any], page: str) -> None:
        """Write table.md, results.json and index.html, and give the folder its name."""
        if self._temporary is None or self._target is None:
            return
        with _translated(self._target):
            texts = {
                "table.md": table,
                RESULTS: json.dumps(finite(results), indent=1, ensure_ascii=False) + "\n",
                "index.html": page,
            }
            for name, text in texts.items():
                (self._temporary / name).write_text(text, encoding="utf-8")
            if self._target.exists():
                shutil.rmtree(self._target)
            os.replace(self._temporary, self._target)
        self._temporary = None


def check_report(target: Path, overwrite: bool) -> None:
    """Refuse a report that could not be written, before any work.

    Raises OutputError (the folder exists, is something else, or its parent is not there).
    """
    if not target.absolute().parent.is_dir():
        raise OutputError(f"the folder {target.absolute().parent} does not exist; make it first")
    if not target.exists():
        return
    earlier = target.is_dir() and ((target / RESULTS).is_file() or not any(target.iterdir()))
    if not earlier:
        raise OutputError(f"{target} exists and is no earlier report; give another --report")
    if not overwrite and any(target.iterdir()):
        raise OutputError(f"{target} exists; give -y to overwrite it or another --report")


def literal(text: str) -> str:
    """Text in Markdown as it is: no markup of its own, and no end of a cell or line."""
    return re.sub(r"([\\`|<\[\]*])", r"\\\1", printable(text))


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in order."""
    return tuple(dict.fromkeys(names))


def finite(value: Any) -> Any:
    """Return the value with None in place of infinity and NaN, which JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OutputError(f"{path} cannot be written ({exc.strerror}); give another --report") from exc


def _plain(name: str) -> str:
    """A name that is safe in a path and an address."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII) or "clip"
