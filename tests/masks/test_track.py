"""The embedded tracker on clips whose object is known: it follows, lets go, finds again, and stays within."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from moving_disc import DiscClip, MemorySource, disc_clip, line

from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.track import Tracked, frame_reader, open_tracker
from vinpaint_cli.masks.track.baselines import WarpTracker
from vinpaint_cli.masks.track.flow import FlowTracker
from vinpaint_cli.masks.track.soft_mask import (
    SoftMask,
    SoftMaskStore,
    best_match,
    estimate_confidence,
    min_match_score,
    snap_to_edges,
)
from vinpaint_cli.metrics.davis import region_similarity

AWAY = 14
ACROSS = line(AWAY, (25, 40), (7, 1.5))


def follow(clip: DiscClip, *prompts: int, shot: range | None = None) -> dict[int, Tracked]:
    shot = shot or range(len(clip.masks))
    given = {index: clip.masks[index] for index in prompts}
    return {one.index: one for one in FlowTracker().track(clip.source, shot, given)}


def similarity(clip: DiscClip, found: dict[int, Tracked]) -> list[float]:
    return [region_similarity(found[index].hole, clip.masks[index]) for index in sorted(found)]


@pytest.fixture(scope="module")
def crossing() -> DiscClip:
    return disc_clip(ACROSS)


@pytest.fixture(scope="module")
def crossed(crossing: DiscClip) -> dict[int, Tracked]:
    return follow(crossing, 4)


def test_it_follows_both_ways(crossing: DiscClip, crossed: dict[int, Tracked]) -> None:
    assert sorted(crossed) == list(range(AWAY))
    assert min(similarity(crossing, crossed)) > 0.85
    assert crossed[4].confidence == 1
    assert min(one.confidence for one in crossed.values()) > 0.45


def test_it_is_better_than_flow_alone(crossing: DiscClip, crossed: dict[int, Tracked]) -> None:
    plain = WarpTracker().track(crossing.source, range(AWAY), {4: crossing.masks[4]})
    warped = {one.index: one for one in plain}
    assert similarity(crossing, crossed)[-1] > similarity(crossing, warped)[-1]


def test_it_is_deterministic(crossing: DiscClip, crossed: dict[int, Tracked]) -> None:
    again = follow(crossing, 4)
    for index, one in crossed.items():
        assert np.array_equal(again[index].hole, one.hole)
        assert again[index].confidence == one.confidence


def test_an_object_that_is_hidden_for_a_while_is_found_again() -> None:
    places = line(26, (20, 48), (5, 0))
    clip = disc_clip(places, pillar=(56, 96))
    found = follow(clip, 0)
    shares = similarity(clip, found)
    hidden = [index for index, mask in enumerate(clip.masks) if not mask.any()]
    assert len(hidden) >= 2
    assert all(not found[index].hole.any() for index in hidden)
    assert all(found[index].confidence < 0.5 for index in hidden)
    assert min(shares[-4:]) > 0.8
    assert min(found[index].confidence for index in range(22, 26)) > 0.5


def test_an_object_that_leaves_is_let_go() -> None:
    clip = disc_clip(line(16, (90, 48), (7, 0)))
    found = follow(clip, 0)
    gone = [index for index, mask in enumerate(clip.masks) if not mask.any()]
    assert len(gone) >= 3
    assert all(not found[index].hole.any() for index in gone[1:])
    assert all(found[index].confidence > 0.6 for index in gone[1:])


def test_two_prompt_masks_hold_what_one_cannot() -> None:
    """The disc jumps between frames 5 and 6, behind nothing: only the second mask knows where it went."""
    clip = disc_clip([*line(6, (25, 30), (3, 0)), *line(6, (120, 70), (3, 0))])
    found = follow(clip, 0, 11)
    assert np.array_equal(found[0].hole, clip.masks[0])
    assert np.array_equal(found[11].hole, clip.masks[11])
    assert min(similarity(clip, found)) > 0.8


def test_nothing_beyond_the_shot_is_looked_at(crossing: DiscClip) -> None:
    source = MemorySource(crossing.source.pictures)
    clip = DiscClip(source, crossing.masks)
    found = follow(clip, 5, shot=range(3, 9))
    assert sorted(found) == list(range(3, 9))
    assert min(similarity(clip, {index - 3: one for index, one in found.items()} and found)) > 0.85
    assert set(source.asked) == set(range(3, 9))


def test_a_prompt_mask_that_says_the_object_is_not_there() -> None:
    clip = disc_clip([*line(4, (40, 48), (4, 0)), None, None, None])
    found = follow(clip, 0, 5)
    assert not found[5].hole.any()
    assert not found[6].hole.any()
    assert min(similarity(clip, found)[:4]) > 0.85


def test_only_prompt_masks_without_the_object_give_nothing() -> None:
    clip = disc_clip([None, None, (40.0, 48.0)])
    assert not any(one.hole.any() for one in follow(clip, 0, 1).values())


def test_large_frames_are_drawn_at_their_own_size() -> None:
    clip = disc_clip(line(4, (25, 40), (4, 1)), size=(960, 160))
    assert frame_reader.work_size(clip.source.info) != (960, 160)
    assert min(similarity(clip, follow(clip, 0))) > 0.85


def test_memory_does_not_grow_with_the_clip() -> None:
    """Going back through 64 frames with room for four pictures at once holds four, and all are given."""
    clip = disc_clip(line(64, (20, 40), (1, 0)))
    size = (160, 96)
    frames = range(60, 1, -1)
    tracemalloc.start()
    try:
        seen = [index for index, _ in frame_reader.small_frames(clip.source, frames, size, 4 * 160 * 96 * 3)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == list(frames)
    lengths = [stop - start for start, stop in clip.source.begun if stop is not None]
    assert max(lengths) == 4
    assert peak < 64 * 160 * 96 * 3 / 2


def test_soft_masks_are_kept_small_and_mixed_by_nearness() -> None:
    kept = SoftMaskStore((160, 96), (0, 10))
    ahead, back = np.full((96, 160), 0.02, np.float32), np.ones((96, 160), np.float32)
    for index in range(1, 10):
        kept.add(index, SoftMask(ahead, 0.5), 1)
        kept.add(index, SoftMask(back, 0.5), -1)
    shares = [float(kept.probability(index).mean()) for index in range(1, 10)]
    assert shares == sorted(shares)
    assert shares[0] < 0.2
    assert shares[8] > 0.8
    assert shares[4] == pytest.approx(0.51, abs=0.01)


def test_who_sees_the_object_counts_for_more_than_who_does_not() -> None:
    kept = SoftMaskStore((160, 96), (0, 10))
    kept.add(5, SoftMask(np.zeros((96, 160), np.float32), 0.9), 1)
    kept.add(5, SoftMask(np.ones((96, 160), np.float32), 0.6), -1)
    assert kept.probability(5).min() > 0.6
    assert kept.confidence(5) == pytest.approx(0.69, abs=0.02)


def test_edges_of_a_soft_mask_move_to_those_of_the_picture() -> None:
    picture = np.full((40, 60), 40, np.uint8)
    picture[:, 30:] = 200
    guess = np.zeros((40, 60), np.float32)
    guess[:, 33:] = 1
    wanted = np.zeros((40, 60), bool)
    wanted[:, 30:] = True
    before = region_similarity(guess > 0.5, wanted)
    assert region_similarity(snap_to_edges(guess, picture) > 0.5, wanted) > before


def test_the_best_matching_part_is_taken_and_only_when_nothing_else_is_as_like() -> None:
    log_odds = np.full((40, 60), -3, np.float32)
    log_odds[5:15, 5:15], log_odds[20:30, 40:44] = 4, 4
    match = best_match(log_odds, 100)
    assert match.core[10, 10]
    assert not match.core[25, 41]
    assert match.score == pytest.approx(3)
    mask = np.zeros((40, 60), bool)
    mask[5:15, 5:15] = True
    assert min_match_score(log_odds, mask) == pytest.approx(1.5 * 40 * 3 / 100)
    log_odds[20:30, 40:48] = 4
    assert min_match_score(log_odds, mask) == np.inf


def test_unknown_trackers_are_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'flow'"):
        open_tracker("flwo")


def test_confidence_falls_with_doubt_disagreement_and_age() -> None:
    mask = np.zeros((40, 60), np.float32)
    mask[10:30, 20:40] = 1
    clear = np.where(mask > 0.5, 4, -4).astype(np.float32)
    half = np.where(np.arange(60) < 30, clear, -4).astype(np.float32)
    sure = estimate_confidence(mask, clear, 1)
    assert sure > 0.9
    assert estimate_confidence(mask, clear / 4, 1) < sure - 0.02
    assert estimate_confidence(mask, half, 1) < 0.6
    assert estimate_confidence(mask, clear, 60) < sure
    assert estimate_confidence(0 * mask, clear, 1) == 0
