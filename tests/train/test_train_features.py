from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from vinpaint_cli.errors import UsageError
from vinpaint_cli.train import losses as p
from vinpaint_cli.train.config import Optimisation, TrainConfig

CPU = torch.device("cpu")


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
    features = p.VggFeatures(backbone(), CPU)
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
    features = p.VggFeatures(backbone(), CPU)
    x = features(torch.rand(1, 3, 16, 16))[:1]
    turned = [f.flip(-1) for f in x]
    assert float(p.style(turned, x)) < 1e-6 < float(p.perceptual(turned, x))


@pytest.mark.parametrize(
    ("name", "command"),
    [(p.VGG, "vinpaint weights pull vgg16"), (p.LITE, r"pip install 'vinpaint\[perceptual\]'")],
)
def test_a_network_that_is_not_here_is_named_with_the_command_that_adds_it(
    name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("vinpaint_cli.metrics.perceptual.find_spec", lambda package: None)
    features, (line,) = p.open_features(name, CPU)
    assert features is None
    assert re.search(f"perceptual losses are left out.*{command}", line)


def test_other_names_are_refused() -> None:
    with pytest.raises(UsageError, match="'vgg19' is not known; choose vgg16 or efficientnet-lite0"):
        p.open_features("vgg19", CPU)


def test_features_are_opened_only_for_a_loss_with_a_weight() -> None:
    unknown = TrainConfig(network={}, train=Optimisation(features="vgg19"))
    assert p.features_of(unknown, 0.0, CPU) == (None, ())
    with pytest.raises(UsageError):
        p.features_of(unknown, 0.1, CPU)


def test_the_loss_of_clips_is_that_of_their_frames() -> None:
    def mean(pictures: torch.Tensor) -> list[torch.Tensor]:
        assert pictures.shape == (6, 3, 8, 8)
        return [pictures.mean((1, 2, 3))]

    truth = torch.rand(2, 3, 3, 8, 8) * 2 - 1
    assert float(p.clip_loss(mean, truth, truth)) == 0
    assert float(p.clip_loss(mean, truth - 0.5, truth)) == pytest.approx(0.25)  # of [0, 1]
