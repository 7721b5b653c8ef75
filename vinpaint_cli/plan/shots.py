"""Shots as ranges of frames, made from the frames at which cuts were detected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise


def shots_from_cuts(frames: int, cuts: Sequence[int]) -> tuple[range, ...]:
    """Split ``frames`` frames at the cuts; a cut is the index of the first frame of a new shot.

    The shots are in order, not empty, and together hold every frame once; 0 frames have no shot.

    Raises ValueError (cuts that do not rise strictly, or that lie outside ``1 … frames − 1``).
    """
    if frames < 0:
        raise ValueError(f"a clip cannot have {frames} frames; give 0 or more")
    if any(not 0 < cut < frames for cut in cuts):
        raise ValueError(f"cuts {list(cuts)} must lie in 1 to {frames - 1} for a clip of {frames} frames")
    if any(second <= first for first, second in pairwise(cuts)):
        raise ValueError(f"cuts {list(cuts)} must rise strictly")
    if frames == 0:
        return ()
    return tuple(range(start, stop) for start, stop in pairwise((0, *cuts, frames)))


def split_shots(shots: Sequence[range], places: Iterable[int]) -> tuple[range, ...]:
    """The same frames with a new shot beginning at each of ``places`` that lies inside a shot."""
    cuts = sorted(set(places))
    pieces = []
    for shot in shots:
        edges = [shot.start, *(cut for cut in cuts if shot.start < cut < shot.stop), shot.stop]
        pieces += [range(start, stop) for start, stop in pairwise(edges)]
    return tuple(pieces)
