"""``train-internal`` and ``--method internal`` on the command line; the last kept weights survive a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers_cli import BOX, Runner, names

from vinpaint_cli.methods.internal.method import load_network
from vinpaint_cli.removal.fit_file import state_path

TOML = """
preset = "quick"
start = ""
batch = 2
side = 32
patience = 1000
[network]
width = 4
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(TOML)
    return file


def weights_of(path: Path) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in load_network(path).parameters()])


def test_a_file_and_a_removal_with_it(vinpaint: Runner, film: Path, config: Path, tmp_path: Path) -> None:
    ended = vinpaint("train-internal", film, "--box", BOX, "--steps", 4, "--config", config, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["steps"] == 4
    assert ended.json["output"] == str(tmp_path / "film.internal.safetensors")
    assert "kept aside" in ended.err
    removed = vinpaint(
        *("remove", film, "--box", BOX, "--method", "internal"),
        *("--weights", ended.json["output"], "-o", tmp_path / "out.mp4", "--json"),
    )
    assert removed.code == 0, removed.err
    assert removed.json["weights"] == ended.json["output"]
    assert "another clip" not in removed.err


def test_bundled_weights_are_what_a_fit_starts_from(vinpaint: Runner, film: Path, tmp_path: Path) -> None:
    ended = vinpaint(
        *("remove", film, "--box", BOX, "--method", "internal", "--steps", 1, "-o", tmp_path / "out.mp4")
    )
    assert ended.code == 0, ended.err
    assert "fitting a network to the clip first, 1 step;" in ended.err
    assert "starts from nothing" not in ended.err
    kept = [name for name in names(tmp_path) if name.endswith(".internal.safetensors")]
    assert len(kept) == 1


def test_a_file_that_is_there_is_asked_about(
    vinpaint: Runner, film: Path, config: Path, tmp_path: Path
) -> None:
    (tmp_path / "film.internal.safetensors").write_bytes(b"mine")
    ended = vinpaint("train-internal", film, "--box", BOX, "--steps", 1, "--config", config)
    assert ended.code == 6, ended.err
    assert "-y" in ended.err
    ended = vinpaint("train-internal", film, "--box", BOX, "--steps", 1, "--config", config, "-y")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--minutes", 0), "no time for a fit"),
        (("--minutes", 1, "--steps", 2), "give one of them"),
        (("--config", "fast"), "cannot read the configuration fast"),
        (("--out", "fit.pth"), "must end in .safetensors"),
        (("--resume",), "no fit of this clip"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    vinpaint: Runner, film: Path, options: tuple[object, ...], told: str
) -> None:
    ended = vinpaint("train-internal", film, "--box", BOX, *options)
    assert ended.code == 2, ended.err
    assert told in ended.err


def test_a_killed_fit_goes_on_to_the_same_weights(
    vinpaint: Runner, film: Path, config: Path, tmp_path: Path
) -> None:
    """Killed once something was written down, and told to go on, it ends as if nothing had been."""
    common = ["train-internal", film, "--box", BOX, "--steps", 40, "--config", config, "--device", "cpu"]
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "vinpaint_cli", *map(str, common), "-q", "--out", str(killed)]
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 120
    while not state_path(killed).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the fit was over before it could be killed"
    assert not killed.exists()
    assert vinpaint(*common, "--out", killed, "--resume").code == 0
    assert vinpaint(*common, "--out", whole).code == 0
    assert torch.equal(weights_of(killed), weights_of(whole))
    assert not state_path(killed).exists()
