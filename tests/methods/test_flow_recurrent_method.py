from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_methods import as_they_learnt, clip_of, load_small, outside, poisoned
from torch import Tensor

from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods.flow_recurrent.method import FlowRecurrentMethod, Stream, on_tensors, runs
from vinpaint_cli.methods.flow_recurrent.net import InpaintedFrames, lost_flow, robust_flow
from vinpaint_cli.nets.conditioning import blend, make_conditioning
from vinpaint_cli.types import Clip
from vinpaint_cli.weights.state import save_checkpoint

small = load_small("flow_recurrent")
Make = Callable[..., FlowRecurrentMethod]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make(**changes of the configuration)``."""

    def build(dtype: str = "fp32", **changes: object) -> FlowRecurrentMethod:
        config = replace(small.CONFIG, **changes)
        save_checkpoint(tmp_path / "w.safetensors", small.network(config), {"config": config.to_dict()})
        return FlowRecurrentMethod(tmp_path / "w.safetensors", dtype=dtype)

    return build


def part(clip: Clip, places: range) -> Clip:
    chosen = slice(places.start, places.stop)
    return Clip(clip.frames[chosen], clip.holes[chosen], clip.indices[chosen])


def test_the_recurrence_is_that_of_the_paper(make: Make) -> None:
    method = make(align=False)
    clip = clip_of(4, 16, 24)
    network, state = method.network, None
    outputs = []
    for t in range(4):
        frames, residual = clip.frames[t : t + 1], clip.holes[t : t + 1]
        inpainted = torch.where(residual > 0, network.inpainter(frames, residual), frames)
        if t == 0:
            outputs.append(inpainted)
            continue
        update, state = network.temporal(outputs[-1], inpainted, state)
        outputs.append(torch.where(residual > 0, outputs[-1] + update, frames))
    assert torch.allclose(method.fill(clip), torch.cat(outputs).clamp(0, 1), atol=1e-5)


def test_the_first_frame_and_h_s_alone_are_the_inpainted_frames(make: Make) -> None:
    clip = clip_of(3, 16, 24)
    alone = make(recurrent=False).fill(clip)
    filled = make().fill(clip)
    assert torch.equal(filled[0], alone[0])
    assert not torch.allclose(filled[1], alone[1])
    assert torch.equal(alone[1:2], make(recurrent=False).fill(part(clip, range(1, 2))))


@pytest.mark.parametrize("align", [False, True])
def test_the_state_starts_anew_with_a_clip_and_where_numbers_jump(make: Make, align: bool) -> None:
    method = make(align=align)
    clip = clip_of(6, 24, 32)
    whole = method.fill(clip)
    assert torch.equal(whole, method.fill(clip))
    cut = Clip(clip.frames, clip.holes, (0, 1, 2, 13, 14, 15))
    expected = torch.cat([method.fill(part(clip, range(3))), method.fill(part(clip, range(3, 6)))])
    assert torch.equal(method.fill(cut), expected)
    assert not torch.allclose(whole[4], expected[4])


def test_the_context_of_a_segment_warms_the_state_up(make: Make) -> None:
    """The more frames before it a segment brings, the closer its core comes to the whole clip's."""
    torch.manual_seed(0)
    method = make(align=False, base="inpainted")
    clip = clip_of(12, 16, 24)
    whole = method.fill(clip)
    errors = [
        float((method.fill(part(clip, range(11 - context, 12)))[-1] - whole[-1]).abs().max())
        for context in (0, 2, 8)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.03 * errors[0]


def test_a_stream_keeps_one_frame_however_long(make: Make) -> None:
    method = make(align=False)
    stream = Stream(method.network, method.stream.estimate)
    frame, share = torch.rand(1, 3, 16, 24), torch.zeros(1, 1, 16, 24)
    share[..., 4:8, 4:8] = 1

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    with torch.no_grad():
        counts = [(stream.push(frame, share), alive())[1] for _ in range(6)]
    assert len(set(counts[1:])) == 1


def test_the_previous_output_moves_along_the_flow(make: Make) -> None:
    """A picture that shifts by two pixels a frame: what was in the hole before is found two pixels on."""
    seen: list[Tensor] = []
    method = make(flow="inpainted")
    method.network.temporal.before.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    flow = np.zeros((16, 24, 2), np.float32)
    flow[..., 0] = 2
    stream = Stream(method.network, on_tensors(lambda first, second: flow))
    wide, nothing = torch.rand(1, 3, 16, 26), torch.zeros(1, 1, 16, 24)
    with torch.no_grad():
        stream.push(wide[..., :24], nothing)
        stream.push(wide[..., 2:], nothing)
    assert torch.allclose(seen[0], wide[..., 2:], atol=1e-5)


def test_flow_is_looked_for_only_where_it_is_used(make: Make) -> None:
    asked: list[int] = []

    def estimate(first: Tensor, second: Tensor) -> Tensor:
        asked.append(1)
        return first.new_zeros(len(first), 2, *first.shape[-2:])

    clip = clip_of(3, 16, 24)
    for changes, expected in (({"align": False}, 0), ({}, 4), ({"flow": "corrupted"}, 2)):
        asked.clear()
        method = make(**changes)
        method.stream.estimate = estimate
        method.fill(clip)
        assert len(asked) == expected


def test_flow_at_a_hole_is_lost_at_either_end() -> None:
    here, there = torch.zeros(2, 1, 1, 40, 60)
    here[..., 10:12, 10:12] = 1
    there[..., 10:12, 40:42] = 1
    flow = torch.zeros(1, 2, 40, 60)
    flow[:, 0] = -4.0
    lost = lost_flow(here, there, flow)[0, 0]
    assert lost[11].nonzero().flatten().tolist() == [*range(2, 20), *range(36, 54)]


def test_the_flow_of_frames_as_they_are_does_not_read_holes(make: Make) -> None:
    network = make().network
    clip = clip_of(2, 24, 32)
    views = [
        InpaintedFrames(c.frames[:1], c.holes[:1], network.inpaint(c.frames[:1], c.holes[:1]))
        for c in (clip, poisoned(clip))
    ]
    zero = on_tensors(lambda a, b: np.zeros((*a.shape, 2), np.float32))
    with torch.no_grad():
        flows = [robust_flow(network, view, view, zero) for view in views]
    assert torch.equal(views[0].grey(), views[1].grey())
    assert torch.equal(*flows)


def test_runs_begin_one_frame_before_the_first_hole() -> None:
    holes = [False, False, True, False, True, False, False]
    assert list(runs(range(7), holes)) == [range(1, 5)]
    assert list(runs([0, 1, 9, 10, 11, 12, 13], holes)) == [range(2, 5)]
    assert list(runs([0, 1, 2, 9, 10, 11, 12], holes)) == [range(1, 3), range(3, 5)]
    assert list(runs(range(3), [False] * 3)) == []


def test_large_pictures_are_worked_on_small(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    method = make(size=(32, 24))
    assert method.spec.size == (32, 24)
    sizes = []
    propose = method.network.propose
    monkeypatch.setattr(
        method.network, "propose", lambda x, s: sizes.append(tuple(x.shape[-2:])) or propose(x, s)
    )
    assert method.fill(clip_of(2, 96, 128)).shape == (2, 3, 96, 128)
    assert set(sizes) == {(24, 32)}


def test_a_blend_heads_output_makes_what_is_shown(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    as_they_learnt(monkeypatch)
    method = make(prefill=True, base="inpainted", blend_head=True)
    clip = clip_of(4, 32, 48)
    clip.holes.mul_(torch.rand(clip.holes.shape, generator=torch.Generator().manual_seed(1)))
    method.stream.reset()
    for t in range(4):
        frames, residual = clip.frames[t : t + 1], clip.holes[t : t + 1]
        shown = method.stream.push(frames, residual)
        assert method.stream.head is not None
        again = blend(make_conditioning(frames, residual, grey=0.5), method.stream.head)
        assert torch.allclose(again, shown, atol=1e-4)
        assert (method.stream.head[:, 3].abs().max() > 0) == (t > 0)
    filled = method.fill(clip)
    expected = torch.where(clip.holes[3:] > 0, shown.clamp(0, 1), clip.frames[3:])
    assert torch.allclose(filled[3:], expected, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 48), (19, 70)])
def test_what_stands_in_the_hole_is_never_read(make: Make, size: tuple[int, int]) -> None:
    clip = clip_of(3, *size)
    method = make()
    filled = method.fill(poisoned(clip))
    assert torch.equal(filled, method.fill(clip))
    assert torch.equal(filled[outside(clip)], clip.frames[outside(clip)])


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_is_close(make: Make, dtype: str) -> None:
    clip = clip_of(3, 16, 24)
    assert float((make(dtype, align=False).fill(clip) - make(align=False).fill(clip)).abs().max()) < 0.05


def test_weights_that_overflow_are_told(tmp_path: Path) -> None:
    network = small.network()
    network.inpainter.net.up[-1].bias.fill_(60_000.0)
    network.inpainter.net.up[-1].conv.weight.fill_(60_000.0)
    save_checkpoint(tmp_path / "w.safetensors", network, {"config": small.CONFIG.to_dict()})
    with pytest.raises(UsageError, match="overflow"):
        FlowRecurrentMethod(tmp_path / "w.safetensors", dtype="fp16").fill(clip_of(1, 16, 16))
