"""Losses of Internal Video Inpainting (Ouyang, Wang, Chen: ICCV 2021, arXiv 2108.01912).

* reconstruction: L1 where the truth is known, or of the hidden pixels and the logarithm of their error;
* anti-ambiguity: a region that several fills would explain tends to be filled with their blurred mean, so
  the features of a filled picture should be features of *another* frame of the clip, each matched with few,
  whatever their place (contextual loss, Mechrez et al., ECCV 2018);
* stabilisation: where a frame moves a little, what fills its hole should move with it.

The last two are written from a description of the method, not from its code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.methods.internal.net import HEAD, InternalNet
from vinpaint_cli.nets.holes import composite

if TYPE_CHECKING:
    from vinpaint_cli.methods.internal.config import FitConfig
    from vinpaint_cli.methods.internal.samples import CropBatch

SMALLEST_ERROR = 1e-5
"""Added to mean squared errors before the logarithm is taken, in units of the range."""

AMBIGUITY = 0.1
"""Weight of the anti-ambiguity loss beside the reconstruction's."""

STABILISATION = 0.2
"""Weight of the stabilisation loss beside the reconstruction's."""

SHARPNESS = 2.0
"""Factor of relative distances in the exponent, the inverse of a bandwidth of 0.5."""

LEAST_DISTANCE = 1e-5
"""Added to the distance that the others are measured by."""

LEAST_NORM = 1e-5
"""Features that are shorter, as in a picture all hole, are not stretched to length 1."""

MOST = 1024
"""Positions of features that are compared per picture."""

VGG19_STAGES = ((64, 2), (128, 2), (256, 4), (512, 2))
"""Channels and number of convolutions of VGG-19's stages, the fourth up to its second convolution."""

Features = Callable[[Tensor], Tensor]
"""Pictures ``(N, 3, h, w)`` in [-1, 1] → features ``(N, C, h', w')``."""

SHIFT = 2.0
"""Pixels by which a picture is shifted at most, along each axis."""

TURN = math.radians(1.0)
"""Angle by which a picture is turned at most, and sheared."""

ZOOM = 0.03
"""Share by which a picture is made larger or smaller at most."""

WarpMode = Literal["bilinear", "nearest", "touched"]

Fill = Callable[[Tensor, Tensor], Sequence[Tensor]]
"""Frames ``(N, 3, h, w)`` in [-1, 1] and holes ``(N, 1, h, w)``, 1 = fill → a picture of each stage."""


def reconstruction_loss(pictures: Sequence[Tensor], batch: CropBatch, config: FitConfig) -> Tensor:
    """Weighted sum over all stages of the losses of their ``pictures`` ``(N, 3, h, w)`` in [-1, 1]."""
    total = batch.truth.new_zeros(())
    for picture in pictures:
        picture = picture.float()
        if config.known > 0:  # the paper's: a mean over all pixels, those of unknown truth counting as 0
            total = total + config.known * ((picture - batch.truth).abs() * batch.weights).mean()
        if config.hidden > 0 or config.error > 0:
            total = total + _hidden_loss(picture, batch, config)
    return total


def _hidden_loss(picture: Tensor, batch: CropBatch, config: FitConfig) -> Tensor:
    """L1 of the composite over the scored pixels, and the logarithm of its mean squared error."""
    shown = composite(batch.frames, picture, batch.residual)
    weights = batch.weights * batch.scored
    sums = weights.flatten(1).sum(1)
    off = (shown - batch.truth).abs().mean(1, keepdim=True)
    total = config.hidden * (off * weights).sum() / sums.sum().clamp_min(1.0)
    if config.error > 0:
        square = functional.mse_loss(shown / 2, batch.truth / 2, reduction="none").mean(1, keepdim=True)
        errors = (square * weights).flatten(1).sum(1) / sums.clamp_min(1.0)
        logs = (errors + SMALLEST_ERROR).log() / 2
        total = total + config.error * (logs * (sums > 0)).sum() / (sums > 0).sum().clamp_min(1)
    return total


