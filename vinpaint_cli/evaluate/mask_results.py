"""Results of evaluate-masks: rows per clip, prompt and tracker, their means, the tables, and the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.evaluate.page import TINT
from vinpaint_cli.evaluate.report import Section, Strip, TableRow, distinct, literal
from vinpaint_cli.evaluate.results import table
from vinpaint_cli.metrics.davis import boundary
from vinpaint_cli.ops.image import joined
from vinpaint_cli.util.pages import render

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

Bytes = npt.NDArray[np.uint8]

SHOWN_WIDTH = 427
"""Pixels that a frame is shown with at most."""
OUTLINE = (0, 255, 120)

GOOD_START = 0.7
"""J from which the mask of the prompted frame counts as found."""

DOUBTED, TRUSTED = 0.6, 0.9
"""Confidence under which a mask should be bad, and over which it should be good."""


@dataclass(frozen=True, slots=True)
class MaskRow:
    """One clip, prompted in one way, followed by one tracker.

    ``count`` frames were followed; ``frames`` are those scored, with ``region`` (J), ``boundary`` (F) and
    ``confidence`` of each, in [0, 1]. ``start`` is J of the prompted frame's own mask. ``seconds`` were
    spent on following, ``prompt_seconds`` on segmenting the prompted frame.
    """

    clip: str
    prompt: str
    tracker: str
    count: int
    frames: tuple[int, ...]
    region: tuple[float, ...]
    boundary: tuple[float, ...]
    confidence: tuple[float, ...]
    start: float
    seconds: float
    prompt_seconds: float


@dataclass(frozen=True, slots=True)
class MaskSummary:
    """Means of rows, each clip counting alike; J, F and their mean in [0, 1].

    ``first_frame_j``: mean J of the prompted frames' own masks, ``first_frame_good``: how many reach
    `GOOD_START`. ``confidence_correlation``: of confidence and J over all scored frames, None when either
    does not vary. ``doubted``: how many scored frames have a confidence under `DOUBTED`, and for how many of
    them J is under `GOOD_START`; ``trusted``: how many are over `TRUSTED`, for how many J reaches it.
    """

    clip: str
    prompt: str
    tracker: str
    clips: int
    j: float
    f: float
    j_and_f: float
    first_frame_j: float
    first_frame_good: int
    seconds_per_frame: float
    prompt_seconds: float
    confidence_correlation: float | None
    doubted: tuple[int, int]
    trusted: tuple[int, int]


@dataclass(frozen=True, slots=True)
class MaskEvaluation:
    """A whole run; ``setting``: what was run and where."""

    setting: Mapping[str, Any]
    rows: tuple[MaskRow, ...]

    @property
    def clips(self) -> tuple[str, ...]:
        """Clips in order."""
        return distinct(row.clip for row in self.rows)

    @property
    def prompts(self) -> tuple[str, ...]:
        """Prompts in order."""
        return distinct(row.prompt for row in self.rows)

    @property
    def trackers(self) -> tuple[str, ...]:
        """Trackers in order."""
        return distinct(row.tracker for row in self.rows)

    def totals(self) -> list[MaskSummary]:
        """Means over all clips, per prompt and tracker."""
        return [
            summarise(found, "all")
            for prompt in self.prompts
            for tracker in self.trackers
            if (found := [row for row in self.rows if (row.prompt, row.tracker) == (prompt, tracker)])
        ]

    def of(self, clip: str, prompt: str) -> list[MaskRow]:
        """Rows of one clip and prompt, in the order of the trackers."""
        return [row for row in self.rows if (row.clip, row.prompt) == (clip, prompt)]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as results.json holds it."""
        clips = [
            asdict(summarise([row], row.clip))
            | {
                "frames": list(row.frames),
                "j_by_frame": [round(value, 4) for value in row.region],
                "f_by_frame": [round(value, 4) for value in row.boundary],
                "confidence_by_frame": [round(value, 4) for value in row.confidence],
            }
            for row in self.rows
        ]
        return {
            "setting": dict(self.setting),
            "totals": [asdict(summary) for summary in self.totals()],
            "clips": clips,
        }


