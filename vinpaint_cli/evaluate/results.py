"""Results of evaluate: a row per clip, kind of hole and method, means over frames, and tables of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from vinpaint_cli.evaluate.report import distinct, literal
from vinpaint_cli.evaluate.score import (
    FRAME_MEASURES,
    KID_MEASURES,
    PAIR_MEASURES,
    SHARPNESS_MEASURES,
    Series,
    mean,
)
from vinpaint_cli.metrics.kid import Described, kid
from vinpaint_cli.plan.memory import format_bytes

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
        """The summary as plain values for JSON; E_warp is not scaled."""
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
        return distinct(row.clip for row in self.rows)

    @property
    def masks(self) -> tuple[str, ...]:
        """Kinds of holes in order."""
        return distinct(row.masks for row in self.rows)

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods in order, the truth last."""
        return distinct(row.method for row in self.rows)

    def of(self, masks: str, method: str) -> list[Row]:
        """Rows of all clips for one kind of hole and method."""
        return [row for row in self.rows if (row.masks, row.method) == (masks, method)]

    def totals(self) -> list[Summary]:
        """Means over the frames of all clips, per kind of hole and method."""
        return self._totals

    @cached_property
    def _totals(self) -> list[Summary]:
        return [
            summarise(self.of(masks, method), "all", masks, method, self.measures)
            for masks in self.masks
            for method in self.methods
        ]

    def overall(self) -> list[Summary]:
        """Means over the kinds of holes, per method; each kind counts alike."""
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


@dataclass(frozen=True, slots=True)
class Column:
    """One measure: its title, its text for a summary, and the direction in which it is better (0: none).

    ``measure``: its name among those of an evaluation, empty for what is always there.
    """

    title: str
    value: Callable[[Summary], float | None]
    form: str
    better: int = 0
    scale: float = 1.0
    measure: str = ""

    def text(self, summary: Summary) -> str:
        """The figure as text, or a dash when there is none."""
        value = self.value(summary)
        return "–" if value is None else format(value * self.scale, self.form)


def columns(evaluation: Evaluation) -> list[Column]:
    """Columns that have something to show."""

    def column(name: str, title: str, form: str, better: int = 0, scale: float = 1.0) -> Column:
        return Column(title, lambda summary: summary.means.get(name), form, better, scale, name)

    wanted = [
        column("psnr", "PSNR dB", ".2f", +1),
        column("ssim", "SSIM", ".4f", +1),
        column("psnr_hole", "hole PSNR dB", ".2f", +1),
        column("ssim_hole", "hole SSIM", ".4f", +1),
        column("l1_hole", "hole L1 levels", ".2f", -1),
        column("lpips", "LPIPS", ".4f", -1),
        column("ewarp", "E_warp ×10⁻³", ".3f", -1, 1000),
        column("ewarp_hole", "hole E_warp ×10⁻³", ".3f", -1, 1000),
        column("kid_hole", "hole KID", ".4f", -1),
        column("kid_unseen", "unseen KID", ".4f", -1),
        column("sharpness_hole", "hole sharpness", ".2f"),
        column("sharpness_unseen", "unseen sharpness", ".2f"),
        Column("propagated %", lambda summary: summary.propagated, ".1f", 0, 100),
        Column("s/frame", lambda summary: summary.seconds_per_frame, ".3f", -1),
    ]
    return [one for one in wanted if not one.measure or one.measure in evaluation.measures]


def best(summaries: Sequence[Summary], column: Column) -> set[str]:
    """Methods whose figure, as it is shown, is the best of those compared; the truth does not compete."""
    texts = {
        summary.method: column.text(summary)
        for summary in summaries
        if summary.method != TRUTH and column.value(summary) is not None
    }
    if not column.better or len(texts) < 2:
        return set()
    top = (max if column.better > 0 else min)(texts.values(), key=float)
    return {method for method, text in texts.items() if text == top}


def groups(evaluation: Evaluation) -> list[tuple[str, list[Summary]]]:
    """Summaries over all clips by kind of hole, and their mean where there are several kinds."""
    totals = evaluation.totals()
    found = [(masks, [total for total in totals if total.masks == masks]) for masks in evaluation.masks]
    if len(found) > 1:
        found.append((f"mean of the {len(found)} kinds", evaluation.overall()))
    return found


