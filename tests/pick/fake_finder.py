"""A finder that knows objects by their colour alone: quick, and easy to foretell."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import cv2
import numpy as np

from vinpaint_cli.errors import MaskError
from vinpaint_cli.mask_making.confidence import low_confidence_ranges
from vinpaint_cli.masks.prompts import Prompt, PromptOptions, parse_prompts
from vinpaint_cli.masks.sources.packed import PackedMasks
from vinpaint_cli.pick.finder import TrackedObjects
from vinpaint_cli.pipeline.progress import Listener, advance
from vinpaint_cli.types import FrameSource

NEAR = 60


class ColourFinder:
    """Everything in one piece with a clicked pixel and of its colour is the object.

    A "not this" takes the colour under it away, a box what lies outside. Confidence falls from 1 to 0 over
    the clip. ``gate``: following waits for it before each frame; ``fails``: what it ends with.
    """

    name = "colour"

    def __init__(self) -> None:
        self.asked: list[tuple[int, Sequence[Prompt]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails: Exception | None = None

    def segment(self, source: FrameSource, index: int, prompts: Sequence[Prompt]) -> np.ndarray:
        self.asked.append((index, prompts))
        rgb = next(iter(source.frames(index, index + 1))).rgb
        (prompt,) = prompts
        hole = np.zeros(rgb.shape[:2], np.bool_)
        if prompt.box is not None:
            hole[prompt.box.slices()] = True
        for point, label in zip(prompt.points, prompt.labels, strict=True):
            piece = _alike(rgb, point)
            hole = hole | piece if label else hole & ~piece
        return hole

    def correct(self, source: FrameSource, index: int, prompt: Prompt, mask: np.ndarray) -> np.ndarray:
        self.asked.append((index, (prompt,)))
        rgb = next(iter(source.frames(index, index + 1))).rgb
        for point in prompt.points:
            mask = mask & ~_alike(rgb, point)
        return mask

    def follow(self, source: FrameSource, options: PromptOptions, listener: Listener) -> TrackedObjects:
        frames = sum(1 for _ in source.frames())
        size = source.info.width, source.info.height
        masks = PackedMasks(*size, frames)
        prompts = parse_prompts(options, size, corrections=True)
        with listener.stage("track", frames) as progress:
            for frame in source.frames():
                self.gate.wait(20)
                hole = np.zeros(size[::-1], np.bool_)
                for prompt in prompts:
                    first = next(iter(source.frames(prompt.when.frame or 0, None))).rgb
                    for x, y in prompt.points[:1]:
                        colour = first[int(y), int(x)].astype(int)
                        hole |= np.abs(frame.rgb.astype(int) - colour).max(axis=2) < NEAR
                masks.put(frame.index, hole, 1 - frame.index / max(1, frames - 1))
                advance(progress)
        if self.fails is not None:
            raise self.fails
        if not masks.hole(0).any():
            raise MaskError("nothing is found there; click on its middle")
        return TrackedObjects(
            masks, tuple(masks.confidence), low_confidence_ranges(masks.confidence), ("a note",)
        )


def _alike(rgb: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    """Pixels in one piece with a point whose colour is near the one there."""
    x, y = int(point[0]), int(point[1])
    near = np.abs(rgb.astype(int) - rgb[y, x].astype(int)).max(axis=2) < NEAR
    _, pieces = cv2.connectedComponents(near.astype(np.uint8))
    return pieces == pieces[y, x]
