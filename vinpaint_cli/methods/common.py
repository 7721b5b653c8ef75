"""The fill of `propagate`, for methods that work on tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.methods import weights_of
from vinpaint_cli.ops.complete.smooth_fill import fill_left
from vinpaint_cli.types import Clip, MethodSpec
from vinpaint_cli.weights.state import load_checkpoint, load_into
from vinpaint_cli.weights.store import resolve


def fill_clip(clip: Clip) -> Tensor:
    """Float32 ``(T, 3, h, w)`` in [0, 1]: :func:`fill_frame` where ``holes`` > 0, else the clip's own."""
    result = clip.frames.detach().to(torch.float32, copy=True)
    for t, share in enumerate(clip.holes):
        if bool((share > 0).any()):
            result[t] = torch.where(share > 0, fill_frame(result[t], share), result[t])
    return result


def fill_frame(frame: Tensor, share: Tensor) -> Tensor:
    """`ops.inpaint.fill_left` of one frame: float32 ``(3, h, w)`` in [0, 1], on the frame's device.

    frame: ``(3, h, w)`` in [0, 1]; values of hidden pixels are not read. share: ``(1, h, w)`` in [0, 1], how
    much of each pixel is still to be filled.
    """
    picture = frame.detach().float().permute(1, 2, 0).contiguous().cpu().numpy()
    filled = fill_left(picture, share[0].detach().float().cpu().numpy())
    return torch.from_numpy(filled).permute(2, 0, 1).to(frame.device)


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