def summarise(rows: Sequence[MaskRow], clip: str) -> MaskSummary:
    """Means over the clips of rows of one prompt and tracker, one row or more."""
    j, f = _mean(_mean(row.region) for row in rows), _mean(_mean(row.boundary) for row in rows)
    confidence = [value for row in rows for value in row.confidence]
    region = [value for row in rows for value in row.region]
    doubted = [good < GOOD_START for sure, good in zip(confidence, region, strict=True) if sure < DOUBTED]
    trusted = [good >= GOOD_START for sure, good in zip(confidence, region, strict=True) if sure > TRUSTED]
    return MaskSummary(
        *(clip, rows[0].prompt, rows[0].tracker, len(rows)),
        *(j, f, (j + f) / 2),
        first_frame_j=_mean(row.start for row in rows),
        first_frame_good=sum(row.start >= GOOD_START for row in rows),
        seconds_per_frame=sum(row.seconds for row in rows) / max(1, sum(row.count for row in rows)),
        prompt_seconds=_mean(row.prompt_seconds for row in rows),
        confidence_correlation=correlation(confidence, region),
        doubted=(len(doubted), sum(doubted)),
        trusted=(len(trusted), sum(trusted)),
    )


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Pearson's coefficient of two series of one length; None when either does not vary."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def markdown(evaluation: MaskEvaluation) -> str:
    """table.md: what was run, the means over clips, and one table per prompt with every clip."""
    lines = [f"# {literal(title(evaluation))}", "", *(f"- {literal(line)}" for line in notes(evaluation))]
    lines += ["", "## Mean of all clips", "", *totals_table(evaluation)]
    for prompt in evaluation.prompts:
        lines += ["", f"## J&F (J, F) by clip: {prompt} prompt", "", *_clip_table(evaluation, prompt)]
    return "\n".join(lines) + "\n"


HEAD = (
    *("J&F", "J", "F", "s/frame", "first frame J", f"J ≥ {GOOD_START}", "prompt s", "confidence ~ J"),
    *(f"stated < {DOUBTED}: J < {GOOD_START}", f"stated > {TRUSTED}: J ≥ {GOOD_START}"),
)
"""Titles of the measures, in the order of `cells`."""


def cells(summary: MaskSummary) -> list[str]:
    """The measures of a summary as a person reads them; J and F in percents."""
    related = "–" if summary.confidence_correlation is None else f"{summary.confidence_correlation:.2f}"
    shares = (summary.j_and_f, summary.j, summary.f)
    return [
        *(f"{100 * value:.1f}" for value in shares),
        f"{summary.seconds_per_frame:.3f}",
        f"{100 * summary.first_frame_j:.1f}",
        f"{summary.first_frame_good} of {summary.clips}",
        f"{summary.prompt_seconds:.2f}",
        related,
        *(f"{right} of {count}" for count, right in (summary.doubted, summary.trusted)),
    ]


def totals_table(evaluation: MaskEvaluation) -> list[str]:
    """Markdown lines of the table of means."""
    rows = [[summary.prompt, summary.tracker, *cells(summary)] for summary in evaluation.totals()]
    return table(["prompt", "tracker", *HEAD], rows, left=2)


def _clip_table(evaluation: MaskEvaluation, prompt: str) -> list[str]:
    rows = []
    for clip in evaluation.clips:
        found = evaluation.of(clip, prompt)
        rows.append(
            [clip, str(found[0].count), f"{100 * found[0].start:.1f}", *(row_text(row) for row in found)]
        )
    return table(["clip", "frames", "first frame J", *evaluation.trackers], rows, left=1)