def ambiguity_loss(
    filled: Tensor, truth: Tensor, holes: Tensor, features: Features, most: int = MOST
) -> Tensor:
    """Mean over the batch of ``-log CX``: a scalar from 0 (each position has its own match) to log P.

    filled, truth: pictures ``(N, 3, h, w)`` in [-1, 1]. holes: ``(N, 1, h, w)``, 1 = truth not known, or
    in between. Picture n is compared with the truth of picture N - 1 - n where that is known, so a
    batch should hold different frames; the middle one of an odd batch is compared with itself. The
    gradient goes to ``filled`` alone.

    All pairs of P positions are compared, in matrices of P² numbers per picture. Where the features have
    more than ``most`` positions, both pictures' are taken on one even lattice of at most so many: 4 MiB per
    matrix and picture for 1024, whatever the pictures' size.
    """
    known = 1 - holes.flip(0)
    shown = features(filled * known)
    with torch.no_grad():
        wanted = features(truth.flip(0) * known)
    with torch.autocast(filled.device.type, enabled=False):  # halves cannot tell near matches apart
        shown, wanted = _full(shown), _full(wanted)
        middle = wanted.mean((0, 2, 3), keepdim=True)
        pairs = zip(_on_lattice(shown - middle, most), _on_lattice(wanted - middle, most), strict=True)
        similar = [_similarity(_distances(x, y)) for x, y in pairs]  # one by one: caches hold a matrix, not N
        return -torch.stack(similar).log().mean()


def vgg19_features(device: torch.device | str = "cpu") -> Features | None:
    """VGG-19 up to the ReLU after conv4_2, frozen; None when the store has no right file of it.

    Nothing is downloaded. Scale 1/8, 512 channels. The paper takes the same layer of Keras's VGG-19, whose
    weights want BGR in 0…255 less a mean (Caffe's way); those of torchvision, which the store keeps, want
    ImageNet's mean and spread per RGB channel, and get that.
    """
    from vinpaint_cli.metrics.lpips import MEAN, SPREAD, vgg_stages
    from vinpaint_cli.weights.state import load_checkpoint
    from vinpaint_cli.weights.store import resolve

    try:
        backbone = load_checkpoint(resolve("vgg19")).tensors
    except WeightsError:
        return None
    network = _frozen(nn.Sequential(*vgg_stages(backbone, VGG19_STAGES))).to(device)

    def features(pictures: Tensor) -> Tensor:
        mean, spread = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, SPREAD))
        return network((pictures - mean) / spread)  # type: ignore[no-any-return]  # typed Any

    return features


def encoder_features(network: InternalNet) -> Features:
    """A frozen copy of the coarse encoder as it is now: scale 1/4, ``2·width`` channels.

    The pictures count as without holes. Not in the paper: it stands in where VGG-19 is not at hand.
    """
    encoder = _frozen(deepcopy(network.coarse[: len(HEAD)]))

    def features(pictures: Tensor) -> Tensor:
        nothing_hidden = torch.zeros_like(pictures[:, :1])
        return encoder(torch.cat([pictures, nothing_hidden], 1))  # type: ignore[no-any-return]  # typed Any

    return features


def _distances(shown: Tensor, wanted: Tensor) -> Tensor:
    """Cosine distances ``(P, P)`` in [0, 2] of positions; features ``(C, P)``, rows are ``shown``'s."""
    shown, wanted = (functional.normalize(x, dim=0, eps=LEAST_NORM) for x in (shown, wanted))
    return (1 - shown.T @ wanted).clamp_min(0)


def _similarity(distances: Tensor) -> Tensor:
    """CX, a scalar in [1/P, 1], of distances ``(P, P)``.

    ``exp(2·(1 − d̃))`` by its sum over j is the softmax of ``−2·d̃``.
    """
    nearest = distances.min(1, keepdim=True).values
    matches = (distances * (-SHARPNESS / (nearest + LEAST_DISTANCE))).softmax(1)
    return matches.max(0).values.mean()


