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
from vinpaint_cli.methods.fitting import Budget, FitFrames, FitStatus
from vinpaint_cli.methods.internal.config import PRESETS, FitConfig, read_fit_config
from vinpaint_cli.methods.internal.fitter import Fitter, ScaleMaterial, learning_rate
from vinpaint_cli.methods.internal.losses import reconstruction_loss
from vinpaint_cli.methods.internal.net import InternalConfig, Pyramid
from vinpaint_cli.methods.internal.samples import (
    CropBatch,
    CropSampler,
    HeldOutScore,
    ScaledFrames,
    scale_frames,
    scale_residual,
    scale_with_start,
    thinned,
)

CONFIG = FitConfig(
    network={"model": "base", "width": 8, "prefill": True},
    batch=2,
    side=32,
    pseudo_hole_share=0.5,
    rate=3e-3,
    floor=0.1,
    betas=(0.9, 0.99),
    ema=0.9,
    hidden=1.0,
    known=0.0,
    error=0.3,
)
HEIGHT, WIDTH, FRAMES = 48, 64, 4


def frames_of(box: tuple[int, int, int, int] = (20, 12, 36, 28), own: bool = True) -> FitFrames:
    """Stripes whose phase no smooth fill can guess; the true hole is at the left border."""
    truth = pan(FRAMES, HEIGHT, WIDTH)
    truth[:, :, ::8] = 250
    scored = np.broadcast_to(block(HEIGHT, WIDTH, box), (FRAMES, HEIGHT, WIDTH)).copy()
    true = np.broadcast_to(block(HEIGHT, WIDTH, (0, 30, 8, 44)), scored.shape)
    residual = np.where(scored | true if own else true, 255, 0).astype(np.uint8)
    trust = np.where(true, 0, 255).astype(np.uint8)
    found = np.where(residual[..., None] > 0, 99, truth).astype(np.uint8)
    return FitFrames(truth, found, residual, trust, scored if own else None)


def material(number: int = 0) -> ScaleMaterial:
    pseudo_hole, known = (
        scale_frames(frames_of((36, 16, 52, 32)), 1.0),
        scale_frames(frames_of(own=False), 1.0),
    )
    held_out = scale_frames(frames_of(), 1.0)
    return ScaleMaterial([known, pseudo_hole], [held_out], [scale_residual(frames_of().residual[0], 1.0)])


def fitter(steps: int = 6, state: dict[str, Any] | None = None, **changes: Any) -> Fitter:
    config = replace(CONFIG, **changes)
    torch.manual_seed(1)
    pyramid = Pyramid(InternalConfig.from_dict(config.network), (1.0,))
    return Fitter(pyramid, material, config, Budget(steps=steps), state=state)


def weights_of(pyramid: Pyramid) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in pyramid.parameters()])


def nothing(status: FitStatus) -> None:
    pass


def dropped(state: dict[str, Any]) -> None:
    pass


def habit(box: tuple[int, int, int, int]) -> ScaledFrames:
    """What is hidden is always lighter than what is around it: a clip's own habit, which can be learned."""
    plain = frames_of(box)
    assert plain.scored is not None
    truth = np.repeat(np.where(plain.scored[..., None], 190, 90), 3, axis=3).astype(np.uint8)
    found = np.where(plain.residual[..., None] > 0, 0, truth).astype(np.uint8)
    return scale_frames(replace(plain, truth=truth, found=found), 1.0)


def test_a_fit_learns_the_clip() -> None:
    fit = fitter(60, patience=30, rate=1e-2)
    made = ScaleMaterial([habit((36, 16, 52, 32))], [habit((20, 12, 36, 28))], [])
    fit.material = lambda number: made
    fit.run(nothing, dropped)
    assert fit.status.step == 60
    assert fit.status.best > fit.status.smooth + 2
    assert HeldOutScore(made.held_out)(fit.pyramid.nets[0]) == pytest.approx(fit.status.best, abs=1e-3)


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

    def stop(status: FitStatus) -> None:
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
    sample = scale_with_start(frames_of(), nets, (0.5, 1.0))
    assert sample.start is not None
    assert sample.start.shape == sample.truth.shape
    with torch.no_grad():
        list(nets[0].parameters())[-1].fill_(0.4)  # the coarse network makes everything lighter
    lighter = scale_with_start(frames_of(), nets, (0.5, 1.0)).start
    assert lighter is not None
    inside = sample.scored.expand_as(sample.start) > 0
    rise = lighter[inside].float().mean() - sample.start[inside].float().mean()
    assert 5 < float(rise) < 60
    outside = sample.residual.expand_as(sample.start) == 0
    assert torch.equal(lighter[outside], sample.start[outside])


def test_all_scales_are_fitted() -> None:
    torch.manual_seed(1)
    pyramid = Pyramid(InternalConfig.from_dict(CONFIG.network), (0.5, 1.0))

    def at(number: int) -> ScaleMaterial:
        nets, factors = list(pyramid.nets)[: number + 1], pyramid.factors[: number + 1]
        if number == 0:
            samples = [scale_frames(frames_of((36, 16, 52, 32)), 0.5)]
            return ScaleMaterial(samples, [scale_frames(frames_of(), 0.5)], [])
        pseudo_hole = scale_with_start(frames_of((36, 16, 52, 32)), nets, factors)
        return ScaleMaterial([pseudo_hole], [scale_with_start(frames_of(), nets, factors)], [])

    fit = Fitter(pyramid, at, replace(CONFIG, side=24, patience=100), Budget(steps=30))
    residual: list[float] = []
    fit.run(lambda status: residual.append(status.share), dropped)
    assert fit.status.scale == 1
    assert {line["scale"] for line in fit.status.history} == {0, 1}
    assert len(fit.status.used) == 2
    assert residual == sorted(residual)
    assert residual[-1] == pytest.approx(1.0)


