"""`find_text`: finds text that was burned into a clip, letter by letter and exact to the frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.mask_making.text_mask import TextEvent, TextMask
from vinpaint_cli.masks.grammar import parse_box
from vinpaint_cli.masks.text.detect import TextDetector, TextLine
from vinpaint_cli.masks.text.events import LineSample, LineTracker, Track, appearance_of, slope
from vinpaint_cli.masks.text.letters import find_letters, presence
from vinpaint_cli.masks.text.options import TextOptions
from vinpaint_cli.ops.flow.dis import DisFlow
from vinpaint_cli.ops.image import eight_bits
from vinpaint_cli.pipeline.progress import Listener, advance
from vinpaint_cli.types import Box, Frame, FrameSource

if TYPE_CHECKING:
    Array = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]

SAMPLES_PER_SECOND = 3
"""Frames of each second in which text is looked for; when it comes and goes is found between them."""

PICTURES = 40
"""Frames from which the letters of one text are found, at most."""

LEAST_PRESENCE = 0.07
"""Part of a text's contrast that a frame shows beyond what others do, from which on the text is in it."""

STEADY = 0.35
"""Median deviation of a text's presence on its own frames, above which it does not stay as it is."""

STEADY_ALONE = 0.06
"""Deviation on most frames where nothing moves: the scene varies with light, an overlay does not."""

LEAST_SCORE = 0.7
"""Mean score of a text's detections, below which it is a texture."""

PICTURE_BYTES = 192 << 20
"""Bytes of the pictures from which the letters of all texts are found that are shown at one time, at most."""

_FLOW_WIDTH = 320
_LARGEST = 0.4


def find_text(source: FrameSource, options: TextOptions, listener: Listener) -> TextMask:
    """Find the text that was burned into a clip; decodes it twice.

    Raises UsageError (a region that cannot be read), WeightsError (the network that finds text is not here),
    what the source raises, and Interrupted.
    """
    info = source.info
    size = info.width, info.height
    regions = [parse_box(text).resolve(*size) for text in options.regions]
    seconds, tracks = _find_tracks(source, options, regions, listener)
    found = _find_events(source, tracks, len(seconds), _step(source), listener)
    events = [event for event in found if options.takes(event.persistent, event.scene)]
    left = sum(event.scene for event in found) if not options.takes_scene else 0
    return TextMask(events, size, seconds, _notes(events, left))


def _notes(events: Sequence[TextEvent], left: int) -> list[str]:
    lines = [] if events else ["no text is found that was put over the picture"]
    if left:
        lines.append(f"{left} texts move with the scene and are left; --text-kind all takes them too")
    return lines


def _step(source: FrameSource) -> int:
    rate = source.info.rate
    return max(1, round(float(rate or 24) / SAMPLES_PER_SECOND))


def _find_tracks(
    source: FrameSource, options: TextOptions, regions: Sequence[Box], listener: Listener
) -> tuple[list[Fraction], list[Track]]:
    """When each frame is shown, and every line of text that enough samples show."""
    info = source.info
    detector, tracker, flow = TextDetector(), LineTracker(info.width, info.height), DisFlow()
    step, times, last = _step(source), list[int](), None
    waiting: tuple[int, list[TextLine], Bytes] | None = None

    def look(frame: Frame) -> tuple[int, list[TextLine], Bytes]:
        rgb = eight_bits(frame.rgb)
        lines = [line for line in detector.find(rgb) if _wanted(line, options, regions, info.height)]
        return frame.index, lines, _gray(rgb)

    with listener.stage("text", info.frames_from_header) as progress:
        for frame in source.frames():
            if waiting is not None:
                tracker.feed(_samples(*waiting, _motion(flow, waiting[2], _gray(eight_bits(frame.rgb)))))
                waiting = None
            if frame.index % step == 0:
                waiting = look(frame)
            times.append(frame.pts)
            last = frame
            advance(progress)
    if waiting is None and last is not None:  # a text may have begun since the last sample
        waiting = look(last)
    if waiting is not None:
        tracker.feed(_samples(*waiting, None))
    seconds = [(time - times[0]) * info.time_base for time in times]
    return seconds, [track for track in tracker.finish() if _is_sure(track)]


def _is_sure(track: Track) -> bool:
    """Whether enough detections support a track."""
    score = np.mean([one.line.score for one in track.samples])
    return len(track.samples) > 1 and bool(score >= LEAST_SCORE)


def _wanted(line: TextLine, options: TextOptions, regions: Sequence[Box], frame_height: int) -> bool:
    if not options.least_height <= line.height <= _LARGEST * frame_height:
        return False
    half = line.box.area / 2
    return not regions or any(region.intersection(line.box).area >= half for region in regions)


