"""Internal learning: a network fitted to the one clip that is repaired (Ouyang et al., ICCV 2021).

The package itself holds ``SPEC``, what the method can do, and imports no torch.
"""

from __future__ import annotations

from vinpaint_cli.types import MethodSpec

SPEC = MethodSpec(
    name="internal",
    title="internal learning: a network fitted to the clip that is repaired (learned, minutes per clip)",
    paper="Ouyang, Wang, Chen: Internal Video Inpainting by Implicit Long-range Propagation, ICCV 2021",
    licence="Apache-2.0 (own implementation)",
    multiple=4,
    dtypes=("fp32", "bf16", "fp16"),
    # A tile of 384×384 and the frame it is cut from.
    bytes_per_pixel=200.0,
    weights="internal-small",
    fitted=True,
)
