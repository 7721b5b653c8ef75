"""Training of the candidate scorer of `ops.propagate.scorer`, on candidates for pixels whose truth is known.

Holes are drawn over clips, propagation looks for candidates as `remove` does, and the weights are moved until
the fused picture errs least, over a smooth fill, in decibels per frame: half of the loss is the logarithm of
the mean squared error, which favours mixing uncertain candidates, half that of the mean error, which favours
choosing.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vinpaint_cli.errors import InputError, OutputError
from vinpaint_cli.ops.complete.smooth_fill import fill_smoothly
from vinpaint_cli.ops.image import Array, Bool
from vinpaint_cli.ops.propagate.fusion import NEVER, fuse, score
from vinpaint_cli.ops.propagate.scorer import FEATURES, STRAY, Weights, features
from vinpaint_cli.util.atomic_write import atomic_write

UNITS = 32
DROPPED = 0.1
"""How often a candidate is left out of a frame in training, so that none is relied on alone.

The figures of the others still know of it.
"""
EVERY = 7
"""One in so many frames of a clip is learned from: neighbours are alike."""
SPAN = 27
"""Most frames of a clip."""
PIXELS = 1200
"""Pixels of a frame that are learned from."""
FEWEST = 50
"""Pixels that a frame must have for it."""
BATCH = 8
RATE = 3e-3
CLIP = 1.0
SETTLED = 0.75
"""The part of the loss in which a fill knows what scores alone are sure of, as it will when it is used.

With nothing else the picture gets softer while its error falls: where a fill made of it is as good, nothing
would speak for what was found.
"""
VIDEO_SHARE = 0.7
"""How often a clip is drawn out of a video, not moved over a photo."""


@dataclass(frozen=True, slots=True)
class Example:
    """Training example: n pixels of one frame with K candidates each, colours in 0…255.

    figures: features of candidates, float16 ``(K, n, F)``, see `ops.propagate.scorer.FEATURES`; valid, scores
    ``(K, n)``; colours ``(K, n, 3)``; fill and truth ``(n, 3)``, and ``settled``, a fill that also knows what
    scores alone are sure of.
    """

    figures: npt.NDArray[np.float16]
    valid: Bool
    scores: Array
    colours: Array
    fill: Array
    settled: Array
    truth: Array


def collect_examples(
    paths: Sequence[str | Path],
    clips: int,
    seed: int,
    tick: Callable[[str], None] = lambda name: None,
    size: tuple[int, int] = (432, 240),
) -> list[Example]:
    """Examples from so many clips drawn from photos and videos under ``paths``; size: ``(width, height)``.

    ``tick`` is told the name of each clip. Raises InputError and VideoError.
    """
    from vinpaint_cli.train.clips import STILL_GROUPS, Clips, find_material

    rng = np.random.default_rng(seed)
    source = Clips(find_material(paths), size, SPAN, VIDEO_SHARE, STILL_GROUPS)
    examples: list[Example] = []
    for _ in range(clips):
        drawn = source.draw(rng)
        examples += _of_clip(rng, drawn.clip, list(drawn.holes))
        tick(drawn.name)
    if not examples:
        raise InputError("no hole was drawn that has anything to learn from; give more --clips")
    return examples


def _of_clip(rng: np.random.Generator, clip: npt.NDArray[np.uint8], holes: list[Bool]) -> Iterator[Example]:
    from vinpaint_cli.ops.flow import open_flow
    from vinpaint_cli.ops.propagate.propagation import PropagateOptions, begin_search
    from vinpaint_cli.ops.propagate.scene import make_scene

    options = PropagateOptions(unit=clip.shape[1] / 240)
    frames = clip.astype(np.float32) / np.float32(255)
    search = begin_search(make_scene(frames, holes, options, open_flow(), lambda: None))
    for t in range(int(rng.integers(EVERY)), len(clip), EVERY):
        n = int(np.count_nonzero(holes[t]))
        if n < FEWEST:
            continue
        candidates, depth, around = search.candidates(t)
        scores = np.stack([score(candidate, depth) for candidate in candidates])
        planes = features(candidates, depth, around, scores)
        if not any(candidate.valid.any() for candidate in candidates):
            continue
        kept = rng.choice(n, min(PIXELS, n), replace=False)
        yield Example(
            np.stack([plane[:, kept] for plane in planes], -1),
            np.stack([candidate.valid[kept] for candidate in candidates]),
            scores[:, kept],
            np.stack([candidate.colour[kept] for candidate in candidates]).clip(0, 255),
            around.fill[kept],
            _settled_fill(frames[t], holes[t], *fuse(candidates, depth))[kept],
            clip[t][holes[t]][kept].astype(np.float32),
        )


def _settled_fill(frame: Array, hole: Bool, colour: Array, confidence: Array) -> Array:
    """A smooth fill ``(n, 3)`` in 0…255 from known pixels and, by their confidence, from those found."""
    picture, share = frame.copy(), hole.astype(np.float32)
    picture[hole], share[hole] = np.clip(colour / 255, 0, 1), 1 - confidence
    return np.asarray(fill_smoothly(picture, share)[hole] * np.float32(255), np.float32)


class Perceptron(nn.Module):
    """The perceptron of `ops.propagate.scorer.corrected`, to be trained; at first it corrects nothing."""

    def __init__(self, mean: Array, deviation: Array, units: int = UNITS) -> None:
        super().__init__()
        self.mean, self.deviation = torch.from_numpy(mean), torch.from_numpy(deviation)
        self.own = nn.Linear(len(FEATURES), units)
        self.pool = nn.Linear(2 * units, units)
        self.share = nn.Linear(units, units, bias=False)
        self.out, self.none = nn.Linear(units, 1), nn.Linear(units, 1)
        for layer in (self.out, self.none):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, figures: Tensor, valid: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of candidates ``(K, n)`` and of "none" ``(n,)``."""
        known = ((figures - self.mean) / self.deviation).clamp(-STRAY, STRAY)
        hidden = self.own(known).relu() * valid[..., None]
        count = valid.sum(0).clamp_min(1)[:, None]
        common = self.pool(torch.cat([hidden.sum(0) / count, hidden.amax(0)], -1)).relu()
        better = scores + self.out((hidden + self.share(common)).relu())[..., 0]
        return better.where(valid, torch.full_like(better, float(NEVER))), self.none(common)[..., 0]

    def weights(self) -> Weights:
        """The weights as numpy arrays, as the scorer reads them."""
        layers = {"own": self.own, "pool": self.pool, "out": self.out, "none": self.none}
        found = {"mean": self.mean, "deviation": self.deviation, "share": self.share.weight.T}
        for name, layer in layers.items():
            found |= {name: layer.weight.T, f"{name}_bias": layer.bias}
        plain = {name: tensor.detach().numpy() for name, tensor in found.items()}
        return Weights(**{name: x[:, 0] if name in ("out", "none") else x for name, x in plain.items()})