def row_text(row: MaskRow) -> str:
    """``61.2 (64.0, 58.4)``: J&F, J and F in percents."""
    found = summarise([row], row.clip)
    return f"{100 * found.j_and_f:.1f} ({100 * found.j:.1f}, {100 * found.f:.1f})"


def title(evaluation: MaskEvaluation) -> str:
    """Title of the report."""
    return f"{evaluation.setting['dataset']}: masks by {', '.join(evaluation.trackers)}"


def notes(evaluation: MaskEvaluation) -> list[str]:
    """Return notes that a reader of the figures needs, a line each."""
    setting = evaluation.setting
    lines = [
        f"{len(evaluation.clips)} clips at their own size; the first frame annotated with an object is "
        "prompted",
        "J and F as the code of DAVIS 2017 computes them, in percents; as there, the prompted frame and the "
        "last frame are not scored; all objects of a frame count as one",
        "means are over clips, each counting alike",
        "s/frame: following, decoding included; prompt s: segmenting the prompted frame; "
        f"machine: {setting['machine']}",
        "confidence ~ J: correlation over all scored frames; stated: how many frames of such a confidence "
        "are as they should be",
    ]
    if set(evaluation.prompts) - {"mask"}:
        lines.append(
            f"segmenter: {setting['segmenter']}; a point prompt is the deepest point of the annotated "
            "object, a box prompt its tight box"
        )
    return lines


def strip_frames(row: MaskRow) -> tuple[int, ...]:
    """Frames to look at, rising: the one in the middle, the last, and the one of least J."""
    worst = row.frames[int(np.argmin(row.region))]
    return tuple(sorted({row.frames[len(row.frames) // 2], row.frames[-1], worst}))


def strip(pictures: Sequence[Bytes], truth: Sequence[Hole], results: Mapping[str, Sequence[Hole]]) -> Bytes:
    """A row per frame, a column per tracker: mask tinted, annotation outlined; uint8 ``(H, W, 3)``."""
    rows = [
        joined([overlay(picture, holes[place], truth[place]) for holes in results.values()], axis=1)
        for place, picture in enumerate(pictures)
    ]
    return joined(rows, axis=0)


def overlay(picture: Bytes, hole: Hole, truth: Hole) -> Bytes:
    """``picture`` uint8 ``(h, w, 3)``, made smaller, with ``hole`` tinted and the edge of ``truth`` drawn."""
    import cv2

    scale = min(1.0, SHOWN_WIDTH / picture.shape[1])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    shown, tinted, edge = (
        cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        for plane in (picture, hole.astype(np.float32), truth.astype(np.float32))
    )
    strength = 0.5 * tinted[..., None]
    mixed = (shown * (1 - strength) + strength * np.array(TINT)).astype(np.uint8)
    mixed[boundary(edge > 0.5)] = OUTLINE
    return np.asarray(mixed, np.uint8)


def page(evaluation: MaskEvaluation, strips: Sequence[Strip]) -> str:
    """HTML of index.html; strips are referred to by relative addresses."""
    totals = evaluation.totals()
    groups = [
        (f"{prompt} prompt", [TableRow(one.tracker, cells(one)) for one in totals if one.prompt == prompt])
        for prompt in evaluation.prompts
    ]
    return render(
        "evaluate/report.html",
        title=title(evaluation),
        notes=notes(evaluation),
        heading="Mean of all clips",
        head=["tracker", *HEAD],
        groups=groups,
        clips=[(clip, [*_sections(evaluation, strips, clip)]) for clip in evaluation.clips],
    )


def _sections(evaluation: MaskEvaluation, strips: Sequence[Strip], clip: str) -> Iterator[Section]:
    for prompt in evaluation.prompts:
        rows = evaluation.of(clip, prompt)
        yield Section(
            f"{prompt} prompt, first frame J {100 * rows[0].start:.1f}",
            "J&F (J, F)",
            [(row.tracker, row_text(row), "") for row in rows],
            [strip for strip in strips if (strip.clip, strip.kind) == (clip, prompt)],
        )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
