from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vinpaint_cli.train import perceptual as p


def backbone() -> dict[str, torch.Tensor]:
    """The three first stages of a VGG-16 with random weights."""
    generator = torch.Generator().manual_seed(2)
    state, before = {}, 3
    for place, width in ((0, 64), (2, 64), (5, 128), (7, 128), (10, 256), (12, 256), (14, 256)):
        spread = (2 / (9 * before)) ** 0.5
        state[f"features.{place}.weight"] = torch.randn(width, before, 3, 3, generator=generator) * spread
        state[f"features.{place}.bias"] = torch.zeros(width)
        before = width
    return state


def test_features_of_equal_pictures_are_equal_and_pass_gradients_on() -> None:
    features = p.Features(backbone(), torch.device("cpu"))
    truth = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    real = features(truth)
    assert [tuple(f.shape[1:]) for f in real] == [(64, 16, 16), (128, 8, 8), (256, 4, 4)]
    assert float(p.perceptual(real, features(truth))) == float(p.style(real, features(truth))) == 0
    shown = (truth * 0.5).requires_grad_(True)
    fake = features(shown)
    (p.perceptual(fake, real) + p.style(fake, real)).backward()
    assert shown.grad is not None
    assert shown.grad.any()


def test_style_does_not_mind_where_things_are() -> None:
    features = p.Features(backbone(), torch.device("cpu"))
    x = features(torch.rand(1, 3, 16, 16))[:1]
    turned = [f.flip(-1) for f in x]
    assert float(p.style(turned, x)) < 1e-6 < float(p.perceptual(turned, x))


def test_without_vgg_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert p.open_features(torch.device("cpu")) is None
