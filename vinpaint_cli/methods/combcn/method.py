"""The adapter between a clip of any size and length and the CombCN.

The clip keeps its shape; it is scaled down when it has more pixels than the network's size, and padded
with its mirror image to a multiple of 8. The 3-D network walks through half-overlapping windows whose
pictures are blended by the planner's weights, and the 2-D network completes each frame once, guided by the
blend. Frames without a hole are looked at, but not filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods.combcn.net import CombCN, CombCNConfig
from vinpaint_cli.methods.combcn.spec import SPEC
from vinpaint_cli.methods.common import dtype_of, rebuild
from vinpaint_cli.methods.gate import lay
from vinpaint_cli.nets.conditioning import NOTHING
from vinpaint_cli.nets.holes import HIDDEN
from vinpaint_cli.nets.letterbox import Sheet, chunks
from vinpaint_cli.plan.windows import plan_windows
from vinpaint_cli.types import Clip, MethodSpec, Window


class CombCNMethod:
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
        self.device = torch.device(device)
        self.dtype = dtype_of(dtype, "CombCN")
        network = load_network(weights).eval().requires_grad_(False)
        self.size = size or network.config.size
        self.pixels = self.size[0] * self.size[1]
        self.network = network.to(self.device, self.dtype)

    @property
    def spec(self) -> MethodSpec:
        """What the method can do; size, who mixes and whether it invents are the loaded network's."""
        config = self.network.config
        invents = config.colours or not config.judges
        return replace(SPEC, size=self.size, mixes=not config.judges, invents=invents)

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]: the network's values where ``holes`` > 0, else the clip's.

        Values of hidden pixels (share 0.5 or more; 0.97 for networks that judge) are not read. Raises
        UsageError when float16 overflows.
        """
        result = clip.frames.to(torch.float32, copy=True)
        holes = (clip.holes.flatten(1) > 0).any(dim=1).tolist()
        with torch.no_grad():
            sheet = Sheet.within(clip, self.pixels, SPEC.multiple)
            for index, small in self._filled(sheet, holes):
                judges = self.network.config.judges
                picture = lay(sheet, index, small) if judges else sheet.restore(index, small)
                result[index] = torch.where(clip.holes[index] > 0, picture, result[index])
        return result

    def _filled(self, sheet: Sheet, holes: Sequence[bool]) -> Iterator[tuple[int, Tensor]]:
        """Each frame with a hole: ``(index, (3, H, W))`` in [0, 1] but for overshoots, or maps."""
        if self.network.config.parts == "frames":
            for index in (i for i, hole in enumerate(holes) if hole):
                yield index, self._detail(sheet, index, None)
            return
        sums: dict[int, Tensor] = {}
        windows = [w for w in _windows(len(holes)) if any(holes[i] for i in w.frames)]
        last = {i: number for number, window in enumerate(windows) for i in window.frames}
        for number, window in enumerate(windows):
            prepared = torch.cat([self._prepared(sheet, some) for some in chunks(window.frames)])
            structure = self.network.structure(prepared[None])[0].float()
            for index, picture, weight in zip(window.frames, structure, window.weights, strict=True):
                if holes[index]:
                    part = picture * weight
                    sums[index] = sums[index] + part if index in sums else part
            for index in [i for i in sums if last[i] == number]:
                yield index, self._detail(sheet, index, sums.pop(index))

    def _prepared(self, sheet: Sheet, indices: Sequence[int]) -> Tensor:
        """What the networks see of some frames, ``(N, 4 or 16, H, W)``."""
        hidden = NOTHING if self.network.config.judges else HIDDEN
        frames, shares = (part.to(self.device) for part in sheet.shrink(indices, hidden))
        return self.network.prepare(frames * 2 - 1, shares).to(self.dtype)

    def _detail(self, sheet: Sheet, index: int, structure: Tensor | None) -> Tensor:
        """The 2-D network's picture of a frame ``(3, H, W)`` or maps ``(4, H, W)``, on the clip's device."""
        # A third faster than the default layout on a CPU; convolutions hand it on to their results.
        prepared = self._prepared(sheet, [index]).to(memory_format=torch.channels_last)
        guidance = None if structure is None else structure[None].to(self.dtype)
        picture = self.network.detail(prepared, guidance)[0].float()
        if self.network.config.prefill and not self.network.config.judges:
            picture = prepared[0, :3].float() + picture
        if not picture.isfinite().all():
            raise UsageError(f"these weights overflow in {self.dtype}; use --precision bf16 or fp32")
        if self.network.config.judges:
            return torch.cat([picture[:3] / 2, picture[3:]]).to(sheet.clip.frames.device)
        return ((picture + 1) / 2).to(sheet.clip.frames.device)


def _windows(frames: int) -> tuple[Window, ...]:
    return plan_windows(frames, radius=SPEC.window // 2, stride=SPEC.stride)


def load_network(weights: str | Path | None = None) -> CombCN:
    """Network of a file, shaped by its metadata; WeightsError when it cannot be used."""
    return rebuild(weights, SPEC, lambda config: CombCN(CombCNConfig.from_dict(config)))
