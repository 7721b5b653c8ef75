"""Walk through the clip in order, laying finished patches over its frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vinpaint_cli.engine.patches import PatchStore
from vinpaint_cli.types import Frame, FrameSource, Patch, Segment
from vinpaint_cli.video.planes import compose


def in_order(segments: Iterable[Segment]) -> list[Segment]:
    """Segments in the order in which their first patches are due."""
    return sorted(segments, key=lambda segment: segment.shown.start)


def composed_frames(
    source: FrameSource,
    segments: Sequence[Segment],
    filled: Iterator[Iterable[Patch]],
    store: PatchStore,
) -> Iterator[Frame]:
    """All frames of ``source`` in order; those without a patch exactly as they were decoded.

    ``filled`` gives the patches of ``segments``, which are `in_order`. A segment's are asked for just
    before the first of them is due, so that those of one segment and of its join with the next are held.
    """
    waiting = iter(segments)
    due = next(waiting, None)
    for frame in source.frames():
        while due is not None and due.shown.start <= frame.index:
            store.put(next(filled))
            due = next(waiting, None)
        patches = store.take(frame.index)
        yield compose(frame, patches) if patches else frame
