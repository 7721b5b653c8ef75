"""The page of followed masks: tables, and strips of frames with each tracker's mask drawn on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vinpaint_cli.evaluate.mask_results import HEAD, MaskEvaluation, MaskRow, cells, notes, row_text, title
from vinpaint_cli.evaluate.page import TINT
from vinpaint_cli.evaluate.report import Section, Strip, TableRow
from vinpaint_cli.metrics.davis import boundary
from vinpaint_cli.ops.image import joined
from vinpaint_cli.util.pages import render

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

Bytes = npt.NDArray[np.uint8]

SHOWN_WIDTH = 427
"""Pixels that a frame is shown with at most."""
OUTLINE = (0, 255, 120)


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
    """The whole of index.html; strips are referred to by relative addresses."""
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
