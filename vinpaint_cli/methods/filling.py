"""The fill of `propagate`, for methods that work on tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from vinpaint_cli.ops.inpaint import fill_left
from vinpaint_cli.types import Clip


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
