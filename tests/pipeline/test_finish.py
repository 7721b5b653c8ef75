from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scenes import block, wall

from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.methods import load_method
from vinpaint_cli.methods.internal.net import InternalConfig, InternalNet
from vinpaint_cli.methods.propagate import SPEC, PropagateMethod
from vinpaint_cli.ops.flow.motion import Motion
from vinpaint_cli.ops.image import Array, Bool
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.stages import Filling, Stages
from vinpaint_cli.removal.run import remove
from vinpaint_cli.types import MethodSpec

SIZE = 64, 96
HOLE = block(*SIZE, (36, 20, 66, 44))


class Invents(PropagateMethod):
    @property
    def spec(self) -> MethodSpec:
        return replace(SPEC, invents=True)


def smooth_clip(knows_motion: bool = True, scale: float = 1.0) -> Filling:
    frames = 0.35 + 0.3 * np.stack([wall(*SIZE)] * 3).astype(np.float32) / 255
    residual = np.stack([HOLE] * 3).astype(np.float32)
    frames[:, HOLE] = 0.5
    zero = np.zeros((*SIZE, 2), np.float16)
    still = Motion((zero,) * 2, (zero,) * 2, (np.eye(3),) * 2)
    return Filling(frames, residual, still if knows_motion else None, scale)


@pytest.mark.parametrize(
    ("method", "knows_motion", "changes"),
    [(PropagateMethod(), True, True), (PropagateMethod(), False, False), (Invents(), True, False)],
)
def test_texture_is_for_what_a_method_leaves_smooth(
    method: PropagateMethod, knows_motion: bool, changes: bool
) -> None:
    with_texture, without = smooth_clip(knows_motion), smooth_clip(knows_motion)
    Stages(texture=True).fill(with_texture, method, range(3))
    Stages(texture=False).fill(without, method, range(3))
    assert np.array_equal(with_texture.frames[:, ~HOLE], without.frames[:, ~HOLE])
    assert bool((with_texture.frames != without.frames).any()) == changes


def test_drawing_is_told_how_large_the_whole_picture_is(monkeypatch: pytest.MonkeyPatch) -> None:
    scales: list[float] = []
    monkeypatch.setattr(
        "vinpaint_cli.pipeline.stages.complete_background", lambda shot, *_: scales.append(shot.scale)
    )
    Stages().fill(smooth_clip(scale=4.5), PropagateMethod(), range(3))
    assert scales == [4.5]
    assert Stages(propagates=False).find(np.zeros((1, 8, 8, 3), np.uint8), [HOLE[:8, :8]], 1080).scale == 4.5


def test_the_completer_draws_what_no_frame_shows_guided_by_the_method() -> None:
    guides = []

    def completer(picture: Array, hole: Bool, guide: Array | None) -> Array:
        guides.append(guide)
        return np.where(hole[..., None], np.float32(0.25), picture)

    filling = smooth_clip()
    Stages(completer=completer).fill(filling, PropagateMethod(), range(3))
    assert len(guides) == 1, "one key frame serves a still scene"
    assert guides[0] is not None
    assert np.abs(filling.frames[:, HOLE] - 0.25).max() < 0.2
    assert filling.frames[1][HOLE].std() == 0


def test_what_was_found_stays_as_it_was_found() -> None:
    """No mixture of a find and a smooth fill: trusted pieces stay, even where they are only half trusted."""
    filling = smooth_clip()
    filling.residual[:, HOLE] = 0.4
    found = filling.frames.copy()
    Stages().fill(filling, PropagateMethod(), range(3))
    assert np.array_equal(filling.frames, found)


@pytest.mark.parametrize("name", ["propagate", "sttn", "combcn", "flow-recurrent"])
def test_what_is_bundled_does_not_invent(name: str) -> None:
    assert not load_method(name, weights=None, device="cpu", dtype="fp32").spec.invents


@pytest.mark.parametrize("name", ["telea", "nearest"])
def test_the_baselines_are_left_as_they_are(name: str) -> None:
    assert load_method(name, weights=None, device="cpu", dtype="fp32").spec.invents


@pytest.mark.parametrize("model", ["base", "refine"])
def test_a_fitted_network_invents_unless_it_was_silenced(model: str) -> None:
    network = InternalNet(InternalConfig(model, 8, prefill=True))
    assert network.adds_nothing  # it begins as one that adds nothing
    for values in network.parameters():
        values.data += 0.01
    assert not network.adds_nothing
    network.zero_output()
    assert network.adds_nothing
    assert not InternalNet(InternalConfig(model, 8)).adds_nothing


def test_no_texture_leaves_the_stage_out(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=4)
    for texture in (True, False):
        options = RemoveOptions(mask=MaskOptions(boxes=("24,16,16,16",)), texture=texture)
        report = remove(source, tmp_path / f"{texture}.mkv", options)
        assert ("texture" in report.seconds) == texture
