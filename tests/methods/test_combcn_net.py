from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers_methods import count, load_small, unmoved
from torch import Tensor, nn

from vinpaint_cli.methods.combcn.net import CombCN, CombCNConfig, FrameNet, VolumeNet, half_size
from vinpaint_cli.nets.holes import smooth_fill

small = load_small("combcn")

PAPERS_COUNT = 15_489_539
"""As the frame-recurrent paper reports it for CombCN."""

# Output channels, height, and channels in, layer by layer, for 128×128 frames (64×64 in the 3DCN).
VOLUME_TABLE = [
    (16, 64, 4),
    (32, 32, 16),
    (64, 32, 32),
    (128, 16, 64),
    (256, 16, 128),
    (256, 16, 256),
    (256, 16, 256),
    (128, 16, 256),
    (64, 32, 256),
    (32, 32, 128),
    (16, 64, 64),
    (3, 64, 16),
]
FRAME_TABLE = [
    (64, 128, 4),
    (128, 64, 64),
    (128, 64, 128),
    (256, 32, 128),
    *[(256, 32, 256)] * 5,
    *[(256, 32, 512)] * 3,
    (128, 64, 512),
    (128, 64, 256),
    (64, 128, 256),
    (32, 128, 128),
    (3, 128, 32),
]


@pytest.fixture(scope="module")
def papers() -> CombCN:
    with torch.device("meta"):
        return CombCN()


def convolutions(network: VolumeNet | FrameNet) -> list[nn.Module]:
    return [*(layer.conv for layer in network.layers), network.last]


def test_as_many_weights_as_the_paper_says(papers: CombCN) -> None:
    """In time kernels are 3 long in all layers of the 3DCN, the 5×5 one included, and 4 in deconvolutions."""
    convs = convolutions(papers.volume)
    assert [conv.kernel_size[0] for conv in convs] == [3] * 8 + [4, 3, 4, 3]
    assert (count(papers.volume), count(papers.frames), count(papers)) == (6_830_771, 8_664_067, 15_494_838)
    assert abs(count(papers) - PAPERS_COUNT) < 0.0004 * PAPERS_COUNT


def test_layers_are_those_of_table_1(papers: CombCN) -> None:
    kernels = [conv.kernel_size[-1] for conv in convolutions(papers.volume)]
    assert kernels == [5, 3, 3, 3, 3, 3, 3, 3, 4, 3, 4, 3]
    assert [conv.dilation for conv in convolutions(papers.volume)][4:7] == [(1, d, d) for d in (2, 4, 8)]
    assert {conv.stride[0] for conv in convolutions(papers.volume)} == {1}  # time is never reduced
    kernels = [conv.kernel_size[-1] for conv in convolutions(papers.frames)]
    assert kernels == [5, *[3] * 11, 4, 3, 4, 3, 3]
    assert [conv.dilation[0] for conv in convolutions(papers.frames)][6:10] == [2, 4, 8, 16]


def shapes(network: VolumeNet | FrameNet, x: Tensor, *more: Tensor) -> list[tuple[int, int, int]]:
    seen: list[tuple[int, int, int]] = []
    for conv in convolutions(network):
        conv.register_forward_hook(
            lambda _, given, out: seen.append((out.shape[1], out.shape[-1], given[0].shape[1]))
        )
    network.eval()(x, *more)
    return seen


def test_shapes_are_those_of_the_tables() -> None:
    with torch.device("meta"):
        network = CombCN()
        volume = torch.empty(1, 4, 32, 64, 64)
        frames, guidance = torch.empty(2, 4, 128, 128), torch.empty(2, 3, 64, 64)
    assert shapes(network.volume, volume) == VOLUME_TABLE
    assert network.volume(volume).shape == (1, 3, 32, 64, 64)
    assert shapes(network.frames, frames, guidance) == FRAME_TABLE


def test_the_guidance_enters_at_the_starred_layers() -> None:
    """It is added to the outputs of layers 2 and 14: the inputs of 3 and of 15, and the skip from 2 to 15."""
    network = small.network().frames
    given: dict[int, Tensor] = {}
    for place, layer in enumerate(network.layers, 1):
        layer.register_forward_hook(lambda _, x, out, place=place: given.__setitem__(place, (x[0], out)))
    guidance = torch.randn(2, 3, 16, 24)
    network(torch.randn(2, 4, 32, 48), guidance)
    second = given[2][1] + network.guides["2"](guidance)
    fourteenth = given[14][1] + network.guides["14"](guidance)
    assert torch.equal(given[3][0], second)
    assert torch.equal(given[15][0], torch.cat([fourteenth, second], 1))
    for place in (10, 11, 12, 13, 14, 16):
        skip = given[17 - place][1]
        assert torch.equal(given[place][0][:, -skip.shape[1] :], skip)


