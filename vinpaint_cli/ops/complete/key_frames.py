"""Texture for what no frame shows, the same in all frames: made on one frame and carried along the flow.

On the frame where most is hidden, what was filled smoothly is replaced by patches from around it
(`ops.exemplar`). The other frames take it over along the completed flow; each pixel knows its position in
that key frame, so the picture is sampled once and nothing blurs, and takes on the light of its frame. What
they hide besides is filled as soon as it is more than slivers, and comes in softly. (Key frames as in Xu et
al., Deep Flow-Guided Video Inpainting, CVPR 2019, section 3.4.)

Invented texture in the wrong place is worse than a soft picture. So it fades to what was there before where
the patches did not fit, where the flow has bent it out of shape, and where, beside the hole, it is not what
is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vinpaint_cli.ops.complete.patch_completion import HIDDEN, fill_with_patches, textured
from vinpaint_cli.ops.flow.motion import Motion
from vinpaint_cli.ops.image import (
    Array,
    Bool,
    box_around,
    depth_inside,
    dilate,
    inside,
    mean_around,
    membrane,
    pixel_positions,
    sample,
)

MARGIN = 4
"""Pixels, at 240 lines, around what a key frame filled that are followed too: to compare, and to borrow."""

CONTEXT = 48
"""Least distance in pixels, at 240 lines, from which patches are taken; else the length of what is hidden."""

LEAST_DEPTH = 2
"""Depth in pixels, at 240 lines, from which what a frame hides besides is worth texture of its own."""

LEAST_PART = 0.05
"""Part of what a frame hides from which the rest is worth that."""

WORN = 0.5
"""Trust that bending leaves it from which on another texture is to follow, which fades in over it."""

WORN_PART = 0.6
"""Part of what a frame hides that is worn from which it gets another: rarely, since that takes time."""

WINDOW = 4
"""Pixels, at 240 lines, on each side over which differences and bending are averaged."""

MISFIT = 0.16
"""Root of what `fill_with_patches` tells of how badly patches fit, at which texture has e⁻¹ of its trust."""

MISMATCH = 0.12
"""Difference in colour beside the hole (of 1), light apart, at which it has e⁻¹ of its trust."""

BENT = 0.6
"""Change of the displacement per pixel at which it has e⁻¹ of its trust."""

FAINT = 0.3
"""Trust up to which nothing is laid; from one less this on, all of it: half-seen texture is a blemish."""

SEEN = 0.3
"""Share to be filled up to which a pixel beside the hole tells whether texture goes on in it."""


@dataclass(frozen=True, slots=True)
class _Key:
    """A key frame's picture ``(h, w, 3)``, seen from another frame.

    Of the key frame: fit ``(h, w)``, how well the patches fitted; laid ``(h, w)``, the part of the picture
    that is theirs, 1 beside them. Of that other frame: shift ``(h, w, 2)``, from a pixel to where it lies in
    the picture (x, y); reached, bool ``(h, w)``, whether that is in or close to what the key frame filled;
    worn, bool ``(h, w)``, whether the flow has bent it by now; trust, ``(h, w)`` in [0, 1]; light, ``(3,)``,
    how much brighter the key is.
    """

    picture: Array
    fit: Array
    laid: Array
    shift: Array
    reached: Bool
    worn: Bool
    trust: Array
    light: Array


def add_texture(frames: Array, shares: Array, motion: Motion, unit: float = 1.0) -> None:
    """Give texture to what is all but unknown, in place.

    frames: float32 ``(T, h, w, 3)`` in [0, 1], complete. shares: float32 ``(T, h, w)`` in [0, 1], how much of
    each pixel was filled; above 0.5 it may change. motion: of these frames, completed in the holes. unit:
    height of the whole picture / 240.
    """
    hidden = [int(np.count_nonzero(share > HIDDEN)) for share in shares]
    if not any(hidden):
        return
    count = len(hidden)
    first = max(range(count), key=lambda t: (hidden[t], -abs(2 * t - count)))
    scale = max(1.0, unit)
    key = _fill(frames[first], shares[first], scale, trust=1.0)
    _carry(frames, shares, motion, key, range(first + 1, count), -1, scale)
    _carry(frames, shares, motion, key, range(first - 1, -1, -1), 1, scale)


def _fill(frame: Array, share: Array, scale: float, trust: float) -> _Key:
    """Fill what is hidden in a frame ``(h, w, 3)`` as far as texture is trusted; the frame becomes a key."""
    hidden = share > HIDDEN
    rows, columns = np.nonzero(hidden)
    box = box_around(hidden, max(round(CONTEXT * scale), int(np.ptp(rows)), int(np.ptp(columns))))
    picture, misfit = frame.copy(), np.zeros_like(share)
    picture[box], misfit[box] = fill_with_patches(np.ascontiguousarray(frame[box]), share[box])
    fit = np.exp(-misfit / MISFIT**2).astype(np.float32)
    frame += _part(trust * fit)[..., None] * (picture - frame)
    near = dilate(hidden, round(MARGIN * scale))
    laid = np.where(hidden, textured(share), np.float32(1))
    shift, light = np.zeros((*share.shape, 2), np.float32), np.zeros(3, np.float32)
    return _Key(picture, fit, laid, shift, near, np.zeros_like(hidden), np.full_like(share, trust), light)


def _part(trust: Array) -> Array:
    """How much of a texture is laid, by how far it is trusted."""
    return np.asarray(np.clip((trust - FAINT) / (1 - 2 * FAINT), 0, 1), np.float32)


def _carry(
    frames: Array,
    shares: Array,
    motion: Motion,
    key: _Key,
    order: Iterable[int],
    direction: int,
    scale: float,
) -> None:
    """Fill frames in turn from their neighbours in ``direction``, and what those do not hide, anew."""
    keys = [key]
    for t in order:
        flow, _ = motion.step(t, direction)
        hidden = shares[t] > HIDDEN
        near = dilate(hidden, round(MARGIN * scale))
        moved = [_moved(known, flow, near) for known in keys]
        keys = [_judged(known, frames[t], shares[t], scale) for known in moved if known.reached.any()]
        left = _lay(frames[t], shares[t], keys)
        rest = left > HIDDEN
        worn = rest & np.any([known.worn for known in keys], axis=0) if keys else np.zeros_like(rest)
        parts = (rest & ~worn, LEAST_PART), (worn, WORN_PART)
        if any(_worthwhile(one, hidden, scale, part) for one, part in parts):
            keys.append(_fill(frames[t], left, scale, trust=0.0))


def _worthwhile(rest: Bool, hidden: Bool, scale: float, part: float) -> bool:
    """Whether the rest of the hidden pixels is more than slivers, and than a part of them."""
    enough = np.count_nonzero(rest) > part * np.count_nonzero(hidden)
    return bool(enough and depth_inside(rest).max() >= LEAST_DEPTH * scale)


def _moved(key: _Key, flow: Array, near: Bool) -> _Key:
    """The key seen from the frame that ``flow (h, w, 2)`` leaves, where it is ``near`` something hidden."""
    rows, columns = np.nonzero(near)
    ahead = flow[rows, columns]
    support = key.reached.astype(np.float32)
    known = np.dstack([key.shift * support[..., None], key.trust * support, key.worn * support, support])
    carried = sample(known, pixel_positions(rows, columns) + ahead, outside="zero")
    carried[:, :4] /= np.maximum(carried[:, 4:], 1e-6)
    shift, trust = np.zeros_like(key.shift), np.zeros_like(key.trust)
    reached, worn = np.zeros_like(near), np.zeros_like(near)
    shift[rows, columns] = ahead + carried[:, :2]
    trust[rows, columns] = carried[:, 2]
    reached[rows, columns] = carried[:, 4] > 0.5
    worn[rows, columns] = (carried[:, 3] > 0.5) & (carried[:, 4] > 0.5)
    return replace(key, shift=shift, reached=reached, worn=worn, trust=trust)


def _judged(key: _Key, frame: Array, share: Array, scale: float) -> _Key:
    """The key in the light of this frame, and its trust: half of it the neighbour's, so that it lasts."""
    box = box_around(key.reached, round(WINDOW * scale))
    part = replace(key, shift=key.shift[box], reached=key.reached[box], trust=key.trust[box])
    light, mismatch = _compare(part, frame[box], share[box], scale, box)
    unbent = np.exp(-((_bending(part, scale) / BENT) ** 2))
    trust, worn = np.zeros_like(key.trust), key.worn.copy()
    trust[box] = (part.trust + unbent * np.exp(-((mismatch / MISMATCH) ** 2))) / 2
    worn[box] |= part.reached & (unbent < WORN)
    return replace(key, worn=worn, trust=trust, light=light)


