"""Tracked masks whose every figure is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vinpaint_cli.mask_making.tracking import TrackedMasks
from vinpaint_cli.masks.prompts import Prompt
from vinpaint_cli.masks.sources.packed import PackedMasks


def tracked_masks(
    size: tuple[int, int], confidence: Sequence[float], prompts: Sequence[Prompt] = ()
) -> TrackedMasks:
    """A hole over the left half of every frame; prompt frames are those of the prompts."""
    width, height = size
    masks = PackedMasks(width, height, len(confidence))
    hole = np.zeros((height, width), np.bool_)
    hole[:, : width // 2] = True
    for index, value in enumerate(confidence):
        masks.put(index, hole, value)
    prompt_frames = tuple(sorted({prompt.when.frame or 0 for prompt in prompts}))
    return TrackedMasks(
        masks,
        tuple(confidence),
        prompt_frames,
        tuple(prompts),
        "grabcut",
        "flow",
        (range(len(confidence)),),
    )
