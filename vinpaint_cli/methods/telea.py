"""The method `telea`: every frame is filled on its own, by Telea's fast marching; a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vinpaint_cli.types import Clip, MethodSpec

if TYPE_CHECKING:
    import torch

SPEC = MethodSpec(
    name="telea",
    title="Every frame on its own, by fast marching: a floor to measure against",
    paper="Telea: An Image Inpainting Technique Based on the Fast Marching Method, 2004",
    licence="Apache-2.0, no weights",
    baseline=True,
)

HIDDEN = 0.5
"""Residual from which on a pixel is filled."""


class TeleaMethod:
    """Fills each frame from its own surroundings; implements the ``Method`` protocol."""

    spec = SPEC

    def __init__(self, device: str | torch.device = "cpu", dtype: str | torch.dtype = "fp32") -> None:
        """Accept what every method accepts; the work is done on the CPU in 8 bits."""

    def fill(self, clip: Clip) -> torch.Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]; pixels with a residual below 0.5 keep the clip's value."""
        import numpy as np
        import torch

        from vinpaint_cli.ops.complete.smooth_fill import telea

        frames = clip.frames.detach().cpu().permute(0, 2, 3, 1).numpy()
        holes = clip.holes.detach().cpu().numpy()[:, 0] >= HIDDEN
        filled = np.stack([telea(frame, hole) for frame, hole in zip(frames, holes, strict=True)])
        return torch.from_numpy(filled).permute(0, 3, 1, 2).clamp(0, 1).to(clip.frames.device)
