"""The networks of Frame-Recurrent Video Inpainting by Robust Optical Flow Inference (Ding et al., 2019).

* :class:`FrameInpainter` (H_s) inpaints each frame alone: P_t = H_s(I_t, M_t).
* :class:`FlowCompleter` (H_c) completes the flow of the frames as they are inside the hole (branch I).
* :class:`FlowBlender` (H_f) blends that with the flow of the inpainted frames (branch P).
* :class:`TemporalRecurrent` (H_t) refines: O_t = O_{t−1} + H_t(O_{t−1}, P_t), with a ConvLSTM inside.

The paper's recurrence uses flow in its losses only. :class:`FlowRecurrent` can also move O_{t−1} along the
flow before it enters H_t (``align``), and add the residual to P_t instead. Pictures are RGB in [0, 1],
flow is in pixels and goes backwards in time, from frame t to frame t − 1, as sampling needs it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.methods.flow_recurrent.config import FlowRecurrentConfig
from vinpaint_cli.nets.blocks import ConvLSTM, PartialUNet, State, leaky, silence
from vinpaint_cli.nets.conditioning import MAPS, OPEN, SEEN, contrast, gather, judge, look, maps_of, relative
from vinpaint_cli.nets.flow import lands_inside, warp
from vinpaint_cli.nets.holes import HIDDEN, composite, smooth_fill, smooth_start
from vinpaint_cli.nets.letterbox import GREY

LEAST_SPAN = 1.0
"""Pixels between the least and the greatest flow of a picture that still count as a motion."""


class FrameInpainter(nn.Module):
    """H_s: a U-Net of partial convolutions. ``prefill``: its result is added to a smooth fill.

    Networks that judge use ``net`` alone, on the mixture relative to what is around, and add its result to
    the mixture in units of contrast (:meth:`FlowRecurrent.propose`).
    """

    def __init__(self, widths: Sequence[int], prefill: bool = False) -> None:
        super().__init__()
        self.net = _unet(widths, prefill)
        self.prefill = prefill

    def forward(self, frames: Tensor, shares: Tensor) -> Tensor:
        """Frames ``(N, 3, h, w)`` in [0, 1], shares ``(N, 1, h, w)`` → the picture ``(N, 3, h, w)``.

        It is the network's own everywhere; hidden pixels are not read; nothing is clipped.
        """
        filled: Tensor = self.net(frames, (shares < HIDDEN).to(frames.dtype))
        return filled + smooth_start(frames, shares) if self.prefill else filled


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
        silence(self.up[-1])

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
        self.blocks = nn.ModuleList(_residual(wide) for _ in range(blocks))
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
        """O_{t−1} and P_t ``(N, 3, h, w)``, multiples of 4 from 8 on → residual in [−1, 1] and the state.

        P_t has its extra channels with it.
        """
        x = self.merge(torch.cat([self.before(before), self.inpainted(inpainted)], 1))
        for block in self.blocks:
            x = x + block(x)
        state = self.memory(x, state)
        return self.last(self.decoder(state[0])).tanh(), state


class FlowRecurrent(nn.Module):
    """All four networks, and how a frame follows from the one before."""

    def __init__(self, config: FlowRecurrentConfig | None = None) -> None:
        super().__init__()
        self.config = config or FlowRecurrentConfig()
        self.inpainter = FrameInpainter(self.config.inpainter, self.config.prefill)
        self.completer = FlowCompleter(self.config.completer, self.config.prefill)
        self.blender = FlowBlender(self.config.blender)
        ends = (SEEN - 3, MAPS) if self.config.judges else (0, 3)
        self.temporal = TemporalRecurrent(self.config.width, self.config.blocks, *ends)
        if self.config.prefill:
            silence(self.temporal.last)

    def inpaint(self, frames: Tensor, shares: Tensor) -> Tensor:
        """P: frames ``(N, 3, h, w)`` and shares ``(N, 1, h, w)``, each alone; float32."""
        return self.propose(frames, shares)[0]

    def propose(self, frames: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """P, and H_s's own picture, which is not mixed with anything; float32 ``(N, 3, h, w)`` each."""
        if not self.config.judges:
            filled = self.inpainter(*self._cast(frames, shares)).float()
            return composite(frames, filled, shares), filled
        evidence = gather(frames, shares, grey=GREY)
        seen = look(evidence)[:, :3]
        known = (shares < HIDDEN).to(frames.dtype)
        correction = self.inpainter.net(*self._cast(seen, known)).float() * contrast(evidence)
        mixture = evidence[:, :3]
        correction = correction * float(self.config.colours)
        maps = torch.cat([correction * shares.clamp_min(OPEN), torch.zeros_like(shares)], 1)
        return judge(evidence, maps), mixture + correction

    def robust(self, inpainted: Tensor, corrupted: Tensor, lost: Tensor) -> Tensor:
        """Robust flow (Eq. 1) from that of the frames as inpainted and as they are, ``(N, 2, h, w)`` each.

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
        self, before: Tensor, frames: Tensor, shares: Tensor, inpainted: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """O_t ``(N, 3, h, w)`` float32 and the state, from O_{t−1} (moved already, if it is to be).

        Known pixels are put back into O_t; it is not clipped.
        """
        if self.config.judges:
            output, _, state = self.judge(before, frames, shares, inpainted, state)
            return output, state
        residual, state = self.temporal(*self._cast(before, inpainted), state)
        base = before if self.config.residual == "previous" else inpainted
        return composite(frames, base + residual.float(), shares), state

    def judge(
        self, before: Tensor, frames: Tensor, shares: Tensor, inpainted: Tensor, state: State | None
    ) -> tuple[Tensor, Tensor, State]:
        """The same for networks that judge; between output and state stand H_t's maps ``(N, 4, h, w)``."""
        evidence = torch.cat([inpainted, gather(frames, shares, grey=GREY)[:, 3:]], 1)
        seen = look(evidence)
        moved_before = relative(before, inpainted, contrast(evidence))
        maps, state = self.temporal(*self._cast(moved_before, seen), state)
        maps = maps_of(seen, maps, self.config.colours)
        return judge(evidence, maps), maps, state

    def _cast(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        dtype = next(self.parameters()).dtype
        return tuple(tensor.to(dtype) for tensor in tensors)


def moved(before: Tensor, inpainted: Tensor, flow: Tensor) -> Tensor:
    """O_{t−1} ``(N, 3, h, w)`` along the flow from t to t − 1; P_t where that leaves the picture."""
    return torch.where(lands_inside(flow) > 0, warp(before, flow), inpainted)


def _unet(widths: Sequence[int], prefill: bool) -> PartialUNet:
    net = PartialUNet(widths)
    if prefill:
        silence(net.last)
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


def _residual(channels: int) -> nn.Sequential:
    return nn.Sequential(_conv(channels, channels, 3), leaky(), _conv(channels, channels, 3))
