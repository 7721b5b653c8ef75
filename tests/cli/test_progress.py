"""What is shown of a stage that takes long, where there is no terminal."""

from __future__ import annotations

import pytest

from vinpaint_cli.cli import progress
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.progress import BarListener


@pytest.mark.parametrize(("said", "shown"), [(125.0, "about 2:05 left"), (None, "50%")])
def test_the_time_left_is_what_the_stage_expects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: float | None, shown: str
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with BarListener(Console()).stage("fill", 10) as stage:
        now[0] = 40.0
        if said is not None:
            stage.expect(said)
        stage.advance(5)
    (line,) = capsys.readouterr().err.splitlines()
    assert shown in line
    assert ("about 40 s left" in line) == (said is None)
