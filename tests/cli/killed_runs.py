"""Run in a process of its own: kills real runs at moments drawn over their whole life, and lets each go on.

Arguments: the clip, the output, the number of kills, and the options of ``vinpaint remove``. Every run is a
process forked from this one, which has imported what the first run needed. Prints one line of JSON a kill.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import vinpaint_cli.pipeline.plan as planning
from vinpaint_cli.cli.app import run

planning.LONGEST_SEGMENT = 9


def begin(arguments: list[str], told: Path, needed: Path | None = None) -> int:
    """Start a run; its stdout goes to ``told``, its modules' names to ``needed``. Returns the process."""
    process = os.fork()
    if process:
        return process
    os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    code = run(arguments)
    if needed is not None:
        needed.write_text("\n".join(sys.modules))
    os._exit(code)
    return 0


def finish(arguments: list[str], told: Path) -> tuple[int, float]:
    """A whole run: its exit code and how long it took."""
    start = time.perf_counter()
    _, status = os.waitpid(begin(arguments, told), 0)
    return os.waitstatus_to_exitcode(status), time.perf_counter() - start


def kill_after(seconds: float, arguments: list[str], told: Path) -> int:
    """A run that is killed unless it ends earlier; returns its exit code, minus the signal's number."""
    process = begin(arguments, told)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def digest(output: Path) -> str:
    """Names and bytes of the output."""
    files = sorted(output.iterdir()) if output.is_dir() else [output]
    found = hashlib.sha256()
    for file in files:
        found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()


def main() -> None:
    clip, output, kills = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    told = output.parent / "told.json"
    arguments = ["remove", clip, "-o", str(output), "-y", "-q", "--json", *sys.argv[4:]]
    needed = output.parent / "needed"
    os.waitpid(begin(arguments, told, needed), 0)
    for name in needed.read_text().split():
        with suppress(ImportError):  # some libraries make modules of their own
            import_module(name)
    needed.unlink()
    code, whole = finish(arguments, told)
    assert code == 0
    wanted, moments = digest(output), random.Random(8)
    for number in range(kills):
        moment = (number + moments.random()) / kills * whole
        while (code := kill_after(moment, arguments, told)) == 0:
            moment /= 2  # it was whole already
        before = sorted(path.name for path in output.parent.iterdir())
        again, _ = finish(arguments, told)
        report = json.loads(told.read_text())
        after = sorted(path.name for path in output.parent.iterdir())
        same = digest(output) == wanted
        line = {"killed": code, "code": again, "same": same, "before": before, "after": after}
        print(json.dumps({**line, "reused": report["segments_reused"], "segments": report["segments"]}))


main()
