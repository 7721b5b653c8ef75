from __future__ import annotations

import hashlib
import math
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.methods.internal.losses import (
    SHIFT,
    TURN,
    ZOOM,
    _on_lattice,
    _similarity,
    ambiguity_loss,
    encoder_features,
    random_affine,
    stabilisation_loss,
    vgg19_features,
    warp,
)
from vinpaint_cli.methods.internal.net import InternalConfig, InternalNet
from vinpaint_cli.nets.holes import mask_hidden
from vinpaint_cli.weights import registry

IDENTITY = torch.eye(2, 3)[None]
VGG19 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512)
"""Convolutions of torchvision's VGG-19 up to conv4_2, each followed by a ReLU, and pools, 0."""


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform in [-1, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1


def pooled(pictures: Tensor) -> Tensor:
    """Features of three channels at half the scale."""
    return functional.avg_pool2d(pictures, 2)


def box(count: int, height: int, width: int, y: slice, x: slice) -> Tensor:
    holes = torch.zeros(count, 1, height, width)
    holes[..., y, x] = 1
    return holes


@pytest.fixture(scope="module")
def network() -> InternalNet:
    torch.manual_seed(1)
    return InternalNet(InternalConfig("base", 8, prefill=True))


def reference(filled: np.ndarray, truth: np.ndarray, holes: np.ndarray) -> float:
    """The loss on ``pooled`` features as the paper's description says it, in loops."""
    known = 1 - holes[::-1]
    shown, wanted = filled * known, truth[::-1] * known

    def features(x: np.ndarray) -> np.ndarray:  # (N, P, C)
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5)).reshape(n, c, -1).transpose(0, 2, 1)

    x, y = features(shown), features(wanted)
    mean = y.mean((0, 1))
    x, y = x - mean, y - mean
    found = []
    for one, other in zip(x, y, strict=True):
        d = np.array([[1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in other] for a in one])
        w = np.exp((1 - d / (d.min(1, keepdims=True) + 1e-5)) / 0.5)
        found.append(-np.log((w / w.sum(1, keepdims=True)).max(0).mean()))
    return float(np.mean(found))


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-9), (torch.float32, 1e-3)])
def test_ambiguity_is_as_written(dtype: torch.dtype, error: float) -> None:
    filled, truth = (noise(4, 3, 8, 6, seed=seed, dtype=torch.float64) for seed in (1, 2))
    holes = torch.zeros(4, 1, 8, 6, dtype=torch.float64)
    holes[0, :, 1:4, 2:5] = 1
    holes[1, :, 4:, :3] = 0.25
    expected = reference(filled.numpy(), truth.numpy(), holes.numpy())
    loss = ambiguity_loss(filled.to(dtype), truth.to(dtype), holes.to(dtype), pooled)
    assert float(loss) == pytest.approx(expected, rel=error)


def test_similarity_by_hand() -> None:
    """Relative distances (1, 2) and (3, 1): weights (1, e^-2) and (e^-4, 1)."""
    rows = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-4))
    assert float(_similarity(torch.tensor([[0.4, 0.8], [0.3, 0.1]]))) == pytest.approx(
        sum(rows) / 2, rel=1e-3
    )
    # Both match the first best: the second is matched by what is left over.
    left = math.exp(-2) / (1 + math.exp(-2))
    assert float(_similarity(torch.tensor([[0.4, 0.8], [0.1, 0.3]]))) == pytest.approx(
        (1 / (1 + math.exp(-4)) + left) / 2, rel=1e-3
    )


def test_what_another_frame_shows_costs_less_than_what_none_does(network: InternalNet) -> None:
    features = encoder_features(network)
    truth, holes = functional.interpolate(noise(2, 3, 8, 8), scale_factor=4), torch.zeros(2, 1, 32, 32)
    order = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(3))
    shuffled = truth.flatten(2)[..., order].view_as(truth)
    elsewhere = truth.flip(0).roll((8, 16), (2, 3))
    blurred = functional.avg_pool2d(truth, 9, 1, 4)
    same, moved, torn, dull = (
        float(ambiguity_loss(picture, truth, holes, features))
        for picture in (truth.flip(0), elsewhere, shuffled, blurred)
    )
    assert same < 1e-3
    assert same < moved < min(torn, dull)


