"""What every flow estimator promises, and how RAFT finds its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.optical_flow import raft_large

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.ops.flow import DEFAULT_FLOW, FlowEstimator, flow_names, open_flow
from vinpaint_cli.ops.flow.raft import MOST_PIXELS, RaftFlow, open_raft
from vinpaint_cli.weights.state import save_checkpoint


class Slides(nn.Module):
    """Stands for a network: says that everything went 2 pixels right and 1 down, as the network sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[torch.Size] = []

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> list[torch.Tensor]:
        assert first.shape == second.shape
        assert first.abs().max() <= 1
        self.sizes.append(first.shape)
        return [first[:, :2] * 0 + torch.tensor([2.0, 1.0])[None, :, None, None]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RAFT's weights, random."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "raft.safetensors"
    save_checkpoint(path, raft_large(weights=None, progress=False), {})
    return path


@pytest.fixture(params=flow_names())
def estimator(request: pytest.FixtureRequest, weights: Path) -> FlowEstimator:
    return open_raft("cpu", weights) if request.param == "raft" else open_flow(request.param)


@pytest.mark.parametrize("size", [(20, 30), (64, 101)])
def test_an_estimator_gives_pixels_for_every_pixel(estimator: FlowEstimator, size: tuple[int, int]) -> None:
    first, second = np.random.default_rng(1).integers(0, 255, (2, *size), np.uint8)
    flow = estimator(first, second)
    assert flow.shape == (*size, 2)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()
    assert np.array_equal(flow, estimator(first, second))


def test_the_flow_of_a_network_is_in_pixels_of_the_picture() -> None:
    network = Slides()
    find = RaftFlow(network)
    assert np.allclose(find(*np.zeros((2, 128, 256), np.uint8)), (2, 1))
    assert np.allclose(find(*np.zeros((2, 64, 512), np.uint8)), (2, 0.5)), "seen twice as high"
    assert np.allclose(find(*np.zeros((2, 1200, 2000), np.uint8)), (4, 2), rtol=0.02), "seen at half the size"
    assert network.sizes[0] == (1, 3, 128, 256)
    assert all(a % 8 == b % 8 == 0 and a * b < 1.05 * MOST_PIXELS for _, _, a, b in network.sizes)


def test_weights_are_never_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(WeightsError, match="weights pull raft-large"):
        open_flow("raft")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "other.safetensors", nn.Linear(2, 2), {})
    with pytest.raises(WeightsError, match="another network"):
        open_raft("cpu", tmp_path / "other.safetensors")


def test_a_name_that_is_not_there_is_told() -> None:
    assert DEFAULT_FLOW in flow_names()
    with pytest.raises(UsageError, match="did you mean 'raft'"):
        open_flow("rafd")
