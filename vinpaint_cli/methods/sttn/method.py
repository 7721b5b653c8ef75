"""The adapter between a clip of any size and the STTN network.

A clip is scaled to fit the network's size without distortion, in the middle, and the rest of the
network's picture is filled with its mirror image (hole and all). Windows follow the paper's test
procedure; their overlaps are blended by the planner's weights. Only what a later window needs is kept.

A network built with ``prefill`` gives corrections of a smooth fill: they are enlarged, and added to a
smooth fill of the clip at its own size, so that the hole's border stays as sharp as the clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.methods.sttn.net import HIDDEN, STTN, STTNConfig
from vinpaint_cli.methods.sttn.spec import SPEC
from vinpaint_cli.nets.smooth import smooth_fill
from vinpaint_cli.plan.windows import plan_windows
from vinpaint_cli.types import Clip, MethodSpec, Window
from vinpaint_cli.weights.state import load_checkpoint, load_into
from vinpaint_cli.weights.store import resolve

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

FRAMES_AT_ONCE = 4
"""Frames encoded, decoded or resized together; more gain no speed and cost memory."""

GREY = 0.5
"""What a hole holds before the network sees it: 0 in the network's range of [-1, 1]."""


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
        self.dtype = _dtype(dtype)
        self.max_references = max_references
        network = load_network(weights or str(SPEC.weights), config)
        network.eval().requires_grad_(False)
        # A third faster than the default layout on a CPU; convolutions hand it on to their results.
        self.network = network.to(self.device, self.dtype).to(memory_format=torch.channels_last)

    @property
    def spec(self) -> MethodSpec:
        """What the method can do; the size is that of the loaded network."""
        return replace(SPEC, size=self.network.config.size)

    def fill(self, clip: Clip) -> Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]: the network's values where ``holes`` > 0, else the clip's.

        Values of hidden pixels (share 0.5 or more) are not read. Frames without any (with ``prefill``:
        without a hole) cost nothing unless a window that fills another frame looks at them. Raises
        UsageError when float16 overflows.
        """
        result = clip.frames.to(torch.float32, copy=True)
        prefill = self.network.config.prefill
        least = torch.finfo(torch.float32).tiny if prefill else HIDDEN
        holes = clip.holes.flatten(1).ge(least).any(dim=1).tolist()
        windows = [w for w in self._windows(len(holes)) if any(holes[i] for i in w.frames)]
        with torch.no_grad():
            sheet = Sheet.fitted(clip, self.network.config.size)
            for index, small in self._filled(sheet, windows, holes):
                picture = sheet.correct(index, small) if prefill else sheet.enlarge(index, small)
                result[index] = torch.where(clip.holes[index] > 0, picture, result[index])
        return result

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

        Pictures in [0, 1], or with ``prefill`` corrections in units of that range.
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
        for some in _chunks(new):
            prepared = self._prepared(sheet, some)
            pairs = zip(self.network.encode(prepared), prepared, strict=True)
            for index, (features, frame) in zip(some, pairs, strict=True):
                # Cloned, lest one needed frame keep its whole batch alive.
                kept = frame.clone() if self.network.config.prefill else None
                seen[index] = _Seen(features.clone(), kept)

    def _prepared(self, sheet: Sheet, indices: Sequence[int]) -> Tensor:
        """What the network encodes of some frames, ``(N, 3 or 4, H, W)``."""
        frames, shares = (part.to(self.device) for part in sheet.shrink(indices))
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
        for some in _chunks(range(len(wanted))):
            frames = [seen[wanted[place]].prepared for place in some]
            prepared = torch.stack([f for f in frames if f is not None]) if prefill else None
            decoded = self.network.decode(filled[some[0] : some[-1] + 1], prepared).float()
            decoded = decoded.to(sheet.clip.frames.device)
            self._check_finite(decoded)
            for place, picture in zip(some, decoded, strict=True):
                index = wanted[place]
                picture = picture / 2 if prefill else (picture + 1) / 2
                yield index, picture * window.weights[index - window.frames.start]

    def _check_finite(self, decoded: Tensor) -> None:
        if not decoded.isfinite().all():
            raise UsageError(f"these weights overflow in {self.dtype}; use --precision bf16 or fp32")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a frame: features ``(C, h, w)``, and with ``prefill`` what they were made from."""

    features: Tensor
    prepared: Tensor | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A clip laid out on the network's picture: scaled to fit, centred, the margins mirrored.

    ``inner`` is the ``(height, width)`` of the scaled clip, ``origin`` its ``(row, column)``; ``rows``
    and ``columns`` say for each line of the network's picture which line of the scaled clip it shows.
    """

    clip: Clip
    inner: tuple[int, int]
    origin: tuple[int, int]
    rows: Tensor = field(repr=False)
    columns: Tensor = field(repr=False)

    @classmethod
    def fitted(cls, clip: Clip, size: tuple[int, int]) -> Sheet:
        """Lay a clip on a picture of ``size`` ``(width, height)``."""
        height, width = clip.frames.shape[-2:]
        scale = min(size[0] / width, size[1] / height)
        inner = (min(size[1], max(1, round(height * scale))), min(size[0], max(1, round(width * scale))))
        origin = ((size[1] - inner[0]) // 2, (size[0] - inner[1]) // 2)
        device = clip.frames.device
        rows = mirror(inner[0], origin[0], size[1]).to(device)
        columns = mirror(inner[1], origin[1], size[0]).to(device)
        return cls(clip, inner, origin, rows, columns)

    def shrink(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Frames ``(N, 3, H, W)`` in [0, 1], grey where hidden, and shares ``(N, 1, H, W)`` in [0, 1].

        A pixel that any hidden pixel contributes to is hidden, so nothing of the hole leaks out.
        """
        shares = self.clip.holes[list(indices)].float()
        hole = shares.ge(HIDDEN)
        frames = torch.where(hole, GREY, self.clip.frames[list(indices)].float())
        small_hole = resize(hole.float(), self.inner, "bilinear").gt(0)
        small = torch.where(small_hole, GREY, resize(frames, self.inner, "bilinear"))
        small_shares = resize(shares, self.inner, "bilinear").clamp(0.0, 1.0)
        return self._spread(small), self._spread(
            torch.where(small_hole, small_shares.clamp_min(HIDDEN), small_shares)
        )

    def holes(self, indices: Sequence[int]) -> Tensor:
        """What is hidden ``(N, 1, H, W)`` in {0, 1}, at network size, a few frames at a time."""
        return torch.cat([self.shrink(some)[1].ge(HIDDEN).float() for some in _chunks(indices)])

    def enlarge(self, index: int, picture: Tensor) -> Tensor:
        """Network picture ``(3, H, W)`` of frame ``index`` → ``(3, h, w)`` in [0, 1], the clip's size.

        Known pixels take the hole's place around it first, so that enlarging leaves no seam.
        """
        frames, shares = self.shrink([index])
        return self._back(torch.where(shares >= HIDDEN, picture, frames)).clamp(0.0, 1.0)

    def correct(self, index: int, correction: Tensor) -> Tensor:
        """A smooth fill of frame ``index`` at the clip's size, with the network's correction ``(3, H, W)``.

        Returns ``(3, h, w)`` in [0, 1].
        """
        share = self.clip.holes[index][None].float()
        frame = torch.where(share >= HIDDEN, GREY, self.clip.frames[index][None].float())
        fill = smooth_fill(frame * 2 - 1, (1 - 2 * share).clamp_min(0.0))[0]
        return ((fill + 1) / 2 + self._back(correction[None])).clamp(0.0, 1.0)

    def _back(self, picture: Tensor) -> Tensor:
        """Network picture ``(1, 3, H, W)`` → ``(3, h, w)`` without its margins, the clip's size."""
        top, left = self.origin
        part = picture[..., top : top + self.inner[0], left : left + self.inner[1]]
        height, width = self.clip.frames.shape[-2:]
        return resize(part, (height, width), "bicubic")[0]

    def _spread(self, pictures: Tensor) -> Tensor:
        return pictures[..., self.rows, :][..., self.columns]


def mirror(inner: int, before: int, length: int) -> Tensor:
    """Indices ``(length,)`` into ``inner`` lines that start at ``before`` and are mirrored at both ends.

    The line at the end is not repeated; margins may be longer than the picture.
    """
    if inner == 1:
        return torch.zeros(length, dtype=torch.long)
    period = 2 * (inner - 1)
    place = torch.arange(-before, length - before).remainder(period)
    return torch.minimum(place, period - place)


def resize(pictures: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """``(N, C, h, w)`` → ``(N, C, *size)``, antialiased where it shrinks; unchanged when already so large."""
    if tuple(pictures.shape[-2:]) == size:
        return pictures
    return functional.interpolate(pictures, size=size, mode=mode, align_corners=False, antialias=True)


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


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype in DTYPES:
        return DTYPES[dtype]
    raise UsageError(f"precision {dtype!r} is not known to STTN; choose one of {', '.join(DTYPES)}")


def _chunks(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), FRAMES_AT_ONCE):
        yield indices[start : start + FRAMES_AT_ONCE]
