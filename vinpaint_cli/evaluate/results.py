"""Results of evaluate: one row per clip, kind of hole and method, and their means over frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from vinpaint_cli.evaluate.realism import KID_MEASURES, SHARPNESS_MEASURES
from vinpaint_cli.evaluate.score import FRAME_MEASURES, PAIR_MEASURES, Series, mean
from vinpaint_cli.metrics.kid import Described, kid

TRUTH = "truth"
"""Name under which the true clip stands in the tables: the best that can be had."""

CEILING = {
    "psnr": 100.0,
    "ssim": 1.0,
    "psnr_hole": 100.0,
    "ssim_hole": 1.0,
    "l1_hole": 0.0,
    **dict.fromkeys(SHARPNESS_MEASURES, 1.0),
    **dict.fromkeys(KID_MEASURES, 0.0),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One clip with one kind of hole, filled by one method.

    ``count`` frames of the clip, ``frames`` those with a hole, ``values`` as in `Scores`. ``seconds`` and
    ``memory`` (bytes, largest resident size) are those of filling, propagation included. ``crops``: per
    measure of KID what the crops of the clip look like.
    """

    clip: str
    masks: str
    method: str
    count: int
    frames: tuple[int, ...]
    values: Mapping[str, Series]
    propagated: float = 0.0
    hole_pixels: int = 0
    seconds: float = 0.0
    memory: int = 0
    crops: Mapping[str, Described] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Summary:
    """Means over the frames of several rows, None where nothing was measured.

    E_warp is the mean over their pairs, sharpness the mean over clips of the median over frames, KID that of
    the crops of all clips together.

    ``propagated`` is a share of the hole's pixels, ``seconds_per_frame`` over all frames of the clips,
    ``memory`` the largest.
    """

    clip: str
    masks: str
    method: str
    frames: int
    means: Mapping[str, float | None]
    propagated: float | None
    seconds_per_frame: float | None
    memory: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values; E_warp is not scaled."""
        return {
            "clip": self.clip,
            "masks": self.masks,
            "method": self.method,
            "frames": self.frames,
            **self.means,
            "propagated": self.propagated,
            "seconds_per_frame": self.seconds_per_frame,
            "peak_memory": self.memory,
        }


@dataclass(frozen=True)
class Evaluation:
    """A whole run. ``setting``: what was run and where; ``absent``: measures that could not be taken."""

    setting: Mapping[str, Any]
    rows: tuple[Row, ...]
    absent: tuple[str, ...] = ()
    measures: tuple[str, ...] = field(default=(*FRAME_MEASURES, *PAIR_MEASURES))

    @property
    def clips(self) -> tuple[str, ...]:
        """Clips in order."""
        return _distinct(row.clip for row in self.rows)

    @property
    def masks(self) -> tuple[str, ...]:
        """Kinds of holes in order."""
        return _distinct(row.masks for row in self.rows)

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods in order, the truth last."""
        return _distinct(row.method for row in self.rows)

    def of(self, masks: str, method: str) -> list[Row]:
        """Rows of all clips for one kind of hole and method."""
        return [row for row in self.rows if (row.masks, row.method) == (masks, method)]

    def totals(self) -> list[Summary]:
        """Per kind of hole and method, over the frames of all clips."""
        return self._totals

    @cached_property
    def _totals(self) -> list[Summary]:
        return [
            summarise(self.of(masks, method), "all", masks, method, self.measures)
            for masks in self.masks
            for method in self.methods
        ]

    def overall(self) -> list[Summary]:
        """Per method, the mean of the kinds of holes: each counts alike."""
        totals = self.totals()
        return [
            _mean_of([total for total in totals if total.method == method], method) for method in self.methods
        ]

    def per_clip(self) -> list[Summary]:
        """One summary per row."""
        return [summarise([row], row.clip, row.masks, row.method, self.measures) for row in self.rows]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as results.json holds it; ``psnr_by_frame`` goes with ``frames_with_hole``."""
        clips = [
            summary.to_dict()
            | {
                "frames_with_hole": list(row.frames),
                "psnr_by_frame": [round(float(value), 3) for value in row.values.get("psnr", ())],
            }
            for summary, row in zip(self.per_clip(), self.rows, strict=True)
        ]
        return {
            "setting": dict(self.setting),
            "absent": list(self.absent),
            "overall": [summary.to_dict() for summary in self.overall()],
            "totals": [summary.to_dict() for summary in self.totals()],
            "clips": clips,
        }


def summarise(rows: Sequence[Row], clip: str, masks: str, method: str, measures: Sequence[str]) -> Summary:
    """Means over the frames of ``rows`` together, not over the rows' own means."""
    ceiling: Mapping[str, float] = CEILING if method == TRUTH else {}
    means = {name: ceiling[name] if name in ceiling else _over(rows, name) for name in measures}
    pixels, count = sum(row.hole_pixels for row in rows), sum(row.count for row in rows)
    timed = method != TRUTH and count > 0
    return Summary(
        clip,
        masks,
        method,
        sum(len(row.frames) for row in rows),
        means,
        sum(row.propagated for row in rows) / pixels if pixels else None,
        sum(row.seconds for row in rows) / count if timed else None,
        max((row.memory for row in rows), default=0),
    )


def _over(rows: Sequence[Row], name: str) -> float | None:
    if name in KID_MEASURES:
        return kid([row.crops[name] for row in rows if name in row.crops])
    return mean(np.concatenate([row.values.get(name, np.empty(0)) for row in rows]))


def _mean_of(totals: Sequence[Summary], method: str) -> Summary:
    def over(values: Iterable[float | None]) -> float | None:
        there = [value for value in values if value is not None]
        return sum(there) / len(there) if there else None

    return Summary(
        "all",
        "mean of kinds",
        method,
        sum(total.frames for total in totals),
        {name: over(total.means[name] for total in totals) for name in totals[0].means},
        over(total.propagated for total in totals),
        over(total.seconds_per_frame for total in totals),
        max(total.memory for total in totals),
    )


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
