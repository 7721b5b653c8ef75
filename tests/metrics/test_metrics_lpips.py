"""LPIPS with weights that make its value easy to work out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vinpaint_cli.metrics.lpips import MEAN, SPREAD, STAGES, Lpips


def first_channel(only: int = 0) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A VGG whose every layer hands on red, shifted to be positive, in channel 0 and one in channel 1."""
    backbone, linear = {}, {}
    place, before = 0, 3
    for stage, (channels, count) in enumerate(STAGES):
        place += stage > 0
        for _ in range(count):
            weight, bias = torch.zeros(channels, before, 3, 3), torch.zeros(channels)
            weight[0, 0, 1, 1] = 1
            bias[0] = 3.0 if place == 0 else 0
            bias[1] = 1.0
            backbone |= {f"features.{place}.weight": weight, f"features.{place}.bias": bias}
            place, before = place + 2, channels
        linear[f"lin{stage}"] = torch.zeros(channels)
        linear[f"lin{stage}"][0] = 1.0 if stage <= only else 0.0
    return backbone, linear


def picture(red: float, size: int = 32) -> np.ndarray:
    return np.dstack([np.full((size, size), red), np.full((size, size), 90), np.full((size, size), 10)])


def expected(one: float, other: float) -> float:
    """Channel 0 of the normalised features (red, 1), squared difference."""
    red = [(value / 127.5 - 1 - MEAN[0]) / SPREAD[0] + 3 for value in (one, other)]
    unit = [value / np.hypot(value, 1) for value in red]
    return float((unit[0] - unit[1]) ** 2)


def test_by_hand() -> None:
    distance = Lpips(*first_channel())
    assert distance(picture(10), picture(200)) == pytest.approx(expected(10, 200), rel=1e-4)
    assert expected(10, 200) > 1e-3


def test_stages_add_up() -> None:
    assert Lpips(*first_channel(only=4))(picture(10), picture(200)) == pytest.approx(
        5 * expected(10, 200), rel=1e-4
    )


def test_equal_pictures_are_at_no_distance() -> None:
    some = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
    assert Lpips(*first_channel(only=4))(some, some) == 0


def test_weights_of_another_network_are_refused() -> None:
    backbone, linear = first_channel()
    with pytest.raises(KeyError, match=r"features\.0"):
        Lpips({}, linear)
    with pytest.raises(RuntimeError, match="size mismatch"):
        Lpips(backbone | {"features.2.weight": torch.zeros(64, 3, 3, 3)}, linear)
