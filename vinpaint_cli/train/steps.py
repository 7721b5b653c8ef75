"""What the steps of every recipe have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vinpaint_cli.errors import UsageError
from vinpaint_cli.nets.conditioning import NOT_FOUND
from vinpaint_cli.nets.holes import HIDDEN, mask_hidden, smooth_start
from vinpaint_cli.train import losses
from vinpaint_cli.train.config import TrainConfig
from vinpaint_cli.train.cut import Batch

Numbers = dict[str, float]


def unpack(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """uint8 batch → truth and found in [-1, 1], shares in [0, 1], float32."""
    truth, found = (part.float() / 127.5 - 1 for part in (batch.truth, batch.found))
    return truth, found, batch.residual.float() / 255


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Half precision inside, when the configuration asks for it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


def move(
    loss: Tensor, parameters: Iterable[nn.Parameter], optimisers: Sequence[Optimizer], clip: float
) -> float:
    """Move weights against the gradient, unless that or the loss is not finite; returns its norm."""
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    norm = nn.utils.clip_grad_norm_(parameters, clip)
    if norm.isfinite() and loss.isfinite():
        for optimiser in optimisers:
            optimiser.step()
    return float(norm)


def check_hidden(config: TrainConfig, blend_head: bool) -> None:
    """Raises UsageError when samples would hide other pixels than the network's adapter does."""
    wanted = NOT_FOUND if blend_head else HIDDEN
    if config.data.hidden != wanted:
        raise UsageError(
            f"this network takes pixels as hidden from a share of {wanted} on, and the samples from "
            f"{config.data.hidden}; set hidden = {wanted} in the table data"
        )


def shown_of(found: Tensor, predicted: Tensor, residual: Tensor, blend_head: bool) -> Tensor:
    """What is shown in the end: the prediction mixed in by its share, or all of it where it judges."""
    if blend_head:
        return torch.where(residual > 0, predicted, found)
    return losses.composite(found, predicted, residual)


def start_of(found: Tensor, residual: Tensor) -> Tensor:
    """The smooth fill a network has to beat, ``(B, T, 3, h, w)``."""
    return smooth_start(found.flatten(0, 1), residual.flatten(0, 1)).view_as(found)


def judged(
    truth: Tensor, found: Tensor, residual: Tensor, predicted: Tensor, blend_head: bool = False
) -> tuple[Numbers, Tensor]:
    """PSNR of the hole in dB (``psnr``), that of the start (``start``: a smooth fill), and a picture.

    Tensors ``(B, T, C, h, w)`` in [-1, 1]. ``blend_head``: the prediction is not mixed in by the residual.
    The picture ``(3, B·h, 4·w)`` in [0, 1] shows the middle frame of each clip: what was known, start,
    result, truth.
    """
    shown = shown_of(found, predicted, residual, blend_head)
    start = losses.composite(found, start_of(found, residual), residual)
    middle = truth.shape[1] // 2
    known = mask_hidden(found, residual, -1.0)
    rows = torch.cat([p[:, middle].clamp(-1, 1) for p in (known, start, shown, truth)], dim=3)
    numbers = {
        "psnr": float(losses.psnr(shown, truth, residual).mean()),
        "start": float(losses.psnr(start, truth, residual).mean()),
    }
    return numbers, torch.cat(list(rows), dim=1).add(1).div(2).cpu()
