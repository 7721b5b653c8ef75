from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scenes import block, pan

from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods.internal.config import PRESETS, FitConfig, read_fit_config
from vinpaint_cli.methods.internal.finer import finer_sample
from vinpaint_cli.methods.internal.fit import Budget, Fitter, Material, Status, learning_rate, loss_of
from vinpaint_cli.methods.internal.judge import Judge
from vinpaint_cli.methods.internal.net import InternalConfig
from vinpaint_cli.methods.internal.pyramid import Pyramid
from vinpaint_cli.methods.internal.samples import (
    Draws,
    Footage,
    Pieces,
    Sample,
    scale_map,
    scale_sample,
    thinned,
)

CONFIG = FitConfig(
    network={"model": "base", "width": 8, "prefill": True},
    batch=2,
    side=32,
    shadowed=0.5,
    rate=3e-3,
    floor=0.1,
    betas=(0.9, 0.99),
    ema=0.9,
    hidden=1.0,
    known=0.0,
    error=0.3,
)
HEIGHT, WIDTH, FRAMES = 48, 64, 4


def footage(box: tuple[int, int, int, int] = (20, 12, 36, 28), own: bool = True) -> Footage:
    """Stripes whose phase no smooth fill can guess; the true hole is at the left border."""
    truth = pan(FRAMES, HEIGHT, WIDTH)
    truth[:, :, ::8] = 250
    judged = np.broadcast_to(block(HEIGHT, WIDTH, box), (FRAMES, HEIGHT, WIDTH)).copy()
    true = np.broadcast_to(block(HEIGHT, WIDTH, (0, 30, 8, 44)), judged.shape)
    shares = np.where(judged | true if own else true, 255, 0).astype(np.uint8)
    trust = np.where(true, 0, 255).astype(np.uint8)
    found = np.where(shares[..., None] > 0, 99, truth).astype(np.uint8)
    return Footage(truth, found, shares, trust, judged if own else None)


def material(number: int = 0) -> Material:
    shadow, known = scale_sample(footage((36, 16, 52, 32)), 1.0), scale_sample(footage(own=False), 1.0)
    kept = scale_sample(footage(), 1.0)
    return Material([known, shadow], [kept], [scale_map(footage().shares[0], 1.0)])


def fitter(steps: int = 6, state: dict[str, Any] | None = None, **changes: Any) -> Fitter:
    config = replace(CONFIG, **changes)
    torch.manual_seed(1)
    pyramid = Pyramid(InternalConfig.from_dict(config.network), (1.0,))
    return Fitter(pyramid, material, config, Budget(steps=steps), state=state)


def weights_of(pyramid: Pyramid) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in pyramid.parameters()])


def nothing(status: Status) -> None:
    pass


def dropped(state: dict[str, Any]) -> None:
    pass


def habit(box: tuple[int, int, int, int]) -> Sample:
    """What is hidden is always lighter than what is around it: a clip's own habit, which can be learned."""
    plain = footage(box)
    assert plain.judged is not None
    truth = np.repeat(np.where(plain.judged[..., None], 190, 90), 3, axis=3).astype(np.uint8)
    found = np.where(plain.shares[..., None] > 0, 0, truth).astype(np.uint8)
    return scale_sample(replace(plain, truth=truth, found=found), 1.0)


def test_a_fit_learns_the_clip() -> None:
    fit = fitter(60, patience=30, rate=1e-2)
    made = Material([habit((36, 16, 52, 32))], [habit((20, 12, 36, 28))], [])
    fit._material = lambda number: made
    fit.run(nothing, dropped)
    assert fit.status.step == 60
    assert fit.status.best > fit.status.smooth + 2
    assert Judge(made.kept)(fit.pyramid.nets[0]) == pytest.approx(fit.status.best, abs=1e-3)


def test_the_best_weights_are_kept_not_the_last() -> None:
    """A rate that ruins the network leaves the weights it began with."""
    fit = fitter(12, rate=5.0)
    before = weights_of(fit.pyramid)
    fit.run(nothing, dropped)
    assert fit.status.best >= fit.status.history[0]["psnr"] - 1e-3
    if fit.status.best == pytest.approx(fit.status.smooth, abs=1e-6):
        assert torch.equal(weights_of(fit.pyramid), before)


def test_it_stops_when_nothing_is_gained() -> None:
    fit = fitter(400, rate=0.0, patience=2)
    fit.run(nothing, dropped)
    assert fit.status.step < 100
    assert fit.status.stalled == 2


def test_a_stopped_fit_goes_on_to_the_same_weights() -> None:
    whole = fitter(8)
    whole.run(nothing, dropped)
    states: list[dict[str, Any]] = []

    def stop(status: Status) -> None:
        if status.step == 5:
            raise KeyboardInterrupt

    first = fitter(8)
    with pytest.raises(KeyboardInterrupt):
        first.run(stop, lambda state: states.append(copy.deepcopy(state)))
    second = fitter(8, state=states[-1])
    assert 0 < second.status.step <= 5
    second.run(nothing, dropped)
    assert second.status.step == 8
    assert torch.equal(weights_of(second.pyramid), weights_of(whole.pyramid))


