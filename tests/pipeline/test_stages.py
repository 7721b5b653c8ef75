"""What filling a segment promises, with methods whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scenes import block

from vinpaint_cli.errors import OutOfMemoryError
from vinpaint_cli.masks.sources.options import MaskOptions, build_mask
from vinpaint_cli.methods.propagate import SPEC
from vinpaint_cli.ops.flow.motion import Motion
from vinpaint_cli.pipeline.compose import MemoryPatches, blend, composed_frames
from vinpaint_cli.pipeline.device import memory_errors
from vinpaint_cli.pipeline.fill import fill_segment
from vinpaint_cli.pipeline.reader import SegmentReader
from vinpaint_cli.pipeline.stages import Filling, Stages, add_structure
from vinpaint_cli.types import Box, Clip, MethodSpec, Patch, Segment
from vinpaint_cli.video.source.read import open_source

ROI = Box(8, 8, 56, 40)


class Paints:
    """A method that fills with one value."""

    def __init__(self, value: float, mixes: bool = True) -> None:
        self.value, self.mixes = value, mixes
        self.seen: list[tuple[int, ...]] = []

    @property
    def spec(self) -> MethodSpec:
        return replace(SPEC, mixes=self.mixes)

    def fill(self, clip: Clip) -> torch.Tensor:
        self.seen.append(clip.indices)
        return torch.full_like(clip.frames, self.value)


def reader_of(path: Path, radius: int = 3) -> SegmentReader:
    source = open_source(path)
    return SegmentReader(source, build_mask(MaskOptions(boxes=("24,16,16,16",)), source.info), radius)


def segment(core: range, frames: range, lead: int = 0, trail: int = 0) -> Segment:
    return Segment(0, core, frames, ROI, (48, 32), lead, trail)


def test_a_pixel_is_mixed_by_its_residual() -> None:
    frames = np.full((1, 4, 4, 3), 0.2, np.float32)
    residual = np.zeros((1, 4, 4), np.float32)
    residual[0, 1, 1], residual[0, 2, 2] = 0.3, 1.0
    add_structure(Paints(0.7), frames, residual, [0])
    assert frames[0, 0, 0, 0] == pytest.approx(0.2)
    assert frames[0, 1, 1, 0] == pytest.approx(0.7 * 0.2 + 0.3 * 0.7)
    assert frames[0, 2, 2, 0] == pytest.approx(0.7)


def test_what_does_not_mix_stands_wherever_there_is_a_hole() -> None:
    frames = np.full((1, 4, 4, 3), 0.2, np.float32)
    residual = np.zeros((1, 4, 4), np.float32)
    residual[0, 1, 1] = 0.3
    add_structure(Paints(0.7, mixes=False), frames, residual, [0])
    assert frames[0, 0, 0, 0] == pytest.approx(0.2)
    assert frames[0, 1, 1, 0] == pytest.approx(0.7)


class Blinks(Paints):
    """Fills every second frame darker."""

    def fill(self, clip: Clip) -> torch.Tensor:
        return torch.stack(
            [torch.full_like(f, self.value * (0.5 + t % 2)) for t, f in enumerate(clip.frames)]
        )


def test_what_was_filled_is_evened_out_where_the_motion_is_known() -> None:
    zero = np.zeros((4, 4, 2), np.float16)
    still = Motion((zero,) * 5, (zero,) * 5, (np.eye(3),) * 5)
    results = []
    for motion in (None, still):
        frames, residual = np.full((6, 4, 4, 3), 0.2, np.float32), np.zeros((6, 4, 4), np.float32)
        residual[:, 1, 1] = 1
        Stages(texture=False).fill(Filling(frames, residual, motion, 1.0), Blinks(0.4), range(6))
        assert (frames[:, 0, 0] == np.float32(0.2)).all()
        results.append(float(np.abs(np.diff(frames[:, 1, 1, 0])).mean()))
    assert results[0] == pytest.approx(0.4, abs=1e-5)
    assert results[1] < 0.15


def test_the_motion_is_known_only_after_propagation() -> None:
    pictures, holes = np.full((6, 32, 48, 3), 90, np.uint8), [block(32, 48, (16, 8, 32, 24))] * 6
    assert Stages(propagates=False).find(pictures, holes, 240).motion is None
    filling = Stages().find(pictures, holes, 240)
    assert filling.motion is not None
    assert len(filling.motion.forward) == 5
    part = filling.part(range(2, 5))
    assert part.motion is not None
    assert len(part.frames) == len(part.residual) == len(part.motion.forward) + 1 == 3
    part.frames[0] = 0.25
    assert (filling.frames[2] == 0.25).all()


def test_patches_are_those_of_the_core_and_its_joins(clip: Callable[..., Path]) -> None:
    reader, method = reader_of(clip(codec="ffv1", frames=12)), Paints(0.5)
    filled = fill_segment(segment(range(4, 8), range(1, 11), 2, 1), reader, method, Stages(propagates=False))
    assert [patch.index for patch in filled.patches] == [2, 3, 4, 5, 6, 7, 8]
    assert method.seen == [(2, 3, 4, 5, 6, 7, 8)]
    assert filled.hole_pixels == 4 * 16 * 16
    assert filled.propagated_pixels == 0
    assert filled.patches[0].weight == pytest.approx(0.125)
    assert filled.patches[-1].weight == pytest.approx(0.25)


def test_the_feather_zone_is_filled_too(clip: Callable[..., Path]) -> None:
    reader = reader_of(clip(codec="ffv1", frames=1))
    filled = fill_segment(segment(range(1), range(1)), reader, Paints(1.0), Stages(propagates=False))
    (patch,) = filled.patches
    soft = (patch.alpha > 0) & (patch.alpha < 1)
    assert soft.any()
    assert (patch.rgb[soft] == 255).all()
    assert patch.roi == Box(21, 13, 43, 35)


def test_only_core_pixels_are_counted_and_found_ones_in_part(clip: Callable[..., Path]) -> None:
    reader = reader_of(clip(codec="ffv1", frames=6), 0)
    filled = fill_segment(segment(range(2, 4), range(6)), reader, Paints(0.5), Stages())
    assert filled.hole_pixels == 2 * 16 * 16
    assert 0 <= filled.propagated_pixels <= filled.hole_pixels


def patch_of(value: int, weight: float, dtype: type = np.uint8) -> Patch:
    return Patch(0, Box(0, 0, 2, 2), np.full((2, 2, 3), value, dtype), np.ones((2, 2), np.float32), weight)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_patches_of_neighbours_are_blended_by_weight(dtype: type) -> None:
    mixed = blend([patch_of(100, 0.25, dtype), patch_of(200, 0.75, dtype)])
    assert (mixed.rgb == 175).all()
    assert mixed.rgb.dtype == dtype
    assert mixed.weight == 1


def test_a_segment_is_filled_before_its_first_patch_is_due(clip: Callable[..., Path]) -> None:
    source, store = open_source(clip(codec="ffv1", frames=8)), MemoryPatches()
    segments = [segment(range(1, 4), range(6), 0, 1), segment(range(4, 7), range(8), 1, 0)]
    asked: list[tuple[int, int]] = []
    seen = -1

    def filled() -> Iterator[tuple[Patch, ...]]:
        for due in segments:
            asked.append((due.core.start, seen))
            yield ()

    for frame in composed_frames(source, segments, filled(), store):
        seen = frame.index
    assert asked == [(1, 0), (4, 2)]


def test_memory_errors_of_the_libraries_are_ours() -> None:
    with pytest.raises(OutOfMemoryError, match="--memory"), memory_errors("this"):
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(OutOfMemoryError, match="--memory"), memory_errors("this"):
        np.empty(1 << 60, np.uint8)
    with pytest.raises(RuntimeError, match="other"), memory_errors("this"):
        raise RuntimeError("other")


def test_the_hole_of_the_reader_is_that_of_the_mask(clip: Callable[..., Path]) -> None:
    _, alphas = reader_of(clip(codec="ffv1", frames=1), 0).read(segment(range(1), range(1)))
    assert np.array_equal(alphas[0] > 0, block(32, 48, (16, 8, 32, 24)))
