"""Temporal windows that overlap: their frames, reference frames and blend weights.

Every method walks through a clip by this one plan, so an overlap is blended in one way only: by weights
that depend on the distance to a window's centre and never on the order of visiting.
"""

from __future__ import annotations

import math

from vinpaint_cli.types import Window


def plan_windows(
    frames: int,
    *,
    radius: int,
    stride: int,
    reference_stride: int = 0,
    max_references: int | None = None,
) -> tuple[Window, ...]:
    """Cover a clip of ``frames`` frames with overlapping windows.

    Windows are centred at 0, ``stride``, 2·``stride`` … and hold the frames within ``radius`` of their
    centre; one more is centred at the last frame when these do not reach it. Windows of the same frames
    are merged. References are those of the frames 0, ``reference_stride``, … that lie outside the window
    (STTN's test procedure: radius 5, stride 5, reference stride 10), at most ``max_references``: the
    nearest one and an even spread of the others. Half-overlapped windows have ``radius == stride``.

    For each frame the weights of its windows sum to one; ``frames`` 0 gives no window.

    Raises ValueError (a negative figure, or a stride that would leave frames uncovered).
    """
    _check(frames, radius, stride, reference_stride, max_references)
    centres = _centres(frames, radius, stride)
    spans = [range(max(0, c - radius), min(frames, c + radius + 1)) for c in centres]
    raw = [_profile(span, c, radius) for span, c in zip(spans, centres, strict=True)]
    totals = [0.0] * frames
    for span, weights in zip(spans, raw, strict=True):
        for index, weight in zip(span, weights, strict=True):
            totals[index] += weight
    merged: dict[range, list[float]] = {}
    for span, weights in zip(spans, raw, strict=True):
        sums = merged.setdefault(span, [0.0] * len(span))
        for place, (index, weight) in enumerate(zip(span, weights, strict=True)):
            sums[place] += weight / totals[index]
    return tuple(
        Window(span, _references(frames, span, reference_stride, max_references), tuple(weights))
        for span, weights in merged.items()
    )


def _check(frames: int, radius: int, stride: int, reference_stride: int, max_references: int | None) -> None:
    """Refuse plans that cannot cover a clip."""
    if frames < 0 or radius < 0 or reference_stride < 0 or (max_references or 0) < 0:
        raise ValueError(
            f"frames {frames}, radius {radius}, reference stride {reference_stride} and "
            f"references {max_references} must not be negative"
        )
    if not 1 <= stride <= 2 * radius + 1:
        raise ValueError(f"stride {stride} must be 1 to {2 * radius + 1} for windows of radius {radius}")


def _centres(frames: int, radius: int, stride: int) -> list[int]:
    """Centres in order; the last frame becomes one when it would else stay uncovered."""
    centres = list(range(0, frames, stride))
    if centres and centres[-1] + radius < frames - 1:
        centres.append(frames - 1)
    return centres


def _profile(span: range, centre: int, radius: int) -> list[float]:
    """Raised cosine over the distance to the centre, positive at every frame of the window."""
    return [0.5 + 0.5 * math.cos(math.pi * (index - centre) / (radius + 1)) for index in span]


def _references(frames: int, span: range, stride: int, most: int | None) -> tuple[int, ...]:
    """Reference frames outside the window, thinned to ``most``."""
    if stride == 0:
        return ()
    candidates = [index for index in range(0, frames, stride) if index not in span]
    if most is None or len(candidates) <= most:
        return tuple(candidates)
    if most == 0:
        return ()
    nearest = min(candidates, key=lambda index: _distance(index, span))
    others = [index for index in candidates if index != nearest]
    return tuple(sorted([nearest, *_spread(others, most - 1)]))


def _distance(index: int, span: range) -> int:
    """Frames between a reference and the window."""
    return max(span.start - index, index - span.stop + 1)


def _spread(items: list[int], count: int) -> list[int]:
    """``count`` items at even steps, the first and the last included when there are two or more."""
    if count == 0:
        return []
    if count == 1:
        return [items[len(items) // 2]]
    return [items[round(step * (len(items) - 1) / (count - 1))] for step in range(count)]
