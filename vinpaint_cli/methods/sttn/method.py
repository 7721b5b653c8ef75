"""The adapter between a clip of any size and the STTN network.

A clip is scaled to fit the network's size without distortion, in the middle, and the rest of the
network's picture is filled with its mirror image (hole and all). Windows follow the paper's test
procedure; their overlaps are blended by the planner's weights. Only what a later window needs is kept.

A network built with ``prefill`` gives corrections of a smooth fill: they are enlarged, and added to a
smooth fill of the clip at its own size, so that the hole's border stays as sharp as the clip. One that
``judges`` gives maps, which are applied to what propagation found at the clip's own size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.methods.common import dtype_of
from vinpaint_cli.methods.gate import lay
from vinpaint_cli.methods.sttn.net import STTN, STTNConfig
from vinpaint_cli.methods.sttn.spec import SPEC
from vinpaint_cli.nets.conditioning import NOTHING
from vinpaint_cli.nets.holes import HIDDEN
from vinpaint_cli.nets.letterbox import Sheet, chunks
from vinpaint_cli.plan.windows import plan_windows
from vinpaint_cli.types import Clip, MethodSpec, Window
from vinpaint_cli.weights.state import load_checkpoint, load_into
from vinpaint_cli.weights.store import resolve


class STTNMethod:
    """Fills holes with an STTN; implements the ``Method`` protocol.

    weights: a file (.pth or .safetensors) or a name of weights.toml; None is the method's default.
    device: where the network runs.
    dtype: ``fp32``, ``bf16`` or ``fp16``, the number format of the network's weights and features.
    config: the network's shape, for a checkpoint that does not carry it and has other patches.
    max_references: most reference frames of a window, spread over the clip.

    Raises WeightsError when the weights are missing, unsafe, corrupt or of another network, UsageError
    for an unknown dtype.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = "fp32",
        *,
        config: STTNConfig | None = None,
        max_references: int = 12,
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype_of(dtype, "STTN")
        self.max_references = max_references
        network = load_network(weights or str(SPEC.weights), config)
        network.eval().requires_grad_(False)
        # A third faster than the default layout on a CPU; convolutions hand it on to their results.
        self.network = network.to(self.device, self.dtype).to(memory_format=torch.channels_last)

    @property
    def spec(self) -> MethodSpec:
        """What the method can do; size, who mixes and whether it invents are the loaded network's."""
        config = self.network.config
        invents = config.colours or not config.judges
        return replace(SPEC, size=config.size, mixes=not config.judges, invents=invents)

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]: the network's values where ``holes`` > 0, else the clip's.

        Values of hidden pixels (share 0.5 or more; 0.97 for a network that judges) are not read. Frames
        without any (with ``prefill``: without a hole) cost nothing unless a window that fills another frame
        looks at them. Raises UsageError when float16 overflows.
        """
        result = clip.frames.to(torch.float32, copy=True)
        prefill = self.network.config.prefill
        least = torch.finfo(torch.float32).tiny if prefill else HIDDEN
        holes = clip.holes.flatten(1).ge(least).any(dim=1).tolist()
        windows = [w for w in self._windows(len(holes)) if any(holes[i] for i in w.frames)]
        with torch.no_grad():
            sheet = Sheet.fitted(clip, self.network.config.size)
            finished = self._layer(sheet)
            for index, small in self._filled(sheet, windows, holes):
                picture = finished(index, small)
                result[index] = torch.where(clip.holes[index] > 0, picture, result[index])
        return result

    def _layer(self, sheet: Sheet) -> Callable[[int, Tensor], Tensor]:
        """What makes a picture of the clip's size of what the network gives."""
        if self.network.config.judges:
            return partial(lay, sheet)
        return sheet.correct if self.network.config.prefill else sheet.enlarge

    def _windows(self, frames: int) -> tuple[Window, ...]:
        return plan_windows(
            frames,
            radius=SPEC.window // 2,
            stride=SPEC.stride,
            reference_stride=SPEC.reference_stride,
            max_references=self.max_references,
        )

    def _filled(
        self, sheet: Sheet, windows: Sequence[Window], holes: Sequence[bool]
    ) -> Iterator[tuple[int, Tensor]]:
        """Each frame with a hole, once complete: ``(index, (3, H, W) at network size)``.

        Pictures in [0, 1], or with ``prefill`` corrections in units of that range, or maps.
        """
        last = {i: n for n, window in enumerate(windows) for i in (*window.frames, *window.references)}
        seen: dict[int, _Seen] = {}
        sums: dict[int, Tensor] = {}
        for number, window in enumerate(windows):
            self._encode(sheet, seen, (*window.frames, *window.references))
            for index, part in self._window(seen, sheet, window, holes):
                sums[index] = sums[index] + part if index in sums else part
            for index in [i for i in seen if last[i] == number]:
                del seen[index]
                if index in sums:
                    yield index, sums.pop(index)

    def _encode(self, sheet: Sheet, seen: dict[int, _Seen], wanted: Iterable[int]) -> None:
        """Look at the frames that are not there yet."""
        new = [index for index in wanted if index not in seen]
        for some in chunks(new):
            prepared = self._prepared(sheet, some)
            pairs = zip(self.network.encode(prepared), prepared, strict=True)
            for index, (features, frame) in zip(some, pairs, strict=True):
                # Cloned, lest one needed frame keep its whole batch alive.
                kept = frame.clone() if self.network.config.prefill else None
                seen[index] = _Seen(features.clone(), kept)

    def _prepared(self, sheet: Sheet, indices: Sequence[int]) -> Tensor:
        """What the network encodes of some frames, ``(N, 3, 4 or 16, H, W)``."""
        hidden = NOTHING if self.network.config.judges else HIDDEN
        frames, shares = (part.to(self.device) for part in sheet.shrink(indices, hidden))
        prepared = self.network.prepare(frames * 2 - 1, shares)
        return prepared.to(self.dtype).to(memory_format=torch.channels_last)

    def _window(
        self, seen: Mapping[int, _Seen], sheet: Sheet, window: Window, holes: Sequence[bool]
    ) -> Iterator[tuple[int, Tensor]]:
        """Weighted share of each frame of the window that has a hole, ``(3, H, W)``."""
        wanted = [i for i in window.frames if holes[i]]
        others = [i for i in window.frames if not holes[i]]
        order = [*wanted, *others, *window.references]
        stack = torch.stack([seen[i].features.movedim(0, -1) for i in order]).movedim(-1, 1)
        hidden = sheet.holes(order)[None].to(self.device) if self.network.config.mask_attention else None
        prefill = self.network.config.prefill
        filled = self.network.infill(stack[None], hidden, keep=len(wanted))[0]
        for some in chunks(range(len(wanted))):
            frames = [seen[wanted[place]].prepared for place in some]
            prepared = torch.stack([f for f in frames if f is not None]) if prefill else None
            decoded = self.network.decode(filled[some[0] : some[-1] + 1], prepared).float()
            decoded = decoded.to(sheet.clip.frames.device)
            self._check_finite(decoded)
            for place, picture in zip(some, decoded, strict=True):
                index = wanted[place]
                yield index, self._in_unit_range(picture) * window.weights[index - window.frames.start]

    def _in_unit_range(self, decoded: Tensor) -> Tensor:
        """What the network gives, in units of [0, 1]; how much more to believe has no unit."""
        if not self.network.config.prefill:
            return (decoded + 1) / 2
        return torch.cat([decoded[:3] / 2, decoded[3:]])

    def _check_finite(self, decoded: Tensor) -> None:
        if not decoded.isfinite().all():
            raise UsageError(f"these weights overflow in {self.dtype}; use --precision bf16 or fp32")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a frame: features ``(C, h, w)``, and with ``prefill`` what they were made from."""

    features: Tensor
    prepared: Tensor | None


def load_network(weights: str | Path, config: STTNConfig | None = None) -> STTN:
    """Network of a checkpoint: shaped by ``config``, else by the file's metadata, else by its tensors."""
    path = resolve(weights)
    checkpoint = load_checkpoint(path)
    try:
        if config is None and checkpoint.config is not None:
            config = STTNConfig.from_dict(checkpoint.config)
        shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}
        with torch.device("meta"):  # drawing 16 million initial values would take longer than reading them
            network = STTN(config or STTNConfig.from_shapes(shapes))
    except ValueError as exc:
        raise WeightsError(f"{path} does not describe an STTN network: {exc}; take another file") from exc
    load_into(network, checkpoint, path)
    return network
