"""What the tests of the batch room share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from clip_factory import make_clip

from vinpaint_cli.batch.jobs import Batch, BatchOptions, read_jobs
from vinpaint_cli.batch.runner import BatchJob


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three tiny clips ``one.mp4``, ``two.mp4`` and ``ünï 3.mp4``."""
    first = make_clip(tmp_path / "one.mp4", frames=3, size=(48, 32))
    for name in ("two.mp4", "ünï 3.mp4"):
        (tmp_path / name).write_bytes(first.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def read(folder: Path) -> Callable[..., Batch]:
    """``read("jobs.toml", text, box=(…))`` writes a job file and reads it; ``read("*.mp4")`` reads a name."""

    def call(name: str, text: str | None = None, /, **given: object) -> Batch:
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
        return read_jobs([name], BatchOptions(given))

    return call


@pytest.fixture
def jobs(folder: Path) -> tuple[BatchJob, ...]:
    """A job for each of the clips, quick to do."""
    quick = {"box": ("4,4,8,8",), "method": "telea", "propagate": False}
    found = read_jobs(["one.mp4", "two.mp4", "ünï 3.mp4"], BatchOptions(quick))
    assert not found.mistakes
    return found.jobs
