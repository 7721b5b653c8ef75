"""index.html: one page without scripts that a person opens to look at what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from vinpaint_cli.evaluate.results import TRUTH, Evaluation, Row, Summary
from vinpaint_cli.evaluate.table import best, clip_text, columns, groups, notes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f7f7f")
"""Told apart with any colour vision (after Okabe and Ito); one per method, in order."""

PLOT_WIDTH, PLOT_HEIGHT = 640, 150
LEFT, BOTTOM, TOP = 36, 18, 6

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --dim: #777; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid var(--line);
padding-top: 1rem; } h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
ul { color: var(--dim); padding-left: 1.2rem; } nav a { margin-right: .8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid var(--line); }
td:first-child, th:first-child { text-align: left; }
tr.group td { text-align: left; font-weight: 600; padding-top: .9rem; border-bottom: 1px solid var(--line); }
tr.truth { color: var(--dim); } td.best { font-weight: 700; background: var(--soft); }
figure { margin: 0 0 1rem; } figure img { width: 100%; height: auto; display: block; background: #fff; }
.captions { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 4px; font-size: .8rem;
color: var(--dim); text-align: center; }
figcaption, .legend { font-size: .85rem; color: var(--dim); }
.legend b { font-weight: 600; } svg { width: 100%; max-width: 760px; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
"""


@dataclass(frozen=True, slots=True)
class Strip:
    """A strip that was drawn: of which clip and kind, its file, size, frames and the captions of columns."""

    clip: str
    masks: str
    file: str
    width: int
    height: int
    frames: tuple[int, ...]
    captions: tuple[str, ...]


def page(evaluation: Evaluation, strips: Sequence[Strip]) -> str:
    """The whole page; strips are referred to by relative addresses."""
    title = f"{evaluation.setting['dataset']}: {', '.join(evaluation.setting['methods'])}"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f"<h1>{escape(title)}</h1>",
            _list(notes(evaluation)),
            "<h2>Mean over the frames of all clips</h2>",
            *_totals(evaluation),
            f"<nav>{''.join(_link(clip) for clip in evaluation.clips)}</nav>",
            *(line for clip in evaluation.clips for line in _clip(evaluation, strips, clip)),
            "</body>\n</html>\n",
        ]
    )


def _totals(evaluation: Evaluation) -> Iterator[str]:
    shown = columns(evaluation)
    yield '<div class="wide"><table><thead><tr><th>method</th>'
    yield "".join(f"<th>{escape(column.title)}</th>" for column in shown) + "</tr></thead><tbody>"
    for masks, summaries in groups(evaluation):
        yield f'<tr class="group"><td colspan="{len(shown) + 1}">{escape(masks)}</td></tr>'
        winners = [best(summaries, column) for column in shown]
        for summary in summaries:
            cells = [
                f'<td class="best">{column.text(summary)}</td>'
                if summary.method in top
                else f"<td>{column.text(summary)}</td>"
                for column, top in zip(shown, winners, strict=True)
            ]
            kind = ' class="truth"' if summary.method == TRUTH else ""
            yield f"<tr{kind}><td>{escape(summary.method)}</td>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"


def _clip(evaluation: Evaluation, strips: Sequence[Strip], clip: str) -> Iterator[str]:
    yield f'<h2 id="{escape(clip)}">{escape(clip)}</h2>'
    summaries = {
        (summary.masks, summary.method): summary for summary in evaluation.per_clip() if summary.clip == clip
    }
    for masks in evaluation.masks:
        rows = [row for row in evaluation.rows if (row.clip, row.masks) == (clip, masks)]
        filled = [row for row in rows if row.method != TRUTH]
        yield f"<h3>{escape(masks)}</h3>"
        yield _legend(filled, [summaries[masks, row.method] for row in filled])
        yield from (_figure(strip) for strip in strips if (strip.clip, strip.masks) == (clip, masks))
        if tells_something(filled):
            yield plot(filled)


def _figure(strip: Strip) -> str:
    head = "".join(f"<span>{escape(caption)}</span>" for caption in strip.captions)
    frames = " and ".join(str(frame) for frame in strip.frames)
    several = "s" if len(strip.frames) > 1 else ""
    how = "; the second, below, is the one filled worst" if several else ""
    return (
        f'<figure style="max-width: {strip.width}px"><div class="captions">{head}</div>'
        f'<a href="{strip.file}"><img src="{strip.file}" width="{strip.width}" height="{strip.height}" '
        f'loading="lazy" alt="source, hole and results of {escape(strip.clip)}"></a>'
        f"<figcaption>frame{several} {frames}{how}; click for full size</figcaption></figure>"
    )


def _legend(rows: Sequence[Row], summaries: Sequence[Summary]) -> str:
    parts = [
        f'<span style="color: {colour}">●</span> <b>{escape(row.method)}</b> {clip_text(summary)}'
        for row, summary, colour in zip(rows, summaries, _colours(len(rows)), strict=True)
    ]
    return f'<p class="legend">PSNR (in the hole), dB: {" &nbsp; ".join(parts)}</p>'


def tells_something(rows: Sequence[Row]) -> bool:
    """Whether PSNR over time is more than a few points or straight lines."""
    return any(len(row.frames) > 4 and float(np.ptp(row.values["psnr"])) > 0.2 for row in rows)


def plot(rows: Sequence[Row]) -> str:
    """PSNR of the whole frame over time, a line per method, as inline SVG."""
    every = np.concatenate([row.values["psnr"] for row in rows])
    low, high = np.floor(every.min()), np.ceil(every.max() + 1e-9)
    high = max(high, low + 1)
    last = max(1, rows[0].count - 1)

    def place(frame: float, value: float) -> str:
        x = LEFT + (PLOT_WIDTH - LEFT - 4) * frame / last
        y = TOP + (PLOT_HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)
        return f"{x:.1f},{y:.1f}"

    lines = [_axis(value, place(0, value)) for value in (low, (low + high) / 2, high)]
    for row, colour in zip(rows, _colours(len(rows)), strict=True):
        for run in _runs(row):
            points = " ".join(place(frame, value) for frame, value in run)
            lines.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6">'
                f"<title>{escape(row.method)}</title></polyline>"
            )
    ends = (
        f'<text x="{LEFT}" y="{PLOT_HEIGHT - 4}">frame 0</text>'
        f'<text x="{PLOT_WIDTH - 4}" y="{PLOT_HEIGHT - 4}" text-anchor="end">{last}</text>'
    )
    return (
        f'<svg viewBox="0 0 {PLOT_WIDTH} {PLOT_HEIGHT}" role="img" aria-label="PSNR over time">'
        f"{''.join(lines)}{ends}</svg>"
    )


def _axis(value: float, at: str) -> str:
    y = at.partition(",")[2]
    return (
        f'<line x1="{LEFT}" x2="{PLOT_WIDTH}" y1="{y}" y2="{y}" stroke="#8884"/>'
        f'<text x="{LEFT - 5}" y="{y}" dy="4" text-anchor="end">{value:g}</text>'
    )


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


def _link(clip: str) -> str:
    return f'<a href="#{escape(clip)}">{escape(clip)}</a>'


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
