"""Trackers by name: from prompt masks on some frames of a shot to a mask on every frame."""

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
"""Each class is constructed from a segmenter or None; warp and copy are baselines."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """The object on one frame: absolute ``index``, ``hole`` bool ``(H, W)``, ``confidence`` in [0, 1].

    ``hole`` is True on the object. The confidence estimates the mask's overlap with the true mask (J); for an
    empty mask it is how sure the tracker is that the object is not visible.
    """

    index: int
    hole: Hole
    confidence: float


@runtime_checkable
class Tracker(Protocol):
    """Tracks one object through one shot; deterministic."""

    def track(
        self,
        source: FrameSource,
        shot: range,
        prompt_masks: Mapping[int, Hole],
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[Tracked]:
        """Yield one `Tracked` per frame of the shot, in any order.

        shot: absolute frame indices; no other frames are read. prompt_masks: absolute frame index → bool
        ``(H, W)``, True on the object; those in the shot are returned as they are, with confidence 1.
        ``tick`` is called once per frame. Without a prompt mask in the shot every mask is empty, with
        confidence 1. Raises MaskError (a prompt mask of another size than the frame) and VideoError.
        """
        ...


def tracker_names() -> tuple[str, ...]:
    """Names of all trackers, in the order of the table."""
    return TRACKERS.names


def open_tracker(name: str, segmenter: Segmenter | None = None) -> Tracker:
    """The tracker called ``name``; ``segmenter`` may be used by it to refine single frames.

    Raises UsageError (an unknown name).
    """
    return cast("Tracker", TRACKERS.load(name)(segmenter))
