"""The perceptron that weighs what candidates for a pixel say of each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vinpaint_cli.cli.app import run
from vinpaint_cli.errors import InputError, OutputError
from vinpaint_cli.ops.propagate.scorer import FEATURES, bundled_weights, corrected, read_weights
from vinpaint_cli.train.candidate_scorer import (
    Example,
    Perceptron,
    collect_examples,
    fit_scorer,
    scorer_loss,
    write_weights,
)

SIZE = (64, 48)


@pytest.fixture(scope="module")
def examples(material: Path) -> list[Example]:
    return collect_examples([material], 12, 3, size=SIZE)


def invented(seed: int, count: int = 200) -> Example:
    """Two candidates with the same score; the one is right whose `texture` is small."""
    rng = np.random.default_rng(seed)
    figures = rng.normal(size=(2, count, len(FEATURES))).astype(np.float16)
    truth = rng.uniform(0, 255, (count, 3)).astype(np.float32)
    right = rng.integers(2, size=count)
    colours = rng.uniform(0, 255, (2, count, 3)).astype(np.float32)
    colours[right, np.arange(count)] = truth
    place = FEATURES.index("texture")
    figures[..., place] = np.where(np.arange(2)[:, None] == right, -1, 1)
    fill = np.full((count, 3), 128, np.float32)
    scores = np.full((2, count), 2, np.float32)
    return Example(figures, np.ones((2, count), np.bool_), scores, colours, fill, fill, truth)


def perceptron() -> Perceptron:
    torch.manual_seed(0)
    network = Perceptron(np.zeros(len(FEATURES), np.float32), np.ones(len(FEATURES), np.float32))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def test_what_learns_computes_what_is_used() -> None:
    network, example = perceptron(), invented(1)
    valid = example.valid.copy()
    valid[1, :50] = False
    figures = example.figures.astype(np.float32)
    with torch.no_grad():
        there = network(*(torch.from_numpy(part) for part in (figures, valid, example.scores)))
    here = corrected(figures, valid, example.scores, network.weights())
    for one, other in zip(there, here, strict=True):
        assert np.allclose(one.numpy(), other, atol=1e-4)


def test_a_fit_finds_what_tells_right_from_wrong() -> None:
    known, unseen = [invented(seed) for seed in range(8)], invented(99)
    told: list[float] = []
    weights = fit_scorer(known, 150, 0, lambda step, loss: told.append(loss))
    assert told[-1] < told[0] - 5
    better, _ = corrected(unseen.figures.astype(np.float32), unseen.valid, unseen.scores, weights)
    right = np.abs(unseen.colours - unseen.truth).sum(-1) == 0
    assert (better.argmax(0) == right.argmax(0)).mean() > 0.95


def test_a_fit_is_the_same_for_a_seed() -> None:
    known = [invented(seed) for seed in range(4)]
    one, same, other = (fit_scorer(known, 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.own, same.own)
    assert not np.array_equal(one.own, other.own)


def test_examples_are_drawn_from_clips(examples: list[Example], material: Path) -> None:
    assert len(examples) >= 4
    for example in examples:
        candidates, pixels = example.valid.shape
        assert candidates >= 4
        assert example.figures.shape == (candidates, pixels, len(FEATURES))
        assert np.isfinite(example.figures.astype(np.float32)).all()
        assert example.settled.shape == example.fill.shape == example.truth.shape == (pixels, 3)
        # With what was found a fill knows more than without.
    off, less = (
        np.mean([np.abs(fill - e.truth).mean() for fill, e in pairs])
        for pairs in ([(e.fill, e) for e in examples], [(e.settled, e) for e in examples])
    )
    assert less < off
    again = collect_examples([material], 12, 3, size=SIZE)
    assert all(np.array_equal(a.figures, b.figures) for a, b in zip(examples, again, strict=True))


def test_the_loss_punishes_what_is_wrong() -> None:
    network, example = perceptron(), invented(5)
    exact = replace(example, colours=np.stack([example.truth] * 2), fill=example.truth, settled=example.truth)
    assert scorer_loss(network, exact) < scorer_loss(network, example) - 10
    # Three quarters of it look at the fill that also knows what was found.
    settled = scorer_loss(network, replace(example, settled=example.truth))
    around = scorer_loss(network, replace(example, fill=example.truth))
    assert settled < around < scorer_loss(network, example)


def test_weights_are_written_whole_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    weights = perceptron().weights()
    write_weights(weights, path)
    back = read_weights(path)
    assert np.allclose(back.own, weights.own, atol=1e-3)
    assert back.out.shape == weights.out.shape
    assert [p.name for p in tmp_path.iterdir()] == ["weights.npz"]
    with pytest.raises(OutputError, match="cannot write"):
        write_weights(weights, tmp_path / "absent" / "weights.npz")


def test_the_bundled_weights_fit_the_features() -> None:
    weights = bundled_weights()
    assert weights.mean.shape == (len(FEATURES),)
    assert weights.own.shape[0] == len(FEATURES)


def test_clips_without_an_example_are_refused(material: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vinpaint_cli.train.candidate_scorer.FEWEST", 10**9)
    with pytest.raises(InputError, match="--clips"):
        collect_examples([material], 1, 0, size=SIZE)


def test_a_clip_that_shows_nothing_twice_teaches_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(tmp_path / "one" / "00000.png")
    with pytest.raises(InputError, match="--clips"):
        collect_examples([tmp_path], 8, 0, size=SIZE)


def test_a_place_that_is_not_there_is_refused_at_once(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vinpaint_cli.train.candidate_scorer.collect_examples", lambda *given: pytest.fail("gathered")
    )
    assert run(["train", "agreement", str(material), "-o", str(tmp_path / "absent" / "a.npz")]) == 6


def test_the_command_writes_the_file(material: Path, tmp_path: Path) -> None:
    out = tmp_path / "agreement.npz"
    command = ["train", "agreement", str(material), "--clips", "2", "--steps", "3", "-o", str(out)]
    assert run(command) == 0
    assert read_weights(out).own.shape[0] == len(FEATURES)