def _gray(rgb: Bytes) -> Bytes:
    import cv2

    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _motion(flow: DisFlow, first: Bytes, second: Bytes) -> Array:
    """Motion ``(h, w, 2)`` between two grey pictures, computed small, in their pixels."""
    import cv2

    scale = min(1.0, _FLOW_WIDTH / first.shape[1])
    size = max(16, round(first.shape[1] * scale)), max(16, round(first.shape[0] * scale))
    one, two = (
        np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        for picture in (first, second)
    )
    return np.asarray(flow(one, two) / np.float32(scale), np.float32)


def _samples(index: int, lines: Sequence[TextLine], gray: Bytes, motion: Array | None) -> list[LineSample]:
    return [
        LineSample(index, line, appearance_of(gray, line), _around(motion, line, lines, gray.shape))
        for line in lines
    ]


def _around(
    motion: Array | None, line: TextLine, lines: Sequence[TextLine], shape: tuple[int, ...]
) -> tuple[float, float] | None:
    """Median motion of a ring around a line, as wide as it is high, other lines left out."""
    if motion is None:
        return None
    scale = motion.shape[0] / shape[0]
    limits = Box(0, 0, motion.shape[1], motion.shape[0])
    outer = _scaled_box(line.box, 1.5 * line.height, scale).intersection(limits)
    ring = np.zeros(motion.shape[:2], np.bool_)
    ring[outer.slices()] = True
    for text in lines:
        ring[_scaled_box(text.box, 0.15 * text.height, scale).intersection(limits).slices()] = False
    if not ring.any():
        return None
    right, down = np.median(motion[ring], axis=0)
    return float(right), float(down)


def _scaled_box(box: Box, by: float, scale: float) -> Box:
    low = (int((value - by) * scale) for value in (box.x0, box.y0))
    high = (int(np.ceil((value + by) * scale)) for value in (box.x1, box.y1))
    return Box(*low, *high)


