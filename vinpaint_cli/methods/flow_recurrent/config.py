"""The shape of the frame-recurrent networks, and which of the paper's variants they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

FLOWS = ("blended", "inpainted", "corrupted")
RESIDUALS = ("previous", "inpainted")
UNET = (64, 128, 256, 512, 512, 512, 512)


@dataclass(frozen=True, slots=True)
class FlowRecurrentConfig:
    """The defaults are the paper's, as far as it says.

    ``width`` and ``blocks``: base channels and residual blocks of H_t. ``inpainter``, ``completer``:
    channels of each level of H_s and H_c; ``blender``: of H_f's three levels. ``prefill``: H_s and H_c
    correct a smooth fill. ``flow``: the robust flow, ``blended`` of both branches, or that of the
    ``inpainted`` frames (branch P) or of the ``corrupted`` ones (branch I) alone. ``align``: the previous
    output is moved along it before it enters H_t. ``residual``: added to the ``previous`` output or to the
    ``inpainted`` frame. ``recurrent`` False is H_s alone. ``size``: ``(width, height)``, of so many pixels
    at most is the picture the networks are given. ``judges`` (with ``prefill`` and residuals on the
    ``inpainted`` frame): H_t sees what propagation found too, and decides how far to believe it
    (:mod:`vinpaint_cli.nets.conditioning`); without ``colours`` neither it nor H_s adds any.
    Raises ValueError for anything else.
    """

    width: int = 32
    blocks: int = 5
    inpainter: tuple[int, ...] = UNET
    completer: tuple[int, ...] = UNET
    blender: tuple[int, ...] = (32, 64, 128)
    prefill: bool = False
    flow: str = "blended"
    align: bool = False
    residual: str = "previous"
    recurrent: bool = True
    size: tuple[int, int] = (432, 240)
    judges: bool = False
    colours: bool = True

    def __post_init__(self) -> None:
        counts = (self.width, self.blocks, *self.inpainter, *self.completer, *self.blender)
        if min(counts) < 1 or len(self.blender) != 3 or not (self.inpainter and self.completer):
            raise ValueError(f"widths and blocks must be positive, and the blender has three levels: {self}")
        if self.flow not in FLOWS:
            raise ValueError(f"flow {self.flow!r} is not known; take {', '.join(FLOWS)}")
        if self.residual not in RESIDUALS:
            raise ValueError(f"residual {self.residual!r} is not known; take {', '.join(RESIDUALS)}")
        if self.judges and not (self.prefill and self.residual == "inpainted"):
            raise ValueError("a network that judges needs prefill, and the residual on the inpainted frame")
        if len(self.size) != 2 or min(self.size) < 8:
            raise ValueError(f"size {self.size} is not a width and a height of 8 pixels or more")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the metadata of a checkpoint."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FlowRecurrentConfig:
        """Inverse of :meth:`to_dict`; absent keys take their defaults. ValueError when unreadable."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"not a flow-recurrent configuration: {sorted(unknown)} are unknown")
        try:
            plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            return cls(**plain)
        except TypeError as exc:
            raise ValueError(f"not a flow-recurrent configuration: {dict(values)}") from exc
