"""Steps of a segment that a stopped run has left: they are not taken again, and the bytes are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_work import WORK, StopsAt, go_on, stopped
from scenes import block, pan

from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.methods import load_method
from vinpaint_cli.ops.flow.dis import DisFlow
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.removal.run import remove
from vinpaint_cli.resume import checkpoints
from vinpaint_cli.resume.checkpoints import StoredCheckpoints, checkpoints_of
from vinpaint_cli.types import Box, Checkpoints, Segment

OPTIONS = RemoveOptions(MaskOptions(boxes=("24,16,16,16",)))
SEGMENT = Segment(3, range(8), range(10), Box(0, 0, 8, 8), (8, 8))


class Remembered(Checkpoints):
    def __init__(self, steps: dict[str, Sequence[np.ndarray]] | None = None) -> None:
        self.steps = dict(steps or {})

    def get(self, name: str) -> list[np.ndarray] | None:
        return list(self.steps[name]) if name in self.steps else None

    def put(self, name: str, make: Callable[[], Sequence[np.ndarray]]) -> None:
        if name not in self.steps:
            self.steps[name] = [np.array(array) for array in make()]


class Counted(DisFlow):
    calls = 0

    def __call__(self, *given: Any) -> Any:
        self.calls += 1
        return super().__call__(*given)


def filled(kept: Checkpoints, flow: Counted) -> tuple[np.ndarray, int]:
    """The frames of a short pan whose hole nothing shows at first, and how many ticks there were."""
    pictures, hole = pan(5, 48, 72, (4, 0)), block(48, 72, (0, 14, 26, 34))
    ticks: list[int] = []
    stages = Stages(estimator=flow, checkpoints=kept)
    found = stages.find(pictures, [hole] * 5, 48, tick=lambda: ticks.append(1))
    stages.fill(found, load_method("propagate"), range(5))
    return found.frames, len(ticks)


def test_a_run_goes_on_after_any_step_to_the_same_bytes() -> None:
    whole, first = Remembered(), Counted()
    truth, ticks = filled(whole, first)
    names = list(whole.steps)
    assert {name.split()[0] for name in names} == {
        "flow",
        "chain",
        "frame",
        "found",
        "method",
        "key",
        "place",
    }
    before = first.calls
    for count in (0, 5, len(names) - 3, len(names)):
        again = Counted()
        frames, ticked = filled(Remembered({name: whole.steps[name] for name in names[:count]}), again)
        assert np.array_equal(frames, truth), f"after {count} of {len(names)} steps"
        assert ticked == ticks == 9
        assert again.calls <= before
        before = again.calls
    assert before == 0, "nothing is estimated again when all is there"


def test_what_is_written_is_read_by_the_next_run(tmp_path: Path) -> None:
    flows = np.arange(6, dtype=np.float16).reshape(1, 3, 2), np.eye(3)

    def stop() -> None:
        with checkpoints_of(str(tmp_path), SEGMENT) as kept:
            kept.put("flow 0", lambda: flows)
            assert isinstance(kept, StoredCheckpoints)
            kept.save()
            kept.put("flow 1", lambda: [np.zeros(2)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert [file.name for file in tmp_path.iterdir()] == ["part-000003-0-10-000.npz"], "two seconds are few"
    with checkpoints_of(str(tmp_path), SEGMENT) as kept:
        for read, written in zip(kept.get("flow 0") or [], flows, strict=True):
            assert read.dtype == written.dtype
            assert np.array_equal(read, written)
        assert kept.get("flow 1") is None
        assert kept.get("flow") is None


@pytest.mark.parametrize("damage", ["short", "changed", "empty"])
def test_a_damaged_part_counts_as_none(tmp_path: Path, damage: str) -> None:
    kept = StoredCheckpoints(tmp_path / "part-000000-0-9")
    kept.put("flow 0", lambda: [np.arange(999)])
    kept.save()
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    spoiled = {"short": data[:600], "changed": data[:600] + b"!" + data[601:], "empty": b""}
    file.write_bytes(spoiled[damage])
    again = StoredCheckpoints(tmp_path / "part-000000-0-9")
    assert again.get("flow 0") is None


def test_a_full_disk_costs_checkpoints_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "LEAST_FREE", 1 << 60)
    kept = StoredCheckpoints(tmp_path / "part-000000-0-9")
    kept.put("flow 0", lambda: [np.arange(9)])
    kept.save()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("units", [3, 10])
def test_a_run_stopped_in_its_first_segment_goes_on_in_it(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: int
) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    source = clip(codec="ffv1", frames=6)
    remove(source, tmp_path / "whole.mkv", OPTIONS)
    folder = stopped(source, tmp_path / "out.mkv", OPTIONS, units)
    parts = list(folder.glob("part-000000-0-6-*.npz"))
    assert len(parts) >= units - 1
    report = go_on(source, tmp_path / "out.mkv", OPTIONS)
    assert report.segments_reused == 0
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()
    assert not folder.exists()


def test_parts_go_when_their_segment_is_whole(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr("vinpaint_cli.pipeline.plan.LONGEST_SEGMENT", 9)
    source = clip(codec="ffv1", frames=20)
    listener = StopsAt(30)
    with pytest.raises(Exception, match="stopped") as caught:
        remove(source, tmp_path / "out.mkv", OPTIONS, listener=listener, work=WORK)
    (folder,) = tmp_path.glob(".out.mkv.work")
    assert caught.value.__notes__ == [
        f"1 of 4 segments and a part of another are kept in {folder}; the same command goes on from there"
    ]
    finished = {file.name[8:14] for file in folder.glob("segment-*.npz")}
    begun = {file.name[5:11] for file in folder.glob("part-*.npz")}
    assert (finished, begun) == ({"000000"}, {"000001"})
