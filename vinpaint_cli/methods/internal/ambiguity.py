"""Anti-ambiguity loss of Internal Video Inpainting (Ouyang, Wang, Chen: ICCV 2021, arXiv 2108.01912).

A region that several fills would explain tends to be filled with their blurred mean. The loss therefore
asks that the features of a filled picture be features of *another* frame of the clip, each matched with
few, whatever their place (contextual loss, Mechrez et al., ECCV 2018). Written from a description of the
method, not from its code.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.methods.internal.net import HEAD, InternalNet

AMBIGUITY = 0.1
"""Weight of this loss beside the reconstruction's."""

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


def ambiguity_loss(
    filled: Tensor, truth: Tensor, holes: Tensor, features: Features, most: int = MOST
) -> Tensor:
    """Mean over the batch of ``-log CX``: a scalar from 0 (each position has its own match) to log P.

    filled, truth: pictures ``(N, 3, h, w)`` in [-1, 1]. holes: ``(N, 1, h, w)``, 1 = truth not known, or
    shares in [0, 1]. Picture n is compared with the truth of picture N - 1 - n where that is known, so a
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
