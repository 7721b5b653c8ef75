"""How a network that judges is laid over a clip: over what `propagate` makes of it."""

from __future__ import annotations

import torch
from torch import Tensor

from vinpaint_cli.methods.common import fill_frame
from vinpaint_cli.nets.letterbox import Sheet

BELIEF = 0.5
"""How far networks are trusted with changing belief.

Those trained so far overstate it on clips unlike those they learnt from; half of it does no harm.
"""


def lay(sheet: Sheet, index: int, maps: Tensor) -> Tensor:
    """Frame ``index`` ``(3, h, w)`` in [0, 1], as the maps ``(4, H, W)`` judge it.

    Maps of zero leave what `propagate` makes, with Telea's fronts, which carry edges into the hole; networks
    learn without them, since they need OpenCV.
    """
    return sheet.judge(index, torch.cat([maps[:3], BELIEF * maps[3:]]), _fill)


def _fill(frames: Tensor, shares: Tensor) -> Tensor:
    """The fill of `propagate`, ``(1, 3, h, w)`` in [0, 1]; shares ``(1, 1, h, w)``."""
    return fill_frame(frames[0], shares[0])[None]
