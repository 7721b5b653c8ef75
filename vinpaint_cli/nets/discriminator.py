"""The temporal patch discriminator T-PatchGAN (Chang et al., ICCV 2019), as STTN trains against it."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from vinpaint_cli.nets.blocks import leaky


class TemporalPatchGAN(nn.Module):
    """Six 3-D convolutions that look at clips; spectral norm on all but the last.

    ``channels``: width of the first layer, 64 in the paper; the widest have four times as many.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        widths = [3, channels, 2 * channels, 4 * channels, 4 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for place, (before, after) in enumerate(pairwise(widths)):
            padding = (1, 1, 1) if place == 0 else (1, 2, 2)
            conv = nn.Conv3d(before, after, (3, 5, 5), (1, 2, 2), padding, bias=False)
            layers += [spectral_norm(conv), leaky()]
        layers.append(nn.Conv3d(widths[-1], widths[-1], (3, 5, 5), (1, 2, 2), (1, 2, 2)))
        self.layers = nn.Sequential(*layers)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips ``(B, T, 3, H, W)`` in [-1, 1] → scores ``(B, T, C, H/64, W/64)``, larger = more real."""
        return self.layers(clips.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]  # typed Any
