"""CombCN: temporal structure at half size, spatial detail frame by frame (Wang et al., AAAI 2019).

The package itself holds ``SPEC``, what the method can do, and imports no torch.
"""

from __future__ import annotations

from vinpaint_cli.types import MethodSpec

SPEC = MethodSpec(
    name="combcn",
    title="CombCN: a 3-D network sees a window at half size and guides a 2-D one frame by frame (learned)",
    paper=(
        "Wang, Huang, Han, Wang: Video Inpainting by Jointly Learning Temporal Structure and Spatial "
        "Details, AAAI 2019"
    ),
    licence="Apache-2.0 (own implementation and weights)",
    # Of so many pixels at most is the picture that the networks are given; its shape is the region's.
    size=(432, 240),
    multiple=8,
    # The paper's 32 frames; the planner's windows have a middle, hence one more.
    window=33,
    stride=16,
    dtypes=("fp32", "bf16", "fp16"),
    # Measured on a CPU: up to 0.9 GB at the peak of a window of 33 frames of 432×240, and the planner counts
    # twelve more.
    bytes_per_pixel=200.0,
    weights="combcn-small",
)
