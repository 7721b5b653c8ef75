"""STTN, the spatial-temporal transformer network (Zeng, Fu, Chao: ECCV 2020, arXiv 2007.10247).

Frames are encoded one by one, eight transformer blocks let every patch of every frame attend to every
other patch of the same size, and each frame is decoded alone. There is neither normalisation nor a
positional code: the network does not know the order of its frames.

Built without arguments the network has the names, shapes and arithmetic of the authors' released
generator. That generator never excludes hole patches from attention, although the paper's Eq. 3–4 say
so; ``mask_attention`` adds the exclusion for networks trained with it.

Two more options serve networks of a small budget, and change names and shapes: ``reduction`` 8 lets the
transformer work on an eighth of the frame instead of a quarter, and ``prefill`` makes the network correct a
smooth fill instead of painting on grey (:meth:`STTN.prepare`, :class:`DetailDecoder`). With ``blend_head`` it
also sees what propagation half found and decides how much of it is taken
(:mod:`vinpaint_cli.nets.conditioning`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinpaint_cli.nets import BlendingConfig
from vinpaint_cli.nets.blocks import UpConv, leaky
from vinpaint_cli.nets.conditioning import (
    CONDITIONING_CHANNELS,
    HEAD_CHANNELS,
    VIEW_CHANNELS,
    blend,
    make_conditioning,
    scale_head,
    with_network_view,
)
from vinpaint_cli.nets.holes import HIDDEN, smooth_fill

MASKED_SCORE = -1e9
"""Score of a key inside the hole; finite, so a clip that is all hole still averages instead of giving NaN."""

SCORES_AT_ONCE = 1 << 26
"""Attention scores held at a time (256 MiB in float32)."""


@dataclass(frozen=True, slots=True)
class STTNConfig(BlendingConfig):
    """The shape of an STTN; the defaults are the paper's.

    ``channels`` is the hidden width, divided evenly among the heads; ``patches`` holds one ``(width,
    height)`` per head in feature pixels (frame pixels divided by ``reduction``, 4 or 8); ``size`` is the
    ``(width, height)`` of the frames the network was trained on. ``mask_attention`` excludes hole patches as
    keys; ``prefill`` makes the network see the residual and correct a smooth fill, ``blend_head`` besides
    what propagation found in it, and without ``colours`` it only decides how much of that is taken. Raises
    ValueError for sizes that do not divide.
    """

    title: ClassVar[str] = "an STTN"

    channels: int = 256
    blocks: int = 8
    patches: tuple[tuple[int, int], ...] = ((108, 60), (36, 20), (18, 10), (9, 5))
    size: tuple[int, int] = (432, 240)
    mask_attention: bool = False
    reduction: int = 4
    prefill: bool = False
    blend_head: bool = False
    colours: bool = True

    def __post_init__(self) -> None:
        if self.reduction not in (4, 8):
            raise ValueError(f"STTN's features are 1/4 or 1/8 of the frame, not 1/{self.reduction}")
        if self.reduction == 8 and not self.prefill:
            raise ValueError("reduction 8 loses detail that only a network with prefill gets back")
        if self.blend_head and not self.prefill:
            raise ValueError("a blend head needs prefill")
        if self.blocks < 1 or not self.patches or self.channels < 4:
            raise ValueError(f"STTN needs a block, a patch size and 4 channels, not {self}")
        if self.channels % 4 or self.channels % len(self.patches):
            raise ValueError(f"{self.channels} channels do not divide by 4 and by {len(self.patches)} heads")
        if self.prefill and self.channels % 8:
            raise ValueError(f"{self.channels} channels do not divide by 8, as prefill needs")
        if not self.fits(*self.size):
            raise ValueError(f"patches {self.patches} do not tile 1/{self.reduction} of {self.size}")

    def fits(self, width: int, height: int) -> bool:
        """Whether frames of this size split into whole patches at every head."""
        columns, rows = width // self.reduction, height // self.reduction
        if columns < 1 or rows < 1 or width % self.reduction or height % self.reduction:
            return False
        return all(w > 0 < h and columns % w == 0 and rows % h == 0 for w, h in self.patches)

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> STTNConfig:
        """Channels and blocks read off a state dict's shapes; patches and size stay the paper's.

        Shapes do not tell patch sizes: a checkpoint of other patches must carry its configuration.
        """
        last = shapes.get("encoder.6.weight", ())
        blocks = {int(m[1]) for name in shapes if (m := re.match(r"transformer\.(\d+)\.", name))}
        if not last or not blocks:
            return cls()
        return cls(channels=int(last[0]), blocks=len(blocks))


class PatchAttention(nn.Module):
    """Multi-head attention in which head i compares patches of size i over all frames (paper §3.1)."""

    def __init__(self, channels: int, patches: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.patches = tuple(patches)
        # The order of registration is the order of the official state dict: query, value, key.
        self.query_embedding = nn.Conv2d(channels, channels, 1)
        self.value_embedding = nn.Conv2d(channels, channels, 1)
        self.key_embedding = nn.Conv2d(channels, channels, 1)
        self.output_linear = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), leaky())

    def forward(self, x: Tensor, holes: Tensor | None, keep: int) -> Tensor:
        """Attention of the first ``keep`` frames to all.

        x: ``(B, T, C, h, w)``; holes: ``(B, T, 1, h, w)``, 1 = no key, or None.
        Result: ``(B, keep, C, h, w)``.
        """
        # Head by head, so that one head's queries, keys and values are in memory at a time.
        heads = [self._head(head, x, holes, keep) for head in range(len(self.patches))]
        return per_frame(self.output_linear, torch.cat(heads, dim=-1).permute(0, 1, 4, 2, 3))

    def _head(self, head: int, x: Tensor, holes: Tensor | None, keep: int) -> Tensor:
        """What one head sees: ``(B, keep, h, w, C/heads)``."""
        patch = self.patches[head]
        width = x.shape[2] // len(self.patches)
        rows = slice(head * width, (head + 1) * width)
        query = tokenise(embed(self.query_embedding, x[:, :keep], rows), patch)
        key = tokenise(embed(self.key_embedding, x, rows), patch)
        value = tokenise(embed(self.value_embedding, x, rows), patch)
        seen = attend(query, key, value, None if holes is None else patch_holes(holes, patch))
        return untokenise(seen, (keep, width, *x.shape[-2:]), patch)


class FeedForward(nn.Module):
    """Two 3×3 convolutions, the first dilated by 2, both followed by a leaky ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            leaky(),
            nn.Conv2d(channels, channels, 3, padding=1),
            leaky(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C, h, w)`` → the same shape."""
        return per_frame(self.conv, x)


class Block(nn.Module):
    """Attention and feed-forward, each added to its input."""

    def __init__(self, config: STTNConfig) -> None:
        super().__init__()
        self.attention = PatchAttention(config.channels, config.patches)
        self.feed_forward = FeedForward(config.channels)

    def forward(self, x: Tensor, holes: Tensor | None, keep: int) -> Tensor:
        """``(B, T, C, h, w)`` → ``(B, keep, C, h, w)``."""
        x = x[:, :keep] + self.attention(x, holes, keep)
        return x + self.feed_forward(x)  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any


class STTN(nn.Module):
    """The generator. ``encode`` → ``infill`` → ``decode``; ``forward`` runs all three.

    The three are apart so that a frame seen by many windows is encoded once.
    """

    def __init__(self, config: STTNConfig | None = None) -> None:
        super().__init__()
        self.config = config or STTNConfig()
        c = self.config.channels
        self.transformer = nn.ModuleList(Block(self.config) for _ in range(self.config.blocks))
        self.encoder = _encoder(self.config)
        self.decoder = DetailDecoder(self.config) if self.config.prefill else _decoder(c)
        self.apply(initialise)
        if self.config.prefill:
            self._start_from_the_fill()

    def _start_from_the_fill(self) -> None:
        """Initialise so that a new network corrects nothing yet, and gradients do not vanish."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, a=0.2)
                if name.endswith(("output_linear.0", "feed_forward.conv.2")):
                    module.weight.data.mul_(1 / math.sqrt(2 * self.config.blocks))
        if isinstance(self.decoder, DetailDecoder) and not self.decoder.out.weight.is_meta:
            nn.init.zeros_(self.decoder.out.weight)

    def prepare(self, frames: Tensor, residual: Tensor) -> Tensor:
        """The encoder's input: hidden pixels become grey, or with ``prefill`` a smooth fill.

        frames: ``(N, 3, H, W)`` in [-1, 1], of no influence where hidden; residual: ``(N, 1, H, W)`` in [0,
        1], how much of a pixel is still to be filled (0.5 or more: hidden). Returns ``(N, 3, H, W)``, or with
        ``prefill`` ``(N, 4, H, W)``, the residual being the fourth channel, or with ``blend_head`` the
        conditioning and its network view ``(N, 16, H, W)``; pixels are then hidden from a residual of 0.97
        on.
        """
        if self.config.blend_head:
            return with_network_view(make_conditioning(frames, residual))
        frames = torch.where(residual >= HIDDEN, 0.0, frames)
        if not self.config.prefill:
            return frames
        return torch.cat([smooth_fill(frames, (1 - 2 * residual).clamp_min(0)), residual], 1)

    def encode(self, prepared: Tensor) -> Tensor:
        """Result of :meth:`prepare` → features ``(N, C, H/reduction, W/reduction)``."""
        return self.encoder(self._seen(prepared))  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any

    def infill(self, features: Tensor, holes: Tensor | None = None, keep: int | None = None) -> Tensor:
        """Features ``(B, T, C, h, w)`` → filled features of the first ``keep`` frames (default all).

        holes: ``(B, T, 1, H, W)`` at any resolution, 1 = fill; read only by a ``mask_attention`` network.
        The frames after ``keep`` are references: every frame attends to them, and the last block, of which
        nothing but the result is used, does not compute them.
        """
        frames = features.shape[1]
        keep = frames if keep is None else keep
        small = None
        if self.config.mask_attention and holes is not None:
            small = functional.interpolate(holes.flatten(0, 1), size=features.shape[-2:], mode="nearest")
            small = small.view(*holes.shape[:3], *features.shape[-2:])
        for index, block in enumerate(self.transformer):
            features = block(features, small, keep if index == len(self.transformer) - 1 else frames)
        return features

    def decode(self, features: Tensor, prepared: Tensor | None = None) -> Tensor:
        """Features ``(N, C, h, w)`` → frames ``(N, 3, H, W)`` in [-1, 1].

        With ``prefill`` the :meth:`prepare`-d frames are needed too, and the result is the correction to
        be added to their smooth fill, or with ``blend_head`` the head output ``(N, 4, H, W)`` of
        :func:`vinpaint_cli.nets.conditioning.blend`.
        """
        if not self.config.prefill:
            return torch.tanh(self.decoder(features))
        if prepared is None:
            raise ValueError("a network with prefill decodes features together with the frames prepared")
        seen = self._seen(prepared)
        half = self.encoder[:4](seen)
        quarter = self.encoder[4:6](half) if self.config.reduction == 8 else None
        decoded: Tensor = self.decoder(features, seen, half, quarter)
        return scale_head(seen, decoded, self.config.colours) if self.config.blend_head else decoded

    def _seen(self, prepared: Tensor) -> Tensor:
        """The part of what was prepared that goes into convolutions."""
        return prepared[:, CONDITIONING_CHANNELS:] if self.config.blend_head else prepared

    def forward(self, masked_frames: Tensor, holes: Tensor | None = None) -> Tensor:
        """Frames ``(B, T, 3, H, W)`` in [-1, 1] with 0 in the hole → filled frames of the same shape.

        With ``blend_head`` what propagation found stays in the hole.

        holes: ``(B, T, 1, H, W)``, 1 = fill; without influence unless built with ``mask_attention`` or
        ``prefill``, which needs them and takes the residual. H and W must split into whole patches
        (:meth:`STTNConfig.fits`), else ValueError.
        """
        batch, frames, _, height, width = masked_frames.shape
        if not self.config.fits(width, height):
            raise ValueError(f"{width}x{height} does not split into patches of {self.config.patches}")
        prepared = masked_frames.flatten(0, 1)
        if self.config.prefill:
            if holes is None:
                raise ValueError("a network with prefill must be told the holes")
            prepared = self.prepare(prepared, holes.flatten(0, 1))
        features = self.encode(prepared)
        features = self.infill(features.view(batch, frames, *features.shape[1:]), holes)
        decoded = self.decode(features.flatten(0, 1), prepared)
        if self.config.blend_head:
            decoded = blend(prepared[:, :CONDITIONING_CHANNELS], decoded)
        elif self.config.prefill:
            decoded = prepared[:, :3] + decoded
        return decoded.view(batch, frames, 3, height, width)


