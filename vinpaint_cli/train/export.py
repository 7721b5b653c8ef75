"""From a run to a file of weights that stands for itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vinpaint_cli.errors import InputError
from vinpaint_cli.methods.sttn.net import STTN, STTNConfig
from vinpaint_cli.train import checkpoint
from vinpaint_cli.weights.state import save_checkpoint


def export(
    run: str | Path,
    out: str | Path,
    licence: str,
    metrics: Mapping[str, Any] | None = None,
    precision: torch.dtype = torch.float16,
) -> Path:
    """Write the averaged weights of a run as safetensors; the file alone rebuilds the network.

    Its metadata hold ``config`` (the network's), ``training`` (the run's), ``data`` (sources with their
    licences), ``licence``, ``metrics``, ``step`` and ``seconds``. Raises InputError, OutputError.
    """
    state = checkpoint.read(run)
    if state.get("method") != "sttn":
        raise InputError(f"{run} trained {state.get('method')!r}; only sttn can be exported")
    network = STTN(STTNConfig.from_dict(state["network"]))
    network.load_state_dict(state["ema"])
    half = copy.deepcopy(network).to(precision)
    if not all(p.isfinite().all() for p in half.parameters()):
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
    save_checkpoint(out, half, metadata)
    return Path(out)
