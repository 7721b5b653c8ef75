"""One clip read by several threads, and its frames as pictures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from vinpaint_cli.errors import Interrupted, VideoError
from vinpaint_cli.pick.source import FrameCache, SharedSource, encode_mask, served_size
from vinpaint_cli.types import Frame, FrameSource, VideoInfo
from vinpaint_cli.video.source.read import open_source


class Watched:
    """A source that counts what is decoded, fails at a frame, and waits where it is told to."""

    def __init__(self, source: FrameSource, fails_at: int = 999) -> None:
        self._source = source
        self._fails_at = fails_at
        self.decoded: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.inside = 0
        self.together = 0

    @property
    def info(self) -> VideoInfo:
        return self._source.info

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        for frame in self._source.frames(start, stop):
            self.inside += 1
            self.together = max(self.together, self.inside)
            self.gate.wait(10)
            self.inside -= 1
            if frame.index == self._fails_at:
                raise VideoError("the file is damaged")
            self.decoded.append(frame.index)
            yield frame


@pytest.fixture
def watched(clip: Callable[..., Path]) -> Watched:
    return Watched(open_source(clip(frames=40, size=(48, 32), options={"g": "10"})))


def shared(source: FrameSource) -> SharedSource:
    made = SharedSource(source)
    made.read_through()
    return made


def test_several_threads_see_the_same_frames(watched: Watched) -> None:
    source = SharedSource(watched)
    source.start()
    truth = [frame.rgb for frame in open_source(watched.info.path).frames()]
    wrong: list[int] = []

    def look(start: int) -> None:
        passing = source.frames(start, start + 10)
        wrong.extend(frame.index for frame in passing if (frame.rgb != truth[frame.index]).any())

    threads = [threading.Thread(target=look, args=(start,)) for start in (30, 0, 17, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert wrong == []
    assert watched.together == 1
    assert (source.read, source.finished, source.error) == (40, True, None)


def test_a_pass_waits_until_the_clip_was_read_so_far(watched: Watched) -> None:
    source = SharedSource(watched)
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.extend(frame.index for frame in source.frames(20, 22)))
    thread.start()
    thread.join(0.05)
    assert (got, watched.decoded) == ([], [])
    source.read_through()
    thread.join(10)
    assert got == [20, 21]


def test_damage_ends_the_reading_and_is_kept(watched: Watched) -> None:
    source = shared(Watched(open_source(watched.info.path), fails_at=7))
    assert (source.read, source.finished) == (7, True)
    assert "damaged" in str(source.error)
    with pytest.raises(VideoError):
        list(source.frames())


def test_after_the_end_passes_stop(watched: Watched) -> None:
    source = shared(watched)
    passing = source.frames()
    next(passing)
    source.close()
    with pytest.raises(Interrupted):
        next(passing)


def test_stepping_either_way_decodes_each_frame_about_once(watched: Watched) -> None:
    source = shared(watched)
    cache = FrameCache(source)
    for order in (range(40), range(39, -1, -1)):
        cache = FrameCache(source)
        watched.decoded.clear()
        pictures = [cache.jpeg(index) for index in order]
        assert len({*pictures}) == 40
        assert len(watched.decoded) <= 60, order
    watched.decoded.clear()
    cache.jpeg(11)
    assert watched.decoded == []


def test_the_cache_is_bounded(watched: Watched) -> None:
    source = shared(watched)
    one = len(FrameCache(source).jpeg(0))
    cache = FrameCache(source, most_bytes=5 * one)
    for index in range(40):
        cache.jpeg(index)
    watched.decoded.clear()
    cache.jpeg(39)
    assert watched.decoded == []
    cache.jpeg(0)
    assert watched.decoded


def test_there_is_no_frame_after_the_last(watched: Watched) -> None:
    cache = FrameCache(shared(watched))
    for index in (40, 41, 4000):
        with pytest.raises(VideoError, match=f"no frame {index}"):
            cache.jpeg(index)
    assert cache.jpeg(39)


def test_deep_and_rotated_clips_are_shown_as_a_person_sees_them(clip: Callable[..., Path]) -> None:
    path = clip("deep.mkv", frames=1, size=(48, 32), codec="ffv1", pix_fmt="yuv444p10le")
    frame = next(iter(open_source(path).frames()))
    assert frame.rgb.dtype == np.uint16
    shown = decode(FrameCache(shared(open_source(path))).jpeg(0))[..., ::-1]
    assert np.abs(shown.astype(int) - (frame.rgb >> 8)).mean() < 6
    turned = clip("turned.mp4", frames=1, size=(48, 32), rotation=90)
    assert decode(FrameCache(shared(open_source(turned))).jpeg(0)).shape == (48, 32, 3)


def test_large_pictures_are_served_smaller() -> None:
    assert served_size(640, 360) == (640, 360)
    assert served_size(3840, 2160) == (1920, 1080)
    assert served_size(1080, 4096) == (506, 1920)
    hole = np.zeros((2160, 3840), np.bool_)
    hole[1000:1200, 1000:1400] = True
    mask = decode(encode_mask(hole))
    assert mask.shape == (1080, 1920, 4)
    assert (mask[500:600, 500:700, 3] == 255).all()
    assert (mask[..., 3] > 127).sum() == 100 * 200


def decode(data: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found
