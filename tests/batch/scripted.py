"""A worker that does what marker files beside the clip tell it to, on whichever process it runs."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vinpaint_cli.errors import MaskError
from vinpaint_cli.pipeline.fill import Filled
from vinpaint_cli.removal.executor import FillSpec, Worker
from vinpaint_cli.types import Segment

POISONED = "the mask is poisoned; leave it out"


class ScriptedWorker(Worker):
    """Writes ``began-SEGMENT-PID``, and looks for these beside the clip:

    ``hold``: waits as long as it is there. ``kill-SEGMENT``: dies, and takes one life from the file's
    number. ``poison-SEGMENT``: raises MaskError.
    """

    def fill(self, spec: FillSpec, segment: Segment, tick: Callable[[], None] = lambda: None) -> Filled:
        import cv2
        import torch

        folder = Path(spec.path).parent
        told = {"torch": torch.get_num_threads(), "cv2": cv2.getNumThreads()}
        (folder / f"began-{segment.index}-{os.getpid()}").write_text(json.dumps(told))
        self._obey(folder, segment.index)
        while (folder / "hold").exists():
            time.sleep(0.02)
            tick()
        return super().fill(spec, segment, tick)

    def _obey(self, folder: Path, index: int) -> None:
        if (folder / f"poison-{index}").exists():
            raise MaskError(POISONED)
        kill = folder / f"kill-{index}"
        if kill.exists() and (lives := int(kill.read_text())):
            kill.write_text(str(lives - 1))
            os.kill(os.getpid(), signal.SIGKILL)


class BrokenWorker(Worker):
    """Cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no such library")


def began(folder: Path) -> dict[int, list[int]]:
    """Segments that were begun, and the processes that did."""
    found: dict[int, list[int]] = {}
    for path in folder.glob("began-*"):
        _, index, pid = path.name.split("-")
        found.setdefault(int(index), []).append(int(pid))
    return found


def told(folder: Path) -> list[dict[str, Any]]:
    """What each process said of its threads."""
    return [json.loads(path.read_text()) for path in folder.glob("began-*")]
