"""The command line run inside this process: a process of its own would cost seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from clip_factory import make_clip
from helpers_cli import Ended, Runner

from vinpaint_cli.cli.app import run


@pytest.fixture
def vinpaint(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runner:
    """``vinpaint("remove", path, …)`` with a weights cache of its own."""
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path.parent / f"{tmp_path.name}-home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path.parent / f"{tmp_path.name}-hf"))

    def call(*arguments: object) -> Ended:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Ended(code, *capsys.readouterr())

    return call


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Six frames of 64×48, h264 with sound."""
    return make_clip(tmp_path / "film.mp4", frames=6, audio="aac")