def _on_lattice(features: Tensor, most: int) -> Tensor:
    """Features ``(N, C, h, w)`` of all positions, or of at most ``most`` on a lattice, as ``(N, C, P)``."""
    height, width = features.shape[-2:]
    if height * width > most:
        rows = min(most, max(1, int(height * (most / (height * width)) ** 0.5)))
        columns = min(width, most // rows)
        features = features[..., _spread(height, rows, features.device), :]
        features = features[..., _spread(width, columns, features.device)]
    return features.flatten(2)


def _spread(length: int, count: int, device: torch.device) -> Tensor:
    """``count`` of ``length`` places, evenly spread and the same distance from both ends."""
    return ((torch.arange(count, device=device) + 0.5) * length / count).long()


def _full(x: Tensor) -> Tensor:
    """At least single precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _frozen(network: nn.Module) -> nn.Module:
    return network.requires_grad_(False).eval()


def stabilisation_loss(
    fill: Fill,
    frames: Tensor,
    truth: Tensor,
    unknown: Tensor,
    hidden: Tensor,
    shown: Sequence[Tensor],
    matrices: Tensor,
) -> Tensor:
    """Sum over stages s of ``mean(|(Tx_s − x_s) − (T(gt) − gt)|·(1 − (M ∪ T(M))))``, a scalar.

    fill is called once, with the warped frames and holes; ``shown`` holds what it made of the frames as
    they are, pictures ``(N, 3, h, w)`` in [-1, 1] per stage. frames: what the network is given, hidden
    pixels included, and truth: what is compared with, both ``(N, 3, h, w)`` in [-1, 1]. unknown: M
    ``(N, 1, h, w)``, 1 = the truth is not known; hidden: m likewise, 1 = hidden from the network, which
    covers M. matrices: T, see :func:`random_affine`. The gradient goes through ``fill`` and ``shown``.

    The paper warps masks to the nearest pixel; here a pixel counts as hole as soon as its warped colour
    took something from one, so that nothing of what is unknown is compared or seen.
    """
    with torch.no_grad():
        moved = warp(truth, matrices) - truth
        compared = 1 - torch.maximum(unknown, warp(unknown, matrices, "touched"))
        warped, covered = warp(frames, matrices), warp(hidden, matrices, "touched")
    pairs = zip(fill(warped, covered), shown, strict=True)
    return torch.stack([((after - before - moved).abs() * compared).mean() for after, before in pairs]).sum()


def random_affine(rng: torch.Generator, count: int) -> Tensor:
    """Small warps ``(count, 2, 3)`` float32 on the generator's device, uniform in each of their parts.

    A matrix takes a pixel of the warped picture to where it is read in the picture, both (x, y) in pixels
    from the centre: turned by up to 1°, sheared by up to 1°, zoomed by 0.97 to 1.03, the same along both
    axes, and shifted by up to 2 pixels each way.
    """
    drawn = torch.rand(count, 5, generator=rng, device=rng.device) * 2 - 1
    angle, shear, zoom = drawn[:, 0] * TURN, drawn[:, 1] * TURN, 1 + drawn[:, 2] * ZOOM
    sine, cosine, slope = angle.sin(), angle.cos(), shear.tan()
    across = torch.stack([cosine, cosine * slope - sine], 1)
    down = torch.stack([sine, sine * slope + cosine], 1)
    linear = torch.stack([across, down], 1) * zoom.view(-1, 1, 1)
    return torch.cat([linear, drawn[:, 3:].unsqueeze(2) * SHIFT], 2)


def warp(pictures: Tensor, matrices: Tensor, mode: WarpMode = "bilinear") -> Tensor:
    """``(N, C, h, w)`` read where ``matrices`` ``(N, 2, 3)`` say; see :func:`random_affine`.

    ``bilinear`` is for pictures, their border repeated outside. The others are for holes ``(N, 1, h, w)``,
    1 = hole, and outside there is hole: ``nearest`` takes one pixel, ``touched`` the largest value of those
    that ``bilinear`` reads there. Shifts by whole pixels are exact, for any size: ``grid_sample`` rounds
    positions unless sides are powers of two, so pixels are picked and mixed here.
    """
    x, y = _positions(matrices.to(pictures.device), *pictures.shape[-2:])
    if mode != "bilinear":
        pictures, x, y = functional.pad(pictures, (1, 1, 1, 1), value=1.0), x + 1, y + 1
    if mode == "nearest":
        return _pick(pictures, (x + 0.5).floor(), (y + 0.5).floor())
    left, right, top, bottom = x.floor(), x.ceil(), y.floor(), y.ceil()
    corners = [_pick(pictures, column, row) for row in (top, bottom) for column in (left, right)]
    if mode == "touched":
        return torch.stack(corners).amax(0)
    along, down = (part.unsqueeze(1).to(pictures.dtype) for part in (x - left, y - top))
    upper, lower = (torch.lerp(a, b, along) for a, b in (corners[:2], corners[2:]))
    return torch.lerp(upper, lower, down)


def _positions(matrices: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Columns and rows ``(N, h, w)`` in pixels at which each pixel of the warped picture is read."""
    middle = (width - 1) / 2, (height - 1) / 2
    x = torch.arange(width, device=matrices.device, dtype=matrices.dtype) - middle[0]
    y = (torch.arange(height, device=matrices.device, dtype=matrices.dtype) - middle[1]).view(-1, 1)
    rows = matrices.unsqueeze(-1).unsqueeze(-1).unbind(1)  # of each matrix; products by hand stay exact
    across, down = (
        row[:, 0] * x + row[:, 1] * y + row[:, 2] + m for row, m in zip(rows, middle, strict=True)
    )
    return across, down


def _pick(pictures: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Pixels ``(N, C, h, w)`` at whole columns and rows ``(N, h, w)``, the nearest of the border outside."""
    height, width = pictures.shape[-2:]
    places = y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()
    spread = places.flatten(1).unsqueeze(1).expand(-1, pictures.shape[1], -1)
    return pictures.flatten(2).gather(2, spread).view(*pictures.shape[:2], *x.shape[1:])
