"""What the method `telea` can do, as data."""

from __future__ import annotations

from vinpaint_cli.types import MethodSpec

SPEC = MethodSpec(
    name="telea",
    title="Every frame on its own, by fast marching: a floor to measure against",
    paper="Telea: An Image Inpainting Technique Based on the Fast Marching Method, 2004",
    licence="Apache-2.0, no weights",
    baseline=True,
)
