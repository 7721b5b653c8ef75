"""The adapter between a clip and networks fitted to it, or the network that fits start from.

Frames are filled one by one: what other frames show has been brought in by propagation, and what the fit
has learned from them is in the weights.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods.common import dtype_of, fill_clip, fill_frame, rebuild
from vinpaint_cli.methods.internal.net import InternalConfig, InternalNet
from vinpaint_cli.methods.internal.pyramid import Pyramid, fill_frames
from vinpaint_cli.methods.internal.spec import SPEC
from vinpaint_cli.nets.holes import smooth_start
from vinpaint_cli.types import Clip, MethodSpec

UNFITTED_PIXELS = 1024 * 576
"""Pixels of the picture that a network which was not fitted is given at most."""


class InternalMethod:
    """Fills holes with a fitted network; implements the ``Method`` protocol.

    weights: a file of `vinpaint train-internal`, or one of `vinpaint train export` that a fit would start
    from (used as it is, at one scale), or a name of weights.toml, or networks that were just fitted.
    device: where the network runs. dtype: ``fp32``, ``bf16`` or ``fp16``.

    Raises WeightsError when the weights are missing, damaged or of another network, UsageError for an
    unknown dtype.
    """

    def __init__(
        self,
        weights: str | Path | Pyramid | None = None,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = "fp32",
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype_of(dtype, "internal learning")
        found = weights if isinstance(weights, Pyramid) else load_network(weights)
        network = found.eval().requires_grad_(False)
        network = network.to(self.device, self.dtype).to(memory_format=torch.channels_last)
        self._nets: list[nn.Module] = list(network.nets) if isinstance(network, Pyramid) else [network]
        self._factors = network.factors if isinstance(network, Pyramid) else None
        self._prefills = bool(network.config.prefill)

    @property
    def spec(self) -> MethodSpec:
        """What the method can do; networks that add nothing to a smooth fill do not invent."""
        nets = [net for net in self._nets if isinstance(net, InternalNet)]
        return replace(SPEC, invents=not all(net.hushed for net in nets))

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]: the network's values where ``holes`` > 0, else the clip's.

        Values of hidden pixels (share 0.5 or more) are not read. Networks that add nothing are not run: then
        it is the fill of `propagate`. Raises UsageError when float16 overflows.
        """
        if not self.spec.invents:
            return fill_clip(clip)
        result = clip.frames.to(torch.float32, copy=True)
        marked = (clip.holes.flatten(1) > 0).any(dim=1).nonzero().flatten().tolist()
        pictures = fill_frames(self._nets, self._factors or (_factor(clip),), clip, marked)
        for index, (sheet, picture) in zip(marked, pictures, strict=True):
            if not picture.isfinite().all():
                raise UsageError(f"these weights overflow in {self.dtype}; use --precision bf16 or fp32")
            shown = sheet.restore(index, (picture[0] + 1) / 2)
            if self._prefills:
                shown = (shown + _better(clip, index)).clamp(0.0, 1.0)
            result[index] = torch.where(clip.holes[index] > 0, shown, result[index])
        return result


def _better(clip: Clip, index: int) -> Tensor:
    """What the fill of `propagate` has over the smooth fill that a network starts from ``(3, h, w)``.

    Added to the network's picture: so one that adds nothing leaves what `propagate` makes.
    """
    frame, share = clip.frames[index].float(), clip.holes[index].float()
    start = smooth_start(frame[None] * 2 - 1, share[None])[0]
    return fill_frame(frame, share) - (start + 1) / 2


def _factor(clip: Clip) -> float:
    height, width = clip.frames.shape[-2:]
    return min(1.0, math.sqrt(UNFITTED_PIXELS / (width * height)))


def load_network(weights: str | Path | None = None) -> Pyramid | InternalNet:
    """Networks of a file, shaped by its metadata; WeightsError when they cannot be used."""
    return rebuild(
        weights,
        SPEC,
        lambda config: (
            Pyramid.from_dict(config)
            if "factors" in config
            else InternalNet(InternalConfig.from_dict(config))
        ),
    )
