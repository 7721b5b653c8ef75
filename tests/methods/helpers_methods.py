"""What tests of several methods need."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from vinpaint_cli.methods import common
from vinpaint_cli.nets import letterbox
from vinpaint_cli.nets.conditioning import make_conditioning
from vinpaint_cli.types import Clip


def load_small(name: str) -> ModuleType:
    """``small_<name>.py`` beside this file."""
    spec = importlib.util.spec_from_file_location(
        f"small_{name}", Path(__file__).with_name(f"small_{name}.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def unmoved(module: nn.Module) -> list[str]:
    """Names of weights that a gradient did not reach."""
    return [name for name, p in module.named_parameters() if p.grad is None or not bool(p.grad.any())]


def clip_of(frames: int, height: int, width: int, dirty: range | None = None) -> Clip:
    """Noise with a hole that wanders, in all frames or in some."""
    generator = torch.Generator().manual_seed(3)
    pictures = torch.rand(frames, 3, height, width, generator=generator)
    holes = torch.zeros(frames, 1, height, width)
    for t in range(frames) if dirty is None else dirty:
        holes[t, :, height // 4 : height // 2, width // 4 + t % 4 : width // 2 + t % 4] = 1
    return Clip(pictures, holes, tuple(range(frames)))


def poisoned(clip: Clip) -> Clip:
    """The same with values in the hole that spoil whatever reads them."""
    return Clip(torch.where(clip.holes > 0, torch.nan, clip.frames), clip.holes, clip.indices)


def outside(clip: Clip) -> Tensor:
    """Where nothing is to be filled, bool like the frames."""
    return clip.holes.expand_as(clip.frames) == 0


def as_they_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blend heads act on the fills that they learnt with, and with their whole gate."""
    monkeypatch.setattr(common, "GATE_STRENGTH", 1.0)
    monkeypatch.setattr(
        letterbox, "make_conditioning", lambda f, s, _, grey: make_conditioning(f, s, grey=grey)
    )
