from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers_methods import count, load_small, unmoved
from torch import Tensor

from vinpaint_cli.methods.flow_recurrent.net import (
    FlowBlender,
    FlowCompleter,
    FlowRecurrent,
    FlowRecurrentConfig,
    FrameInpainter,
    TemporalRecurrent,
    moved,
)
from vinpaint_cli.nets.holes import smooth_fill

small = load_small("flow_recurrent")


def holes(*shape: int) -> Tensor:
    residual = torch.zeros(shape)
    residual[..., 8:16, 8:20] = 1
    return residual


def test_the_temporal_network_has_exactly_the_papers_weights() -> None:
    with torch.device("meta"):
        network = TemporalRecurrent()
    assert count(network) == 2_947_011
    budget = {
        "7×7 of both streams": count(network.before[0]) + count(network.inpainted[0]),
        "down": count(network.before[2]) + count(network.inpainted[2]),
        "merge": count(network.merge),
        "residual blocks": count(network.blocks),
        "memory": count(network.memory),
        "up": count(network.decoder[1]),
        "up again": count(network.decoder[4]),
        "last": count(network.last),
    }
    assert list(budget.values()) == [9472, 36992, 147584, 1475840, 1180160, 73792, 18464, 4707]


def test_shapes_of_the_temporal_network() -> None:
    with torch.device("meta"):
        network = TemporalRecurrent()
        pictures = torch.empty(2, 3, 48, 64)
        assert network.before(pictures).shape == (2, 64, 24, 32)
        residual, (hidden, cell) = network(pictures, pictures)
    assert residual.shape == pictures.shape
    assert hidden.shape == cell.shape == (2, 128, 12, 16)


def test_the_residual_is_bounded_and_remembers() -> None:
    network = small.network().temporal
    torch.manual_seed(1)
    before, now = torch.rand(2, 1, 3, 16, 24)
    first, state = network(before, now)
    again, _ = network(before, now, state)
    assert float(first.abs().max()) <= 1
    assert not torch.allclose(first, again)
    assert not torch.allclose(first, network(now, before)[0])


def test_every_weight_learns() -> None:
    torch.manual_seed(2)
    network = small.network().train().requires_grad_(True)
    frames, residual = torch.rand(2, 3, 32, 32), holes(2, 1, 32, 32)
    inpainted = network.inpaint(frames, residual)
    state = None
    for _ in range(2):  # what the memory recalls is used from the second step on
        output, state = network.advance(inpainted, frames, residual, inpainted, state)
    flow = network.robust(torch.randn(2, 2, 32, 32), torch.randn(2, 2, 32, 32), residual)
    (output.square().mean() + flow.square().mean()).backward()
    assert unmoved(network) == []


def test_the_blender_is_a_mean_until_it_is_trained() -> None:
    network = FlowRecurrent(small.CONFIG).eval()
    a, b = torch.randn(2, 1, 2, 37, 53)
    lost = torch.zeros(1, 1, 37, 53)
    assert torch.equal(network.robust(a, b, lost), (a + b) / 2)
    with torch.device("meta"):
        blender = FlowBlender()
    convs = [*blender.down, *blender.up]
    assert [tuple(conv.weight.shape[:2]) for conv in convs] == [
        (32, 4),
        (64, 32),
        (128, 64),
        (64, 128),
        (32, 128),
        (2, 64),
    ]


@pytest.mark.parametrize("flow", ["inpainted", "corrupted"])
def test_a_single_branch_may_be_asked_for(flow: str) -> None:
    network = small.network(replace(small.CONFIG, flow=flow))
    a, b = torch.randn(2, 1, 2, 16, 24)
    lost = holes(1, 1, 16, 24)
    robust = network.robust(a, b, lost)
    if flow == "inpainted":
        assert robust is a
    else:
        known = (lost == 0).expand_as(b)
        assert torch.equal(robust[known], b[known])
        assert not torch.equal(robust[~known], b[~known])


def test_completion_neither_reads_what_is_lost_nor_touches_what_is_known() -> None:
    network = small.network().completer
    flow, lost = torch.randn(2, 2, 24, 32), holes(2, 1, 24, 32)
    flow[1] = 7.0  # one picture moves as a whole
    completed = network(flow, lost)
    spoiled = network(torch.where(lost > 0, torch.nan, flow), lost)
    assert torch.equal(completed, spoiled)
    known = (lost == 0).expand_as(flow)
    assert torch.equal(completed[known], flow[known])
    assert network(torch.full_like(flow, torch.nan), torch.ones_like(lost)).isfinite().all()


def test_completion_does_not_mind_the_unit() -> None:
    network = small.network().completer
    flow, lost = torch.randn(1, 2, 24, 32) * 4, holes(1, 1, 24, 32)
    assert torch.allclose(network(flow * 3 + 5, lost), network(flow, lost) * 3 + 5, atol=1e-3)


@pytest.mark.parametrize("network", [FrameInpainter, FlowCompleter])
def test_prefill_starts_from_a_smooth_fill(network: type) -> None:
    part = network((4, 8), prefill=True).eval()
    x, lost = torch.rand(1, 3 if network is FrameInpainter else 2, 24, 32) * 4, holes(1, 1, 24, 32)
    smooth = smooth_fill(x * (1 - lost), 1 - lost)
    inside = (lost > 0).expand_as(x)
    assert torch.allclose(part(x, lost)[inside], smooth[inside], atol=1e-4)


@pytest.mark.parametrize("where", ["previous", "inpainted"])
def test_the_answer_is_added_where_it_is_said(where: str) -> None:
    network = small.network(replace(small.CONFIG, base=where))
    torch.manual_seed(3)
    before, frames, inpainted = torch.rand(3, 1, 3, 16, 24)
    residual = holes(1, 1, 16, 24) * 0.9
    output, _ = network.advance(before, frames, residual, inpainted, None)
    base = before if where == "previous" else inpainted
    expected = base + network.temporal(before, inpainted)[0]
    assert torch.allclose(output[..., 8:, 8:20], expected[..., 8:, 8:20])
    assert torch.equal(output[..., :8], frames[..., :8])


def test_what_comes_from_outside_is_taken_from_the_inpainted_frame() -> None:
    flow = torch.zeros(1, 2, 8, 12)
    flow[:, 0] = 4
    before, inpainted = torch.zeros(1, 3, 8, 12), torch.ones(1, 3, 8, 12)
    assert moved(before, inpainted, flow)[0, 0].tolist() == [[0.0] * 8 + [1.0] * 4] * 8


def test_the_configuration_survives_its_metadata() -> None:
    assert FlowRecurrentConfig.from_dict(small.CONFIG.to_dict()) == small.CONFIG
    assert FlowRecurrentConfig.from_dict({}) == FlowRecurrentConfig()


@pytest.mark.parametrize(
    "values",
    [
        {"width": 0},
        {"blender": [1, 2]},
        {"inpainter": []},
        {"flow": "raft"},
        {"residual": "x"},
        {"size": [7, 9]},
        {"depth": 1},
    ],
)
def test_configurations_that_mean_nothing_are_told(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"width|flow|base|size|configuration"):
        FlowRecurrentConfig.from_dict(values)
