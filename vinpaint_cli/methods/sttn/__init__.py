"""Spatial-temporal transformer network (Zeng, Fu, Chao; ECCV 2020).

The package itself holds ``SPEC``, what the method can do, and imports no torch.
"""

from __future__ import annotations

from vinpaint_cli.types import MethodSpec

SPEC = MethodSpec(
    name="sttn",
    title="STTN: patches of all frames attend to each other (learned, blurs large moving holes)",
    paper="Zeng, Fu, Chao: Learning Joint Spatial-Temporal Transformations for Video Inpainting, ECCV 2020",
    licence="Apache-2.0 (own implementation); weights as their entry in weights.toml says",
    size=(432, 240),
    multiple=4,
    window=11,
    stride=5,
    reference_stride=10,
    dtypes=("fp32", "bf16", "fp16"),
    # Measured on a CPU: 1.0 GB at the peak of a window of 11 frames and 12 references of 432×240, so
    # about this many bytes for each pixel of each of those 23 frames.
    bytes_per_pixel=435.0,
    weights="sttn-small",
)
