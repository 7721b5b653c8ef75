"""The tracker `internal`: a U-Net learns the object from the clip itself, and segments it on each frame.

The mask from one annotated frame of internal video inpainting (Ouyang, Wang and Chen, ICCV 2021). The paper
takes the network's mask of each frame as it is; here the previous frame's mask, carried along optical flow,
says where to trust it, and the network keeps learning from the frames it has segmented.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.masks.track.flow import FlowTracker, FrameStep
from vinpaint_cli.masks.track.frame_reader import WORK_PIXELS, downscale, small_frames, to_grey
from vinpaint_cli.masks.track.paste_and_find import ObjectNet, given_frame, segmented_frame
from vinpaint_cli.masks.track.soft_mask import (
    AREA_FRAMES,
    MIN_PIXELS,
    SoftMask,
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
from vinpaint_cli.ops.flow import open_flow
from vinpaint_cli.ops.image import Bytes
from vinpaint_cli.types import FrameSource

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Plane

MAX_LOG_ODDS = 4.0
"""Bound of the network's log-odds: it has seen one frame, and is surer than it should be."""
UPDATES, MAX_UPDATES = 200, 4
"""Optimiser steps on segmented frames over a whole shot, and most for one frame."""
LEAST_SHARE = 0.4
"""Share of the optimiser steps that the smallest frames take; larger frames show more and take more."""
MIN_CONFIDENCE = 0.1
"""Confidence from which on a segmented frame is learned from."""


class InternalTracker(FlowTracker):
    """Fits a network to the object's prompt masks, and tracks with it in both directions of time.

    Fitting takes about the same time for every shot with a prompt mask, and none for others. Memory: the
    network, one chunk of downscaled frames, the frames learned from, and a compressed soft mask per frame.
    """

    def _small_mask(self, mask: Hole, size: tuple[int, int]) -> Plane:
        return small_mask(mask, size)

    def _learn(
        self, source: FrameSource, shot: range, masks: Mapping[int, Plane], frames: int
    ) -> Callable[[int], FrameStep]:
        target = learn_target_net(source, masks)
        return lambda direction: NetStep(target, min(UPDATES / frames, MAX_UPDATES))


def small_mask(mask: Hole, size: tuple[int, int]) -> Plane:
    """``mask`` bool ``(H, W)`` downscaled to a soft mask of ``size``; what is too thin for it is kept."""
    plane: Plane = np.asarray(downscale(mask.astype(np.float32), size), np.float32)
    most = float(plane.max())
    return plane / np.float32(most) if 0 < most <= 0.5 else plane


@dataclass(frozen=True, slots=True)
class TargetNet:
    """The object as learned: ``net``, its ``area`` in pixels, and the ``min_score`` a `Match` needs."""

    net: ObjectNet
    area: int
    min_score: float


def learn_target_net(source: FrameSource, masks: Mapping[int, Plane]) -> TargetNet:
    """Fit a network to ``masks``: by frame, soft ``(h, w)``, one or more, each with the object.

    How similar other things look is judged on the last of them.
    """
    frames = []
    for index, mask in sorted(masks.items()):
        size = (mask.shape[1], mask.shape[0])
        picture = next(shown for _, shown in small_frames(source, range(index, index + 1), size))
        frames.append(given_frame(picture, mask))
    core = mask > 0.5
    net = ObjectNet(frames)
    net.fit(min(1.0, max(LEAST_SHARE, core.size / WORK_PIXELS)))
    return TargetNet(net, int(np.count_nonzero(core)), min_match_score(net.log_odds(picture), core))


class NetStep:
    """See `FrameStep`: joins the mask carried along the flow with the network's, and updates the network."""

    def __init__(self, target: TargetNet, updates: float) -> None:
        """``updates``: optimiser steps per frame on which the object is found; may be below 1."""
        self._net, self._min_score = target.net.copy(), target.min_score
        self._updates, self._due = updates, 0.0
        self._flow = open_flow()
        self._areas = deque([max(target.area, MIN_PIXELS)], maxlen=AREA_FRAMES)
        self._before: tuple[Bytes, Plane] | None = None
        self._at_border = False
        self._age = 0

    def step(self, picture: Bytes, prompt: Plane | None = None) -> SoftMask:
        """See `FrameStep`."""
        grey = to_grey(picture)
        self._age = 0 if prompt is not None else self._age + 1
        found = self._segment(picture, grey) if prompt is None else SoftMask(prompt, 1.0)
        if found.core.any():
            self._areas.append(int(np.count_nonzero(found.core)))
            self._at_border = touches_border(found.core)
        self._before = grey, found.probability
        return found

    def _segment(self, picture: Bytes, grey: Bytes) -> SoftMask:
        """Where the carried mask and the network agree; without a carried mask, the network's best match."""
        log_odds = np.clip(self._net.log_odds(picture), -MAX_LOG_ODDS, MAX_LOG_ODDS)
        core = self._carried(grey) > 0.5
        if is_lost(core, max(self._areas)):
            match = best_match(log_odds, max(self._areas))
            if match.score < self._min_score:
                return lost_mask(grey.shape, self._at_border, match, self._min_score)
            core = match.core
        mask = drop_unconnected(snap_to_edges(sigmoid(log_odds + carried_log_odds(core)), grey), core)
        found = SoftMask(mask, estimate_confidence(mask, log_odds, self._age))
        if is_lost(mask, max(self._areas)):
            return lost_mask(grey.shape, self._at_border)
        self._due += self._updates
        if self._due >= 1 and found.confidence > MIN_CONFIDENCE:
            self._net.update(segmented_frame(picture, mask, log_odds), int(self._due))
        self._due %= 1
        return found

    def _carried(self, grey: Bytes) -> Plane:
        """The previous frame's mask ``(h, w)``, warped to this frame."""
        if self._before is None:
            return np.zeros(grey.shape, np.float32)
        before, mask = self._before
        return warp_mask(mask, self._flow(grey, before)) if mask.any() else mask
