"""The tracker `flow`: the mask carried along optical flow, corrected by the object's appearance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.masks.track import Tracked
from vinpaint_cli.masks.track.appearance import (
    FEATURES,
    TEXTURE_FEATURES,
    TRAINING_PIXELS,
    AppearanceModel,
    FeatureLayout,
    draw_training_pixels,
    pixel_features,
)
from vinpaint_cli.masks.track.frame_reader import (
    downscale,
    prompt_masks_in_shot,
    small_frames,
    to_grey,
    upscale,
    work_size,
)
from vinpaint_cli.masks.track.soft_mask import (
    AREA_FRAMES,
    MIN_PIXELS,
    SoftMask,
    SoftMaskStore,
    best_match,
    carried_log_odds,
    drop_unconnected,
    estimate_confidence,
    is_lost,
    lost_mask,
    min_match_score,
    sigmoid,
    snap_to_edges,
    touches_border,
    warp_mask,
)
from vinpaint_cli.metrics.davis import region_similarity
from vinpaint_cli.ops.flow import open_flow
from vinpaint_cli.ops.flow.camera import apply_homography, fit_homography
from vinpaint_cli.ops.image import Array, Bytes, coordinate_grid, dilate
from vinpaint_cli.types import Box, FrameSource

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Picture, Plane, Segmenter

MAX_LEARNED_MASKS = 12
"""Most prompt masks of a shot that the object's appearance is learned from."""
SAME_OBJECT = 0.6
"""Overlap (J) with the tracked mask from which on a refined mask is taken for the same object."""
MOTION_FEATURES, PLACE_FEATURES = 3, 2
LAYOUT = FeatureLayout(
    FEATURES - TEXTURE_FEATURES, (TEXTURE_FEATURES, MOTION_FEATURES, PLACE_FEATURES), jitter=0.15
)
"""Features of a pixel: colour and edges; texture; motion relative to the camera; place."""
MARGIN = 60
"""Pixels around the carried mask within which the object is searched."""
CARRIED_WEIGHT = 0.5
"""Weight of the carried mask's log-odds beside those of appearance."""


class FrameStep(Protocol):
    """Tracks an object from one frame to the next, in one direction of time."""

    def step(self, picture: Bytes, prompt: Plane | None = None) -> SoftMask:
        """Soft mask of the next frame, uint8 ``(h, w, 3)``; ``prompt`` is its mask ``(h, w)`` where known."""
        ...


