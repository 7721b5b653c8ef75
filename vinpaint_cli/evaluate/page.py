"""The page of measured methods: tables, strips of pictures with what each got wrong, and PSNR over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vinpaint_cli.evaluate.report import Plot, ReportFolder, Section, Strip, TableRow
from vinpaint_cli.evaluate.results import (
    TRUTH,
    Column,
    Evaluation,
    Row,
    Summary,
    best,
    clip_text,
    columns,
    groups,
    notes,
)
from vinpaint_cli.ops.image import box_around, joined
from vinpaint_cli.util.pages import render

Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f7f7f")
"""Told apart with any colour vision (after Okabe and Ito); one per method, in order."""

PLOT_WIDTH, PLOT_HEIGHT = 640, 150
LEFT, BOTTOM, TOP = 36, 18, 6

DIFFERENCE_GAIN = 4
MARGIN_SHARE = 0.2
"""Surroundings of the hole that are shown, as a share of the frame's height."""
TINT = (255, 0, 128)


def add_strip(
    folder: ReportFolder, truth: Bytes, holes: Bool, results: Mapping[str, Bytes], rows: Sequence[Row]
) -> None:
    """Draw the strip of one clip and kind of hole; ``rows`` are its methods' in the order of results."""
    frames = strip_frames(rows)
    if not folder.wanted or not frames:
        return
    captions = ["source, hole", *(f"{name}, difference ×{DIFFERENCE_GAIN}" for name in results)]
    shows = f"frame{'s' * (len(frames) > 1)} {' and '.join(map(str, frames))}"
    if len(frames) > 1:
        shows += "; the second, below, is the one filled worst"
    folder.add_strip(rows[0].clip, rows[0].masks, strip(truth, holes, results, frames), captions, shows)


def strip_frames(rows: Sequence[Row]) -> tuple[int, ...]:
    """The frame in the middle of those with a hole, and the one that all methods together fill worst."""
    frames = rows[0].frames
    if not frames:
        return ()
    middle = frames[len(frames) // 2]
    worst = frames[int(np.argmin(np.mean([row.values["psnr_hole"] for row in rows], axis=0)))]
    return (middle,) if worst == middle else (middle, worst)


def strip(truth: Bytes, holes: Bool, results: Mapping[str, Bytes], frames: Sequence[int]) -> Bytes:
    """Two rows per frame, uint8 ``(H, W, 3)``: source and results, below them the hole and differences ×4.

    truth and results: uint8 ``(T, h, w, 3)``; holes: bool ``(T, h, w)``. All cells show the same part of
    the frame at full size: the holes of these frames with their surroundings.
    """
    hole = np.any(holes[list(frames)], axis=0)
    part = box_around(hole, max(8, round(MARGIN_SHARE * len(hole))))
    rows = []
    for t in frames:
        source, hole = truth[t][part], holes[t][part]
        filled = [result[t][part] for result in results.values()]
        rows.append(joined([source, *filled], axis=1))
        wrong = [difference(picture, source) for picture in filled]
        rows.append(joined([tinted(source, hole), *wrong], axis=1))
    return joined(rows, axis=0)


def tinted(picture: Bytes, hole: Bool) -> Bytes:
    """The picture with its hole tinted, so that its place is visible."""
    result = picture.copy()
    result[hole] = (0.35 * result[hole] + 0.65 * np.array(TINT)).astype(np.uint8)
    return result


def difference(result: Bytes, truth: Bytes) -> Bytes:
    """Absolute difference ×4 around black, cut at white."""
    gap = np.abs(result.astype(np.int16) - truth.astype(np.int16)) * DIFFERENCE_GAIN
    return np.asarray(np.minimum(gap, 255), np.uint8)


def page(evaluation: Evaluation, strips: Sequence[Strip]) -> str:
    """HTML of index.html; strips are referred to by relative addresses."""
    shown = columns(evaluation)
    return render(
        "evaluate/report.html",
        title=f"{evaluation.setting['dataset']}: {', '.join(evaluation.setting['methods'])}",
        notes=notes(evaluation),
        heading="Mean over the frames of all clips",
        head=["method", *(column.title for column in shown)],
        groups=[(masks, _table_rows(summaries, shown)) for masks, summaries in groups(evaluation)],
        clips=[(clip, [*_sections(evaluation, strips, clip)]) for clip in evaluation.clips],
    )


def _table_rows(summaries: Sequence[Summary], shown: Sequence[Column]) -> Iterator[TableRow]:
    winners = [best(summaries, column) for column in shown]
    for summary in summaries:
        method = summary.method
        top = frozenset(place for place, names in enumerate(winners) if method in names)
        yield TableRow(method, [column.text(summary) for column in shown], top, method == TRUTH)


def _sections(evaluation: Evaluation, strips: Sequence[Strip], clip: str) -> Iterator[Section]:
    summaries = {(summary.clip, summary.masks, summary.method): summary for summary in evaluation.per_clip()}
    for masks in evaluation.masks:
        rows = [row for row in evaluation.rows if (row.clip, row.masks) == (clip, masks)]
        filled = [row for row in rows if row.method != TRUTH]
        legend = [
            (row.method, clip_text(summaries[clip, masks, row.method]), colour)
            for row, colour in zip(filled, _colours(len(filled)), strict=True)
        ]
        mine = [strip for strip in strips if (strip.clip, strip.kind) == (clip, masks)]
        drawn = plot(filled) if tells_something(filled) else None
        yield Section(masks, "PSNR (in the hole), dB", legend, mine, drawn)


def tells_something(rows: Sequence[Row]) -> bool:
    """Whether a plot of PSNR over time shows more than a few points or straight lines."""
    return any(len(row.frames) > 4 and float(np.ptp(row.values["psnr"])) > 0.2 for row in rows)


def plot(rows: Sequence[Row]) -> Plot:
    """PSNR of the whole frame over time, a line per method and stretch of frames with a hole."""
    every = np.concatenate([row.values["psnr"] for row in rows])
    low, high = np.floor(every.min()), np.ceil(every.max() + 1e-9)
    high = max(high, low + 1)
    last = max(1, rows[0].count - 1)

    def across(frame: float) -> str:
        return f"{LEFT + (PLOT_WIDTH - LEFT - 4) * frame / last:.1f}"

    def down(value: float) -> str:
        return f"{TOP + (PLOT_HEIGHT - TOP - BOTTOM) * (high - value) / (high - low):.1f}"

    axis = [(down(value), f"{value:g}") for value in (low, (low + high) / 2, high)]
    lines = [
        (row.method, " ".join(f"{across(frame)},{down(value)}" for frame, value in run), colour)
        for row, colour in zip(rows, _colours(len(rows)), strict=True)
        for run in _runs(row)
    ]
    return Plot(PLOT_WIDTH, PLOT_HEIGHT, LEFT, axis, lines, last)


def _runs(row: Row) -> Iterator[list[tuple[int, float]]]:
    """Stretches of neighbouring frames with a hole, so that no line crosses a gap."""
    run: list[tuple[int, float]] = []
    for frame, value in zip(row.frames, row.values["psnr"].tolist(), strict=True):
        if run and frame != run[-1][0] + 1:
            yield run
            run = []
        run.append((frame, value))
    if run:
        yield run


def _colours(count: int) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(count)]
