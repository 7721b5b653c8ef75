from __future__ import annotations

import pytest
import torch
from helpers_methods import count, unmoved
from torch import nn
from torch.nn import functional

from vinpaint_cli.methods.internal.net import MODELS, InternalConfig, InternalNet
from vinpaint_cli.nets.blocks import GatedConv, GatedUp
from vinpaint_cli.nets.holes import smooth_start


@pytest.mark.parametrize(
    ("model", "weights"), [("base", 1_629_951), ("stack", 2_895_390), ("refine", 4_051_278)]
)
def test_as_many_weights_as_the_authors_networks(model: str, weights: int) -> None:
    with torch.device("meta"):
        assert count(InternalNet(InternalConfig(model=model))) == weights


def test_the_authors_default_is_the_default() -> None:
    with torch.device("meta"):
        network = InternalNet()
    assert count(network) == 4_051_278
    assert network.fine is not None
    assert [count(encoder) for encoder in network.fine.encoders] == [990_000, 782_352]
    assert count(network.fine.decoder) == 648_975


def sample(side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    frames = torch.rand(2, 3, side, side + 8, generator=generator) * 2 - 1
    residual = torch.zeros(2, 1, side, side + 8)
    residual[..., 8:20, 10:30] = 1
    return frames, residual


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("prefill", [False, True])
def test_pictures_of_all_stages(model: str, prefill: bool) -> None:
    frames, residual = sample()
    pictures = InternalNet(InternalConfig(model, 8, prefill))(frames, residual)
    assert len(pictures) == (1 if model == "base" else 2)
    for picture in pictures:
        assert picture.shape == frames.shape
        assert float(picture.detach().abs().max()) <= 1


@pytest.mark.parametrize("prefill", [False, True])
def test_every_weight_is_moved(prefill: bool) -> None:
    torch.manual_seed(1)
    network = InternalNet(InternalConfig("refine", 8, prefill))
    for parameter in network.parameters():  # a network with prefill is silent at first
        nn.init.normal_(parameter, std=0.2)
    first, last = network(*sample())
    (first.square().mean() + last.square().mean()).backward()
    assert unmoved(network) == []


def test_without_training_prefill_gives_the_smooth_fill() -> None:
    frames, residual = sample()
    network = InternalNet(InternalConfig("stack", 8, prefill=True))
    expected = smooth_start(frames, residual)
    for picture in network(frames, residual):
        torch.testing.assert_close(picture, expected.clamp(-1, 1), atol=1e-5, rtol=0)


def test_a_given_start_takes_the_smooth_fills_place() -> None:
    frames, residual = sample()
    start = torch.full_like(frames, 0.25)
    (picture,) = InternalNet(InternalConfig("base", 8, prefill=True))(frames, residual, start)
    assert torch.equal(picture, start)


@pytest.mark.parametrize("prefill", [False, True])
def test_hidden_pixels_are_not_read(prefill: bool) -> None:
    frames, residual = sample()
    network = InternalNet(InternalConfig("refine", 8, prefill))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(5))
    spoilt = torch.where(residual > 0, torch.nan, frames)
    for clean, other in zip(network(frames, residual), network(spoilt, residual), strict=True):
        assert torch.equal(clean, other)


def test_the_finer_network_sees_the_frame_with_the_coarse_picture_in_its_hole() -> None:
    frames, residual = sample()
    network = InternalNet(InternalConfig("stack", 8))
    assert network.fine is not None
    seen: list[torch.Tensor] = []
    network.fine.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    coarse, _ = network(frames, residual)
    assert torch.equal(seen[0], torch.where(residual > 0, coarse, frames))


def test_a_gate_lets_through_what_it_should() -> None:
    layer = GatedConv(1, 2, 1)
    with torch.no_grad():
        layer.conv.weight.copy_(torch.tensor([1.0, 0.0]).view(2, 1, 1, 1))
        layer.conv.bias.copy_(torch.tensor([0.0, 2.0]))  # type: ignore[union-attr]  # there is one
    x = torch.tensor([-1.0, 3.0]).view(1, 1, 1, 2)
    expected = functional.elu(x) * torch.tensor(2.0).sigmoid()
    torch.testing.assert_close(layer(x), expected)
    layer.relu = True
    torch.testing.assert_close(layer(x), x.clamp_min(0) * torch.tensor(2.0).sigmoid())


def test_a_gated_deconvolution_doubles_the_size() -> None:
    assert GatedUp(3, 8)(torch.zeros(1, 3, 5, 7)).shape == (1, 4, 10, 14)


@pytest.mark.parametrize(
    "values", [{"model": "large"}, {"width": 6}, {"width": 0}, {"depth": 3}, {"width": "wide"}]
)
def test_configurations_that_mean_nothing_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"model|width|configuration"):
        InternalConfig.from_dict(values)


def test_a_configuration_survives_its_file() -> None:
    config = InternalConfig("stack", 32, prefill=True)
    assert InternalConfig.from_dict(config.to_dict()) == config
    assert InternalConfig.from_dict({}) == InternalConfig()


@pytest.mark.parametrize("model", MODELS)
def test_a_signal_reaches_the_last_layer(model: str) -> None:
    """Or no gradient would come back either: the authors' initial weights leave 1e-8 of it."""
    torch.manual_seed(0)
    network = InternalNet(InternalConfig(model, 32, prefill=True))
    spreads: list[float] = []
    for layer in network.modules():
        if isinstance(layer, GatedConv):
            layer.register_forward_hook(lambda _, given, made: spreads.append(float(made.std())))
    with torch.no_grad():
        network(*sample(64))
    assert min(spreads) > 0.01
    assert max(spreads) < 3


def test_no_seam_whatever_the_network_says() -> None:
    """A network that wants white everywhere changes little at the border of the hole, and all inside."""
    frames, residual = torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    residual[..., 16:48, 16:48] = 1
    network = InternalNet(InternalConfig("base", 8, prefill=True))
    with torch.no_grad():
        list(network.parameters())[-1].fill_(9.0)
        (picture,) = network(frames, residual)
    assert float(picture[..., 16, 20:44].max()) < 0.15
    assert float(picture[..., 32, 32].min()) > 0.99
    steps = picture[0, 0, 32, 15:33].diff()
    assert float(steps.min()) >= 0
    assert float(steps.max()) < 0.3