class FlowTracker:
    """Tracks an object from its prompt masks in both directions of time, on downscaled frames.

    Between two prompt masks the results of both directions are blended by confidence and nearness. Memory:
    one chunk of downscaled frames, and a compressed soft mask per frame of the shot.
    """

    def __init__(self, segmenter: Segmenter | None = None) -> None:
        """``segmenter`` refines each frame's mask at full resolution; None leaves the upscaled soft mask."""
        self._segmenter = segmenter

    def track(
        self,
        source: FrameSource,
        shot: range,
        prompt_masks: Mapping[int, Hole],
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[Tracked]:
        """See `Tracker`."""
        given = prompt_masks_in_shot(source.info, shot, prompt_masks)
        store = SoftMaskStore(work_size(source.info), tuple(given))
        self._track_both_ways(source, shot, given, store, tick)
        for index in shot:
            if not store.has(index):
                tick()
        yield from _full_size(source, shot, given, store, self._segmenter)

    def _track_both_ways(
        self,
        source: FrameSource,
        shot: range,
        given: Mapping[int, Hole],
        store: SoftMaskStore,
        tick: Callable[[], None],
    ) -> None:
        """From the first prompt mask to the end of the shot, and from the last one back to its start."""
        ways = [range(min(given), shot.stop), range(max(given), shot.start - 1, -1)] if given else []
        ways = [frames for frames in ways if any(index not in given for index in frames)]
        visible = [index for index, mask in given.items() if mask.any()]
        if not visible or not ways:
            return
        small = {index: self._small_mask(mask, store.size) for index, mask in given.items()}
        learned = {visible[place]: small[visible[place]] for place in spread(len(visible), MAX_LEARNED_MASKS)}
        start = self._learn(source, shot, learned, sum(len(frames) for frames in ways))
        for frames in ways:
            tracker = start(frames.step)
            for index, picture in small_frames(source, frames, store.size):
                found = tracker.step(picture, small.get(index))
                if index not in given:
                    if not store.has(index):
                        tick()
                    store.add(index, found, frames.step)

    def _small_mask(self, mask: Hole, size: tuple[int, int]) -> Plane:
        return np.asarray(downscale(mask.astype(np.float32), size), np.float32)

    def _learn(
        self, source: FrameSource, shot: range, masks: Mapping[int, Plane], frames: int
    ) -> Callable[[int], FrameStep]:
        """Learn the object; returns what starts tracking in a direction of time, 1 or -1.

        ``masks``: downscaled prompt masks by frame. ``frames``: how many frames will be visited.
        """
        target = learn_target(source, shot, masks)
        return lambda direction: FlowStep(target, direction)


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` of the indices 0 … ``count`` - 1, evenly spread, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def _full_size(
    source: FrameSource,
    shot: range,
    given: Mapping[int, Hole],
    store: SoftMaskStore,
    segmenter: Segmenter | None,
) -> Iterator[Tracked]:
    """Masks at full resolution, in order; frames are decoded again only for a segmenter."""
    native = source.info.width, source.info.height
    pictures = source.frames(shot.start, shot.stop) if segmenter is not None and store else None
    for index in shot:
        frame = next(pictures) if pictures is not None else None
        if index in given:
            yield Tracked(index, given[index].copy(), 1.0)
        elif not store.has(index):
            yield Tracked(index, np.zeros((native[1], native[0]), np.bool_), 1.0)
        else:
            mask = upscale(store.probability(index), native)
            if frame is not None and segmenter is not None:
                mask = refine_mask(segmenter, frame.rgb, mask)
            yield Tracked(index, mask > 0.5, store.confidence(index))


def refine_mask(segmenter: Segmenter, rgb: Picture, mask: Plane) -> Plane:
    """The soft ``mask (H, W)`` refined by the segmenter, or as it was where that found another object."""
    if not (mask > 0.5).any():
        return mask
    found = segmenter.refine(rgb, mask)
    return found if region_similarity(found > 0.5, mask > 0.5) >= SAME_OBJECT else mask


@dataclass(frozen=True, slots=True)
class Target:
    """The object as learned from its prompt masks.

    ``appearance``: tells its pixels from others. ``area``: its size in pixels. ``min_score``: the score from
    which on a `Match` is taken for it.
    """

    appearance: AppearanceModel
    area: int
    min_score: float


def learn_target(source: FrameSource, shot: range, masks: Mapping[int, Plane]) -> Target:
    """Learn the object from ``masks``: by frame, soft ``(h, w)``, one or more, each with the object.

    How similar other things look is judged on the last of them.
    """
    rng = np.random.default_rng(0)
    examples = []
    features = np.empty((0, 0, LAYOUT.columns), np.float32)
    for index, mask in sorted(masks.items()):
        height, width = mask.shape
        picture, motion = _frame_and_motion(source, shot, index, (width, height))
        features = window_features(picture, motion, mask, Box(0, 0, width, height))
        examples.append(draw_training_pixels(features, mask, TRAINING_PIXELS, rng))
    appearance = AppearanceModel(LAYOUT, examples)
    log_odds = appearance.log_odds(LAYOUT.without_last(features))
    return Target(appearance, int(np.count_nonzero(mask > 0.5)), min_match_score(log_odds, mask > 0.5))


def _frame_and_motion(
    source: FrameSource, shot: range, index: int, size: tuple[int, int]
) -> tuple[Bytes, Array]:
    """A frame and its flow to the next one; at the end of the shot, the reversed flow to the previous one."""
    ahead = index + 1 in shot
    near = range(index, index + 2) if ahead else range(max(shot.start, index - 1), index + 1)
    pictures = [picture for _, picture in small_frames(source, near, size)]
    here = pictures[0 if ahead else -1]
    other = pictures[-1 if ahead else 0]
    flow = open_flow()(to_grey(here), to_grey(other))
    return here, flow if ahead else -flow


def window_features(picture: Bytes, flow: Array, mask: Plane, window: Box) -> Array:
    """Features of the pixels in ``window``: float32 ``(h, w, LAYOUT.columns)``.

    picture: uint8 ``(H, W, 3)``; flow: forward in time, ``(H, W, 2)``; mask: soft, ``(H, W)``, whose centre
    is the origin of the place features.
    """
    rows, columns = window.slices()
    parts = [pixel_features(picture[rows, columns])]
    parts += [planes[rows, columns] for planes in (_motion_features(flow, mask), _place_features(mask))]
    return np.concatenate(parts, axis=-1)


def _motion_features(flow: Array, mask: Plane) -> Array:
    """Motion relative to the camera's, squashed, and the logarithm of its length: ``(H, W, 3)``."""
    import cv2

    grid = coordinate_grid(*mask.shape)
    camera = fit_homography(flow, ~dilate(mask > 0.3, 4), tolerance=1.5)
    own = flow - (apply_homography(camera, grid) - grid)
    length = np.sqrt((own * own).sum(-1, keepdims=True))
    squashed = cv2.GaussianBlur(own / (1 + 0.3 * length) * 0.5, (0, 0), 1.5)
    return np.concatenate([squashed, np.log1p(length)], axis=-1, dtype=np.float32)


def _place_features(mask: Plane) -> Array:
    """Position relative to the mask's centre, in units of its extent, within ±3: ``(H, W, 2)``."""
    grid = coordinate_grid(*mask.shape)
    total = max(float(mask.sum()), 1e-6)
    middle = np.array([float((mask * grid[..., axis]).sum()) / total for axis in (0, 1)], np.float32)
    away = ((grid - middle) ** 2).sum(-1)
    extent = float(np.sqrt((mask * away).sum() / total)) + 4
    return np.asarray(np.clip((grid - middle) / np.float32(1.5 * extent), -3, 3), np.float32)


class FlowStep:
    """See `FrameStep`: warps the mask along the flow and corrects it by appearance, which is updated."""

    def __init__(self, target: Target, direction: int) -> None:
        """``direction``: 1 for forward in time, -1 for backward."""
        self._appearance, self._min_score = target.appearance.copy(), target.min_score
        self._direction = direction
        self._flow = open_flow()
        self._rng = np.random.default_rng(1)
        self._before: tuple[Bytes, Plane] | None = None
        self._areas = deque([max(target.area, MIN_PIXELS)], maxlen=AREA_FRAMES)
        self._at_border = False
        self._age = 0

    def step(self, picture: Bytes, prompt: Plane | None = None) -> SoftMask:
        """See `FrameStep`."""
        grey = to_grey(picture)
        self._age = 0 if prompt is not None else self._age + 1
        if prompt is not None or self._before is None:
            found = SoftMask(np.zeros(grey.shape, np.float32) if prompt is None else prompt, 1.0)
            area = int(np.count_nonzero(found.core))
            if area >= MIN_PIXELS:
                self._areas = deque([area], maxlen=AREA_FRAMES)
                self._at_border = touches_border(found.core)
        else:
            found = self._next(picture, grey, *self._before)
        self._before = grey, found.probability
        return found

    def _next(self, picture: Bytes, grey: Bytes, before: Bytes, mask: Plane) -> SoftMask:
        flow = self._flow(grey, before)
        carried = warp_mask(mask, flow)
        motion = -self._direction * flow
        if is_lost(carried, max(self._areas)):
            return self._find_again(picture, grey, motion)
        found = self._correct(picture, grey, motion, carried)
        if is_lost(found.probability, max(self._areas)):
            return lost_mask(grey.shape, self._at_border)
        return self._remember(found)

    def _remember(self, found: SoftMask) -> SoftMask:
        """Note the object's area, and whether it touches the border."""
        self._areas.append(int(np.count_nonzero(found.core)))
        self._at_border = touches_border(found.core)
        return found

    def _correct(self, picture: Bytes, grey: Bytes, motion: Array, carried: Plane) -> SoftMask:
        """The carried mask corrected by appearance; the appearance model is updated from the result."""
        core = carried > 0.5
        box = hole_box(core)
        assert box is not None
        window = _with_margin(box, carried.shape)
        part = window.slices()
        features = window_features(picture, motion, carried, window)
        own = self._appearance.log_odds(features)
        mask = sigmoid(own + CARRIED_WEIGHT * carried_log_odds(core[part]))
        mask = drop_unconnected(snap_to_edges(mask, grey[part]), core[part])
        self._appearance.update(draw_training_pixels(features, mask, TRAINING_PIXELS // 2, self._rng))
        probability = np.zeros(carried.shape, np.float32)
        probability[part] = mask
        return SoftMask(probability, estimate_confidence(mask, own, self._age))

    def _find_again(self, picture: Bytes, grey: Bytes, motion: Array) -> SoftMask:
        """Search a lost object in the whole frame."""
        nowhere = np.zeros(grey.shape, np.float32)
        features = window_features(picture, motion, nowhere, Box(0, 0, grey.shape[1], grey.shape[0]))
        match = best_match(self._appearance.log_odds(LAYOUT.without_last(features)), max(self._areas))
        if match.score >= self._min_score:
            found = self._correct(picture, grey, motion, match.core.astype(np.float32))
            if not is_lost(found.probability, max(self._areas)):
                return self._remember(found)
        return lost_mask(grey.shape, self._at_border, match, self._min_score)


def _with_margin(box: Box, shape: tuple[int, ...]) -> Box:
    wide = Box(box.x0 - MARGIN, box.y0 - MARGIN, box.x1 + MARGIN, box.y1 + MARGIN)
    return wide.intersection(Box(0, 0, shape[1], shape[0]))
