"""One pass over the clip before an object is followed: when each frame is shown, and where the cuts are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from vinpaint_cli.engine.scan import SCAN_WIDTH, CutDetector
from vinpaint_cli.engine.watch import Watcher, advance
from vinpaint_cli.masks.grammar import TimeRange
from vinpaint_cli.plan.shots import shots_from_cuts
from vinpaint_cli.types import FrameSource
from vinpaint_cli.video.convert import small_rgb


@dataclass(frozen=True, slots=True)
class Footage:
    """``seconds[i]`` is when frame i is shown, exactly, after the first; ``shots`` hold every frame once."""

    seconds: tuple[Fraction, ...]
    shots: tuple[range, ...]

    @property
    def frames(self) -> int:
        """Frames of the clip."""
        return len(self.seconds)

    def shot_of(self, index: int) -> range:
        """The shot that holds frame ``index``; StopIteration when the clip has no such frame."""
        return next(shot for shot in self.shots if index in shot)

    def during(self, when: TimeRange) -> range:
        """Frames from the first to the last that lie in a range of time; empty without one."""
        inside = [index for index, seconds in enumerate(self.seconds) if when.contains(index, seconds)]
        return range(inside[0], inside[-1] + 1) if inside else range(0)


def read_footage(source: FrameSource, watcher: Watcher) -> Footage:
    """Decode everything once; raises what the source raises, and Interrupted."""
    info, detector = source.info, CutDetector()
    times: list[int] = []
    with watcher.stage("shots", info.frames_from_header) as progress:
        for frame in source.frames():
            detector.feed(small_rgb(frame, SCAN_WIDTH))
            times.append(frame.pts)
            advance(progress)
    seconds = tuple((time - times[0]) * info.time_base for time in times)
    return Footage(seconds, shots_from_cuts(len(times), detector.cuts()))
