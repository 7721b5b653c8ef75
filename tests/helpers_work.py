"""Runs that are stopped and gone on with, and what they are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vinpaint_cli.errors import Interrupted
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.removal.run import RemoveReport, remove
from vinpaint_cli.resume.work import folder_of
from vinpaint_cli.types import Progress

OPTIONS = RemoveOptions(MaskOptions(boxes=("24,16,16,16",)), method="telea", propagate=False)
WORK = WorkOptions()


class StopsAt(SilentListener):
    """Asks to stop after some units of filling; says what it was told."""

    def __init__(self, units: int = 1 << 30) -> None:
        self.left = units
        self.stages: list[str] = []
        self.notes: list[str] = []

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Progress]:
        self.stages.append(name)
        yield self

    def advance(self, n: int = 1) -> bool:
        self.left -= n if self.stages[-1] == "fill" else 0
        return self.left > 0

    def note(self, text: str) -> None:
        self.notes.append(text)


def stopped(source: Path, target: Path, options: RemoveOptions = OPTIONS, frames: int = 10) -> Path:
    """The folder of a run that was stopped when so many frames were written."""
    with pytest.raises(Interrupted):
        remove(source, target, options, listener=StopsAt(frames), work=WORK)
    return folder_of(WORK, str(target))


def bytes_of(path: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(path.iterdir())] if path.is_dir() else [path.read_bytes()]


def go_on(source: Path, target: Path, options: RemoveOptions = OPTIONS) -> RemoveReport:
    return remove(source, target, options, work=WORK)
