"""Checkpoints of a run, from which it goes on as if it had never stopped, and their export as weights."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vinpaint_cli.errors import InputError, OutputError
from vinpaint_cli.train import checkpoint
from vinpaint_cli.train.recipes import recipe_of
from vinpaint_cli.util.atomic_write import atomic_write
from vinpaint_cli.weights.state import save_checkpoint

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


def export(
    run: str | Path,
    out: str | Path | None,
    licence: str,
    metrics: Mapping[str, Any] | None = None,
    precision: torch.dtype = torch.float16,
) -> Path:
    """Write the averaged weights of a run as safetensors; the file alone rebuilds the network.

    ``out`` None is ``METHOD.safetensors`` in the working directory. The file's metadata hold ``config`` (the
    network's), ``training`` (the run's), ``data`` (sources with their licences), ``licence``, ``metrics``,
    ``step`` and ``seconds``. Raises InputError, OutputError.
    """
    state = checkpoint.read(run)
    method = str(state.get("method"))
    network = recipe_of(method).build(state["network"])
    network.load_state_dict(state["ema"])
    half = copy.deepcopy(network).to(precision)
    if not all(tensor.isfinite().all() for tensor in half.state_dict().values()):
        raise InputError(f"weights of {run} do not fit into {precision}; train on with a smaller rate")
    metadata = {
        "config": state["network"],
        "training": state["config"],
        "data": state["sources"],
        "licence": licence,
        "metrics": {**state["metrics"], **(metrics or {})},
        "step": state["step"],
        "seconds": round(float(state["seconds"])),
    }
    path = Path(out or f"{method}.safetensors")
    save_checkpoint(path, half, metadata)
    return path
