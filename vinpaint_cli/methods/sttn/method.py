"""Adapter of STTN to clips of any size and length.

A clip is scaled to fit the network's size without distortion, in the middle, and the rest of the
network's picture is filled with its mirror image (hole and all). Windows follow the paper's test
procedure; their overlaps are blended by the planner's weights. Only what a later window needs is kept.

A network built with ``prefill`` gives corrections of a smooth fill: they are enlarged, and added to a
smooth fill of the clip at its own size, so that the hole's border stays as sharp as the clip. One that
has a blend head gives a correction and a gate, applied to what propagation found at the clip's own size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.methods.common import NetworkMethod, blend_frame, check_finite, dtype_of
from vinpaint_cli.methods.sttn import SPEC
from vinpaint_cli.methods.sttn.net import STTN, STTNConfig
from vinpaint_cli.nets.holes import HIDDEN
from vinpaint_cli.nets.letterbox import Letterbox, chunks
from vinpaint_cli.plan.windows import plan_windows
from vinpaint_cli.types import Clip, Window
from vinpaint_cli.weights.state import load_checkpoint, load_into
from vinpaint_cli.weights.store import resolve


class STTNMethod(NetworkMethod[STTN]):
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
        number = dtype_of(dtype, "STTN")
        network = load_network(weights or str(SPEC.weights), config)
        super().__init__(network, SPEC, device, number, network.config.size)
        self.max_references = max_references
        # A third faster than the default layout on a CPU; convolutions hand it on to their results.
        self.network = self.network.to(memory_format=torch.channels_last)

    @property
    def config(self) -> STTNConfig:
        """The network's configuration."""
        return self.network.config

    def _letterbox(self, clip: Clip) -> Letterbox:
        return Letterbox.fitted(clip, self.size)

    def _marked(self, clip: Clip) -> list[bool]:
        """Without ``prefill`` only frames with hidden pixels; the others stay as propagation left them."""
        least = torch.finfo(torch.float32).tiny if self.config.prefill else HIDDEN
        return clip.holes.flatten(1).ge(least).any(dim=1).tolist()

    def _at_clip_size(self, letterbox: Letterbox, index: int, output: Tensor) -> Tensor:
        if self.config.blend_head:
            return blend_frame(letterbox, index, output)
        return letterbox.correct(index, output) if self.config.prefill else letterbox.enlarge(index, output)

    def _windows(self, frames: int) -> tuple[Window, ...]:
        return plan_windows(
            frames,
            radius=SPEC.window // 2,
            stride=SPEC.stride,
            reference_stride=SPEC.reference_stride,
            max_references=self.max_references,
        )

    def _filled(self, letterbox: Letterbox, marked: Sequence[bool]) -> Iterator[tuple[int, Tensor]]:
        # Frames without a hole cost nothing, unless a window that fills another frame sees them.
        windows = [w for w in self._windows(len(marked)) if any(marked[i] for i in w.frames)]
        last = {i: n for n, window in enumerate(windows) for i in (*window.frames, *window.references)}
        seen: dict[int, _Encoded] = {}
        sums: dict[int, Tensor] = {}
        for number, window in enumerate(windows):
            self._encode(letterbox, seen, (*window.frames, *window.references))
            for index, part in self._window(seen, letterbox, window, marked):
                sums[index] = sums[index] + part if index in sums else part
            for index in [i for i in seen if last[i] == number]:
                del seen[index]
                if index in sums:
                    yield index, sums.pop(index)

    def _encode(self, letterbox: Letterbox, seen: dict[int, _Encoded], wanted: Iterable[int]) -> None:
        """Encode the frames that are not encoded yet."""
        new = [index for index in wanted if index not in seen]
        for some in chunks(new):
            prepared = self._prepared(letterbox, some)
            pairs = zip(self.network.encode(prepared), prepared, strict=True)
            for index, (features, frame) in zip(some, pairs, strict=True):
                # Cloned, lest one needed frame keep its whole batch alive.
                kept = frame.clone() if self.config.prefill else None
                seen[index] = _Encoded(features.clone(), kept)

    def _prepared(self, letterbox: Letterbox, indices: Sequence[int]) -> Tensor:
        """What the network encodes of some frames, ``(N, 3, 4 or 16, H, W)``."""
        frames, residual = self._input(letterbox, indices)
        prepared = self.network.prepare(frames * 2 - 1, residual)
        return prepared.to(self.dtype).to(memory_format=torch.channels_last)

    def _window(
        self, seen: Mapping[int, _Encoded], letterbox: Letterbox, window: Window, marked: Sequence[bool]
    ) -> Iterator[tuple[int, Tensor]]:
        """Index and weighted output ``(3 or 4, H, W)`` of each frame of the window that has a hole."""
        wanted = [i for i in window.frames if marked[i]]
        others = [i for i in window.frames if not marked[i]]
        order = [*wanted, *others, *window.references]
        stack = torch.stack([seen[i].features.movedim(0, -1) for i in order]).movedim(-1, 1)
        hidden = letterbox.hidden(order)[None].to(self.device) if self.config.mask_attention else None
        prefill = self.config.prefill
        filled = self.network.infill(stack[None], hidden, keep=len(wanted))[0]
        for some in chunks(range(len(wanted))):
            frames = [seen[wanted[place]].prepared for place in some]
            prepared = torch.stack([f for f in frames if f is not None]) if prefill else None
            decoded = self.network.decode(filled[some[0] : some[-1] + 1], prepared).float()
            decoded = decoded.to(letterbox.clip.frames.device)
            check_finite(decoded, self.dtype)
            for place, picture in zip(some, decoded, strict=True):
                index = wanted[place]
                yield index, self._in_unit_range(picture) * window.weights[index - window.frames.start]

    def _in_unit_range(self, decoded: Tensor) -> Tensor:
        """The network output in units of [0, 1] instead of [-1, 1]; a gate has no unit."""
        if not self.config.prefill:
            return (decoded + 1) / 2
        return torch.cat([decoded[:3] / 2, decoded[3:]])


@dataclass(frozen=True, slots=True)
class _Encoded:
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
