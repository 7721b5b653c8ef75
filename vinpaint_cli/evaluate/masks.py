"""Measures segmenters and trackers on annotated clips: prompts a frame, tracks, and compares."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli import __version__
from vinpaint_cli.errors import InputError, UsageError
from vinpaint_cli.evaluate.complete import find_shots
from vinpaint_cli.evaluate.dataset import ClipEntry, count_frames, find_clips, read_clip, read_truth
from vinpaint_cli.evaluate.mask_results import (
    MaskEvaluation,
    MaskRow,
    markdown,
    page,
    row_text,
    strip,
    strip_frames,
)
from vinpaint_cli.evaluate.report import ReportFolder
from vinpaint_cli.mask_making.prompt_masks import PromptMask
from vinpaint_cli.masks.segment import open_segmenter
from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.masks.track import Tracked, Tracker, open_tracker
from vinpaint_cli.metrics.davis import boundary_accuracy, region_similarity
from vinpaint_cli.pipeline.progress import Listener, SilentListener, advance
from vinpaint_cli.types import Progress, Segmenter
from vinpaint_cli.video.source.read import open_source

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

Bytes = npt.NDArray[np.uint8]

PROMPTS = ("mask", "box", "point")
BASELINES = ("warp", "copy")
"""Trackers that every table has, so that it has a floor."""


@dataclass(frozen=True, slots=True)
class EvaluateMasksOptions:
    """Options of evaluate-masks.

    segmenter: a name of `masks.segment.SEGMENTERS`, or auto; ``segmenter_weights``: a file or a name of
    weights.toml. trackers: names of `masks.track.TRACKERS`; the baselines are added. prompts: of `PROMPTS`.
    clips: names, all by default. frames: at most so many of each clip. device: for segmenters with a network.
    """

    segmenter: str = "auto"
    segmenter_weights: str | None = None
    trackers: tuple[str, ...] = ("flow",)
    prompts: tuple[str, ...] = ("mask",)
    clips: tuple[str, ...] = ()
    frames: int | None = None
    device: str = "auto"


def evaluate_masks(
    dataset: str | Path,
    options: EvaluateMasksOptions | None = None,
    *,
    report: str | Path | None = None,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> MaskEvaluation:
    """Prompt the first annotated frame of each clip, follow its object, and compare with the annotations.

    dataset: see `find_clips`; clips without annotations are left out. report: a folder to write table.md,
    results.json, index.html and pictures to; it appears only when whole. Raises any `VinpaintError`.
    """
    options, listener = options or EvaluateMasksOptions(), listener or SilentListener()
    _check(options)
    clips = [clip for clip in find_clips(dataset, options.clips) if clip.annotations is not None]
    if not clips:
        raise InputError(
            f"no clip of {dataset} has annotations; give Annotations/<clip>/*.png beside JPEGImages"
        )
    segmenter = open_segmenter(options.segmenter, options.segmenter_weights, options.device)
    names = tuple(dict.fromkeys((*options.trackers, *BASELINES)))
    trackers = {name: open_tracker(name, segmenter) for name in names}
    total = sum(count_frames(clip, options.frames) for clip in clips)
    with ReportFolder(report, overwrite) as folder:
        bench = _Bench(options, segmenter, trackers, folder, listener)
        with listener.stage("evaluate", total * len(options.prompts) * len(trackers)) as progress:
            rows = [row for clip in clips for row in bench.clip(clip, progress)]
        found = MaskEvaluation(_setting(dataset, options, segmenter, clips), tuple(rows))
        if folder.wanted:
            folder.publish(markdown(found), found.to_dict(), page(found, folder.strips))
    return found


@dataclass(frozen=True, slots=True)
class _Case:
    """A clip that is measured on: its pictures, shots, annotations by frame, and the frame to prompt."""

    entry: ClipEntry
    pictures: Bytes
    shots: tuple[range, ...]
    truth: Mapping[int, Hole]
    start: int

    @property
    def scored(self) -> tuple[int, ...]:
        """Annotated frames but the prompted one and the last of the clip, as DAVIS has it."""
        every = [index for index in self.truth if index != self.start]
        inner = [index for index in every if index != len(self.pictures) - 1]
        return tuple(inner or every)


@dataclass(frozen=True, slots=True)
class _Bench:
    """Everything that is shared by all clips of a run."""

    options: EvaluateMasksOptions
    segmenter: Segmenter
    trackers: Mapping[str, Tracker]
    folder: ReportFolder
    listener: Listener

    def clip(self, entry: ClipEntry, progress: Progress) -> Iterator[MaskRow]:
        """Measure one clip and return its rows."""
        case = _open(entry, self.options.frames)
        for prompt in self.options.prompts:
            began = time.perf_counter()
            mask = prompted(prompt, case.truth[case.start], case.pictures, case.start, self.segmenter)
            spent = time.perf_counter() - began
            results = {name: self._follow(case, name, mask, progress) for name in self.trackers}
            rows = [
                _score(case, prompt, name, found, seconds, spent)
                for name, (found, seconds) in results.items()
            ]
            said = ", ".join(f"{row.tracker} {row_text(row)}" for row in rows)
            self.listener.note(f"{entry.name}, {prompt}: {said}")
            self._draw(case, rows, {name: found for name, (found, _) in results.items()})
            yield from rows

    def _follow(
        self, case: _Case, name: str, mask: PromptMask, progress: Progress
    ) -> tuple[dict[int, Tracked], float]:
        """What a tracker makes of the prompted frame's mask, by frame, and the seconds it took.

        Its confidence is multiplied by that of the prompted frame.
        """
        source = open_source(case.entry.path)
        found: dict[int, Tracked] = {}
        began = time.perf_counter()
        for shot in case.shots:
            prompt_masks = {case.start: mask.hole} if case.start in shot else {}
            for tracked in self.trackers[name].track(source, shot, prompt_masks, lambda: advance(progress)):
                surely = tracked.confidence * (mask.confidence if prompt_masks else 1)
                found[tracked.index] = replace(tracked, confidence=surely)
        return found, time.perf_counter() - began

    def _draw(self, case: _Case, rows: list[MaskRow], results: Mapping[str, dict[int, Tracked]]) -> None:
        if not self.folder.wanted:
            return
        frames = (case.start, *strip_frames(rows[0]))
        holes = {name: [found[index].hole for index in frames] for name, found in results.items()}
        picture = strip([case.pictures[index] for index in frames], [case.truth[i] for i in frames], holes)
        shows = (
            f"frames {', '.join(map(str, frames))}, the first of them prompted; the mask is tinted, "
            "the annotation outlined"
        )
        self.folder.add_strip(case.entry.name, rows[0].prompt, picture, tuple(holes), shows)


def prompted(prompt: str, truth: Hole, pictures: Bytes, index: int, segmenter: Segmenter) -> PromptMask:
    """Mask of frame ``index`` from its annotation, bool ``(H, W)``, in one of the ways of `PROMPTS`.

    The segmenter sees the pictures just before and after as well.
    """
    if prompt == "mask":
        return PromptMask(truth, 1.0)
    near = [pictures[other] for other in (index - 1, index + 1) if 0 <= other < len(pictures)]
    if prompt == "box":
        found = segmenter.segment(pictures[index], [], [], hole_box(truth), near)
    else:
        found = segmenter.segment(pictures[index], [deepest_point(truth)], [True], None, near)
    return PromptMask(found[0].probability > 0.5, found[0].confidence)


def deepest_point(mask: Hole) -> tuple[float, float]:
    """``(x, y)`` of the pixel of ``mask`` farthest from its edge and from that of the picture."""
    import cv2

    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    y, x = np.unravel_index(int(np.argmax(depth[1:-1, 1:-1])), mask.shape)
    return float(x), float(y)


def _open(entry: ClipEntry, limit: int | None) -> _Case:
    pictures = read_clip(entry, None, limit)
    truth = read_truth(entry, len(pictures), (pictures.shape[2], pictures.shape[1]))
    start = next((index for index in sorted(truth) if truth[index].any()), None)
    if start is None or len(truth) < 2:
        raise InputError(
            f"clip {entry.name} has no two annotated frames with an object; leave it out with --clips"
        )
    return _Case(entry, pictures, find_shots(pictures), truth, start)


def _score(
    case: _Case, prompt: str, name: str, found: Mapping[int, Tracked], seconds: float, prompt_seconds: float
) -> MaskRow:
    pairs = [(found[index].hole, case.truth[index]) for index in case.scored]
    return MaskRow(
        case.entry.name,
        prompt,
        name,
        len(case.pictures),
        case.scored,
        tuple(region_similarity(*pair) for pair in pairs),
        tuple(boundary_accuracy(*pair) for pair in pairs),
        tuple(found[index].confidence for index in case.scored),
        region_similarity(found[case.start].hole, case.truth[case.start]),
        seconds,
        prompt_seconds,
    )


def _check(options: EvaluateMasksOptions) -> None:
    """Refuse what cannot work, before anything is opened."""
    for option, given in (("--tracker", options.trackers), ("--prompt", options.prompts)):
        if not given or len(set(given)) != len(given):
            raise UsageError(f"{option} {', '.join(given) or 'without a name'}: give each once")
    for prompt in options.prompts:
        if prompt not in PROMPTS:
            raise UsageError(f"--prompt {prompt!r} is not known; choose one of {', '.join(PROMPTS)}")
    if options.frames is not None and options.frames < 2:
        raise UsageError(f"--frames {options.frames} is no clip; give 2 or more")


def _setting(
    dataset: str | Path, options: EvaluateMasksOptions, segmenter: Segmenter, clips: list[ClipEntry]
) -> dict[str, Any]:
    import torch

    return {
        "vinpaint": __version__,
        "dataset": Path(dataset).resolve().name,
        **asdict(options),
        "segmenter": str(getattr(segmenter, "name", options.segmenter)),
        "clips": [clip.name for clip in clips],
        "baselines": list(BASELINES),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} cores",
    }
