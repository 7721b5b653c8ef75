"""The classical method: propagation by the engine, then a smooth fill of what is left."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vinpaint_cli.methods.propagate.spec import SPEC
from vinpaint_cli.ops.image import Array, Bool, depth_inside, membrane
from vinpaint_cli.ops.inpaint import telea
from vinpaint_cli.types import Clip, MethodSpec

TELEA_SHARE = 0.5
SOFTEN = 3.0
"""Standard deviation in pixels of the blur that Telea's part has at twice this depth."""


class PropagateMethod:
    """Fills smoothly, frame by frame, what propagation has left.

    Real pixels come from `ops.propagate`, which the engine runs before every method; alone, this class
    interpolates. The fill is a membrane over the known and the well-propagated pixels, mixed with
    Telea's fast marching (2004), which carries edges further: together they err less than either. Deep
    inside, where Telea's fronts meet in hard lines, its part is softened.
    """

    def __init__(self, device: str | torch.device = "cpu", dtype: str | torch.dtype = "fp32") -> None:
        """Accept what every method accepts; the work is done on the CPU in float32."""

    @property
    def spec(self) -> MethodSpec:
        """What it can do."""
        return SPEC

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]: smooth values where ``holes`` > 0, else the clip's own."""
        result = clip.frames.detach().to("cpu", torch.float32, copy=True)
        shares = clip.holes.detach().cpu().numpy()[:, 0]
        for t, share in enumerate(shares):
            if share.max(initial=0) > 0:
                picture = np.ascontiguousarray(result[t].permute(1, 2, 0).numpy())
                smooth = torch.from_numpy(fill_smoothly(picture, share)).permute(2, 0, 1)
                result[t] = torch.where(torch.from_numpy(share > 0), smooth, result[t])
        return result.to(clip.frames.device)


def fill_smoothly(picture: Array, share: Array) -> Array:
    """Smooth values for one picture.

    ``picture (h, w, 3)`` float32 in [0, 1]; ``share (h, w)`` in [0, 1], how much of a pixel is unknown.
    A pixel counts as evidence as far as it is known better than by half. Returns ``(h, w, 3)``.
    """
    known = np.clip(1 - 2 * share, 0, 1).astype(np.float32)
    values = np.where(share[..., None] < 0.5, picture, 0).astype(np.float32)
    if not (known > 0).any():
        return np.full_like(picture, 0.5)
    smooth = membrane(values, known)
    return np.asarray(
        np.clip(smooth + TELEA_SHARE * (_soft_telea(values, share >= 0.5) - smooth), 0, 1), np.float32
    )


def _soft_telea(picture: Array, hole: Bool) -> Array:
    import cv2

    carried = telea(picture, hole)
    soft = np.asarray(cv2.GaussianBlur(carried, (0, 0), SOFTEN), np.float32).reshape(picture.shape)
    depth = np.clip(depth_inside(hole) / (2 * SOFTEN), 0, 1)[..., None]
    return np.asarray(carried + depth * (soft - carried), np.float32)
