"""A few of the mutations of `fuzzed_runs`, which runs as many as one has time for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked from a process that has the libraries")
def test_mutated_files_end_in_a_line_and_a_code(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("fuzzed_runs.py")), str(tmp_path), "10", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    *faults, codes = map(json.loads, ended.stdout.splitlines())
    assert faults == []
    assert sum(codes.values()) == 10
