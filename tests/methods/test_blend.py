from __future__ import annotations

import pytest
import torch
from helpers_methods import clip_of, outside
from torch import Tensor

from vinpaint_cli.methods import common
from vinpaint_cli.methods.propagate import PropagateMethod
from vinpaint_cli.nets.letterbox import Letterbox
from vinpaint_cli.types import Clip


def half_found() -> Clip:
    clip = clip_of(1, 40, 56)
    clip.holes.mul_(torch.linspace(0.2, 1.0, 56))
    return clip


def laid(clip: Clip, gate: float) -> Tensor:
    head = torch.zeros(4, 40, 56)
    head[3] = gate
    return common.blend_frame(Letterbox.scaled(clip, 1.0, 1), 0, head)


def test_a_head_of_zeros_leaves_what_propagate_makes() -> None:
    clip = half_found()
    fill = PropagateMethod().fill(clip)
    expected = torch.lerp(clip.frames, fill, clip.holes)
    sure = outside(clip) | (clip.holes < 0.97)  # above, nothing of what was found is taken
    torch.testing.assert_close(laid(clip, 0.0)[None][sure], expected[sure], atol=1e-5, rtol=0)


def test_half_of_a_gate_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = half_found()
    nothing, trusted = laid(clip, 0.0), laid(clip, 0.1) - laid(clip, 0.0)
    monkeypatch.setattr(common, "GATE_STRENGTH", 1.0)
    wholly = laid(clip, 0.1) - nothing
    assert wholly.abs().max() > 0.02
    torch.testing.assert_close(trusted, wholly / 2, atol=1e-5, rtol=0)
