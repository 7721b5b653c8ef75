"""Adapter of CombCN to clips of any size and length.

The clip keeps its shape; it is scaled down when it has more pixels than the network's size, and padded
with its mirror image to a multiple of 8. The 3-D network walks through half-overlapping windows whose
pictures are blended by the planner's weights, and the 2-D network completes each frame once, guided by the
blend. Frames without a hole are seen, but not filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from vinpaint_cli.methods.combcn import SPEC
from vinpaint_cli.methods.combcn.net import CombCN, CombCNConfig
from vinpaint_cli.methods.common import NetworkMethod, check_finite, dtype_of, rebuild
from vinpaint_cli.nets.letterbox import Letterbox, chunks
from vinpaint_cli.plan.windows import plan_windows
from vinpaint_cli.types import Window


class CombCNMethod(NetworkMethod[CombCN]):
    """Fills holes with 3DCN and CombCN; implements the ``Method`` protocol.

    weights: a .safetensors file that carries its configuration, or a name of weights.toml.
    device: where the networks run. dtype: ``fp32``, ``bf16`` or ``fp16``.
    size: ``(width, height)``; of so many pixels at most is the picture the networks are given (default:
    what they were trained for).

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
    ) -> None:
        number = dtype_of(dtype, "CombCN")
        network = load_network(weights)
        super().__init__(network, SPEC, device, number, size or network.config.size)

    @property
    def config(self) -> CombCNConfig:
        """The network's configuration."""
        return self.network.config

    def _filled(self, letterbox: Letterbox, marked: Sequence[bool]) -> Iterator[tuple[int, Tensor]]:
        if self.config.parts == "frames":
            for index in (i for i, hole in enumerate(marked) if hole):
                yield index, self._detail(letterbox, index, None)
            return
        sums: dict[int, Tensor] = {}
        windows = [w for w in _windows(len(marked)) if any(marked[i] for i in w.frames)]
        last = {i: number for number, window in enumerate(windows) for i in window.frames}
        for number, window in enumerate(windows):
            prepared = torch.cat([self._prepared(letterbox, some) for some in chunks(window.frames)])
            structure = self.network.structure(prepared[None])[0].float()
            for index, picture, weight in zip(window.frames, structure, window.weights, strict=True):
                if marked[index]:
                    part = picture * weight
                    sums[index] = sums[index] + part if index in sums else part
            for index in [i for i in sums if last[i] == number]:
                yield index, self._detail(letterbox, index, sums.pop(index))

    def _prepared(self, letterbox: Letterbox, indices: Sequence[int]) -> Tensor:
        """What the networks see of some frames, ``(N, 4 or 16, H, W)``."""
        frames, residual = self._input(letterbox, indices)
        return self.network.prepare(frames * 2 - 1, residual).to(self.dtype)

    def _detail(self, letterbox: Letterbox, index: int, structure: Tensor | None) -> Tensor:
        """The 2-D network's output for a frame, ``(3, H, W)`` or with a blend head ``(4, H, W)``."""
        # A third faster than the default layout on a CPU; convolutions hand it on to their results.
        prepared = self._prepared(letterbox, [index]).to(memory_format=torch.channels_last)
        guidance = None if structure is None else structure[None].to(self.dtype)
        output = self.network.detail(prepared, guidance)[0].float()
        if self.config.prefill and not self.config.blend_head:
            output = prepared[0, :3].float() + output
        check_finite(output, self.dtype)
        if self.config.blend_head:
            return torch.cat([output[:3] / 2, output[3:]]).to(letterbox.clip.frames.device)
        return ((output + 1) / 2).to(letterbox.clip.frames.device)


def _windows(frames: int) -> tuple[Window, ...]:
    return plan_windows(frames, radius=SPEC.window // 2, stride=SPEC.stride)


def load_network(weights: str | Path | None = None) -> CombCN:
    """Network of a file, shaped by its metadata; WeightsError when it cannot be used."""
    return rebuild(weights, SPEC, lambda config: CombCN(CombCNConfig.from_dict(config)))