def test_a_fit_without_steps_gives_what_it_started_from() -> None:
    fit = fitter(0)
    before = weights_of(fit.pyramid)
    fit.run(nothing, dropped)
    assert torch.equal(weights_of(fit.pyramid), before)
    assert fit.status.psnr == pytest.approx(fit.status.smooth, abs=1e-4)


def test_a_finer_scale_starts_from_the_coarser_ones_picture() -> None:
    pyramid = Pyramid(InternalConfig("base", 8, prefill=True), (0.5, 1.0))
    nets = list(pyramid.nets)
    sample = finer_sample(footage(), nets, (0.5, 1.0))
    assert sample.start is not None
    assert sample.start.shape == sample.truth.shape
    with torch.no_grad():
        list(nets[0].parameters())[-1].fill_(0.4)  # the coarse network makes everything lighter
    lighter = finer_sample(footage(), nets, (0.5, 1.0)).start
    assert lighter is not None
    inside = sample.judged.expand_as(sample.start) > 0
    rise = lighter[inside].float().mean() - sample.start[inside].float().mean()
    assert 5 < float(rise) < 60
    outside = sample.shares.expand_as(sample.start) == 0
    assert torch.equal(lighter[outside], sample.start[outside])


def test_all_scales_are_fitted() -> None:
    torch.manual_seed(1)
    pyramid = Pyramid(InternalConfig.from_dict(CONFIG.network), (0.5, 1.0))

    def at(number: int) -> Material:
        nets, factors = list(pyramid.nets)[: number + 1], pyramid.factors[: number + 1]
        if number == 0:
            samples = [scale_sample(footage((36, 16, 52, 32)), 0.5)]
            return Material(samples, [scale_sample(footage(), 0.5)], [])
        shadow = finer_sample(footage((36, 16, 52, 32)), nets, factors)
        return Material([shadow], [finer_sample(footage(), nets, factors)], [])

    fit = Fitter(pyramid, at, replace(CONFIG, side=24, patience=100), Budget(steps=30))
    shares: list[float] = []
    fit.run(lambda status: shares.append(status.share), dropped)
    assert fit.status.scale == 1
    assert {line["scale"] for line in fit.status.history} == {0, 1}
    assert len(fit.status.used) == 2
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_pieces_hide_what_is_known_and_nothing_else() -> None:
    made = material()
    draws = Draws(made.samples, made.bank, 32, 4, 0.5)
    seen = set()
    for step in range(12):
        pieces = draws.draw(0, step)
        assert pieces.frames.shape == (4, 3, 32, 32)
        assert bool((pieces.shares[pieces.judged > 0] > 0).all())
        assert bool((pieces.weights[pieces.judged > 0] > 0).all())
        assert bool(pieces.judged.any())
        known = (pieces.shares == 0).expand_as(pieces.truth)
        torch.testing.assert_close(pieces.frames[known], pieces.truth[known], atol=0.01, rtol=0)
        seen.add(float(pieces.judged.sum()))
    assert len(seen) > 4


def test_batches_depend_on_seed_and_step_alone() -> None:
    made = material()
    one, other = (Draws(made.samples, made.bank, 32, 2, 0.5) for _ in range(2))
    one.draw(0, 1)
    for name in ("frames", "shares", "truth", "judged"):
        assert torch.equal(getattr(one.draw(0, 7), name), getattr(other.draw(0, 7), name))
    assert not torch.equal(one.draw(0, 7).frames, one.draw(1, 7).frames)


def test_nothing_hidden_is_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match="nothing is hidden"):
        Draws([], [], 32, 2, 0.5)


def pieces_of(judged: float = 1.0) -> Pieces:
    truth = torch.zeros(1, 3, 8, 8)
    shares = torch.zeros(1, 1, 8, 8)
    shares[..., 2:6, 2:6] = 1
    return Pieces(truth.clone(), shares, truth, torch.ones_like(shares), shares * judged, None)


def test_the_papers_loss_is_the_mean_error_of_all_stages_where_the_truth_is_known() -> None:
    pieces = pieces_of()
    pieces.weights[..., :4] = 0
    stages = [torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 8, 8), -0.25)]
    paper = FitConfig()
    assert float(loss_of(stages, pieces, paper)) == pytest.approx((0.5 + 0.25) / 2)


