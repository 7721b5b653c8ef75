"""Frame-recurrent inpainting along robust optical flow (Ding et al., 2019).

The package itself holds ``SPEC``, what the method can do, and imports no torch.
"""

from __future__ import annotations

from vinpaint_cli.types import MethodSpec

SPEC = MethodSpec(
    name="flow-recurrent",
    title="Frame-recurrent: each frame inpainted alone, then refined with the one before (learned, streams)",
    paper=(
        "Ding et al.: Frame-Recurrent Video Inpainting by Robust Optical Flow Inference, "
        "arXiv 1905.02882, 2019"
    ),
    licence="Apache-2.0 (own implementation and weights)",
    # Of so many pixels at most is the picture that the networks are given; its shape is the region's.
    size=(432, 240),
    multiple=8,
    # A frame and the one before it: whoever fills a segment gives its context too, which warms the state up.
    window=2,
    dtypes=("fp32", "bf16", "fp16"),
    # Measured on a CPU: 0.16 GB at the peak of a frame of 432×240; the window has two and the planner counts
    # twelve more.
    bytes_per_pixel=120.0,
    weights="flow-recurrent-small",
)
