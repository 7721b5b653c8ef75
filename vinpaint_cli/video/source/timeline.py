"""Time stamps of frames, made strictly increasing where the container's are missing or wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av


@dataclass(frozen=True, slots=True)
class Stamped:
    """A native frame with its final ``pts`` and ``duration`` in ticks; ``raw`` is the container's pts."""

    native: av.VideoFrame
    pts: int
    duration: int
    raw: int | None

    @property
    def invented(self) -> bool:
        """Whether the container's own time could not be used."""
        return self.pts != self.raw


def stamp(frames: Iterable[av.VideoFrame], step: int, last: int | None = None) -> Iterator[Stamped]:
    """Give every frame a time later than the one before it.

    ``step`` is the usual distance in ticks, ``last`` the time of the frame before the first one. A missing
    or repeated time is placed one step after its predecessor, or half-way to the next good time when that
    is nearer; one frame is held back for this. A missing duration is the distance to the next frame.
    """
    held: av.VideoFrame | None = None
    for native in frames:
        if held is not None:
            stamped = _place(held, native, step, last)
            last = stamped.pts
            yield stamped
        held = native
    if held is not None:
        yield _place(held, None, step, last)


def _place(native: av.VideoFrame, following: av.VideoFrame | None, step: int, last: int | None) -> Stamped:
    raw = native.pts
    upcoming = following.pts if following is not None else None
    if raw is not None and (last is None or raw > last):
        pts = raw
    elif last is None:
        pts = 0 if upcoming is None else upcoming - step
    else:
        pts = last + step
        if upcoming is not None and last + 1 < upcoming <= pts:
            pts = last + max(1, (upcoming - last) // 2)
    gap = upcoming - pts if upcoming is not None and upcoming > pts else step
    return Stamped(native, pts, native.duration or gap, raw)
