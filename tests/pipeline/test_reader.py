from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from vinpaint_cli.masks.sources.options import MaskOptions, build_mask
from vinpaint_cli.pipeline.reader import SegmentReader
from vinpaint_cli.types import Box, Frame, Segment, VideoInfo
from vinpaint_cli.video.colour.convert import crop_rgb
from vinpaint_cli.video.source.read import VideoSource

ROI = Box(10, 8, 50, 40)


class Counted:
    """A source that counts passes and frames."""

    def __init__(self, path: Path) -> None:
        self._source = VideoSource(path)
        self.starts: list[int] = []
        self.decoded = 0

    @property
    def info(self) -> VideoInfo:
        return self._source.info

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        self.starts.append(start)
        for frame in self._source.frames(start, stop):
            self.decoded += 1
            yield frame


def segment(index: int, core: range, frames: range, roi: Box = ROI) -> Segment:
    return Segment(index, core, frames, roi, (roi.width, roi.height))


def reader_of(source: Counted) -> SegmentReader:
    return SegmentReader(source, build_mask(MaskOptions(boxes=("20,16,10,10",)), source.info), 2)


def test_overlapping_segments_are_read_in_one_pass(clip: Callable[..., Path]) -> None:
    source = Counted(clip(codec="ffv1", frames=20))
    reader = reader_of(source)
    truth = [crop_rgb(frame, ROI) for frame in VideoSource(clip(codec="ffv1", frames=20)).frames()]
    for index, frames in enumerate((range(9), range(5, 14), range(16, 20))):
        pictures, alphas = reader.read(segment(index, frames, frames))
        assert np.array_equal(pictures, np.stack(truth[frames.start : frames.stop]))
        assert len(alphas) == len(frames)
        assert alphas[0].shape == (32, 40)
        assert alphas[0].max() == 1
    assert source.starts == [0]
    assert source.decoded == 20


def test_any_segment_can_be_read_alone_or_again(clip: Callable[..., Path]) -> None:
    source = Counted(clip(codec="ffv1", frames=12))
    reader = reader_of(source)
    late, _ = reader.read(segment(1, range(8, 12), range(6, 12)))
    early, _ = reader.read(segment(0, range(3), range(5)))
    again, _ = reader_of(source).read(segment(1, range(8, 12), range(6, 12)))
    assert np.array_equal(late, again)
    assert len(early) == 5


def test_another_region_is_read_anew(clip: Callable[..., Path]) -> None:
    source = Counted(clip(codec="ffv1", frames=8))
    reader = reader_of(source)
    reader.read(segment(0, range(4), range(6)))
    other = Box(0, 0, 20, 20)
    pictures, _ = reader.read(segment(1, range(4, 8), range(4, 8), other))
    assert pictures.shape == (4, 20, 20, 3)


def test_regions_that_take_turns_are_read_in_a_pass_each(clip: Callable[..., Path]) -> None:
    """Also where a clip has one keyframe, nothing is decoded more often than once for each region."""
    path = clip(codec="ffv1", frames=24)
    source, right = Counted(path), Box(50, 8, 64, 40)
    reader, frames = reader_of(source), list(VideoSource(path).frames())
    for index, seen in enumerate((range(12), range(6, 18), range(12, 24))):
        for roi in (ROI, right):
            pictures, _ = reader.read(segment(index, seen, seen, roi))
            assert np.array_equal(pictures, np.stack([crop_rgb(frames[t], roi) for t in seen]))
    assert source.starts == [0, 0]
    assert source.decoded == 2 * 24


def test_the_next_shot_goes_on_in_the_pass_of_one_that_is_over(clip: Callable[..., Path]) -> None:
    source = Counted(clip(codec="ffv1", frames=24))
    reader = reader_of(source)
    for index, (frames, roi) in enumerate(((range(12), ROI), (range(12, 24), Box(50, 8, 64, 40)))):
        reader.read(segment(index, frames, frames, roi))
    assert source.starts == [0]
