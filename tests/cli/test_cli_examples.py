"""Every line of the example scripts is one that the command line understands, about files that are there."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
import typer

import vinpaint_cli
from vinpaint_cli.cli.app import make_app
from vinpaint_cli.cli.console import Console

EXAMPLES = Path(vinpaint_cli.__file__).parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.sh"))
COMMAND = re.compile(r"(?:^|\|\| )vinpaint (.+?)(?: \||$)", re.MULTILINE)


def test_there_is_a_script_for_every_use() -> None:
    assert len(SCRIPTS) >= 8
    assert all(os.access(script, os.X_OK) for script in SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script(script: Path, tmp_path: Path) -> None:
    text = (
        script.read_text(encoding="utf-8").replace("$out", str(tmp_path)).replace("$clip", "bunny-title.mp4")
    )
    assert text.startswith("#!/bin/sh\n# ")
    assert "\nset -eu\n" in text
    for file in re.findall(r"[\w-]+title[\w-]*\.\w+", text):
        assert (EXAMPLES / file).is_file(), file
    lines = COMMAND.findall(text)
    assert lines or "from vinpaint_cli import" in text
    app = typer.main.get_command(make_app())
    for line in lines:
        name, *arguments = shlex.split(line.partition(" > ")[0])
        command = app.commands[name]
        context = command.make_context(name, arguments, obj=Console())
        clip = context.params.get("input") or context.params.get("clip") or context.params["jobs"][0]
        assert clip.startswith(str(tmp_path)) or list(EXAMPLES.glob(clip))
