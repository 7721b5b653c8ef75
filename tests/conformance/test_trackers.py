"""What every tracker owes its callers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from moving_disc import DiscClip, MemorySource, disc_clip, line

from vinpaint_cli.errors import MaskError
from vinpaint_cli.masks.track import TRACKERS, Tracked, Tracker, open_tracker

FRAMES = 7
SHOT = range(1, 7)


@pytest.fixture(scope="module")
def clip() -> DiscClip:
    return disc_clip(line(FRAMES, (30, 40), (3, 1)))


@pytest.fixture(scope="module", params=TRACKERS.targets)
def tracker(request: pytest.FixtureRequest) -> Tracker:
    return open_tracker(request.param)


def run(
    tracker: Tracker, clip: DiscClip, prompt_masks: dict[int, np.ndarray], shot: range = SHOT
) -> list[Tracked]:
    return list(tracker.track(clip.source, shot, prompt_masks))


def deep(source: MemorySource) -> MemorySource:
    """The same frames with sixteen bits."""
    return MemorySource([picture.astype(np.uint16) * 257 for picture in source.pictures])


@pytest.fixture(scope="module")
def found(tracker: Tracker, clip: DiscClip) -> dict[int, Tracked]:
    given = run(tracker, clip, {3: clip.masks[3]})
    assert len(given) == len(SHOT)
    return {one.index: one for one in given}


def test_it_is_a_tracker_that_works_lazily(tracker: Tracker, clip: DiscClip) -> None:
    assert isinstance(tracker, Tracker)
    source = MemorySource(clip.source.pictures)
    assert inspect.isgenerator(tracker.track(source, SHOT, {3: clip.masks[3]}))
    assert not source.asked


def test_every_frame_of_the_shot_has_a_mask_of_its_size(found: dict[int, Tracked], clip: DiscClip) -> None:
    assert sorted(found) == list(SHOT)
    for one in found.values():
        assert one.hole.shape == clip.masks[0].shape
        assert one.hole.dtype == np.bool_
        assert 0 <= one.confidence <= 1


def test_a_prompt_mask_is_given_back_as_it_is(found: dict[int, Tracked], clip: DiscClip) -> None:
    assert np.array_equal(found[3].hole, clip.masks[3])
    assert found[3].confidence == 1
    assert all(found[index].hole.any() for index in SHOT)


def test_two_runs_agree_however_many_bits_the_frames_have(
    tracker: Tracker, found: dict[int, Tracked], clip: DiscClip
) -> None:
    for one in run(tracker, DiscClip(deep(clip.source), clip.masks), {3: clip.masks[3]}):
        assert np.array_equal(one.hole, found[one.index].hole)
        assert one.confidence == found[one.index].confidence


def test_it_looks_at_the_shot_alone_ticks_once_per_frame_and_changes_no_prompt_mask(
    tracker: Tracker, clip: DiscClip
) -> None:
    source, ticks = MemorySource(clip.source.pictures), []
    prompt_masks = {index: clip.masks[index].copy() for index in (2, 4, 0)}
    given = list(tracker.track(source, range(2, 6), prompt_masks, lambda: ticks.append(1)))
    assert sorted(one.index for one in given) == [2, 3, 4, 5]
    assert set(source.asked) <= {2, 3, 4, 5}
    assert len(ticks) == 4
    for one in given:
        one.hole[:] = True
    assert all(np.array_equal(mask, clip.masks[index]) for index, mask in prompt_masks.items())


def test_without_a_prompt_mask_there_is_surely_nothing(tracker: Tracker, clip: DiscClip) -> None:
    ticks = []
    given = list(tracker.track(clip.source, SHOT, {0: clip.masks[0]}, lambda: ticks.append(1)))
    assert len(ticks) == len(SHOT)
    assert sorted(one.index for one in given) == list(SHOT)
    assert not any(one.hole.any() for one in given)
    assert {one.confidence for one in given} == {1.0}


def test_a_shot_of_one_frame(tracker: Tracker, clip: DiscClip) -> None:
    (one,) = run(tracker, clip, {4: clip.masks[4]}, range(4, 5))
    assert np.array_equal(one.hole, clip.masks[4])


def test_a_prompt_mask_of_another_size_is_refused(tracker: Tracker, clip: DiscClip) -> None:
    with pytest.raises(MaskError, match="mask of frame 3 is 20x10 but the video is 160x96"):
        run(tracker, clip, {3: np.ones((10, 20), bool)})
