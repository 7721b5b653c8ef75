"""Walk through the clip in order, laying finished patches over its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from vinpaint_cli.engine.patches import PatchStore
from vinpaint_cli.types import Frame, FrameSource, Segment
from vinpaint_cli.video.planes import compose


def composed_frames(
    source: FrameSource,
    segments: Sequence[Segment],
    store: PatchStore,
    fill: Callable[[Segment], None],
) -> Iterator[Frame]:
    """All frames of ``source`` in order; those without a patch exactly as they were decoded.

    ``fill`` is called for a segment just before its first patch is due and must put the segment's patches
    into ``store``, so that those of one segment and of its join with the next are held.
    """
    waiting = iter(sorted(segments, key=lambda segment: segment.shown.start))
    due = next(waiting, None)
    for frame in source.frames():
        while due is not None and due.shown.start <= frame.index:
            fill(due)
            due = next(waiting, None)
        patches = store.take(frame.index)
        yield compose(frame, patches) if patches else frame
