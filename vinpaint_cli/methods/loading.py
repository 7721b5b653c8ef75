"""What methods with a network share: the number format, and a network from its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.methods import weights_of
from vinpaint_cli.types import MethodSpec
from vinpaint_cli.weights.state import load_checkpoint, load_into
from vinpaint_cli.weights.store import resolve

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Network = TypeVar("Network", bound=nn.Module)


def dtype_of(dtype: str | torch.dtype, title: str) -> torch.dtype:
    """A number format by name; UsageError, which calls the network by its ``title``, for another."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype in DTYPES:
        return DTYPES[dtype]
    raise UsageError(f"precision {dtype!r} is not known to {title}; choose one of {', '.join(DTYPES)}")


def rebuild(
    weights: str | Path | None, spec: MethodSpec, build: Callable[[Mapping[str, Any]], Network]
) -> Network:
    """Network of a file that carries its configuration, as `vinpaint train export` writes it.

    ``build`` makes the network of a configuration and raises ValueError for one that means nothing;
    ``weights`` None takes the default of ``spec``. Raises WeightsError when there is none, or when the
    file is missing, damaged, says nothing of its network, or is of another.
    """
    path = resolve(weights_of(spec, weights) or "")
    checkpoint = load_checkpoint(path)
    if checkpoint.config is None:
        raise WeightsError(
            f"{path} does not say how its network is built; give a file of `vinpaint train export`"
        )
    try:
        with torch.device("meta"):  # what would be drawn at random is read from the file
            network = build(checkpoint.config)
    except ValueError as exc:
        raise WeightsError(
            f"{path} does not describe a {spec.name} network: {exc}; see `vinpaint weights list`"
        ) from exc
    load_into(network, checkpoint, path)
    return network
