"""One pass over the clip: how many frames, where the cuts are, where the hole is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.masks.grammar import TimeRange
from vinpaint_cli.masks.sources.shapes import HoleSource, hole_box
from vinpaint_cli.pipeline.jump_cuts import JumpCuts
from vinpaint_cli.pipeline.progress import Listener, advance
from vinpaint_cli.pipeline.transitions import TransitionDetector
from vinpaint_cli.plan.segments import least_margin
from vinpaint_cli.plan.shots import shots_from_cuts
from vinpaint_cli.types import Box, FrameSource, MaskSource
from vinpaint_cli.video.colour.convert import small_rgb

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

SCAN_WIDTH = 160


@dataclass(frozen=True, slots=True)
class Scan:
    """Result of the scan: shots and holes of the whole clip; lengths are the clip's number of frames.

    ``boxes[i]`` are the boxes that the feathered holes of frame i may touch, none without a hole;
    ``hole_pixels`` the hole's pixels over all frames, feather not counted; ``covered_pixels`` those of
    frames without a hole in which something is covered all the same.
    """

    frames: int
    shots: tuple[range, ...]
    boxes: tuple[tuple[Box, ...], ...]
    hole_pixels: int
    covered_pixels: int = 0

    @property
    def holes(self) -> tuple[Box | None, ...]:
        """Per frame the box around all of its holes, None without one."""
        return tuple(reduce(Box.union, boxes) if boxes else None for boxes in self.boxes)


class CutDetector:
    """Finds cuts with scenedetect's adaptive detector, jump cuts and transitions; fed with small pictures."""

    def __init__(self) -> None:
        from scenedetect.detectors import AdaptiveDetector

        self._detector = AdaptiveDetector(adaptive_threshold=2.0, min_scene_len=3, window_width=2)
        self._jumps = JumpCuts()
        self._transitions = TransitionDetector()
        self._cuts: list[int] = []
        self._frames = 0

    def feed(self, rgb: npt.NDArray[np.uint8]) -> None:
        """Take the next frame, uint8 RGB ``(h, w, 3)`` of one size."""
        from scenedetect import FrameTimecode

        now = FrameTimecode(self._frames, fps=25.0)
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        self._cuts += [cut.frame_num for cut in self._detector.process_frame(now, bgr)]
        self._jumps.feed(rgb)
        self._transitions.feed(rgb)
        self._frames += 1

    def cuts(self) -> list[int]:
        """First frames of new shots, in order, after the last frame was fed; a transition is its own shot."""
        parts = self._transitions.found()
        return self._with(edge for part in parts for edge in (part.start, part.stop))

    def scene_cuts(self) -> list[int]:
        """The same, but a transition is half of the scene before it and half of the one after."""
        return self._with((part.start + part.stop) // 2 for part in self._transitions.found())

    def _with(self, gradual: Iterable[int]) -> list[int]:
        cuts = {*self._cuts, *self._jumps.found(), *gradual}
        return sorted(cut for cut in cuts if 0 < cut < self._frames)


def scan(
    source: FrameSource, mask: HoleSource, feather: int, listener: Listener, cover: MaskSource | None = None
) -> Scan:
    """Decode everything once; ``feather`` is the reach of the soft edge in pixels.

    ``cover``: what is covered where there is no hole, looked at now so that what cannot be read is known.
    """
    info = source.info
    detector = CutDetector()
    frame_box, gap = Box(0, 0, info.width, info.height), least_margin(info.width, info.height)
    holes: list[tuple[Box, ...]] = []
    pixels = covered = 0
    with listener.stage("scan", info.frames_from_header) as progress:
        for frame in source.frames():
            detector.feed(small_rgb(frame, SCAN_WIDTH))
            hole = mask.at(frame)
            boxes = hole_boxes(hole, gap)
            if boxes:
                pixels += int(np.count_nonzero(hole))
            elif cover is not None:
                covered += int(np.count_nonzero(cover.at(frame)))
            holes.append(tuple(box.grown(feather).intersection(frame_box) for box in boxes))
            advance(progress)
    mask.check_count(len(holes))
    return Scan(len(holes), shots_from_cuts(len(holes), detector.cuts()), tuple(holes), pixels, covered)


def hole_boxes(hole: Hole, gap: int) -> list[Box]:
    """Boxes that together hold a hole, bool ``(H, W)``, cut where ``gap`` rows or columns are empty."""
    box = hole_box(hole)
    if box is None:
        return []
    part = hole[box.slices()]
    rows, columns = (_pieces(np.asarray(part.any(axis=axis)), gap) for axis in (1, 0))
    if len(rows) == len(columns) == 1:
        return [box]
    cells = [Box(x.start, y.start, x.stop, y.stop) for y in rows for x in columns]
    return [
        inner.moved(box.x0 + cell.x0, box.y0 + cell.y0)
        for cell in cells
        for inner in hole_boxes(part[cell.slices()], gap)
    ]


def _pieces(filled: Hole, gap: int) -> list[range]:
    """Ranges that hold everything filled, bool ``(n,)``, with ``gap`` empty places or more between them."""
    places = np.flatnonzero(filled)
    ends = np.flatnonzero(np.diff(places) > gap)
    starts, stops = places[[0, *(ends + 1)]], places[[*ends, -1]] + 1
    return [range(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]


@dataclass(frozen=True, slots=True)
class Footage:
    """Times and shots of a clip, for following things through it.

    ``seconds[i]`` is when frame i is shown, exactly, after the first; ``shots`` hold every frame once, those
    of a transition in its two scenes.
    """

    seconds: tuple[Fraction, ...]
    shots: tuple[range, ...]

    @property
    def frames(self) -> int:
        """Frames of the clip."""
        return len(self.seconds)

    def during(self, when: TimeRange) -> range:
        """Frames from the first to the last that lie in a range of time; empty without one."""
        inside = [index for index, seconds in enumerate(self.seconds) if when.contains(index, seconds)]
        return range(inside[0], inside[-1] + 1) if inside else range(0)


def read_footage(source: FrameSource, listener: Listener) -> Footage:
    """Decode everything once; raises what the source raises, and Interrupted."""
    info, detector = source.info, CutDetector()
    times: list[int] = []
    with listener.stage("shots", info.frames_from_header) as progress:
        for frame in source.frames():
            detector.feed(small_rgb(frame, SCAN_WIDTH))
            times.append(frame.pts)
            advance(progress)
    seconds = tuple((time - times[0]) * info.time_base for time in times)
    return Footage(seconds, shots_from_cuts(len(times), detector.scene_cuts()))
