"""The networks of Frame-Recurrent Video Inpainting by Robust Optical Flow Inference (Ding et al., 2019).

* :class:`FrameInpainter` (H_s) inpaints each frame alone: P_t = H_s(I_t, M_t).
* :class:`FlowCompleter` (H_c) completes the flow of the frames as they are inside the hole (branch I).
* :class:`FlowBlender` (H_f) blends that with the flow of the inpainted frames (branch P).
* :class:`TemporalRecurrent` (H_t) refines: O_t = O_{t−1} + H_t(O_{t−1}, P_t), with a ConvLSTM inside.

The paper's recurrence uses flow in its losses only. :class:`FlowRecurrent` can also move O_{t−1} along the
flow before it enters H_t (``align``), and add H_t's answer to P_t instead. Pictures are RGB in [0, 1],
flow is in pixels and goes backwards in time, from frame t to frame t − 1, as sampling needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.nets import BlendingConfig
from vinpaint_cli.nets.blocks import ConvLSTM, PartialUNet, State, leaky, zero_init
from vinpaint_cli.nets.conditioning import (
    HEAD_CHANNELS,
    OPEN,
    VIEW_CHANNELS,
    blend,
    contrast,
    make_conditioning,
    network_view,
    relative,
    scale_head,
)
from vinpaint_cli.nets.flow import dilate, lands_inside, luma, warp
from vinpaint_cli.nets.holes import HIDDEN, composite, smooth_fill, smooth_start
from vinpaint_cli.nets.letterbox import GREY

FLOWS = ("blended", "inpainted", "corrupted")
BASES = ("previous", "inpainted")
UNET = (64, 128, 256, 512, 512, 512, 512)

LEAST_SPAN = 1.0
"""Pixels between the least and the greatest flow of a picture that still count as a motion."""

Estimator = Callable[[Tensor, Tensor], Tensor]
"""Flow ``(N, 2, h, w)`` in pixels between grey pictures ``(N, 1, h, w)`` in [0, 1]."""

MARGIN = 8
"""Pixels around a hole in which the flow of the frames as they are is not trusted."""


@dataclass(frozen=True, slots=True)
class FlowRecurrentConfig(BlendingConfig):
    """How the four networks are built; the defaults are the paper's, as far as it says.

    ``width`` and ``blocks``: base channels and residual blocks of H_t. ``inpainter``, ``completer``: channels
    of each level of H_s and H_c; ``blender``: of H_f's three levels. ``prefill``: H_s and H_c correct a
    smooth fill. ``flow``: the robust flow, ``blended`` of both branches, or that of the ``inpainted`` frames
    (branch P) or of the ``corrupted`` ones (branch I) alone. ``align``: the previous output is moved along it
    before it enters H_t. ``base``: what H_t's answer is added to, the ``previous`` output or the
    ``inpainted`` frame (``residual`` in files). ``recurrent`` False is H_s alone. ``size``: ``(width,
    height)``, of so many pixels at most is the picture the networks are given. ``blend_head`` (with
    ``prefill`` and the ``inpainted`` base; ``judges`` in files): H_t sees what propagation found too, and
    decides how much of it is taken (:mod:`vinpaint_cli.nets.conditioning`); without ``colours`` neither it
    nor H_s adds any. Raises ValueError for anything else.
    """

    title: ClassVar[str] = "flow-recurrent networks"

    width: int = 32
    blocks: int = 5
    inpainter: tuple[int, ...] = UNET
    completer: tuple[int, ...] = UNET
    blender: tuple[int, ...] = (32, 64, 128)
    prefill: bool = False
    flow: str = "blended"
    align: bool = False
    base: str = "previous"
    recurrent: bool = True
    size: tuple[int, int] = (432, 240)
    blend_head: bool = False
    colours: bool = True

    def __post_init__(self) -> None:
        counts = (self.width, self.blocks, *self.inpainter, *self.completer, *self.blender)
        if min(counts) < 1 or len(self.blender) != 3 or not (self.inpainter and self.completer):
            raise ValueError(f"widths and blocks must be positive, and the blender has three levels: {self}")
        if self.flow not in FLOWS:
            raise ValueError(f"flow {self.flow!r} is not known; take {', '.join(FLOWS)}")
        if self.base not in BASES:
            raise ValueError(f"base {self.base!r} is not known; take {', '.join(BASES)}")
        if self.blend_head and not (self.prefill and self.base == "inpainted"):
            raise ValueError("a blend head needs prefill, and the inpainted frame as base")
        if len(self.size) != 2 or min(self.size) < 8:
            raise ValueError(f"size {self.size} is not a width and a height of 8 pixels or more")


class FrameInpainter(nn.Module):
    """H_s: a U-Net of partial convolutions. ``prefill``: its result is added to a smooth fill.

    With a blend head use ``net`` alone, on the mixture relative to what is around, and add its result to
    the mixture in units of contrast (:meth:`FlowRecurrent.propose`).
    """

    def __init__(self, widths: Sequence[int], prefill: bool = False) -> None:
        super().__init__()
        self.net = _unet(widths, prefill)
        self.prefill = prefill

    def forward(self, frames: Tensor, residual: Tensor) -> Tensor:
        """Frames ``(N, 3, h, w)`` in [0, 1], residual ``(N, 1, h, w)`` → the picture ``(N, 3, h, w)``.

        It is the network's own everywhere; hidden pixels are not read; nothing is clipped.
        """
        filled: Tensor = self.net(frames, (residual < HIDDEN).to(frames.dtype))
        return filled + smooth_start(frames, residual) if self.prefill else filled


class FlowCompleter(nn.Module):
    """H_c: the same network on a flow, scaled to [0, 1] and with its mean as the third channel."""

    def __init__(self, widths: Sequence[int], prefill: bool = False) -> None:
        super().__init__()
        self.net = _unet(widths, prefill)
        self.prefill = prefill

    def forward(self, flow: Tensor, lost: Tensor) -> Tensor:
        """Flow ``(N, 2, h, w)`` in pixels, lost ``(N, 1, h, w)`` in {0, 1} → flow with the lost replaced."""
        known = 1 - lost
        least, span = _range(flow, lost > 0)
        unit = torch.where(lost > 0, 0.0, (flow - least) / span)
        picture = torch.cat([unit, unit.mean(1, keepdim=True)], 1)
        filled = self.net(picture, known)
        if self.prefill:
            filled = filled + smooth_fill(picture, known)
        return torch.where(lost > 0, filled[:, :2] * span + least, flow)


class FlowBlender(nn.Module):
    """H_f: three convolutions down, three up with skips; zero in a new network."""

    def __init__(self, widths: Sequence[int] = (32, 64, 128)) -> None:
        super().__init__()
        a, b, c = widths
        self.down = nn.ModuleList(nn.Conv2d(i, o, 3, 2, 1) for i, o in ((4, a), (a, b), (b, c)))
        self.up = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in ((c, b), (2 * b, a), (2 * a, 2)))
        self.activate = leaky()
        zero_init(self.up[-1])

    def forward(self, inpainted: Tensor, completed: Tensor) -> Tensor:
        """Two flows ``(N, 2, h, w)`` → what is to be added to their sum ``(N, 2, h, w)``."""
        x = torch.cat([inpainted, completed], 1)
        sizes, skips = [x.shape[-2:]], []
        for conv in self.down:
            x = self.activate(conv(x))
            sizes.append(x.shape[-2:])
            skips.append(x)
        skips.pop()
        for place, conv in enumerate(self.up):
            x = functional.interpolate(x, size=sizes[2 - place], mode="bilinear", align_corners=False)
            x = conv(x)
            if skips:
                x = torch.cat([self.activate(x), skips.pop()], 1)
        return x


class TemporalRecurrent(nn.Module):
    """H_t: two streams, residual blocks and a ConvLSTM at a quarter of the size, and back.

    As in Lai et al. (ECCV 2018), but half as wide and without skips: with the default arguments exactly
    the paper's 2 947 011 weights. ``extra`` channels may come with P_t, and ``given`` leave.
    """

    def __init__(self, width: int = 32, blocks: int = 5, extra: int = 0, given: int = 3) -> None:
        super().__init__()
        wide = 4 * width
        self.before = _stream(width)
        self.inpainted = _stream(width, 3 + extra)
        self.merge = nn.Sequential(_conv(wide, wide, 3, 2), leaky())
        self.blocks = nn.ModuleList(_residual_block(wide) for _ in range(blocks))
        self.memory = ConvLSTM(wide, wide)
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            _conv(wide, 2 * width, 3),
            leaky(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            _conv(2 * width, width, 3),
            leaky(),
        )
        self.last = _conv(width, given, 7)

    def forward(self, before: Tensor, inpainted: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """O_{t−1} and P_t ``(N, 3, h, w)``, multiples of 4 from 8 on → H_t's answer in [−1, 1] and the state.

        P_t has its extra channels with it.
        """
        x = self.merge(torch.cat([self.before(before), self.inpainted(inpainted)], 1))
        for block in self.blocks:
            x = x + block(x)
        state = self.memory(x, state)
        return self.last(self.decoder(state[0])).tanh(), state


class FlowRecurrent(nn.Module):
    """All four networks, and the recurrence from one frame to the next."""

    def __init__(self, config: FlowRecurrentConfig | None = None) -> None:
        super().__init__()
        self.config = config or FlowRecurrentConfig()
        self.inpainter = FrameInpainter(self.config.inpainter, self.config.prefill)
        self.completer = FlowCompleter(self.config.completer, self.config.prefill)
        self.blender = FlowBlender(self.config.blender)
        ends = (VIEW_CHANNELS - 3, HEAD_CHANNELS) if self.config.blend_head else (0, 3)
        self.temporal = TemporalRecurrent(self.config.width, self.config.blocks, *ends)
        if self.config.prefill:
            zero_init(self.temporal.last)

    def inpaint(self, frames: Tensor, residual: Tensor) -> Tensor:
        """The inpainted frames P, float32 ``(N, 3, h, w)``, each made alone from its frame and residual."""
        return self.propose(frames, residual)[0]

    def propose(self, frames: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """The inpainted frames P, and H_s's pictures before compositing; float32 ``(N, 3, h, w)``."""
        if not self.config.blend_head:
            filled = self.inpainter(*self._cast(frames, residual)).float()
            return composite(frames, filled, residual), filled
        conditioning = make_conditioning(frames, residual, grey=GREY)
        seen = network_view(conditioning)[:, :3]
        known = (residual < HIDDEN).to(frames.dtype)
        correction = self.inpainter.net(*self._cast(seen, known)).float() * contrast(conditioning)
        mixture = conditioning[:, :3]
        correction = correction * float(self.config.colours)
        head = torch.cat([correction * residual.clamp_min(OPEN), torch.zeros_like(residual)], 1)
        return blend(conditioning, head), mixture + correction

    def robust(self, inpainted: Tensor, corrupted: Tensor, lost: Tensor) -> Tensor:
        """Robust flow (Eq. 1) ``(N, 2, h, w)`` from that of the inpainted and that of the corrupted frames.

        lost: ``(N, 1, h, w)`` in {0, 1}, where the second cannot be trusted. The configuration may ask
        for one branch alone.
        """
        if self.config.flow == "inpainted":
            return inpainted
        completed: Tensor = self.completer(*self._cast(corrupted, lost)).float()
        completed = torch.where(lost > 0, completed, corrupted)
        if self.config.flow == "corrupted":
            return completed
        blend: Tensor = self.blender(*self._cast(inpainted, completed)).float()
        return (inpainted + completed + blend) / 2

    def advance(
        self, before: Tensor, frames: Tensor, residual: Tensor, inpainted: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """O_t ``(N, 3, h, w)`` float32 and the state, from O_{t−1} (moved already, if it is to be).

        Known pixels are put back into O_t; it is not clipped.
        """
        if self.config.blend_head:
            output, _, state = self.blend(before, frames, residual, inpainted, state)
            return output, state
        update, state = self.temporal(*self._cast(before, inpainted), state)
        base = before if self.config.base == "previous" else inpainted
        return composite(frames, base + update.float(), residual), state

    def blend(
        self, before: Tensor, frames: Tensor, residual: Tensor, inpainted: Tensor, state: State | None
    ) -> tuple[Tensor, Tensor, State]:
        """`advance` of networks with a blend head: O_t, the head's output ``(N, 4, h, w)``, and the state."""
        conditioning = torch.cat([inpainted, make_conditioning(frames, residual, grey=GREY)[:, 3:]], 1)
        seen = network_view(conditioning)
        moved_before = relative(before, inpainted, contrast(conditioning))
        head, state = self.temporal(*self._cast(moved_before, seen), state)
        head = scale_head(seen, head, self.config.colours)
        return blend(conditioning, head), head, state

    def _cast(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        dtype = next(self.parameters()).dtype
        return tuple(tensor.to(dtype) for tensor in tensors)


@dataclass(frozen=True, slots=True)
class InpaintedFrames:
    """Frames ``(N, 3, h, w)`` in [0, 1], residual ``(N, 1, h, w)``, and what H_s made of each frame alone."""

    frames: Tensor
    residual: Tensor
    inpainted: Tensor

    @property
    def hole(self) -> Tensor:
        """1 where a pixel is hidden, else 0: float ``(N, 1, h, w)``."""
        return (self.residual >= HIDDEN).to(self.frames.dtype)

    def grey(self) -> Tensor:
        """Grey of the frames ``(N, 1, h, w)``, holes filled smoothly so that they do not disturb the flow."""
        return luma(smooth_start(self.frames, self.residual))


def robust_flow(
    network: FlowRecurrent, here: InpaintedFrames, there: InpaintedFrames, estimate: Estimator
) -> Tensor:
    """Robust flow ``(N, 2, h, w)`` from ``here`` to ``there``, in pixels."""
    inpainted = corrupted = None
    if network.config.flow != "corrupted":
        inpainted = estimate(luma(here.inpainted), luma(there.inpainted))
    if network.config.flow != "inpainted":
        corrupted = estimate(here.grey(), there.grey())
    raw = corrupted if inpainted is None else inpainted
    assert raw is not None
    corrupted = raw if corrupted is None else corrupted
    return network.robust(raw, corrupted, lost_flow(here.hole, there.hole, corrupted))


def lost_flow(here: Tensor, there: Tensor, flow: Tensor) -> Tensor:
    """1 where flow starts or ends near a hole ``(N, 1, h, w)``, so that it cannot be trusted, else 0."""
    ends = warp(dilate(there, MARGIN), flow, "nearest")
    return dilate(here, MARGIN).maximum(ends)


def moved(before: Tensor, inpainted: Tensor, flow: Tensor) -> Tensor:
    """O_{t−1} ``(N, 3, h, w)`` warped along the flow from t to t − 1; P_t where that leaves the picture."""
    return torch.where(lands_inside(flow) > 0, warp(before, flow), inpainted)


def _unet(widths: Sequence[int], prefill: bool) -> PartialUNet:
    net = PartialUNet(widths)
    if prefill:
        zero_init(net.last)
    return net


def _range(flow: Tensor, lost: Tensor) -> tuple[Tensor, Tensor]:
    """Least known flow of each picture and what lies between it and the greatest, ``(N, 1, 1, 1)``."""
    least = flow.masked_fill(lost, torch.inf).amin((1, 2, 3), keepdim=True)
    most = flow.masked_fill(lost, -torch.inf).amax((1, 2, 3), keepdim=True)
    nothing = most < least
    least, most = least.masked_fill(nothing, 0.0), most.masked_fill(nothing, 0.0)
    return least, (most - least).clamp_min(LEAST_SPAN)


def _conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, padding_mode="reflect")


def _stream(width: int, seen: int = 3) -> nn.Sequential:
    return nn.Sequential(_conv(seen, width, 7), leaky(), _conv(width, 2 * width, 3, 2), leaky())


def _residual_block(channels: int) -> nn.Sequential:
    return nn.Sequential(_conv(channels, channels, 3), leaky(), _conv(channels, channels, 3))
