"""A clip of any size letterboxed into the picture that a network sees, and network pictures brought back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from vinpaint_cli.nets.conditioning import blend, make_conditioning
from vinpaint_cli.nets.holes import HIDDEN, mask_hidden, smooth_start
from vinpaint_cli.types import Clip

FRAMES_AT_ONCE = 4
"""Frames that are encoded, decoded or resized together; more gain no speed and cost memory."""

GREY = 0.5
"""Value of hidden pixels in what a network is given, in [0, 1]."""

SURROUNDINGS = 2
"""Margin around a hole from which its fill is made, in units of the hole's longer side."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Placement of a clip in the network's picture: scaled to fit, centred, the margins mirrored.

    ``inner`` is the ``(height, width)`` of the scaled clip, ``origin`` its ``(row, column)``; ``rows``
    and ``columns`` say for each line of the network's picture which line of the scaled clip it shows.
    """

    clip: Clip
    inner: tuple[int, int]
    origin: tuple[int, int]
    rows: Tensor = field(repr=False)
    columns: Tensor = field(repr=False)

    @classmethod
    def fitted(cls, clip: Clip, size: tuple[int, int]) -> Letterbox:
        """Lay a clip on a picture of ``size`` ``(width, height)``, scaled up or down to fill it."""
        height, width = clip.frames.shape[-2:]
        scale = min(size[0] / width, size[1] / height)
        inner = (min(size[1], max(1, round(height * scale))), min(size[0], max(1, round(width * scale))))
        return cls._centred(clip, inner, size)

    @classmethod
    def within(cls, clip: Clip, pixels: int, multiple: int) -> Letterbox:
        """Lay a clip on a picture of its own shape, scaled down to at most about so many ``pixels``.

        Both sides of the picture are multiples of ``multiple``; what is too much is mirrored.
        """
        height, width = clip.frames.shape[-2:]
        return cls.scaled(clip, min(1.0, math.sqrt(pixels / (width * height))), multiple)

    @classmethod
    def scaled(cls, clip: Clip, factor: float, multiple: int) -> Letterbox:
        """Lay a clip on a picture of its own shape and ``factor`` times its size.

        Both sides of the picture are multiples of ``multiple``; what is too much is mirrored.
        """
        height, width = clip.frames.shape[-2:]
        inner = max(1, round(height * factor)), max(1, round(width * factor))
        rows, columns = (-(-side // multiple) * multiple for side in inner)
        return cls._centred(clip, inner, (columns, rows))

    @classmethod
    def _centred(cls, clip: Clip, inner: tuple[int, int], size: tuple[int, int]) -> Letterbox:
        origin = ((size[1] - inner[0]) // 2, (size[0] - inner[1]) // 2)
        device = clip.frames.device
        rows = mirror(inner[0], origin[0], size[1]).to(device)
        columns = mirror(inner[1], origin[1], size[0]).to(device)
        return cls(clip, inner, origin, rows, columns)

    def network_input(self, indices: Sequence[int], hidden: float = HIDDEN) -> tuple[Tensor, Tensor]:
        """Frames ``(N, 3, H, W)`` in [0, 1], grey where hidden, and residual ``(N, 1, H, W)`` in [0, 1].

        A pixel that any hidden pixel contributes to is hidden, so nothing of the hole leaks out. Hidden are
        pixels whose residual is ``hidden`` or more.
        """
        residual = self.clip.holes[list(indices)].float()
        hole = residual.ge(hidden)
        frames = torch.where(hole, GREY, self.clip.frames[list(indices)].float())
        small_hole = resize(hole.float(), self.inner, "bilinear").gt(0)
        small = torch.where(small_hole, GREY, resize(frames, self.inner, "bilinear"))
        small_residual = resize(residual, self.inner, "bilinear").clamp(0.0, 1.0)
        return self._with_margins(small), self._with_margins(
            torch.where(small_hole, small_residual.clamp_min(hidden), small_residual)
        )

    def hidden(self, indices: Sequence[int]) -> Tensor:
        """Hidden pixels ``(N, 1, H, W)`` in {0, 1}, at network size; made a few frames at a time."""
        return torch.cat([self.network_input(some)[1].ge(HIDDEN).float() for some in chunks(indices)])

    def enlarge(self, index: int, picture: Tensor) -> Tensor:
        """Network picture ``(3, H, W)`` of frame ``index`` → ``(3, h, w)`` in [0, 1], the clip's size.

        Known pixels take the hole's place around it first, so that enlarging leaves no seam.
        """
        frames, residual = self.network_input([index])
        return self._to_clip_size(torch.where(residual >= HIDDEN, picture, frames)).clamp(0.0, 1.0)

    def correct(self, index: int, correction: Tensor) -> Tensor:
        """A smooth fill of frame ``index`` at the clip's size, with the network's correction ``(3, H, W)``.

        Returns ``(3, h, w)`` in [0, 1].
        """
        residual = self.clip.holes[index][None].float()
        frame = mask_hidden(self.clip.frames[index][None].float(), residual, GREY)
        fill = smooth_start(frame * 2 - 1, residual)[0]
        return ((fill + 1) / 2 + self._to_clip_size(correction[None])).clamp(0.0, 1.0)

    def blend(self, index: int, head: Tensor, fill: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Frame ``index`` ``(3, h, w)`` in [0, 1], blended as the output ``head`` ``(4, H, W)`` says.

        The head's correction is in units of [0, 1]. ``fill`` makes a fill ``(1, 3, a, b)`` of the part around
        the hole, of its frame and residual; see :mod:`vinpaint_cli.nets.conditioning`.
        """
        result = self.clip.frames[index].float()
        part = hole_surroundings(self.clip.holes[index, 0] > 0)
        if part is None:
            return result
        frames, residual = result[:, *part][None], self.clip.holes[index][:, *part][None].float()
        conditioning = make_conditioning(frames, residual, fill(frames, residual), GREY)
        reach = max(1, round(result.shape[-1] / self.inner[1]))
        blended = blend(conditioning, self._to_clip_size(head[None])[:, *part][None], reach).clamp(0.0, 1.0)
        result = result.clone()
        result[:, *part] = blended[0]
        return result

    def restore(self, index: int, picture: Tensor) -> Tensor:
        """Network picture ``(3, H, W)`` of frame ``index`` → ``(3, h, w)`` in [0, 1], the clip's size.

        As it is when the clip was not scaled; else what it adds to a smooth fill is enlarged, and added to
        a smooth fill of the clip's size, so that the hole's border stays sharp.
        """
        if self.inner == tuple(self.clip.frames.shape[-2:]):
            return self._to_clip_size(picture[None]).clamp(0.0, 1.0)
        frames, residual = self.network_input([index])
        return self.correct(index, picture - (smooth_start(frames * 2 - 1, residual)[0] + 1) / 2)

    def transfer(self, picture: Tensor, other: Letterbox) -> Tensor:
        """A picture ``(N, C, H, W)`` of this letterbox in ``other``, a letterbox of the same clip."""
        top, left = self.origin
        part = picture[..., top : top + self.inner[0], left : left + self.inner[1]]
        return other._with_margins(resize(part, other.inner, "bicubic"))

    def resized(self, pictures: Tensor) -> Tensor:
        """Pictures ``(N, C, h, w)`` of the clip's size in this letterbox, ``(N, C, H, W)``."""
        return self._with_margins(resize(pictures, self.inner, "bilinear"))

    def _to_clip_size(self, picture: Tensor) -> Tensor:
        """Network picture ``(1, C, H, W)`` → ``(C, h, w)`` without its margins, the clip's size."""
        top, left = self.origin
        part = picture[..., top : top + self.inner[0], left : left + self.inner[1]]
        height, width = self.clip.frames.shape[-2:]
        return resize(part, (height, width), "bicubic")[0]

    def _with_margins(self, pictures: Tensor) -> Tensor:
        return pictures[..., self.rows, :][..., self.columns]


def hole_surroundings(hole: Tensor) -> tuple[slice, slice] | None:
    """Rows and columns of a hole ``(h, w)`` and its `SURROUNDINGS`; None without a hole."""
    places = hole.nonzero()
    if not len(places):
        return None
    first, last = places.amin(0), places.amax(0) + 1
    margin = SURROUNDINGS * int((last - first).max())
    starts, stops = (first - margin).clamp_min(0).tolist(), (last + margin).tolist()
    rows, columns = (slice(a, min(b, side)) for a, b, side in zip(starts, stops, hole.shape, strict=True))
    return rows, columns


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


def chunks(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    """``indices`` in order, ``FRAMES_AT_ONCE`` at a time."""
    for start in range(0, len(indices), FRAMES_AT_ONCE):
        yield indices[start : start + FRAMES_AT_ONCE]