def fit_scorer(
    examples: Sequence[Example],
    steps: int,
    seed: int,
    tick: Callable[[int, float], None] = lambda step, loss: None,
) -> Weights:
    """Train for ``steps`` batches of `BATCH` frames; ``tick`` is called with step and loss in decibels."""
    known = np.concatenate([example.figures[example.valid] for example in examples]).astype(np.float32)
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Perceptron(known.mean(0), known.std(0) + np.float32(1e-3))
    adam = torch.optim.Adam(network.parameters(), RATE)
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * step / steps)) / 2 + 1e-5
        chosen = rng.choice(len(examples), BATCH)
        losses = [scorer_loss(network, _thinned(rng, examples[int(i)])) for i in chosen]
        total = torch.stack(losses).mean()
        adam.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        adam.step()
        tick(step + 1, float(total.detach()))
    return network.weights()


def _thinned(rng: np.random.Generator, example: Example) -> Example:
    kept = rng.random(len(example.valid)) >= DROPPED
    return replace(example, valid=example.valid & kept[:, None])


def scorer_loss(network: Perceptron, example: Example) -> Tensor:
    """The loss: error of the fused picture in decibels, averaged over the two fills."""
    weights = candidate_weights(network, example)
    found = (weights[:-1, :, None] * torch.from_numpy(example.colours)).sum(0)
    parts = []
    for weight, fill in ((1 - SETTLED, example.fill), (SETTLED, example.settled)):
        off = found + weights[-1][:, None] * torch.from_numpy(fill) - torch.from_numpy(example.truth)
        square = off.square().mean(-1)
        level = 5 * torch.log10(square.mean() + 6) + 10 * torch.log10((square + 4).sqrt().mean())
        parts.append(weight * level)
    return torch.stack(parts).sum()


def candidate_weights(network: Perceptron, example: Example) -> Tensor:
    """Weights ``(K + 1, n)`` of the candidates and, last, of "none"; they sum to one."""
    better, none = network(
        torch.from_numpy(example.figures.astype(np.float32)),
        torch.from_numpy(example.valid),
        torch.from_numpy(example.scores),
    )
    return torch.cat([better, none[None]]).softmax(0)


def write_weights(weights: Weights, out: Path) -> None:
    """Write what `ops.propagate.scorer.read_weights` reads, in half floats; raises OutputError."""
    content = io.BytesIO()
    np.savez_compressed(content, **{name: x.astype(np.float16) for name, x in asdict(weights).items()})
    try:
        with atomic_write(out) as temporary:
            temporary.write_bytes(content.getvalue())
    except OSError as exc:
        raise OutputError(f"cannot write {out}: {exc.strerror or exc}; choose another place") from exc
