"""The tracker that learns: on clips whose object is known it beats a copied mask, and keeps its word."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from moving_disc import DiscClip, MemorySource, disc_clip, line

from vinpaint_cli.masks.track import Tracked, Tracker, open_tracker
from vinpaint_cli.masks.track.baselines import CopyTracker
from vinpaint_cli.masks.track.internal import InternalTracker, small_mask
from vinpaint_cli.masks.track.paste_and_find import (
    CROP,
    FINAL_STEPS,
    KEPT_FRAMES,
    STEPS,
    ObjectNet,
    draw_sample,
    given_frame,
    segmented_frame,
)
from vinpaint_cli.metrics.davis import region_similarity

FRAMES = 8


def follow(tracker: Tracker, clip: DiscClip, *prompts: int) -> dict[int, Tracked]:
    given = {index: clip.masks[index] for index in prompts}
    return {one.index: one for one in tracker.track(clip.source, range(len(clip.masks)), given)}


def similarity(clip: DiscClip, found: dict[int, Tracked]) -> list[float]:
    return [region_similarity(found[index].hole, clip.masks[index]) for index in sorted(found)]


@pytest.fixture(scope="module")
def clip() -> DiscClip:
    """A disc that jumps further than its own size, where no flow can carry its mask."""
    return disc_clip([*line(4, (22, 30), (4, 1)), *line(4, (80, 44), (4, -1))], size=(120, 72))


@pytest.fixture(scope="module")
def found(clip: DiscClip) -> dict[int, Tracked]:
    return follow(InternalTracker(), clip, 1)


def test_it_is_in_the_table() -> None:
    assert isinstance(open_tracker("internal"), InternalTracker)


def test_it_beats_a_copied_mask(clip: DiscClip, found: dict[int, Tracked]) -> None:
    copied = similarity(clip, follow(CopyTracker(), clip, 1))
    own = similarity(clip, found)
    assert min(own[:4]) > 0.85
    assert np.mean(own) > np.mean(copied) + 0.3
    assert own[1] == 1


def test_an_object_that_jumps_is_found_again(clip: DiscClip, found: dict[int, Tracked]) -> None:
    assert similarity(clip, found)[-1] > 0.7


def test_it_is_deterministic_and_leaves_chance_alone(clip: DiscClip) -> None:
    before, log_odds = torch.random.get_rng_state(), []
    pictures, masks = clip.source.pictures, [mask.astype(np.float32) for mask in clip.masks]
    for _ in range(2):
        net = ObjectNet([given_frame(pictures[0], masks[0])])
        losses = net.fit(0.05)
        net.update(segmented_frame(pictures[5], masks[5], net.log_odds(pictures[5])))
        log_odds.append(net.log_odds(pictures[2]))
    assert len(losses) == round(0.05 * STEPS) + round(0.05 * FINAL_STEPS)
    assert np.array_equal(*log_odds)
    assert torch.equal(before, torch.random.get_rng_state())


def test_nothing_is_learned_where_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, clip: DiscClip) -> None:
    monkeypatch.setattr(ObjectNet, "fit", lambda *_: pytest.fail("learned"))
    assert not any(one.hole.any() for one in follow(InternalTracker(), clip).values())
    every = follow(InternalTracker(), clip, *range(FRAMES))
    assert similarity(clip, every) == [1] * FRAMES


def test_a_prompt_mask_without_the_object_alone_gives_nothing() -> None:
    clip = disc_clip([None, (40.0, 48.0), (44.0, 48.0)])
    assert not any(one.hole.any() for one in follow(InternalTracker(), clip, 0).values())


def test_what_is_thinner_than_a_small_pixel_is_kept() -> None:
    hole = np.zeros((400, 900), bool)
    hole[200, 100:800] = True
    plane = small_mask(hole, (300, 133))
    assert (plane > 0.5).any()
    assert not small_mask(np.zeros_like(hole), (300, 133)).any()


def test_two_threads_of_time_keep_their_own_network(clip: DiscClip) -> None:
    seen = given_frame(clip.source.pictures[0], clip.masks[0].astype(np.float32))
    one = ObjectNet([seen])
    other = one.copy()
    before = one.log_odds(clip.source.pictures[1])
    for _ in range(KEPT_FRAMES + 1):
        other.update(seen)
    assert np.array_equal(one.log_odds(clip.source.pictures[1]), before)
    assert not np.array_equal(other.log_odds(clip.source.pictures[1]), before)


def test_odds_have_the_size_of_the_picture() -> None:
    picture = np.zeros((37, 53, 3), np.uint8)
    mask = np.zeros((37, 53), np.float32)
    assert ObjectNet([given_frame(picture, mask)]).log_odds(picture).shape == (37, 53)


@pytest.fixture
def striped() -> DiscClip:
    """One frame: an object of pure red on grey, so that its pixels can be told."""
    picture, mask = np.full((120, 200, 3), 120, np.uint8), np.zeros((120, 200), bool)
    mask[40:70, 60:100] = True
    picture[mask] = (250, 0, 0)
    return DiscClip(MemorySource([picture]), [mask])


@pytest.mark.parametrize("given", [True, False])
def test_a_sample_marks_what_was_pasted(striped: DiscClip, given: bool) -> None:
    picture, mask = striped.source.pictures[0], striped.masks[0].astype(np.float32)
    seen = (
        given_frame(picture, mask)
        if given
        else segmented_frame(picture, mask, np.full(mask.shape, -1, np.float32))
    )
    rng = np.random.default_rng(0)
    wrong, ignored = [], []
    for _ in range(40):
        sample = draw_sample(rng, seen)
        assert sample.picture.shape == (90, CROP[0], 3)
        assert sample.picture.min() >= 0
        assert sample.picture.max() <= 1
        assert set(np.unique(sample.target)) <= {0, 1}
        red = sample.picture[..., 0] - sample.picture[..., 1] > 0.4
        counted = sample.weight > 0
        wrong.append(np.mean((red != (sample.target > 0))[counted]))
        ignored.append(np.mean(~counted))
    assert np.mean(wrong) < 0.02
    assert (max(ignored) == 0) == given


def test_near_what_was_found_nothing_is_known_and_mistakes_lie_beyond(striped: DiscClip) -> None:
    log_odds = np.full((120, 200), -1, np.float32)
    log_odds[38:72, 58:102], log_odds[100:110, 150:160] = 3, 3
    seen = segmented_frame(striped.source.pictures[0], striped.masks[0].astype(np.float32), log_odds)
    assert not seen.known[36:74, 56:104].any()
    assert seen.known[:20].all()
    assert set(seen.false_positives) == set(np.flatnonzero(log_odds.ravel() * seen.known.ravel() > 0))
    assert len(seen.false_positives) == 100


def test_a_sample_of_a_tiny_picture() -> None:
    seen = given_frame(np.zeros((9, 7, 3), np.uint8), np.zeros((9, 7), np.float32))
    assert draw_sample(np.random.default_rng(0), seen).picture.shape == (7, 6, 3)
