"""Telea's fast marching, frame by frame: the result without any other frame's help."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vinpaint_cli.methods.telea.spec import SPEC
from vinpaint_cli.ops.complete.smooth_fill import telea
from vinpaint_cli.types import Clip, MethodSpec

HIDDEN = 0.5


class TeleaMethod:
    """Fills each frame from its own surroundings; implements the ``Method`` protocol."""

    def __init__(self, device: str | torch.device = "cpu", dtype: str | torch.dtype = "fp32") -> None:
        """Accept what every method accepts; the work is done on the CPU in 8 bits."""

    @property
    def spec(self) -> MethodSpec:
        """What it can do."""
        return SPEC

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]; pixels with a residual below 0.5 keep the clip's value."""
        frames = clip.frames.detach().cpu().permute(0, 2, 3, 1).numpy()
        holes = clip.holes.detach().cpu().numpy()[:, 0] >= HIDDEN
        filled = np.stack([telea(frame, hole) for frame, hole in zip(frames, holes, strict=True)])
        return torch.from_numpy(filled).permute(0, 3, 1, 2).clamp(0, 1).to(clip.frames.device)
