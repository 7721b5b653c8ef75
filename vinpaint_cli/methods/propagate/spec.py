"""What the method `propagate` can do, as data."""

from __future__ import annotations

from vinpaint_cli.types import MethodSpec

SPEC = MethodSpec(
    name="propagate",
    title="Real pixels carried along optical flow; what no frame shows, drawn with pieces of what is around",
    paper="after Xu et al., CVPR 2019 (arXiv 1905.02884) and Gao et al., ECCV 2020 (arXiv 2009.01835)",
    licence="Apache-2.0, no weights",
    invents=False,
)