class DetailDecoder(nn.Module):
    """Decoder with skips from the encoder's first layers, for networks that correct a smooth fill.

    The hole's border and its surroundings are known to the pixel; features of an eighth of the frame are
    not. The result is a correction, zero in a new network.
    """

    def __init__(self, config: STTNConfig) -> None:
        super().__init__()
        c = config.channels
        width = c
        if config.reduction == 8:
            self.up_quarter = UpConv(c, c // 2)
            self.mix_quarter = nn.Conv2d(c, c // 2, 3, padding=1)
            width = c // 2
        self.up_half = UpConv(width, c // 4)
        self.mix_half = nn.Conv2d(c // 2, c // 4, 3, padding=1)
        self.up_full = UpConv(c // 4, c // 8)
        self.out = nn.Conv2d(
            c // 8 + _inputs(config), HEAD_CHANNELS if config.blend_head else 3, 3, padding=1
        )
        self.activate = leaky()

    def forward(self, x: Tensor, prepared: Tensor, half: Tensor, quarter: Tensor | None) -> Tensor:
        """Features, and the encoder's view at full, half and quarter size → ``(N, 3 or 4, H, W)``."""
        if quarter is not None:
            x = self.activate(self.up_quarter(x))
            x = self.activate(self.mix_quarter(torch.cat([x, quarter], 1)))
        x = self.activate(self.up_half(x))
        x = self.activate(self.mix_half(torch.cat([x, half], 1)))
        x = self.activate(self.up_full(x))
        return self.out(torch.cat([x, prepared.to(x.dtype)], 1))  # type: ignore[no-any-return]  # as above


def _inputs(config: STTNConfig) -> int:
    """Channels of what the network sees of a frame."""
    if config.blend_head:
        return VIEW_CHANNELS
    return 4 if config.prefill else 3


def _encoder(config: STTNConfig) -> nn.Sequential:
    c = config.channels
    layers: list[nn.Module] = [
        nn.Conv2d(_inputs(config), c // 4, 3, stride=2, padding=1),
        leaky(),
        nn.Conv2d(c // 4, c // 4, 3, padding=1),
        leaky(),
        nn.Conv2d(c // 4, c // 2, 3, stride=2, padding=1),
        leaky(),
    ]
    if config.reduction == 4:
        return nn.Sequential(*layers, nn.Conv2d(c // 2, c, 3, padding=1), leaky())
    last = nn.Conv2d(c, c, 3, padding=1)
    return nn.Sequential(*layers, nn.Conv2d(c // 2, c, 3, stride=2, padding=1), leaky(), last, leaky())


def _decoder(c: int) -> nn.Sequential:
    return nn.Sequential(
        UpConv(c, c // 2),
        leaky(),
        nn.Conv2d(c // 2, c // 4, 3, padding=1),
        leaky(),
        UpConv(c // 4, c // 4),
        leaky(),
        nn.Conv2d(c // 4, 3, 3, padding=1),
    )


def initialise(module: nn.Module) -> None:
    """Weights normal(0, 0.02), biases 0, as for the released network; nothing on the ``meta`` device."""
    if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def per_frame(module: nn.Module, x: Tensor) -> Tensor:
    """Run a 2-D module on each frame of ``(B, T, C, h, w)``."""
    y: Tensor = module(x.flatten(0, 1))
    return y.view(*x.shape[:2], *y.shape[1:])


def embed(conv: nn.Conv2d, x: Tensor, rows: slice) -> Tensor:
    """Some output channels of a 1×1 convolution of each frame of ``(B, T, C, h, w)``."""
    bias = None if conv.bias is None else conv.bias[rows]
    y = functional.conv2d(x.flatten(0, 1), conv.weight[rows], bias)
    return y.view(*x.shape[:2], *y.shape[1:])


def tokenise(x: Tensor, patch: tuple[int, int]) -> Tensor:
    """``(B, T, d, h, w)`` → ``(B, T·patches, ph·pw·d)``, patches in row order.

    Inside a token channels run fastest: attention does not mind the order, and this one copies whole
    rows of a channels-last tensor.
    """
    batch, frames, width, height, length = x.shape
    pw, ph = patch
    x = x.permute(0, 1, 3, 4, 2).reshape(batch, frames, height // ph, ph, length // pw, pw, width)
    tokens = frames * (height // ph) * (length // pw)
    return x.transpose(3, 4).reshape(batch, tokens, ph * pw * width)


def untokenise(tokens: Tensor, shape: tuple[int, int, int, int], patch: tuple[int, int]) -> Tensor:
    """Tokens of frames of ``shape`` ``(T, d, h, w)`` → ``(B, T, h, w, d)``, channels last."""
    frames, width, height, length = shape
    pw, ph = patch
    grid = tokens.view(-1, frames, height // ph, length // pw, ph, pw, width)
    return grid.transpose(3, 4).reshape(-1, frames, height, length, width)


def patch_holes(holes: Tensor, patch: tuple[int, int]) -> Tensor:
    """``(B, T, 1, h, w)`` → bool ``(B, T·patches)``: more than half of the patch is hole."""
    return tokenise(holes, patch).mean(dim=-1) > 0.5


def attend(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None) -> Tensor:
    """Scaled dot-product attention over few, very long tokens; softmax in float32.

    query ``(B, Q, d)``, key and value ``(B, K, d)``, hidden bool ``(B, K)`` or None; result ``(B, Q, d)``.
    Fused kernels are made for short heads (d ≤ 256); with d in the thousands two matrix products take
    half their time and the scores of so few tokens are small.
    """
    parts = list(_attend_parts(query, key, value, hidden))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _attend_parts(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None) -> Iterator[Tensor]:
    rows = max(1, SCORES_AT_ONCE // (key.shape[0] * key.shape[1]))
    scale = 1.0 / math.sqrt(query.shape[-1])
    for start in range(0, query.shape[1], rows):
        part = query[:, start : start + rows]
        # The product scales before it rounds: a sum over 400 000 terms stays inside float16.
        scores = torch.baddbmm(part.new_zeros(()), part, key.transpose(1, 2), beta=0, alpha=scale).float()
        if hidden is not None:
            scores = scores.masked_fill(hidden[:, None], MASKED_SCORE)
        yield torch.matmul(scores.softmax(dim=-1).to(value.dtype), value)
