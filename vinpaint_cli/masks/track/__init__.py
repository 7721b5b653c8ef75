"""Trackers: from masks on one or more frames of a shot to a mask on every frame, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from vinpaint_cli.types import FrameSource
from vinpaint_cli.util.registry import Registry

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole, Segmenter

TRACKERS = Registry(
    "tracker",
    {
        "flow": "vinpaint_cli.masks.track.flow:FlowTracker",
        "internal": "vinpaint_cli.masks.track.internal:InternalTracker",
        "warp": "vinpaint_cli.masks.track.baselines:WarpTracker",
        "copy": "vinpaint_cli.masks.track.baselines:CopyTracker",
    },
)
"""Each class is built from a segmenter or None; warp and copy are baselines."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """The object on one frame: absolute ``index``, ``hole`` bool ``(H, W)``, ``confidence`` in [0, 1].

    The confidence is a guess at the mask's overlap with the truth (J); for an empty hole it is how sure
    the tracker is that the object is not to be seen.
    """

    index: int
    hole: Hole
    confidence: float


@runtime_checkable
class Tracker(Protocol):
    """Follows one object through one shot; deterministic."""

    def track(
        self,
        source: FrameSource,
        shot: range,
        seeds: Mapping[int, Hole],
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[Tracked]:
        """One `Tracked` per frame of the shot, in any order.

        shot: absolute frame indices, nothing beyond them is looked at. seeds: absolute frame index → bool
        ``(H, W)``, True on the object; those within the shot are given back as they are with confidence 1.
        ``tick`` is called once per frame given. Without a seed in the shot every hole is empty, with
        confidence 1. Raises MaskError (a seed of another size than the frame) and VideoError.
        """
        ...


def tracker_names() -> tuple[str, ...]:
    """Names a tracker may be asked for by, in the order of the table."""
    return TRACKERS.names


def open_tracker(name: str, segmenter: Segmenter | None = None) -> Tracker:
    """Build a tracker; ``segmenter`` is what it may ask about single frames.

    Raises UsageError (a name that is not in the table).
    """
    return cast("Tracker", TRACKERS.load(name)(segmenter))
