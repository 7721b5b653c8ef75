"""The method `propagate`: a smooth fill of what propagation, a stage before every method, has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vinpaint_cli.types import Clip, MethodSpec

if TYPE_CHECKING:
    import torch

SPEC = MethodSpec(
    name="propagate",
    title="Real pixels carried along optical flow; what no frame shows, drawn with pieces of what is around",
    paper="after Xu et al., CVPR 2019 (arXiv 1905.02884) and Gao et al., ECCV 2020 (arXiv 2009.01835)",
    licence="Apache-2.0, no weights",
    invents=False,
)


class PropagateMethod:
    """Fills smoothly, frame by frame, what propagation has left.

    Real pixels come from `ops.propagate`, which the pipeline runs before every method; alone, this class
    interpolates from the known and the well-propagated pixels (`ops.complete.smooth_fill.fill_left`).
    """

    spec = SPEC

    def __init__(self, device: str | torch.device = "cpu", dtype: str | torch.dtype = "fp32") -> None:
        """Accept what every method accepts; the work is done on the CPU in float32."""

    def fill(self, clip: Clip) -> torch.Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]: smooth values where ``holes`` > 0, else the clip's own."""
        from vinpaint_cli.methods.common import fill_clip

        return fill_clip(clip)