def test_only_the_filled_pictures_are_told(network: InternalNet) -> None:
    features = encoder_features(network)
    filled, truth = noise(2, 3, 16, 16, seed=1).requires_grad_(), noise(2, 3, 16, 16).requires_grad_()
    holes = box(2, 16, 16, slice(4, 8), slice(4, 8))
    ambiguity_loss(filled, truth, holes, features).backward()
    assert filled.grad is not None
    assert filled.grad.isfinite().all()
    assert filled.grad.any()
    assert not filled.grad[:, :, 4:8, 4:8].any()
    assert truth.grad is None
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_encoder_stays_as_it_was_and_costs_the_network_nothing() -> None:
    network = InternalNet(InternalConfig("base", 8))
    features, pictures = encoder_features(network), noise(1, 3, 16, 12)
    before = features(pictures)
    assert before.shape == (1, 16, 4, 3)
    with torch.no_grad():
        assert torch.equal(before, network.coarse[:6](functional.pad(pictures, (0, 0, 0, 0, 0, 1))))
    assert all(parameter.requires_grad for parameter in network.parameters())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert torch.equal(features(pictures), before)


@pytest.mark.parametrize("level", [1.0, 0.0])
def test_pictures_that_are_all_hole_or_all_one_colour_are_no_trouble(level: float) -> None:
    filled = torch.zeros(3, 3, 8, 8).requires_grad_()
    holes = torch.full((3, 1, 8, 8), level)
    loss = ambiguity_loss(filled, torch.zeros(3, 3, 8, 8), holes, pooled)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(math.log(16))
    assert filled.grad is not None
    assert filled.grad.isfinite().all()


@pytest.mark.parametrize("size", [(33, 33), (40, 75), (3000, 1), (1, 3000), (2000, 2), (16, 64), (5, 7)])
def test_positions_are_bounded(size: tuple[int, int]) -> None:
    places = torch.arange(size[0] * size[1]).view(1, 1, *size)
    kept = _on_lattice(places, 1024).flatten()
    assert min(places.numel(), 900) <= len(kept) <= 1024
    assert len(kept.unique()) == len(kept)
    if places.numel() <= 1024:
        assert torch.equal(kept, places.flatten())


