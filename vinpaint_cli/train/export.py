"""From a run to a file of weights that stands for itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vinpaint_cli.errors import InputError
from vinpaint_cli.train import checkpoint
from vinpaint_cli.train.recipe import recipe_of
from vinpaint_cli.weights.state import save_checkpoint


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
