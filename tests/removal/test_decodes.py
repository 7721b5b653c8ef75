"""How often a removal opens its input, decodes each frame and checks what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from vinpaint_cli.cli.app import run
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.pipeline import options, output
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
from vinpaint_cli.removal import job
from vinpaint_cli.removal.run import remove
from vinpaint_cli.video.source.decode_pass import Pass

FRAMES = 16


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts ``opens`` of files to read, frames ``decoded``, and calls of the checks."""
    counts: Counter[str] = Counter()
    opened, decoded = av.open, Pass._decode

    def open_counted(file: str, mode: str = "r", **more: Any) -> Any:
        counts["opens"] += mode == "r"
        return opened(file, mode, **more)

    def decode_counted(self: Pass, *given: Any) -> Any:
        frames = decoded(self, *given)
        counts["decoded"] += len(frames)
        return frames

    monkeypatch.setattr(av, "open", open_counted)
    monkeypatch.setattr(Pass, "_decode", decode_counted)
    for name, room in (("check_options", options), ("check_output", output)):
        real = getattr(room, name)

        def check_counted(*given: Any, _name: str = name, _real: Any = real, **more: Any) -> Any:
            counts[_name] += 1
            return _real(*given, **more)

        for module in (room, job):
            monkeypatch.setattr(module, name, check_counted)
    return counts


@pytest.mark.parametrize("work", [None, WorkOptions()])
def test_each_frame_is_decoded_for_scan_fill_and_compose(
    clip: Callable[..., Path], tmp_path: Path, counted: Counter[str], work: WorkOptions | None
) -> None:
    source = clip(codec="ffv1", frames=FRAMES)
    counted.clear()
    mask = MaskOptions(boxes=("24,16,16,16",), start="0.04")
    remove(source, tmp_path / "out.mkv", RemoveOptions(mask=mask), work=work)
    assert counted["decoded"] == 3 * FRAMES
    assert counted["opens"] == 6, "what it is, three passes, the streams that are copied, and what came out"


def test_the_command_checks_once(clip: Callable[..., Path], tmp_path: Path, counted: Counter[str]) -> None:
    source = clip(codec="ffv1", frames=2)
    assert run(["remove", str(source), "-o", str(tmp_path / "out.mkv"), "--box", "24,16,16,16"]) == 0
    assert counted["check_options"] == counted["check_output"] == 1


def test_a_method_without_a_network_runs_on_the_cpu(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)
    mask = MaskOptions(boxes=("24,16,16,16",))
    report = remove(clip(codec="ffv1", frames=2), tmp_path / "out.mkv", RemoveOptions(mask=mask))
    assert (report.method, report.device) == ("propagate", "cpu")