def test_a_part_of_the_positions_says_about_the_same() -> None:
    filled, truth, holes = noise(2, 3, 64, 64, seed=1), noise(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    whole, part = (float(ambiguity_loss(filled, truth, holes, pooled, most)) for most in (1024, 512))
    assert part == pytest.approx(whole, rel=0.2)


def no_network(*_: object, **__: object) -> None:
    raise AssertionError("the network was used")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without weights and without a network."""
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "socket", no_network)
    return tmp_path / "weights"


def test_without_vgg19_there_are_no_features_of_it(store: Path) -> None:
    assert vgg19_features() is None
    assert not store.exists()


def vgg19() -> nn.Sequential:
    """With random weights that keep the size of what passes."""
    layers: list[nn.Module] = []
    before = 3
    for channels in VGG19:
        if not channels:
            layers.append(nn.MaxPool2d(2))
            continue
        conv = nn.Conv2d(before, channels, 3, padding=1, device="meta").to_empty(device="cpu")
        nn.init.uniform_(conv.weight, -((2 / (3 * before)) ** 0.5), (2 / (3 * before)) ** 0.5)
        nn.init.constant_(conv.bias, 0.1)
        layers += [conv, nn.ReLU()]
        before = channels
    return nn.Sequential(*layers)


def test_vgg19_is_torchvisions_up_to_conv4_2(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = vgg19().requires_grad_(False)
    entry = registry.entry("vgg19")
    file = store / entry.name / entry.file
    file.parent.mkdir(parents=True)
    torch.save({f"features.{name}": tensor for name, tensor in layers.state_dict().items()}, file)
    known = replace(entry, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    monkeypatch.setattr(registry, "entries", lambda: (known,))

    features = vgg19_features()
    assert features is not None
    pictures = noise(1, 3, 16, 24).requires_grad_()
    found = features(pictures)
    mean, spread = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert found.shape == (1, 512, 2, 3)
    torch.testing.assert_close(found, layers(((pictures + 1) / 2 - mean) / spread))
    found.sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.any()


def test_warps_are_small_in_each_part() -> None:
    matrices = random_affine(torch.Generator().manual_seed(4), 4000)
    assert matrices.shape == (4000, 2, 3)
    (a, b), (c, d) = matrices[:, 0, :2].unbind(1), matrices[:, 1, :2].unbind(1)
    zoom, angle = torch.hypot(a, c), torch.atan2(c, a)
    slope = (a * b + c * d) / zoom.square()
    parts = ((matrices[..., 2], SHIFT), (angle, TURN), (zoom - 1, ZOOM), (slope, math.tan(TURN)))
    for drawn, most in parts:
        assert float(drawn.max()) == pytest.approx(most, rel=0.01)
        assert float(drawn.min()) == pytest.approx(-most, rel=0.01)
    # Nothing else is in it: not a mirror, and not one axis larger than the other.
    torch.testing.assert_close(a * d - b * c, zoom.square())
    assert torch.equal(matrices, random_affine(torch.Generator().manual_seed(4), 4000))


@pytest.mark.parametrize("size", [(20, 33), (60, 100), (128, 72)])
def test_the_identity_changes_nothing(size: tuple[int, int]) -> None:
    pictures, holes = noise(1, 3, *size), noise(1, 1, *size).clamp_min(0)
    assert torch.equal(warp(pictures, IDENTITY), pictures)
    assert torch.equal(warp(holes, IDENTITY, "nearest"), holes)
    assert torch.equal(warp(holes, IDENTITY, "touched"), holes)


def test_shifts_by_whole_pixels_are_exact_and_bring_holes_from_outside() -> None:
    pictures, holes = noise(1, 3, 21, 30), torch.zeros(1, 1, 21, 30)
    shift = torch.tensor([[[1.0, 0, 2], [0, 1, -1]]])
    assert torch.equal(warp(pictures, shift)[..., 1:, :-2], pictures[..., :-1, 2:])
    for mode in ("nearest", "touched"):
        moved = warp(holes, shift, mode)
        assert not moved[..., 1:, :-2].any()
        assert moved[..., 0, :].all()
        assert moved[..., -2:].all()


def test_holes_of_the_nearest_pixel() -> None:
    holes = torch.tensor([0.0, 1, 0, 0, 1, 0]).view(1, 1, 1, 6)
    for shift, expected in ((0.4, [0, 1, 0, 0, 1, 0]), (0.6, [1, 0, 0, 1, 0, 1]), (-0.6, [1, 0, 1, 0, 0, 1])):
        matrix = torch.tensor([[[1.0, 0, shift], [0, 1, 0]]])
        assert warp(holes, matrix, "nearest").flatten().tolist() == expected


def test_warps_are_those_of_grid_sample() -> None:
    """Which has positions from -1 to 1, corner pixel to corner pixel."""
    pictures, matrices = noise(3, 3, 24, 36), random_affine(torch.Generator().manual_seed(2), 3)
    sides = torch.tensor([35.0, 23.0]) / 2
    linear = matrices[..., :2] * sides / sides[:, None]
    theta = torch.cat([linear, (matrices[..., 2] / sides).unsqueeze(2)], 2)
    grid = functional.affine_grid(theta, [3, 3, 24, 36], align_corners=True)
    expected = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=True)
    torch.testing.assert_close(warp(pictures, matrices), expected, rtol=0, atol=1e-4)


def test_a_touched_pixel_is_one_that_took_something_from_a_hole() -> None:
    holes = box(8, 24, 32, slice(6, 15), slice(10, 20))
    matrices = random_affine(torch.Generator().manual_seed(7), 8)
    share = 1 - warp(functional.pad(1 - holes, (8, 8, 8, 8)), matrices)[..., 8:-8, 8:-8]
    nearest, touched = (warp(holes, matrices, mode) for mode in ("nearest", "touched"))
    assert set(nearest.unique().tolist()) == set(touched.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(touched > 0, share > 1e-6)
    assert (touched >= nearest).all()
    assert touched.sum() > nearest.sum()


Fill = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


def stabilisation(fill: Fill, truth: Tensor, unknown: Tensor, hidden: Tensor | None = None) -> Tensor:
    hidden = unknown if hidden is None else hidden
    matrices = random_affine(torch.Generator().manual_seed(5), len(truth))
    return stabilisation_loss(fill, truth, truth, unknown, hidden, fill(truth, hidden), matrices)


def test_what_moves_with_the_picture_costs_nothing_and_flicker_does() -> None:
    truth, unknown = noise(2, 3, 24, 32), box(2, 24, 32, slice(4, 9), slice(6, 12))
    seeds = iter(range(100))

    def steady(frames: Tensor, _: Tensor) -> tuple[Tensor, ...]:
        return frames, frames + 0.25

    def flickering(frames: Tensor, _: Tensor) -> tuple[Tensor, ...]:
        return (frames + 0.1 * next(seeds),)

    def still(frames: Tensor, _: Tensor) -> tuple[Tensor, ...]:
        return (torch.zeros_like(frames),)

    assert float(stabilisation(steady, truth, unknown)) == pytest.approx(0, abs=1e-6)
    flicker = float(stabilisation(flickering, truth, unknown))
    assert 0.05 < flicker < 0.1  # of 0.1, in the share of pixels that are known before and after
    assert float(stabilisation(still, truth, unknown)) > 0.1


def test_stages_add_up() -> None:
    truth, unknown = noise(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    once = stabilisation(lambda frames, _: (frames * 0.5,), truth, unknown)
    twice = stabilisation(lambda frames, _: (frames * 0.5, frames * 0.5), truth, unknown)
    assert float(twice) == pytest.approx(2 * float(once))
    with pytest.raises(ValueError, match="shorter"):
        stabilisation_loss(lambda frames, _: (frames,), truth, truth, unknown, unknown, (), IDENTITY)


def test_what_is_unknown_before_or_after_has_no_influence(network: InternalNet) -> None:
    truth, unknown = noise(2, 3, 24, 32), box(2, 24, 32, slice(4, 12), slice(6, 15))
    hidden = torch.maximum(unknown, box(2, 24, 32, slice(14, 20), slice(20, 28)))
    shown = noise(2, 3, 24, 32, seed=8).requires_grad_()
    matrices = random_affine(torch.Generator().manual_seed(5), 2)
    warped: list[Tensor] = []

    def fill(frames: Tensor, holes: Tensor) -> tuple[Tensor, ...]:
        warped.append(mask_hidden(frames, holes).requires_grad_())
        return (warped[-1],)

    def loss_of(truth: Tensor) -> Tensor:
        return stabilisation_loss(fill, truth, truth, unknown, hidden, (shown,), matrices)

    loss = loss_of(truth)
    assert float(loss_of(torch.where(unknown > 0, 5.0, truth)).detach()) == float(loss.detach())
    assert torch.equal(warped[0], warped[1])
    loss.backward()
    out = torch.maximum(unknown, warp(unknown, matrices, "nearest")).expand_as(truth) > 0
    for gradient in (shown.grad, warped[0].grad):
        assert gradient is not None
        assert not gradient[out].any()
        assert gradient[~out].ne(0).float().mean() > 0.9


def test_both_passes_teach_the_network() -> None:
    network = InternalNet(InternalConfig("refine", 8))
    truth, unknown = noise(2, 3, 16, 16).requires_grad_(), box(2, 16, 16, slice(4, 8), slice(4, 8))
    shown = tuple(picture.detach().requires_grad_() for picture in network(truth, unknown))
    matrices = random_affine(torch.Generator().manual_seed(6), 2)
    stabilisation_loss(network, truth, truth, unknown, unknown, shown, matrices).backward()
    assert all(picture.grad is not None and picture.grad.any() for picture in shown)
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert truth.grad is None
