"""The folder that a measurement leaves: table.md, results.json, index.html and strips of pictures."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import OutputError
from vinpaint_cli.evaluate.page import Strip, page
from vinpaint_cli.evaluate.results import Evaluation, Row
from vinpaint_cli.evaluate.strips import captions, save_png, strip, strip_frames
from vinpaint_cli.evaluate.table import markdown

Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

RESULTS = "results.json"


class ReportFolder:
    """Collects pictures in a hidden folder beside the target, which gets its name when all is there.

    target: None does nothing at all. An existing folder is replaced with ``overwrite`` only, and only when
    it is empty or an earlier report. Raises OutputError when it cannot be written.
    """

    def __init__(self, target: str | Path | None, overwrite: bool = False) -> None:
        self._target = None if target is None else Path(target)
        self._temporary: Path | None = None
        self._strips: list[Strip] = []
        if self._target is not None:
            check_report(self._target, overwrite)

    @property
    def wanted(self) -> bool:
        """Whether there is a report to write."""
        return self._target is not None

    def __enter__(self) -> Self:
        if self._target is not None:
            with _translated(self._target):
                folder = tempfile.mkdtemp(prefix=f".{self._target.name}.", dir=self._target.absolute().parent)
                self._temporary = Path(folder)
                self._temporary.chmod(0o755)
                (self._temporary / "strips").mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def add_strip(self, truth: Bytes, holes: Bool, results: Mapping[str, Bytes], rows: Sequence[Row]) -> None:
        """Draw the strip of one clip and kind of hole; ``rows`` are its methods' in the order of results."""
        frames = strip_frames(rows)
        if self._temporary is None or not frames:
            return
        clip, masks = rows[0].clip, rows[0].masks
        picture = strip(truth, holes, results, frames)
        name = self.save(picture, f"{len(self._strips):03d}-{_plain(clip)}-{_plain(Path(masks).name)}")
        height, width = picture.shape[:2]
        self._strips.append(Strip(clip, masks, name, width, height, frames, tuple(captions(list(results)))))

    def save(self, picture: Bytes, name: str) -> str:
        """Write a strip, uint8 RGB ``(h, w, 3)``; its address from the page, empty without a report."""
        if self._temporary is None:
            return ""
        address = f"strips/{_plain(name)}.png"
        with _translated(self._temporary):
            save_png(picture, self._temporary / address)
        return address

    def publish(self, evaluation: Evaluation) -> None:
        """Write table, results and page, and give the folder its name."""
        if self.wanted:
            self.publish_texts(markdown(evaluation), evaluation.to_dict(), page(evaluation, self._strips))

    def publish_texts(self, table: str, results: Mapping[str, Any], html: str) -> None:
        """The same with texts that were made elsewhere."""
        if self._temporary is None or self._target is None:
            return
        with _translated(self._target):
            texts = {
                "table.md": table,
                RESULTS: json.dumps(finite(results), indent=1, ensure_ascii=False) + "\n",
                "index.html": html,
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


def finite(value: Any) -> Any:
    """The same with None for what JSON cannot say (infinity, not a number)."""
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