class _TrackPictures:
    """The pictures of one text that its letters and its exact frames are found from."""

    def __init__(self, track: Track, window: range, most_bytes: int) -> None:
        """Take the track, the frames from before its first sample to after its last, and a limit of bytes.

        Of the frames between these samples some are chosen; those beside them, all taken, are kept grey.
        """
        self.track, self.window = track, window
        along, across = round(8 * track.height), round(1.5 * track.height)
        self._pad = (across, along) if track.samples[0].line.vertical else (along, across)
        most = min(PICTURES, most_bytes // max(1, 3 * self._area.area))
        inside = np.linspace(track.start, track.last, max(3, most)).round().astype(int)
        self._inside = set(inside.tolist())
        self._pictures: dict[int, Bytes] = {}

    @cached_property
    def _area(self) -> Box:
        box, (right, down) = self.track.box, self._pad
        return Box(box.x0 - right, box.y0 - down, box.x1 + right, box.y1 + down)

    def _corner(self, index: int) -> tuple[float, float]:
        """Left and upper edge of the area on a frame."""
        x, y = self.track.corner(index)
        return x - self._pad[0], y - self._pad[1]

    def wants(self, index: int) -> bool:
        """Whether frame ``index`` is one of them."""
        return index in self.window and (self._beside(index) or index in self._inside)

    def _beside(self, index: int) -> bool:
        return index < self.track.start or index > self.track.last

    def add(self, index: int, rgb: Bytes) -> None:
        """Take a whole frame, uint8 RGB ``(H, W, 3)``."""
        x, y = self._corner(index)
        picture = _shifted(rgb, -x, -y, (self._area.width, self._area.height))
        self._pictures[index] = picture.mean(-1).astype(np.uint8) if self._beside(index) else picture

    def align(self) -> None:
        """Find the motion of a moving text again, from its pictures: boxes are right to a few pixels only."""
        if self.track.velocity == (0, 0):
            return
        sure = [index for index in sorted(self._inside) if index in self._pictures]
        middle = sure[len(sure) // 2]
        shifts = np.array([self._shift(middle, index) for index in sure], np.float32)
        when = np.array(sure, np.float32) - self.track.start
        rates = [slope(when, shift, 0.5) for shift in shifts.T]
        firsts = [float(np.median(shift - rate * when)) for shift, rate in zip(shifts.T, rates, strict=True)]
        for index, picture in self._pictures.items():
            by = index - self.track.start
            move = [-(first + rate * by) for first, rate in zip(firsts, rates, strict=True)]
            self._pictures[index] = _shifted(picture, move[0], move[1])
        self.track = self.track.moved((firsts[0], firsts[1]), (rates[0], rates[1]))

    def _shift(self, index: int, other: int) -> tuple[float, float]:
        """By how much the text lies further right and down in the picture of another frame, in pixels."""
        import cv2

        box, (right, down) = self.track.box, self._pad
        rows, columns = slice(down, down + box.height), slice(right, right + box.width)
        one, two = (_gray(self._pictures[place]) for place in (index, other))
        reach = max(2, round(0.2 * self.track.height))
        around = np.pad(two, reach, mode="edge")[
            rows.start : rows.stop + 2 * reach, columns.start : columns.stop + 2 * reach
        ]
        fits = cv2.matchTemplate(around, np.ascontiguousarray(one[rows, columns]), cv2.TM_CCOEFF_NORMED)
        y, x = np.unravel_index(int(np.argmax(fits)), fits.shape)
        return float(x - reach), float(y - reach)

    def event(self, clip: range, size: tuple[int, int]) -> TextEvent | None:
        """The event, from the pictures taken; None for what is no text, or does not stay as it is."""
        self.align()
        track = self.track
        box = Box(0, 0, track.box.width, track.box.height)
        right, down = self._pad
        inner = Box(right, down, right + box.width, down + box.height)
        letters = find_letters(self._whole(size), inner, track.height)
        if letters is None:
            return None
        shown = {index: presence(picture, letters) for index, picture in self._pictures.items()}
        own = np.array([shown[index] for index in self._inside if index in shown])
        off = np.abs(own - np.median(own))
        scene = track.in_scene(size[1])
        if np.median(off) > STEADY or np.median(own) < 0.5:
            return None
        before = range(track.start - 1, self.window.start - 1, -1)
        after = range(track.last + 1, self.window.stop)
        frames = range(_reach(shown, before, track.start), _reach(shown, after, track.last) + 1)
        x, y = (round(value) for value in track.corner(frames.start))
        return TextEvent(
            frames,
            Box(x, y, x + box.width, y + box.height),
            track.velocity,
            persistent=frames == clip,
            scene=bool(np.quantile(off, 0.85) > STEADY_ALONE) if scene is None else scene,
            corner=self._corner(frames.start),
            letters=letters.mask,
        )

    def _whole(self, size: tuple[int, int]) -> Bytes:
        """The pictures in which the text is seen for sure, without those where it leaves the frame."""
        sure = [index for index in self._inside if index in self._pictures]

        def whole(index: int) -> bool:
            x, y = self.track.corner(index)
            box = self.track.box
            return x >= 0 and y >= 0 and x + box.width <= size[0] and y + box.height <= size[1]

        chosen = [index for index in sure if whole(index)] or sure
        return np.stack([self._pictures[index] for index in chosen])


def _shifted(picture: Bytes, right: float, down: float, size: tuple[int, int] | None = None) -> Bytes:
    """A picture moved by a part of a pixel too, cut to ``(w, h)``; its border is repeated."""
    import cv2

    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    shape = size or (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.warpAffine(picture, matrix, shape, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _reach(shown: dict[int, float], order: Sequence[int], start: int) -> int:
    """The last frame in ``order`` up to which a text is present, or ``start``.

    Other text in its place, and the background, share something with it: what the farthest frames show.
    """
    far = [shown[index] for index in order[len(order) // 2 :] if index in shown]
    shared = float(np.median(far)) if far else 0.0
    least = LEAST_PRESENCE + (max(0.0, shared) if shared < 0.5 else 0.0)
    for index in order:
        if shown.get(index, 0.0) < least:
            break
        start = index
    return start


def _find_events(
    source: FrameSource, tracks: Sequence[Track], frames: int, step: int, listener: Listener
) -> list[TextEvent]:
    """Letters and exact frames of each track; decodes the clip again."""
    size = source.info.width, source.info.height
    windows = [
        range(max(0, track.start - 2 * step), min(frames, track.last + 2 * step + 1)) for track in tracks
    ]
    at_once = max((sum(window.start in other for other in windows) for window in windows), default=1)
    taken = map(_TrackPictures, tracks, windows, repeat(PICTURE_BYTES // at_once))
    waiting = sorted(taken, key=lambda one: one.window.start)
    active: list[_TrackPictures] = []
    found: list[TextEvent] = []
    with listener.stage("letters", frames) as progress:
        for frame in source.frames() if waiting else ():
            while waiting and frame.index >= waiting[0].window.start:
                active.append(waiting.pop(0))
            wanting = [one for one in active if one.wants(frame.index)]
            if wanting:
                rgb = eight_bits(frame.rgb)
                for one in wanting:
                    one.add(frame.index, rgb)
            done = [one for one in active if frame.index == one.window.stop - 1]
            active = [one for one in active if one not in done]
            found += _events(done, range(frames), size)
            advance(progress)
    return sorted(found, key=lambda event: (event.frames.start, event.box.y0, event.box.x0))


def _events(done: Iterable[_TrackPictures], clip: range, size: tuple[int, int]) -> Iterator[TextEvent]:
    for one in done:
        event = one.event(clip, size)
        if event is not None:
            yield event
