"""Who fills segments, and what becomes of one that does not fit into memory."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vinpaint_cli.errors import OutOfMemoryError
from vinpaint_cli.mask_making.clip import open_clip
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.methods.telea import SPEC
from vinpaint_cli.pipeline.device import WORKING_BYTES_PER_PIXEL, Placement, frame_threads
from vinpaint_cli.pipeline.fill import Filled, MemoryFit, fill_segment
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.removal.executor import FillSpec, LocalExecutor, Worker
from vinpaint_cli.removal.run import remove
from vinpaint_cli.types import Box, Clip, MethodSpec, Segment

OPTIONS = RemoveOptions(MaskOptions(boxes=("24,16,16,16",)), method="telea", propagate=False)


class Tight:
    """Fills with the middle of black and white; takes ``most`` frames in one go."""

    def __init__(self, most: int, device: str, asked: list[tuple[str, int]]) -> None:
        self.most, self.device, self.asked = most, device, asked

    @property
    def spec(self) -> MethodSpec:
        return SPEC

    def fill(self, clip: Clip) -> torch.Tensor:
        self.asked.append((self.device, len(clip.indices)))
        if len(clip.indices) > self.most:
            raise torch.OutOfMemoryError
        return torch.full_like(clip.frames, 0.5)


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, int]]]:
    """``tight(cpu=6, cuda=4)`` lets methods take so many frames on a device; gives what they were asked."""

    def make(**most: int) -> list[tuple[str, int]]:
        asked: list[tuple[str, int]] = []

        def load(name: str, *, weights: str | None, device: str, dtype: str) -> Tight:
            if device == "cuda" and not most["cuda"]:
                raise torch.OutOfMemoryError
            return Tight(most[device], device, asked)

        monkeypatch.setattr("vinpaint_cli.removal.executor.load_method", load)
        return asked

    return make


def spec_of(path: Path, device: str = "cpu", fit: MemoryFit | None = None) -> FillSpec:
    return FillSpec(str(path), OPTIONS, Placement(device, "fp32"), fit or MemoryFit())


def plan_one(path: Path) -> Segment:
    (segment,) = open_clip(path, OPTIONS).plan(SilentListener()).segments
    return segment


def same(one: Filled, other: Filled) -> bool:
    return (one.hole_pixels, one.propagated_pixels) == (other.hole_pixels, other.propagated_pixels) and all(
        (a.index, a.roi, a.weight) == (b.index, b.roi, b.weight)
        and np.array_equal(a.rgb, b.rgb)
        and np.array_equal(a.alpha, b.alpha)
        for a, b in zip(one.patches, other.patches, strict=True)
    )


def test_a_spec_travels(clip: Callable[..., Path]) -> None:
    spec = spec_of(clip(codec="ffv1", frames=4), fit=MemoryFit(12, True))
    assert pickle.loads(pickle.dumps(spec)) == spec


@pytest.mark.parametrize("most", [14, 7, 3])
def test_what_does_not_fit_is_filled_in_pieces(
    clip: Callable[..., Path], tight: Callable[..., list[tuple[str, int]]], most: int
) -> None:
    path = clip(codec="ffv1", frames=24)
    segment = plan_one(path)
    tight(cpu=99)
    whole = Worker().fill(spec_of(path), segment)
    asked = tight(cpu=most)
    worker = Worker()
    pieces = worker.fill(spec_of(path), segment)
    assert whole.fit == MemoryFit()
    assert pieces.fit.frames is not None
    assert same(whole, pieces)
    assert sum(frames > most for _, frames in asked) <= 5
    asked.clear()
    assert same(worker.fill(spec_of(path), segment), whole)
    assert all(frames <= most for _, frames in asked)


def test_a_run_that_goes_on_begins_with_what_fitted(
    clip: Callable[..., Path], tight: Callable[..., list[tuple[str, int]]]
) -> None:
    path = clip(codec="ffv1", frames=24)
    asked = tight(cpu=10)
    filled = Worker().fill(spec_of(path, fit=MemoryFit(9)), plan_one(path))
    assert filled.fit == MemoryFit(9)
    assert max(frames for _, frames in asked) <= 9


@pytest.mark.parametrize("room", [0, 1])
def test_the_cpu_is_the_last_resort(
    clip: Callable[..., Path], tight: Callable[..., list[tuple[str, int]]], room: int
) -> None:
    path = clip(codec="ffv1", frames=12)
    asked = tight(cpu=99, cuda=room)
    filled = Worker().fill(spec_of(path, "cuda"), plan_one(path))
    assert filled.fit == MemoryFit(on_cpu=True)
    assert asked[-1] == ("cpu", 12)
    assert {index for index, *_ in ((patch.index,) for patch in filled.patches)} == set(range(12))


def test_nothing_fits_at_all(
    clip: Callable[..., Path], tight: Callable[..., list[tuple[str, int]]], tmp_path: Path
) -> None:
    tight(cpu=0)
    with pytest.raises(OutOfMemoryError, match="--memory"):
        remove(clip(codec="ffv1", frames=6), tmp_path / "out.mkv", OPTIONS)
    assert not (tmp_path / "out.mkv").exists()


class Listens(SilentListener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_it_is_said_once(
    clip: Callable[..., Path],
    tight: Callable[..., list[tuple[str, int]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vinpaint_cli.pipeline.plan.LONGEST_SEGMENT", 14)
    tight(cpu=5)
    listener = Listens()
    report = remove(clip(codec="ffv1", frames=40), tmp_path / "out.mkv", OPTIONS, listener=listener)
    assert report.segments > 2
    assert len(listener.notes) == 1
    assert "out of memory" in listener.notes[0]


def test_an_executor_loads_a_method_once(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def load(name: str, **options: Any) -> Tight:
        loads.append(name)
        return Tight(99, "cpu", [])

    monkeypatch.setattr("vinpaint_cli.removal.executor.load_method", load)
    executor, path = LocalExecutor(), clip(codec="ffv1", frames=4)
    for name in ("a.mkv", "b.mkv"):
        remove(path, tmp_path / name, OPTIONS, executor=executor)
    assert loads == ["telea"]
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_memory_says_how_many_frames_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vinpaint_cli.pipeline.device.allowed_threads", lambda: 6)
    region = Box(0, 0, 1000, 1000)
    of_one = WORKING_BYTES_PER_PIXEL * region.area
    assert [frame_threads(region, times * of_one) for times in (0, 9, 11, 21, 1000)] == [1, 1, 2, 3, 6]
    monkeypatch.setattr("vinpaint_cli.pipeline.device.available_memory", lambda: 0)
    assert frame_threads(region) == 1


def test_where_memory_ran_out_one_frame_is_worked_on_at_a_time(
    clip: Callable[..., Path], tight: Callable[..., list[tuple[str, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def watched(segment: Segment, reader: Any, method: Any, stages: Stages, *more: Any) -> Filled:
        taken.append(stages.threads)
        return fill_segment(segment, reader, method, stages, *more)

    monkeypatch.setattr("vinpaint_cli.removal.executor.fill_segment", watched)
    monkeypatch.setattr("vinpaint_cli.removal.executor.frame_threads", lambda region, memory: 4)
    path = clip(codec="ffv1", frames=24)
    tight(cpu=14)
    Worker().fill(spec_of(path), plan_one(path))
    assert taken[0] == 4
    assert set(taken[1:]) == {1}
    taken.clear()
    tight(cpu=99, cuda=0)
    Worker().fill(spec_of(path, "cuda"), plan_one(path))
    assert taken == [4], "what a GPU lacks is none of the frames' business"
