"""Progress goes through a pipe and is shown as it was told; memory is shared between processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe

import pytest

from vinpaint_cli.batch import local
from vinpaint_cli.batch.local import PipeReceiver, PipeReporter
from vinpaint_cli.pipeline.device import SHARERS, available_memory


class Log:
    """A listener and a stage that write down what they are told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Log]:
        self.lines.append(f"begin {name} {total}")
        yield self
        self.lines.append(f"end {name}")

    def advance(self, n: int = 1) -> bool:
        self.lines.append(f"advance {n}")
        return True

    def note(self, text: str) -> None:
        self.lines.append(f"note {text}")


def passed_on(log: Log) -> PipeReceiver:
    """What a job tells through a pipe, shown to the log; its last stage breaks off."""
    here, there = Pipe()
    shown = PipeReceiver(log)
    with here, there:
        listener = PipeReporter(there)
        with listener.stage("scan", None) as stage:
            for _ in range(5):
                assert stage.advance()
        listener.note("look")
        with pytest.raises(ValueError, match="torn"), listener.stage("fill", 9):
            raise ValueError("torn")
        while here.poll():
            shown.take(here.recv())
    return shown


def test_stages_notes_and_counts_arrive() -> None:
    log = Log()
    shown = passed_on(log)
    assert log.lines == ["begin scan None", "advance 5", "end scan", "note look", "begin fill 9"]
    shown.close()
    assert log.lines[-1] == "end fill"


def test_a_stage_is_told_of_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "SECONDS_BETWEEN", -1.0)
    log = Log()
    passed_on(log).close()
    assert log.lines.count("advance 1") == 5


def test_free_memory_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARERS, raising=False)
    whole = available_memory()
    monkeypatch.setenv(SHARERS, "4")
    assert available_memory() < 0.5 * whole
