"""The adapter between a clip of any size and length and the frame-recurrent networks.

The clip keeps its shape; it is scaled down when it has more pixels than the network's size, and padded with
its mirror image to a multiple of 8. Frames pass one by one; nothing is kept but the last one and the state.

How a method that streams fits segments that know nothing of each other: a segment brings frames of context
before its core. They are filled too, and by the time the core begins the state has seen them; what still
differs from the segment before is blended away over the frames that both answer for. The state starts anew
with every clip and wherever frame numbers jump, so nothing crosses a cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods.common import dtype_of, rebuild
from vinpaint_cli.methods.flow_recurrent.config import FlowRecurrentConfig
from vinpaint_cli.methods.flow_recurrent.net import FlowRecurrent
from vinpaint_cli.methods.flow_recurrent.spec import SPEC
from vinpaint_cli.methods.flow_recurrent.stream import Estimator, Stream
from vinpaint_cli.methods.gate import lay
from vinpaint_cli.nets.conditioning import NOTHING
from vinpaint_cli.nets.holes import HIDDEN
from vinpaint_cli.nets.letterbox import Sheet
from vinpaint_cli.ops.flow.motion import DisFlow, FlowEstimator
from vinpaint_cli.types import Clip, MethodSpec


class FlowRecurrentMethod:
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
        self.device = torch.device(device)
        self.dtype = dtype_of(dtype, "flow-recurrent")
        network = load_network(weights).eval().requires_grad_(False)
        self.size = size or network.config.size
        self.pixels = self.size[0] * self.size[1]
        self.network = network.to(self.device, self.dtype).to(memory_format=torch.channels_last)
        self.stream = Stream(self.network, on_tensors(estimator or DisFlow()))

    @property
    def spec(self) -> MethodSpec:
        """What the method can do; size, who mixes and whether it invents are the loaded network's."""
        config = self.network.config
        invents = config.colours or not config.judges
        return replace(SPEC, size=self.size, mixes=not config.judges, invents=invents)

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]: the network's values where ``holes`` > 0, else the clip's.

        Values of hidden pixels (share 0.5 or more; 0.97 for networks that judge) are not read. Frames before
        the first and after the last that has a hole cost nothing. Raises UsageError when float16 overflows.
        """
        result = clip.frames.to(torch.float32, copy=True)
        holes = (clip.holes.flatten(1) > 0).any(dim=1).tolist()
        with torch.no_grad():
            sheet = Sheet.within(clip, self.pixels, SPEC.multiple)
            for index, small in self._filled(sheet, holes):
                judges = self.network.config.judges
                picture = lay(sheet, index, small) if judges else sheet.restore(index, small)
                result[index] = torch.where(clip.holes[index] > 0, picture, result[index])
        self.stream.reset()
        return result

    def _filled(self, sheet: Sheet, holes: Sequence[bool]) -> Iterator[tuple[int, Tensor]]:
        """Each frame with a hole: ``(index, (3, H, W))`` in [0, 1] but for overshoots, or maps."""
        hidden = NOTHING if self.network.config.judges else HIDDEN
        for run in runs(sheet.clip.indices, holes):
            self.stream.reset()
            for index in run:
                frames, shares = (part.to(self.device) for part in sheet.shrink([index], hidden))
                picture = self.stream.push(frames, shares)[0]
                if not picture.isfinite().all():
                    raise UsageError(f"these weights overflow in {self.dtype}; use --precision bf16 or fp32")
                if holes[index]:
                    picture = picture if self.stream.maps is None else self.stream.maps[0]
                    yield index, picture.to(sheet.clip.frames.device)


def runs(indices: Sequence[int], holes: Sequence[bool]) -> Iterator[range]:
    """Places of frames to go through in one breath: their numbers follow each other.

    From the frame before the first hole, from which the recurrence starts whole, to the last hole.
    """
    edges = [place for place in range(1, len(indices)) if indices[place] != indices[place - 1] + 1]
    for start, stop in zip([0, *edges], [*edges, len(indices)], strict=True):
        marked = [place for place in range(start, stop) if holes[place]]
        if marked:
            yield range(max(start, marked[0] - 1), marked[-1] + 1)


def on_tensors(estimator: FlowEstimator) -> Estimator:
    """An estimator of `ops.flow` for tensors ``(N, 1, h, w)`` in [0, 1] on any device."""

    def estimate(first: Tensor, second: Tensor) -> Tensor:
        levels = [(part[:, 0].clamp(0, 1) * 255).round().byte().cpu().numpy() for part in (first, second)]
        flows = [torch.from_numpy(estimator(a, b)) for a, b in zip(*levels, strict=True)]
        return torch.stack(flows).permute(0, 3, 1, 2).to(first.device)

    return estimate


def load_network(weights: str | Path | None = None) -> FlowRecurrent:
    """Network of a file, shaped by its metadata; WeightsError when it cannot be used."""
    return rebuild(weights, SPEC, lambda config: FlowRecurrent(FlowRecurrentConfig.from_dict(config)))
