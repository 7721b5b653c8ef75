"""What the method can do, as data."""

from __future__ import annotations

from vinpaint_cli.types import MethodSpec

SPEC = MethodSpec(
    name="telea",
    title="Every frame on its own, by fast marching: a floor to measure against",
    paper="Telea: An Image Inpainting Technique Based on the Fast Marching Method, 2004",
    licence="Apache-2.0, no weights",
    size=None,
    multiple=1,
    window=1,
    stride=1,
    reference_stride=0,
    dtypes=("fp32",),
    bytes_per_pixel=40.0,
    weights=None,
    baseline=True,
)
