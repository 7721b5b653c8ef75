from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.segment import open_segmenter
from vinpaint_cli.masks.segment.grabcut import GrabCutSegmenter
from vinpaint_cli.masks.segment.motion_cue import find_motion_cue
from vinpaint_cli.masks.segment.working_image import ColourHistogram, sharpen, to_lab
from vinpaint_cli.ops.graph_cut import edge_weights, geodesic_distance, graph_cut
from vinpaint_cli.types import Box

HEIGHT, WIDTH = 120, 200
Picture = np.ndarray


def grain(seed: int, height: int = HEIGHT, width: int = WIDTH, spread: float = 40) -> Picture:
    """Smooth coloured grain, float32, about 128."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2)
    return 128 + spread * soft / soft.std()


def ellipse(x: float, y: float, across: float, down: float) -> Picture:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot((columns - x) / across, (rows - y) / down) < 1


def overlap(found: Picture, truth: Picture) -> float:
    found = found > 0.5
    return float((found & truth).sum() / (found | truth).sum())


def finish(rgb: Picture) -> Picture:
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def coloured() -> tuple[Picture, Picture]:
    """A red thing with a yellow patch on green grain, and where it is."""
    truth = ellipse(90, 60, 34, 26)
    rgb = grain(1, spread=12) * (0.5, 0.9, 0.5)
    rgb[truth] = (grain(2, spread=12) * (1.4, 0.4, 0.4))[truth]
    rgb[ellipse(100, 55, 8, 8)] = (220, 200, 40)
    return finish(rgb), truth


def camouflaged(step: int, camera: int = 3) -> tuple[Picture, Picture]:
    """A thing with the very colours of what is behind it, moving on its own before a moving camera."""
    behind, thing = grain(5, HEIGHT, WIDTH + 100), grain(6, HEIGHT, WIDTH + 200)
    truth = ellipse(80 + 5 * step, 60, 30, 24)
    rgb = behind[:, 50 + camera * step : 50 + camera * step + WIDTH].copy()
    rgb[truth] = thing[:, 100 - 5 * step : 100 - 5 * step + WIDTH][truth]
    return finish(rgb), truth


@pytest.fixture(scope="module")
def segmenter() -> GrabCutSegmenter:
    return GrabCutSegmenter()


def test_a_click_finds_a_thing_by_its_colour(segmenter: GrabCutSegmenter) -> None:
    rgb, truth = coloured()
    assert overlap(segmenter.segment(rgb, [(80, 60)], [True], None)[0].probability, truth) > 0.85


def test_a_click_may_mean_the_part_or_the_whole(segmenter: GrabCutSegmenter) -> None:
    rgb, truth = coloured()
    patch = ellipse(100, 55, 8, 8)
    found = segmenter.segment(rgb, [(100, 55)], [True], None)
    assert overlap(found[0].probability, truth) > 0.9
    assert max(overlap(one.probability, patch) for one in found[1:]) > 0.9
    assert max(overlap(one.probability > 0.5, found[0].probability > 0.5) for one in found[1:]) < 0.85


def test_confidence_tells_a_thing_from_stuff(segmenter: GrabCutSegmenter) -> None:
    rgb, _ = coloured()
    assert segmenter.segment(rgb, [(80, 60)], [True], None)[0].confidence > 0.8
    assert segmenter.segment(rgb, [], [], Box(56, 34, 124, 86))[0].confidence > 0.8
    assert segmenter.segment(rgb, [(20, 20)], [True], None)[0].confidence < 0.3
    assert segmenter.segment(rgb, [], [], Box(2, 2, 30, 118))[0].confidence < 0.3


def test_a_box_finds_a_thing_by_its_colour(segmenter: GrabCutSegmenter) -> None:
    rgb, truth = coloured()
    assert overlap(segmenter.segment(rgb, [], [], Box(56, 34, 124, 86))[0].probability, truth) > 0.95
    assert overlap(segmenter.segment(rgb, [], [], Box(46, 26, 136, 94))[0].probability, truth) > 0.9


def test_what_moves_with_the_click_belongs_to_it(segmenter: GrabCutSegmenter) -> None:
    (before, _), (rgb, truth), (after, _) = (camouflaged(step) for step in (-1, 0, 1))
    alone = overlap(segmenter.segment(rgb, [(80, 60)], [True], None)[0].probability, truth)
    moving = segmenter.segment(rgb, [(80, 60)], [True], None, [before, after])[0].probability
    assert alone < 0.6
    assert overlap(moving, truth) > 0.85
    boxed = segmenter.segment(rgb, [], [], Box(45, 32, 115, 90), [before, after])[0].probability
    assert overlap(boxed, truth) > 0.85


def test_background_about_to_be_covered_is_not_taken_along(segmenter: GrabCutSegmenter) -> None:
    (before, _), (rgb, truth), (after, _) = (camouflaged(step) for step in (-1, 0, 1))
    ahead = np.roll(truth, 8, 1) & ~truth
    one_sided = segmenter.segment(rgb, [(80, 60)], [True], None, [after])[0].probability[ahead].mean()
    both_sides = (
        segmenter.segment(rgb, [(80, 60)], [True], None, [before, after])[0].probability[ahead].mean()
    )
    assert both_sides < 0.3
    assert both_sides < one_sided - 0.1


def test_a_click_beside_what_moves_leaves_it_out(segmenter: GrabCutSegmenter) -> None:
    (before, _), (rgb, _), (after, _) = (camouflaged(step) for step in (-1, 0, 1))
    core = np.zeros((HEIGHT, WIDTH), np.bool_)
    core[95:105, 150:160] = True
    assert find_motion_cue(rgb, [before, after], core, 0.5) is None
    core = ellipse(80, 60, 6, 6)
    cue = find_motion_cue(rgb, [before, after], core, 0.5)
    assert cue is not None
    inner, outer = ellipse(80, 60, 26, 20), ~ellipse(80, 60, 40, 32)
    assert (cue.log_odds[inner] > 0).mean() > 0.9
    assert (cue.log_odds[outer] > 0.5).mean() < 0.05
    assert cue.moves[inner].mean() > 0.9


def test_a_neighbour_after_a_cut_does_no_harm(segmenter: GrabCutSegmenter) -> None:
    rgb, truth = coloured()
    other = finish(grain(9))
    assert overlap(segmenter.segment(rgb, [(80, 60)], [True], None, [rgb, other])[0].probability, truth) > 0.6


def two_alike() -> tuple[Picture, Picture, Picture]:
    """Two red things joined by a red bar."""
    left, right = ellipse(60, 60, 22, 22), ellipse(140, 60, 22, 22)
    bar = np.zeros_like(left)
    bar[57:63, 60:140] = True
    rgb = grain(1, spread=8) * (0.5, 0.9, 0.5)
    rgb[left | right | bar] = (grain(2, spread=8) * (1.4, 0.4, 0.4))[left | right | bar]
    return finish(rgb), left, right


def test_a_second_click_adds_and_not_this_takes_away(segmenter: GrabCutSegmenter) -> None:
    rgb, left, right = two_alike()
    both = segmenter.segment(rgb, [(60, 60), (140, 60)], [True, True], None)[0].probability > 0.5
    assert both[left].mean() > 0.9
    assert both[right].mean() > 0.9
    one = segmenter.segment(rgb, [(60, 60), (140, 60)], [True, False], None)[0].probability > 0.5
    assert one[left].mean() > 0.9
    assert one[right].mean() < 0.1


def test_not_this_works_in_a_box_too(segmenter: GrabCutSegmenter) -> None:
    rgb, left, right = two_alike()
    rgb[right] = rgb[right][:, [0, 0, 2]]  # yellow
    box = Box(35, 35, 165, 85)
    assert (segmenter.segment(rgb, [], [], box)[0].probability > 0.5)[left | right].mean() > 0.9
    found = segmenter.segment(rgb, [(140, 60)], [False], box)[0].probability > 0.5
    assert found[left].mean() > 0.9
    assert found[right].mean() < 0.1


def test_a_large_picture_gives_what_a_small_one_does(segmenter: GrabCutSegmenter) -> None:
    rgb, truth = coloured()
    large = cv2.resize(rgb, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    found = segmenter.segment(large, [(322, 242)], [True], None)[0].probability
    assert found.shape == (4 * HEIGHT, 4 * WIDTH)
    assert overlap(found, np.kron(truth, np.ones((4, 4), np.bool_))) > 0.85


@pytest.mark.parametrize("shift", [(0, 0), (2, 1), (-2, 2), (3, -3)])
def test_refining_brings_a_mask_to_the_edge(segmenter: GrabCutSegmenter, shift: tuple[int, int]) -> None:
    rgb, truth = coloured()
    large = cv2.resize(rgb, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    truth = np.kron(truth, np.ones((3, 3), np.bool_))
    prior = np.roll(truth, shift, (0, 1)).astype(np.float32)
    refined = segmenter.refine(large, prior)
    assert overlap(refined, truth) > 0.97
    assert overlap(refined, truth) >= overlap(prior, truth) - 0.02


def test_refining_changes_nothing_far_from_the_outline() -> None:
    rgb, _ = coloured()
    prior = ellipse(90, 60, 12, 12).astype(np.float32)
    found = sharpen(rgb, prior) > 0.5
    assert found[ellipse(90, 60, 8, 8)].all()
    assert not found[~ellipse(90, 60, 16, 16)].any()


def test_a_click_takes_little_time(segmenter: GrabCutSegmenter) -> None:
    rgb = cv2.resize(camouflaged(0)[0], (854, 480), interpolation=cv2.INTER_CUBIC)
    after = cv2.resize(camouflaged(1)[0], (854, 480), interpolation=cv2.INTER_CUBIC)
    segmenter.segment(rgb[:90, :160], [(80, 45)], [True], None)  # what is loaded once
    begun = time.process_time()
    segmenter.segment(rgb, [(340, 240)], [True], None, [after])
    assert time.process_time() - begun < 10  # 3.3 s on one core; two threads wait for each other


def test_it_takes_no_weights() -> None:
    with pytest.raises(UsageError, match="takes no weights"):
        open_segmenter("grabcut", "sam-vit-b")


def test_the_cut_is_the_cheapest_boundary() -> None:
    """Against every labelling of a small grid."""
    rng = np.random.default_rng(3)
    lab = rng.normal(50, 10, (3, 4, 3)).astype(np.float32)
    edges, log_odds = edge_weights(lab, 2.0), rng.normal(0, 2, (3, 4)).astype(np.float32)

    def price(labels: Picture) -> float:
        parted = (
            edges.across[labels[:, 1:] != labels[:, :-1]].sum() + edges.down[labels[1:] != labels[:-1]].sum()
        )
        return float(parted - log_odds[labels].sum())

    every = ((np.arange(1 << 12)[:, None] >> np.arange(12)) & 1).astype(bool).reshape(-1, 3, 4)
    best = min(price(labels) for labels in every)
    assert price(graph_cut(log_odds, edges, 2000) > 0.5) == pytest.approx(best, abs=1e-3)


def test_edges_cost_least_where_colours_change() -> None:
    lab = np.zeros((6, 8, 3), np.float32)
    lab[:, 4:] = 60
    edges = edge_weights(lab, 4.0, least=0.1)
    assert edges.across[:, 3] == pytest.approx(0.4, abs=0.05)
    assert np.delete(edges.across, 3, axis=1) == pytest.approx(4)
    assert edges.crop(Box(2, 1, 6, 5)).across.shape == (4, 3)
    assert edges.crop(Box(2, 1, 6, 5)).down.shape == (3, 4)


def test_reach_goes_round_a_wall() -> None:
    lab = np.zeros((7, 9, 3), np.float32)
    lab[:6, 4] = 100
    seeds = np.zeros((7, 9), np.bool_)
    seeds[0, 0] = True
    found = geodesic_distance(lab, seeds, base=1.0)
    assert found[0, 3] == pytest.approx(3)
    assert found[0, 8] == pytest.approx(6 + 8 + 6)
    assert (geodesic_distance(lab, np.zeros_like(seeds)) >= 1e6).all()


def test_the_palette_takes_the_backgrounds_colours_out_of_the_guess() -> None:
    lab = to_lab(coloured()[0])
    truth = coloured()[1]
    guess, rest = ellipse(90, 60, 45, 36), ~ellipse(90, 60, 45, 36)
    ring = guess & ~truth
    colours = ColourHistogram(lab)
    plain, cleaned = colours.log_odds(guess, rest, 0.0), colours.log_odds(guess, rest, 0.4)
    assert cleaned[ring].mean() < plain[ring].mean() - 0.3
    assert cleaned[truth].mean() > 1
    assert np.abs(cleaned).max() <= 3


def test_lab_is_the_same_for_eight_and_sixteen_bits() -> None:
    rgb = coloured()[0]
    assert np.allclose(to_lab(rgb), to_lab(rgb.astype(np.uint16) * 257), atol=0.05)