def test_only_hidden_pixels_count_in_the_quick_loss() -> None:
    pieces = pieces_of()
    picture = torch.full((1, 3, 8, 8), 0.5)
    config = replace(CONFIG, hidden=1.0, known=0.0, error=0.0)
    assert float(loss_of([picture], pieces, config)) == pytest.approx(0.5)
    picture[..., 0, :] = 9
    assert float(loss_of([picture], pieces, config)) == pytest.approx(0.5)
    logs = replace(config, hidden=0.0, error=1.0)
    assert float(loss_of([picture], pieces, logs)) == pytest.approx(math.log(0.25**2 + 1e-5) / 2, abs=1e-5)


def test_the_rate_rises_and_falls() -> None:
    rates = [learning_rate(CONFIG, used / 100) for used in range(101)]
    assert rates[0] < rates[2] < rates[4]
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(CONFIG.rate * CONFIG.floor)
    assert learning_rate(FitConfig(), 0.0) == learning_rate(FitConfig(), 0.9) == 2e-4  # the paper's


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_whole(name: str) -> None:
    config = read_fit_config(name)
    InternalConfig.from_dict(config.network)
    assert FitConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()


def test_a_file_changes_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "fit.toml"
    file.write_text('preset = "quick"\nrate = 0.001\n[network]\nwidth = 16\n')
    config = read_fit_config(str(file))
    assert (config.rate, config.batch) == (0.001, 8)
    assert config.network == {"model": "base", "width": 16, "prefill": True}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("speed = 3", "no such settings: speed"),
        ('preset = "slow"', "no preset 'slow'"),
        ("side = 30", "side of 16"),
        ("regularise = 2", "between 0 and 1"),
        ("rate = [", "cannot read"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "fit.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=told):
        read_fit_config(str(file))
    with pytest.raises(UsageError, match="cannot read the configuration"):
        read_fit_config("none")


def test_regularisers_act_at_the_end_and_change_the_weights() -> None:
    plain, steadied = fitter(6), fitter(6, regularise=0.5)
    middle: dict[int, list[torch.Tensor]] = {3: [], 6: []}
    for fit in (plain, steadied):
        fit.config = replace(fit.config, ema=0.0)
        states: list[dict[str, Any]] = []

        def keep(state: dict[str, Any], into: list[dict[str, Any]] = states) -> None:
            into.append({"step": state["status"]["step"], "network": copy.deepcopy(state["network"])})

        fit.run(nothing, keep)
        for step, found in middle.items():
            network = next(s["network"] for s in states if s["step"] == step)
            found.append(torch.cat([t.flatten() for t in network.values()]))
    assert torch.equal(*middle[3])
    assert not torch.equal(*middle[6])


def test_a_start_that_does_harm_is_left_out_of_the_result() -> None:
    fit = fitter(0)
    (net,) = fit.pyramid.nets
    with torch.no_grad():
        list(net.parameters())[-1].fill_(0.9)  # everything that is hidden becomes white
    fit.run(nothing, dropped)
    assert fit.status.psnr < fit.status.smooth - 1
    assert fit.status.best == fit.status.smooth
    assert Judge(material().kept)(net) == pytest.approx(fit.status.smooth, abs=1e-4)


def test_a_small_gain_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    import vinpaint_cli.methods.internal.fit as fitting

    made = Material([habit((36, 16, 52, 32))], [habit((20, 12, 36, 28))], [])
    for needed, used in ((0.01, True), (50.0, False)):
        monkeypatch.setattr(fitting, "NEEDED", needed)
        fit = fitter(30, patience=30, rate=1e-2)
        fit._material = lambda number: made
        fit.run(nothing, dropped)
        found = Judge(made.kept)(fit.pyramid.nets[0])
        assert (found > fit.status.smooth + 0.1) is used
        assert fit.status.used == [used]
        assert found == pytest.approx(fit.status.best, abs=1e-3)


@pytest.mark.parametrize("least", [1, 10**9])
def test_a_fit_cut_short_by_time_is_not_used(monkeypatch: pytest.MonkeyPatch, least: int) -> None:
    import vinpaint_cli.methods.internal.fit as fitting

    monkeypatch.setattr(fitting, "NEEDED", 0.01)
    monkeypatch.setattr(fitting, "LEAST_STEPS", least)
    fit = fitter(patience=10**6, rate=1e-2)
    fit.budget = Budget(seconds=0.7)
    fit._material = lambda number: Material([habit((36, 16, 52, 32))], [habit((20, 12, 36, 28))], [])
    fit.run(nothing, dropped)
    assert fit.status.step > 5
    assert fit.status.used == [least == 1]


def test_thinned_footage_keeps_frames_in_which_something_is_judged() -> None:
    whole = footage()
    assert whole.judged is not None
    whole.judged[1] = False
    thin = thinned(whole, 2)
    assert len(thin.truth) == 2
    np.testing.assert_array_equal(thin.truth, whole.truth[[0, 3]])
    assert len(thinned(footage(own=False), 10).truth) == FRAMES
