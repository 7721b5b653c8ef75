"""Checkpoints of a run: everything that lets it go on as if it had never stopped."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from vinpaint_cli.errors import InputError, OutputError
from vinpaint_cli.util.atomic_write import atomic_write

NAME = "last.pt"


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint that appears only when whole; OutputError when there is no room for it."""
    try:
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as exc:
        raise OutputError(f"cannot write the checkpoint {path}: {exc}; the one before it is intact") from exc


def read(folder: str | Path) -> dict[str, Any]:
    """Checkpoint of a run's folder, or of the file given; tensors on the CPU, never code.

    Raises InputError when there is none or it is damaged.
    """
    path = Path(folder)
    path = path / NAME if path.is_dir() else path
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as exc:
        reason = str(exc).splitlines()[0][:160] if str(exc) else type(exc).__name__
        raise InputError(f"no checkpoint to go on from at {path}: {reason}") from exc
    if not isinstance(state, dict) or not {"config", "step", "modules", "ema"} <= set(state):
        raise InputError(f"{path} is not a checkpoint of `vinpaint train`; give the folder of a run")
    return state


def random_state() -> dict[str, torch.Tensor]:
    """State of torch's generators; the data needs none, it is a function of seed and step."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random(state: dict[str, torch.Tensor]) -> None:
    """Inverse of :func:`random_state`, as far as this machine has the device."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
