"""What adapters of methods share: the fill of `propagate`, number formats, weights, running a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.methods import weights_of
from vinpaint_cli.nets import BlendingConfig
from vinpaint_cli.nets.conditioning import NOT_FOUND
from vinpaint_cli.nets.holes import HIDDEN
from vinpaint_cli.nets.letterbox import Letterbox
from vinpaint_cli.ops.complete.smooth_fill import fill_left
from vinpaint_cli.types import Clip, MethodSpec
from vinpaint_cli.weights.state import load_checkpoint, load_into
from vinpaint_cli.weights.store import resolve

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

GATE_STRENGTH = 0.5
"""Factor of the gate that a blend head gives.

Networks trained so far overstate it on clips unlike those they learnt from; half of it does no harm.
"""

Network = TypeVar("Network", bound=nn.Module)


def fill_clip(clip: Clip) -> Tensor:
    """Fill a clip as `propagate` does, frame by frame: float32 ``(T, 3, h, w)`` in [0, 1].

    Pixels where ``holes`` is 0 keep the clip's value.
    """
    result = clip.frames.detach().to(torch.float32, copy=True)
    for t, residual in enumerate(clip.holes):
        if bool((residual > 0).any()):
            result[t] = torch.where(residual > 0, fill_frame(result[t], residual), result[t])
    return result


def fill_frame(frame: Tensor, residual: Tensor) -> Tensor:
    """The fill of `propagate` for one frame: float32 ``(3, h, w)`` in [0, 1], on the frame's device.

    frame: ``(3, h, w)`` in [0, 1]; values of hidden pixels are not read. residual: ``(1, h, w)`` in [0, 1],
    how much of each pixel is still to be filled.
    """
    picture = frame.detach().float().permute(1, 2, 0).contiguous().cpu().numpy()
    filled = fill_left(picture, residual[0].detach().float().cpu().numpy())
    return torch.from_numpy(filled).permute(2, 0, 1).to(frame.device)


def dtype_of(dtype: str | torch.dtype, title: str) -> torch.dtype:
    """The torch dtype of that name; UsageError for another, in which the network is called ``title``."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype in DTYPES:
        return DTYPES[dtype]
    raise UsageError(f"precision {dtype!r} is not known to {title}; choose one of {', '.join(DTYPES)}")


def check_finite(picture: Tensor, dtype: torch.dtype) -> None:
    """Raise UsageError when values overflowed the number format."""
    if not picture.isfinite().all():
        raise UsageError(f"these weights overflow in {dtype}; use --precision bf16 or fp32")


def rebuild(
    weights: str | Path | None, spec: MethodSpec, build: Callable[[Mapping[str, Any]], Network]
) -> Network:
    """Network of a file that carries its configuration, as `vinpaint train export` writes it.

    ``build`` makes the network of a configuration and raises ValueError for one that means nothing;
    ``weights`` None takes the default of ``spec``. Raises WeightsError when there is none, or when the
    file is missing, damaged, says nothing of its network, or is of another.
    """
    path = resolve(weights_of(spec, weights) or "")
    checkpoint = load_checkpoint(path)
    if checkpoint.config is None:
        raise WeightsError(
            f"{path} does not say how its network is built; give a file of `vinpaint train export`"
        )
    try:
        with torch.device("meta"):  # what would be drawn at random is read from the file
            network = build(checkpoint.config)
    except ValueError as exc:
        raise WeightsError(
            f"{path} does not describe a {spec.name} network: {exc}; see `vinpaint weights list`"
        ) from exc
    load_into(network, checkpoint, path)
    return network


class NetworkMethod(ABC, Generic[Network]):
    """A method whose network fills the frames of a clip that was laid out at the network's size.

    A subclass runs the network (`_filled`), and may lay the clip out in another way (`_letterbox`). Networks
    with a *blend head* do not paint a picture: they give a correction and a gate, by which what propagation
    found and its fill are blended at the clip's own size (:mod:`vinpaint_cli.nets.conditioning`).
    """

    def __init__(
        self,
        network: Network,
        spec: MethodSpec,
        device: str | torch.device,
        dtype: torch.dtype,
        size: tuple[int, int],
    ) -> None:
        """size: ``(width, height)`` of the picture that the network is given; see the subclass."""
        self.device, self.dtype, self.size = torch.device(device), dtype, size
        self.network = network.eval().requires_grad_(False).to(self.device, self.dtype)
        self._spec = spec

    @property
    @abstractmethod
    def config(self) -> BlendingConfig:
        """The network's configuration."""

    @property
    def spec(self) -> MethodSpec:
        """What the method can do; ``size``, ``mixes`` and ``invents`` are those of the loaded network."""
        invents = self.config.colours or not self.config.blend_head
        return replace(self._spec, size=self.size, mixes=not self.config.blend_head, invents=invents)

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]: the network's values where ``holes`` > 0, else the clip's.

        Values of hidden pixels (residual of 0.5 or more; 0.97 for networks with a blend head) are not read.
        Raises UsageError when float16 overflows.
        """
        result = clip.frames.to(torch.float32, copy=True)
        with torch.no_grad():
            letterbox = self._letterbox(clip)
            for index, output in self._filled(letterbox, self._marked(clip)):
                picture = self._at_clip_size(letterbox, index, output)
                result[index] = torch.where(clip.holes[index] > 0, picture, result[index])
        return result

    def _letterbox(self, clip: Clip) -> Letterbox:
        """The clip laid out on the network's picture: in its own shape, with at most the pixels of `size`."""
        return Letterbox.within(clip, self.size[0] * self.size[1], self._spec.multiple)

    @abstractmethod
    def _filled(self, letterbox: Letterbox, marked: Sequence[bool]) -> Iterator[tuple[int, Tensor]]:
        """Index and network output of each frame that is ``marked``, on the clip's device.

        It is a picture ``(3, H, W)`` in [0, 1] but for overshoots, or with a blend head ``(4, H, W)``.
        """

    def _marked(self, clip: Clip) -> list[bool]:
        """Which frames are to be filled."""
        return (clip.holes.flatten(1) > 0).any(dim=1).tolist()

    def _at_clip_size(self, letterbox: Letterbox, index: int, output: Tensor) -> Tensor:
        """A network output as a picture of the clip's size, ``(3, h, w)`` in [0, 1]."""
        return (
            blend_frame(letterbox, index, output)
            if self.config.blend_head
            else letterbox.restore(index, output)
        )

    def _input(self, letterbox: Letterbox, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Frames ``(N, 3, H, W)`` in [0, 1] and residual ``(N, 1, H, W)`` as the network is given them."""
        hidden = NOT_FOUND if self.config.blend_head else HIDDEN
        frames, residual = letterbox.network_input(indices, hidden)
        return frames.to(self.device), residual.to(self.device)


def blend_frame(letterbox: Letterbox, index: int, head: Tensor) -> Tensor:
    """Frame ``index`` ``(3, h, w)`` in [0, 1], blended as the output ``(4, H, W)`` of a blend head says.

    An output of zeros leaves what `propagate` makes, with Telea's fronts, which carry edges into the hole;
    networks learn without them, since they need OpenCV.
    """
    return letterbox.blend(index, torch.cat([head[:3], GATE_STRENGTH * head[3:]]), _propagated)


def _propagated(frames: Tensor, residual: Tensor) -> Tensor:
    """The fill of `propagate`, ``(1, 3, h, w)`` in [0, 1]; residual ``(1, 1, h, w)``."""
    return fill_frame(frames[0], residual[0])[None]
