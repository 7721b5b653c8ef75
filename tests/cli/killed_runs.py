"""Run in a process of its own: kills real runs at moments drawn over their whole life, and lets each go on.

Arguments: the clip, the output, the number of kills, and the options of ``vinpaint remove``. Libraries are
imported once; every run is a process forked from this one. Prints one line of JSON for each kill.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

import vinpaint_cli.pipeline.plan as planning
from vinpaint_cli.cli.app import run

planning.LONGEST_SEGMENT = 9
NEEDED = ("scenedetect", "torch", "vinpaint_cli.removal.run", "vinpaint_cli.methods.common")


def begin(arguments: list[str], told: Path) -> int:
    """Start a run; its stdout goes to a file. Returns the process."""
    process = os.fork()
    if process:
        return process
    os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os._exit(run(arguments))
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
    for name in NEEDED:
        import_module(name)
    arguments = ["remove", clip, "-o", str(output), "-y", "-q", "--json", *sys.argv[4:]]
    finish(arguments, told)  # caches are warm from here on
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
