"""What the method `nearest` can do, as data."""

from __future__ import annotations

from vinpaint_cli.types import MethodSpec

SPEC = MethodSpec(
    name="nearest",
    title="The same pixel of the nearest frame that shows it: a floor to measure against",
    paper="none; what no frame shows is filled as by telea",
    licence="Apache-2.0, no weights",
    bytes_per_pixel=48.0,
    baseline=True,
)
