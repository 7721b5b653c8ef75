from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from vinpaint_cli.train import losses
from vinpaint_cli.train.config import Optimisation
from vinpaint_cli.train.loop import RunProgress, average, learning_rate


def clips(value: float) -> torch.Tensor:
    return torch.full((2, 1, 3, 2, 2), value)


def test_hole_and_valid_are_means_over_their_regions() -> None:
    residual = torch.zeros(2, 1, 1, 2, 2)
    residual[0, ..., 0, 0] = 1
    predicted, truth = clips(0.0), clips(0.0)
    predicted[0, ..., 0, 0] = 0.5  # in the hole
    predicted[1, ..., 1, 1] = 0.7  # outside
    shown = losses.composite(truth, predicted, residual)
    assert float(losses.hole_l1(shown, truth, residual)) == pytest.approx(0.5)
    assert float(losses.valid_l1(predicted, truth, residual)) == pytest.approx(0.7 / 7)


def test_a_share_mixes_and_weighs_the_gradient() -> None:
    residual = torch.full((2, 1, 1, 2, 2), 0.25)
    predicted = clips(1.0).requires_grad_(True)
    shown = losses.composite(clips(0.0), predicted, residual)
    assert torch.allclose(shown, clips(0.25))
    losses.hole_l1(shown, clips(0.0), residual).backward()
    assert predicted.grad is not None
    assert float(predicted.grad.sum()) == pytest.approx(1.0)


def test_psnr_is_that_of_the_hole() -> None:
    residual = torch.zeros(2, 1, 1, 2, 2)
    residual[:, ..., 0, 0] = 1
    shown = clips(0.0)
    shown[0, ..., 0, 0] = 0.2  # a tenth of the range
    shown[:, ..., 1, 1] = 9.0  # not in the hole
    values = losses.psnr(shown, clips(0.0), residual)
    assert float(values[0]) == pytest.approx(20.0, abs=1e-3)
    assert float(values[1]) == pytest.approx(50.0, abs=1e-3)
    expected = (math.log(0.01 + 1e-5) + math.log(1e-5)) / 4
    assert float(losses.log_error(shown, clips(0.0), residual)) == pytest.approx(expected, abs=1e-4)


def test_hinge_losses_stop_at_the_margin() -> None:
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 1.0])
    assert float(losses.hinge_discriminator(real, fake)) == pytest.approx((0.5 + 1.0) / 2)
    assert float(losses.hinge_generator(fake)) == pytest.approx(1.0)


def test_learning_rate_warms_up_and_follows_a_cosine() -> None:
    settings = Optimisation(steps=100, rate=1.0, warmup=10, floor=0.1)
    rates = [learning_rate(settings, RunProgress(step)) for step in range(101)]
    assert rates[0] == pytest.approx(0.1, abs=1e-3)
    assert rates[50] == pytest.approx(0.55)
    assert rates[100] == pytest.approx(0.1)
    assert max(rates) < 1
    assert all(b <= a for a, b in pairwise(rates[10:]))


def test_minutes_take_the_place_of_steps() -> None:
    settings = Optimisation(minutes=2.0)
    assert RunProgress(10_000, 60.0).share(settings) == pytest.approx(0.5)
    assert RunProgress(10_000, 60.0).share(Optimisation()) == 0


def test_the_average_follows_fast_at_first_then_slowly() -> None:
    ema, network = (torch.nn.Linear(1, 1) for _ in range(2))
    with torch.no_grad():
        ema.weight.fill_(0.0)
        network.weight.fill_(1.0)
    average(ema, network, 0.99, 0)
    assert ema.weight.item() == pytest.approx(0.9)
    with torch.no_grad():
        network.weight.fill_(2.0)
    average(ema, network, 0.99, 10_000)
    assert ema.weight.item() == pytest.approx(0.9 + 0.01 * 1.1)