def test_pieces_hide_what_is_known_and_nothing_else() -> None:
    made = material()
    sampler = CropSampler(made.samples, made.hole_bank, 32, 4, 0.5)
    seen = set()
    for step in range(12):
        batch = sampler.draw(0, step)
        assert batch.frames.shape == (4, 3, 32, 32)
        assert bool((batch.residual[batch.scored > 0] > 0).all())
        assert bool((batch.weights[batch.scored > 0] > 0).all())
        assert bool(batch.scored.any())
        known = (batch.residual == 0).expand_as(batch.truth)
        torch.testing.assert_close(batch.frames[known], batch.truth[known], atol=0.01, rtol=0)
        seen.add(float(batch.scored.sum()))
    assert len(seen) > 4


def test_batches_depend_on_seed_and_step_alone() -> None:
    made = material()
    one, other = (CropSampler(made.samples, made.hole_bank, 32, 2, 0.5) for _ in range(2))
    one.draw(0, 1)
    for name in ("frames", "residual", "truth", "scored"):
        assert torch.equal(getattr(one.draw(0, 7), name), getattr(other.draw(0, 7), name))
    assert not torch.equal(one.draw(0, 7).frames, one.draw(1, 7).frames)


def test_nothing_hidden_is_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match="nothing is hidden"):
        CropSampler([], [], 32, 2, 0.5)


def batch_of(scored: float = 1.0) -> CropBatch:
    truth = torch.zeros(1, 3, 8, 8)
    residual = torch.zeros(1, 1, 8, 8)
    residual[..., 2:6, 2:6] = 1
    return CropBatch(truth.clone(), residual, truth, torch.ones_like(residual), residual * scored, None)


def test_the_papers_loss_is_the_mean_error_of_all_stages_where_the_truth_is_known() -> None:
    batch = batch_of()
    batch.weights[..., :4] = 0
    stages = [torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 8, 8), -0.25)]
    paper = FitConfig()
    assert float(reconstruction_loss(stages, batch, paper)) == pytest.approx((0.5 + 0.25) / 2)


def test_only_hidden_pixels_count_in_the_quick_loss() -> None:
    batch = batch_of()
    picture = torch.full((1, 3, 8, 8), 0.5)
    config = replace(CONFIG, hidden=1.0, known=0.0, error=0.0)
    assert float(reconstruction_loss([picture], batch, config)) == pytest.approx(0.5)
    picture[..., 0, :] = 9
    assert float(reconstruction_loss([picture], batch, config)) == pytest.approx(0.5)
    logs = replace(config, hidden=0.0, error=1.0)
    assert float(reconstruction_loss([picture], batch, logs)) == pytest.approx(
        math.log(0.25**2 + 1e-5) / 2, abs=1e-5
    )


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
    assert HeldOutScore(material().held_out)(net) == pytest.approx(fit.status.smooth, abs=1e-4)


def test_a_small_gain_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    import vinpaint_cli.methods.internal.fitter as fitting

    made = ScaleMaterial([habit((36, 16, 52, 32))], [habit((20, 12, 36, 28))], [])
    for needed, used in ((0.01, True), (50.0, False)):
        monkeypatch.setattr(fitting, "NEEDED", needed)
        fit = fitter(30, patience=30, rate=1e-2)
        fit.material = lambda number: made
        fit.run(nothing, dropped)
        found = HeldOutScore(made.held_out)(fit.pyramid.nets[0])
        assert (found > fit.status.smooth + 0.1) is used
        assert fit.status.used == [used]
        assert found == pytest.approx(fit.status.best, abs=1e-3)


@pytest.mark.parametrize("least", [1, 10**9])
def test_a_fit_cut_short_by_time_is_not_used(monkeypatch: pytest.MonkeyPatch, least: int) -> None:
    import vinpaint_cli.methods.internal.fitter as fitting

    monkeypatch.setattr(fitting, "NEEDED", 0.01)
    monkeypatch.setattr(fitting, "LEAST_STEPS", least)
    fit = fitter(patience=10**6, rate=1e-2)
    fit.budget = Budget(seconds=0.7)
    fit.material = lambda number: ScaleMaterial([habit((36, 16, 52, 32))], [habit((20, 12, 36, 28))], [])
    fit.run(nothing, dropped)
    assert fit.status.step > 0
    assert fit.status.used == [least == 1]


def test_thinned_footage_keeps_frames_in_which_something_is_judged() -> None:
    whole = frames_of()
    assert whole.scored is not None
    whole.scored[1] = False
    thin = thinned(whole, 2)
    assert len(thin.truth) == 2
    np.testing.assert_array_equal(thin.truth, whole.truth[[0, 3]])
    assert len(thinned(frames_of(own=False), 10).truth) == FRAMES
