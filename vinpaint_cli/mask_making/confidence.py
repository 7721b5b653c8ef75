"""Ranges of frames whose tracked mask has low confidence, and the notes that name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vinpaint_cli.masks.segment import FALLBACK

LOW_CONFIDENCE = 0.6
"""Confidence (estimated overlap with the true mask, J) below which a mask should be looked at."""

MAX_NAMED = 4
"""Most ranges that a note names."""

_GAP = 2


@dataclass(frozen=True, slots=True)
class LowConfidenceRange:
    """Frames ``first`` to ``last``, both included; ``worst`` is the one of least ``confidence``."""

    first: int
    last: int
    worst: int
    confidence: float

    def __str__(self) -> str:
        name = f"f{self.first}" if self.first == self.last else f"f{self.first} to f{self.last}"
        return f"{name} ({self.confidence:.2f})"


def low_confidence_ranges(
    confidence: Sequence[float], below: float = LOW_CONFIDENCE
) -> tuple[LowConfidenceRange, ...]:
    """Ranges of frames with a confidence under ``below``, worst first; gaps of two frames are bridged."""
    marked = [index for index, value in enumerate(confidence) if value < below]
    if not marked:
        return ()
    breaks = [place for place, (one, next_) in enumerate(pairwise(marked), 1) if next_ - one > _GAP + 1]
    runs = [marked[start:stop] for start, stop in pairwise([0, *breaks, len(marked)])]
    return tuple(sorted((_range(run, confidence) for run in runs), key=lambda run: run.confidence))


def worst_frames(confidence: Sequence[float], most: int, among: Sequence[int] | None = None) -> list[int]:
    """The frame of least confidence of each of ``most`` equal parts of the clip, worst first.

    ``among``: frames to choose from, rising, all by default; with no more than ``most`` all are chosen.
    """
    left = list(range(len(confidence)) if among is None else among)
    parts = min(most, len(left))
    bounds = [part * len(left) // parts for part in range(parts + 1)] if parts else []
    chosen = [min(left[start:stop], key=lambda index: confidence[index]) for start, stop in pairwise(bounds)]
    return sorted(chosen, key=lambda index: (confidence[index], index))


def low_confidence_notes(confidence: Sequence[float], segmenter: str = "") -> list[str]:
    """A line that names the low-confidence ranges and what helps; empty when there are none.

    segmenter: name of the one that was used, empty where nothing was pointed at; one without weights is not
    the best there is.
    """
    found = low_confidence_ranges(confidence)
    if not found:
        return []
    named = ", ".join(str(one) for one in found[:MAX_NAMED])
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    worst = found[0].worst
    other = "--candidate 2, " if segmenter else ""
    better = ", or --segmenter sam after `vinpaint weights pull sam-vit-b`" if segmenter == FALLBACK else ""
    return [
        f"the mask is uncertain in {named}{more}; look at it with --preview, and if it is wrong there give "
        f"{other}another --click X,Y@f{worst}, a --not X,Y@f{worst}, a --box-prompt X,Y,W,H@f{worst} or "
        f"--fix f{worst}=MASK{better}"
    ]


def _range(run: Sequence[int], confidence: Sequence[float]) -> LowConfidenceRange:
    worst = min(run, key=lambda index: confidence[index])
    return LowConfidenceRange(run[0], run[-1], worst, confidence[worst])
