"""Pictures of followed masks, and the page that shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.evaluate.mask_results import HEAD, MaskEvaluation, MaskRow, cells, notes, row_text, title
from vinpaint_cli.evaluate.page import STYLE
from vinpaint_cli.evaluate.strips import TINT, joined
from vinpaint_cli.metrics.davis import boundary

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

Bytes = npt.NDArray[np.uint8]

SHOWN_WIDTH = 427
"""Pixels that a frame is shown with at most."""
OUTLINE = (0, 255, 120)


@dataclass(frozen=True, slots=True)
class MaskStrip:
    """A strip that was drawn: of which clip and prompt, its address, size, frames (rows) and trackers."""

    clip: str
    prompt: str
    file: str
    width: int
    height: int
    frames: tuple[int, ...]
    trackers: tuple[str, ...]


def strip_frames(row: MaskRow) -> tuple[int, ...]:
    """Frames to look at, rising: the one in the middle, the last, and the one of least J."""
    worst = row.frames[int(np.argmin(row.region))]
    return tuple(sorted({row.frames[len(row.frames) // 2], row.frames[-1], worst}))


def draw(pictures: Sequence[Bytes], truth: Sequence[Hole], results: Mapping[str, Sequence[Hole]]) -> Bytes:
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


def page(evaluation: MaskEvaluation, strips: Sequence[MaskStrip]) -> str:
    """The whole page; strips are referred to by relative addresses."""
    heading = escape(title(evaluation))
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{heading}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f"<h1>{heading}</h1>",
            f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in notes(evaluation))}</ul>",
            "<h2>Mean of all clips</h2>",
            *_totals(evaluation),
            f"<nav>{''.join(_link(clip) for clip in evaluation.clips)}</nav>",
            *(line for clip in evaluation.clips for line in _clip(evaluation, strips, clip)),
            "</body>\n</html>\n",
        ]
    )


def _totals(evaluation: MaskEvaluation) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr><th>tracker</th>'
    yield "".join(f"<th>{escape(name)}</th>" for name in HEAD) + "</tr></thead><tbody>"
    totals = evaluation.totals()
    for prompt in evaluation.prompts:
        yield f'<tr class="group"><td colspan="{len(HEAD) + 1}">{escape(prompt)} prompt</td></tr>'
        for summary in (total for total in totals if total.prompt == prompt):
            shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells(summary))
            yield f"<tr><td>{escape(summary.tracker)}</td>{shown}</tr>"
    yield "</tbody></table></div>"


def _clip(evaluation: MaskEvaluation, strips: Sequence[MaskStrip], clip: str) -> Iterator[str]:
    yield f'<h2 id="{escape(clip)}">{escape(clip)}</h2>'
    for prompt in evaluation.prompts:
        rows = evaluation.of(clip, prompt)
        yield f"<h3>{escape(prompt)} prompt, first frame J {100 * rows[0].start:.1f}</h3>"
        said = " &nbsp; ".join(f"<b>{escape(row.tracker)}</b> {row_text(row)}" for row in rows)
        yield f'<p class="legend">J&amp;F (J, F): {said}</p>'
        yield from (_figure(strip) for strip in strips if (strip.clip, strip.prompt) == (clip, prompt))


def _figure(strip: MaskStrip) -> str:
    head = "".join(f"<span>{escape(name)}</span>" for name in strip.trackers)
    frames = ", ".join(str(frame) for frame in strip.frames)
    return (
        f'<figure style="max-width: {strip.width}px"><div class="captions">{head}</div>'
        f'<a href="{strip.file}"><img src="{strip.file}" width="{strip.width}" height="{strip.height}" '
        f'loading="lazy" alt="masks of {escape(strip.clip)}"></a>'
        f"<figcaption>frames {frames}, the first of them prompted; the mask is tinted, the annotation "
        "outlined; click for full size</figcaption></figure>"
    )


def _link(clip: str) -> str:
    return f'<a href="#{escape(clip)}">{escape(clip)}</a>'