def markdown(evaluation: Evaluation) -> str:
    """table.md: what was run, the means over frames, and one table per kind of hole with every clip."""
    title = f"{evaluation.setting['dataset']}: {', '.join(evaluation.setting['methods'])}"
    lines = [f"# {literal(title)}", "", *(f"- {literal(line)}" for line in notes(evaluation))]
    lines += ["", "## Mean over the frames of all clips", "", *totals_table(evaluation)]
    for masks in evaluation.masks:
        lines += [
            "",
            f"## PSNR (hole PSNR) in dB by clip: {literal(masks)}",
            "",
            *_clip_table(evaluation, masks),
        ]
    return "\n".join(lines) + "\n"


def totals_table(evaluation: Evaluation) -> list[str]:
    """Markdown lines of the table of means, the best of each group in bold."""
    shown = columns(evaluation)
    rows = []
    for masks, summaries in groups(evaluation):
        winners = [best(summaries, column) for column in shown]
        for summary in summaries:
            cells = [
                f"**{column.text(summary)}**" if summary.method in top else column.text(summary)
                for column, top in zip(shown, winners, strict=True)
            ]
            rows.append([masks, summary.method, *cells, _memory(summary)])
    head = ["masks", "method", *(column.title for column in shown), "peak memory"]
    return table(head, rows, left=2)


def _clip_table(evaluation: Evaluation, masks: str) -> list[str]:
    methods = [method for method in evaluation.methods if method != TRUTH]
    by_place = {
        (summary.clip, summary.method): summary for summary in evaluation.per_clip() if summary.masks == masks
    }
    rows = []
    for clip in evaluation.clips:
        found = [by_place[clip, method] for method in methods]
        rows.append([clip, str(found[0].frames), *(clip_text(summary) for summary in found)])
    return table(["clip", "frames", *methods], rows, left=1)


def clip_text(summary: Summary) -> str:
    """``31.20 (19.87)``: PSNR of the whole frame, and of the hole alone."""
    whole, hole = summary.means["psnr"], summary.means["psnr_hole"]
    return "–" if whole is None or hole is None else f"{whole:.2f} ({hole:.2f})"


def notes(evaluation: Evaluation) -> list[str]:
    """Return notes that a reader of the figures needs, a line each."""
    setting: Mapping[str, Any] = evaluation.setting
    size = "native size" if setting["size"] is None else "{}×{}".format(*setting["size"])
    before = "after propagation" if setting["propagate"] else "without propagation"
    alone = setting["baselines"]
    lines = [
        f"{len(evaluation.clips)} clips at {size}, seed {setting['seed']}; methods run {before}"
        + (f", but {' and '.join(alone)} alone" if alone and setting["propagate"] else "")
        + "; what no frame shows is "
        + (f"completed by {setting['complete']}" if setting["texture"] else "left without texture"),
        "pixels of the hole are hidden from everything; the rest of a frame is the truth, nothing is rounded",
        "means are over all frames with a hole, not over clips; PSNR is capped at 100 dB",
        "SSIM of the frame with a uniform window of 65 (the papers'), in the hole of 7 pixels a side",
        f"E_warp over visible pixels of all pairs of frames; flow by {setting['flow']}; "
        f"the row {TRUTH!r} is its floor",
        "KID: do crops around pixels of the holes look like true ones? 0 for the truth, all clips together; "
        "sharpness: 1 as sharp as the truth, 0.3 a smear, above 1.3 noise, the clips' mean; unseen: what "
        "propagation left to be filled",
        f"s/frame includes propagation; machine: {setting['machine']}",
    ]
    if setting["weights"]:
        lines.append(f"weights: {setting['weights']}")
    return [*lines, *evaluation.absent]


def _memory(summary: Summary) -> str:
    return format_bytes(summary.memory) if summary.memory else "–"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Markdown with columns padded, so that it reads as text too; names, on the left, as they are."""
    rows = [[*map(literal, row[:left]), *row[left:]] for row in rows]
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if place < left else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return [line(head), "|" + "|".join(f" {mark} " for mark in rule) + "|", *(line(row) for row in rows)]