def _compare(
    key: _Key, frame: Array, share: Array, scale: float, box: tuple[slice, slice]
) -> tuple[Array, Array]:
    """How the key differs from what is seen beside the hole: in light ``(3,)``, and else ``(h, w)``.

    Where little is seen there, what was half found tells, and at the last the smooth fill.
    """
    beside = next(
        found for part in (share < SEEN, share <= HIDDEN, share <= 1) if (found := key.reached & part).any()
    )
    rows, columns = np.nonzero(beside)
    corner = np.array([box[1].start, box[0].start], np.float32)
    apart = np.zeros_like(frame)
    apart[beside] = (
        sample(key.picture, pixel_positions(rows, columns) + corner + key.shift[beside]) - frame[beside]
    )
    light = np.median(apart[beside], axis=0).astype(np.float32)
    apart[beside] -= light
    # The mean first: texture that lies a pixel aside goes on as well as any.
    known = beside.astype(np.float32)
    error = np.abs(mean_around(apart, known, round(WINDOW * scale))).mean(-1) * known
    return light, membrane(np.asarray(error[..., None], np.float32), known)[..., 0]


def _bending(key: _Key, scale: float) -> Array:
    """How much the displacement changes from pixel to pixel ``(h, w)``, on average around."""
    reached = key.reached.astype(np.float32)
    change = np.zeros_like(reached)
    down, right = np.abs(np.diff(key.shift, axis=0)).sum(-1), np.abs(np.diff(key.shift, axis=1)).sum(-1)
    change[1:] += down * reached[1:] * reached[:-1]
    change[:, 1:] += right * reached[:, 1:] * reached[:, :-1]
    return mean_around(change, reached, round(WINDOW * scale))


def _lay(frame: Array, share: Array, keys: Sequence[_Key]) -> Array:
    """Put what the keys hold into ``frame (h, w, 3)``, the first that reaches a pixel; returns what is left.

    That is the share of each pixel; 0.5 where something was laid: not to be filled, nor to be copied. What is
    worn is laid, but others go over it.
    """
    left = share.copy()
    for key in keys:
        rows, columns = np.nonzero(key.reached & (left > HIDDEN))
        positions = pixel_positions(rows, columns) + key.shift[rows, columns]
        shown = inside(positions, *share.shape)
        rows, columns, positions = rows[shown], columns[shown], positions[shown]
        if len(rows):
            colour = np.clip(sample(key.picture, positions, order=3) - key.light, 0, 1)
            trust = sample(key.fit, positions) * key.trust[rows, columns]
            laid = np.maximum(sample(key.laid, positions), 1e-3)
            part = _part(trust) * np.minimum(textured(share[rows, columns]) / laid, 1)
            frame[rows, columns] += part[:, None] * (colour - frame[rows, columns])
            left[rows, columns] = np.where(key.worn[rows, columns], left[rows, columns], HIDDEN)
    return left
