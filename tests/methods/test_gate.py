from __future__ import annotations

import pytest
import torch
from helpers_methods import clip_of, outside
from torch import Tensor

from vinpaint_cli.methods import gate as judging
from vinpaint_cli.methods.propagate.method import PropagateMethod
from vinpaint_cli.nets.letterbox import Sheet
from vinpaint_cli.types import Clip


def half_found() -> Clip:
    clip = clip_of(1, 40, 56)
    clip.holes.mul_(torch.linspace(0.2, 1.0, 56))
    return clip


def laid(clip: Clip, belief: float) -> Tensor:
    maps = torch.zeros(4, 40, 56)
    maps[3] = belief
    return judging.lay(Sheet.scaled(clip, 1.0, 1), 0, maps)


def test_maps_of_zero_leave_what_propagate_makes() -> None:
    clip = half_found()
    fill = PropagateMethod().fill(clip)
    expected = torch.lerp(clip.frames, fill, clip.holes)
    sure = outside(clip) | (clip.holes < 0.97)  # above, nothing of what was found is taken
    torch.testing.assert_close(laid(clip, 0.0)[None][sure], expected[sure], atol=1e-5, rtol=0)


def test_networks_are_trusted_with_part_of_what_they_would_change(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = half_found()
    nothing, trusted = laid(clip, 0.0), laid(clip, 0.1) - laid(clip, 0.0)
    monkeypatch.setattr(judging, "BELIEF", 1.0)
    wholly = laid(clip, 0.1) - nothing
    assert wholly.abs().max() > 0.02
    torch.testing.assert_close(trusted, wholly / 2, atol=1e-5, rtol=0)
