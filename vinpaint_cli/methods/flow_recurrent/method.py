"""Adapter of the frame-recurrent networks to clips of any size and length.

The clip keeps its shape; it is scaled down when it has more pixels than the network's size, and padded with
its mirror image to a multiple of 8. Frames are filled one by one; only the last one and the state are kept.

How a method that streams fits segments that know nothing of each other: a segment brings frames of context
before its core. They are filled too, and by the time the core begins the state has seen them; what still
differs from the segment before is blended away over the frames that both answer for. The state starts anew
with every clip and wherever frame numbers jump, so nothing crosses a cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from vinpaint_cli.methods.common import NetworkMethod, check_finite, dtype_of, rebuild
from vinpaint_cli.methods.flow_recurrent import SPEC
from vinpaint_cli.methods.flow_recurrent.net import (
    Estimator,
    FlowRecurrent,
    FlowRecurrentConfig,
    InpaintedFrames,
    moved,
    robust_flow,
)
from vinpaint_cli.nets.blocks import State
from vinpaint_cli.nets.conditioning import HEAD_CHANNELS, OPEN, make_conditioning
from vinpaint_cli.nets.letterbox import GREY, Letterbox
from vinpaint_cli.ops.flow import FlowEstimator, open_flow


class FlowRecurrentMethod(NetworkMethod[FlowRecurrent]):
    """Fills holes frame by frame; implements the ``Method`` protocol.

    weights: a .safetensors file that carries its configuration, or a name of weights.toml.
    device: where the networks run. dtype: ``fp32``, ``bf16`` or ``fp16``.
    size: ``(width, height)``; of so many pixels at most is the picture the networks are given (default:
    what they were trained for).
    estimator: what finds flow, for weights that move the previous output along it (default: DIS).

    Raises WeightsError when the weights are missing, damaged or of another network, UsageError for an
    unknown dtype.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = "fp32",
        *,
        size: tuple[int, int] | None = None,
        estimator: FlowEstimator | None = None,
    ) -> None:
        number = dtype_of(dtype, "flow-recurrent")
        network = load_network(weights)
        super().__init__(network, SPEC, device, number, size or network.config.size)
        self.network = self.network.to(memory_format=torch.channels_last)
        self.stream = Stream(self.network, on_tensors(estimator or open_flow()))

    @property
    def config(self) -> FlowRecurrentConfig:
        """The network's configuration."""
        return self.network.config

    def _filled(self, letterbox: Letterbox, marked: Sequence[bool]) -> Iterator[tuple[int, Tensor]]:
        # Frames before the first and after the last that has a hole cost nothing.
        for run in runs(letterbox.clip.indices, marked):
            self.stream.reset()
            for index in run:
                output = self.stream.push(*self._input(letterbox, [index]))[0]
                check_finite(output, self.dtype)
                if marked[index]:
                    output = output if self.stream.head is None else self.stream.head[0]
                    yield index, output.to(letterbox.clip.frames.device)
        self.stream.reset()


class Stream:
    """Fills a clip without a cut frame by frame; its memory is one frame and the state of the ConvLSTM.

    ``head``: with a blend head, its output ``(1, 4, h, w)`` for the last frame, that of H_s included
    (:func:`vinpaint_cli.nets.conditioning.blend`).
    """

    def __init__(self, network: FlowRecurrent, estimate: Estimator) -> None:
        self.network, self.estimate = network, estimate
        self.reset()

    def reset(self) -> None:
        """Forget what came before, as at a cut."""
        self.head: Tensor | None = None
        self._last: tuple[InpaintedFrames, Tensor] | None = None
        self._state: State | None = None

    def push(self, frames: Tensor, residual: Tensor) -> Tensor:
        """Fill the next frame ``(1, 3, h, w)`` in [0, 1] with its residual ``(1, 1, h, w)``.

        Returns the filled frame, not clipped; height and width are multiples of 8. The first is H_s's own.
        """
        inpainted, own = self.network.propose(frames, residual)
        now = InpaintedFrames(frames, residual, inpainted)
        output = now.inpainted
        self.head = _head_of_proposal(now, own) if self.network.config.blend_head else None
        if self._last is not None and self.network.config.recurrent:
            there, before = self._last
            if self.network.config.align:
                flow = robust_flow(self.network, now, there, self.estimate)
                before = moved(before, now.inpainted, flow)
            known = before, frames, residual, now.inpainted, self._state
            if self.head is not None:
                output, head, self._state = self.network.blend(*known)
                self.head = self.head + head
            else:
                output, self._state = self.network.advance(*known)
        self._last = now, output
        return output


def _head_of_proposal(now: InpaintedFrames, own: Tensor) -> Tensor:
    """Head output ``(N, 4, h, w)`` that stands for what H_s did; own: H_s's own picture ``(N, 3, h, w)``."""
    mixture = make_conditioning(now.frames, now.residual, grey=GREY)[:, :3]
    added = (own - mixture) * now.residual.clamp_min(OPEN)
    return torch.cat([added, added.new_zeros(len(added), HEAD_CHANNELS - 3, *added.shape[-2:])], 1)


def runs(indices: Sequence[int], holes: Sequence[bool]) -> Iterator[range]:
    """Runs of frames to be filled without a reset: ranges of places whose frame numbers follow each other.

    From the frame before the first hole, from which the recurrence starts whole, to the last hole.
    """
    edges = [place for place in range(1, len(indices)) if indices[place] != indices[place - 1] + 1]
    for start, stop in zip([0, *edges], [*edges, len(indices)], strict=True):
        marked = [place for place in range(start, stop) if holes[place]]
        if marked:
            yield range(max(start, marked[0] - 1), marked[-1] + 1)


def on_tensors(estimator: FlowEstimator) -> Estimator:
    """A flow estimator of `ops.flow`, made to take tensors ``(N, 1, h, w)`` in [0, 1] on any device."""

    def estimate(first: Tensor, second: Tensor) -> Tensor:
        levels = [(part[:, 0].clamp(0, 1) * 255).round().byte().cpu().numpy() for part in (first, second)]
        flows = [torch.from_numpy(estimator(a, b)) for a, b in zip(*levels, strict=True)]
        return torch.stack(flows).permute(0, 3, 1, 2).to(first.device)

    return estimate


def load_network(weights: str | Path | None = None) -> FlowRecurrent:
    """Network of a file, shaped by its metadata; WeightsError when it cannot be used."""
    return rebuild(weights, SPEC, lambda config: FlowRecurrent(FlowRecurrentConfig.from_dict(config)))
