"""The classical method: a smooth fill of what propagation, a stage before every method, has left."""

from __future__ import annotations

import torch
from torch import Tensor

from vinpaint_cli.methods.common import fill_clip
from vinpaint_cli.methods.propagate.spec import SPEC
from vinpaint_cli.types import Clip, MethodSpec


class PropagateMethod:
    """Fills smoothly, frame by frame, what propagation has left.

    Real pixels come from `ops.propagate`, which the pipeline runs before every method; alone, this class
    interpolates from the known and the well-propagated pixels (`ops.complete.smooth_fill.fill_left`).
    """

    def __init__(self, device: str | torch.device = "cpu", dtype: str | torch.dtype = "fp32") -> None:
        """Accept what every method accepts; the work is done on the CPU in float32."""

    @property
    def spec(self) -> MethodSpec:
        """What it can do."""
        return SPEC

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]: smooth values where ``holes`` > 0, else the clip's own."""
        return fill_clip(clip)