def test_every_weight_learns_through_the_guidance_too() -> None:
    torch.manual_seed(1)
    network = small.network().train().requires_grad_(True)
    frames, residual = torch.rand(2, 5, 3, 32, 48), (torch.rand(2, 5, 1, 32, 48) > 0.6).float()
    filled, _ = network(frames, residual)
    filled.square().mean().backward()
    assert unmoved(network) == []


def test_a_frame_sees_the_others_and_the_size_is_free() -> None:
    network = small.network()
    torch.manual_seed(2)
    frames, residual = torch.rand(1, 7, 3, 40, 24) * 2 - 1, torch.zeros(1, 7, 1, 40, 24)
    residual[..., 8:24, 8:16] = 1
    filled, structure = network(frames, residual)
    assert filled.shape == frames.shape
    assert structure is not None
    assert structure.shape == (1, 7, 3, 20, 12)
    frames[:, 0] = -frames[:, 0]
    assert not torch.equal(network(frames, residual)[0][:, 3], filled[:, 3])


def test_what_is_hidden_is_the_mean_colour_and_known_pixels_guide() -> None:
    network = small.network(replace(small.CONFIG, mean=(0.25, 0.5, 0.75)))
    frames, residual = torch.full((1, 3, 16, 16), torch.nan), torch.ones(1, 1, 16, 16)
    residual[..., 8:], frames[..., 8:] = 0.3, 0.1
    prepared = network.prepare(frames, residual)
    assert prepared[0, :, 3, 3].tolist() == [-0.5, 0.0, 0.5, 1.0]
    assert prepared[0, :, 3, 12].tolist() == pytest.approx([0.1, 0.1, 0.1, 0.0])
    structure = network.structure(prepared[None])
    assert torch.allclose(structure[..., 4:], torch.tensor(0.1))
    assert not torch.allclose(structure[..., :4], torch.tensor(0.1))


def test_a_new_network_with_prefill_gives_the_smooth_fill() -> None:
    network = CombCN(replace(small.CONFIG, prefill=True)).eval()
    torch.manual_seed(3)
    frames, residual = torch.rand(1, 2, 3, 32, 32), (torch.rand(1, 2, 1, 32, 32) > 0.5).float()
    smooth = smooth_fill(frames[0] * (1 - residual[0]), 1 - residual[0])
    filled, structure = network(frames, residual)
    assert torch.allclose(filled[0], smooth, atol=1e-5)
    known = half_size(frames, residual)[1].expand_as(structure) == 0
    assert torch.allclose(structure[known], half_size(smooth[None], residual)[0][known], atol=1e-5)


@pytest.mark.parametrize("parts", ["volume", "frames"])
@pytest.mark.parametrize("prefill", [False, True])
def test_either_network_works_alone(parts: str, prefill: bool) -> None:
    torch.manual_seed(4)
    network = CombCN(replace(small.CONFIG, parts=parts, prefill=prefill)).eval()
    frames, residual = torch.rand(1, 3, 3, 16, 24), torch.zeros(1, 3, 1, 16, 24)
    residual[..., 4:8, 4:8] = 1
    filled, structure = network(frames, residual)
    assert filled.shape == frames.shape
    assert (structure is None) is (parts == "frames")
    assert count(network) < count(CombCN(small.CONFIG))


def test_the_configuration_survives_its_metadata() -> None:
    config = CombCNConfig(8, 3, "volume", True, (0.1, 0.2, 0.3))
    assert CombCNConfig.from_dict(config.to_dict()) == config
    assert CombCNConfig.from_dict({}) == CombCNConfig()


@pytest.mark.parametrize(
    "values",
    [
        {"width": 5},
        {"volume_width": 0},
        {"parts": "half"},
        {"mean": [1, 2, 3]},
        {"mean": 3},
        {"size": [7, 9]},
        {"depth": 4},
    ],
)
def test_configurations_that_mean_nothing_are_told(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"width|parts|mean|size|configuration"):
        CombCNConfig.from_dict(values)
