"""Runs an evaluation: makes holes in the clips of a dataset, fills them, and compares with the truth."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli import __version__
from vinpaint_cli.errors import InputError, UsageError
from vinpaint_cli.evaluate.complete import Cost, HiddenClip, find_shots, fitted_method
from vinpaint_cli.evaluate.dataset import (
    ClipEntry,
    check_kinds,
    count_frames,
    find_clips,
    make_holes,
    read_clip,
)
from vinpaint_cli.evaluate.page import add_strip, page
from vinpaint_cli.evaluate.report import ReportFolder
from vinpaint_cli.evaluate.results import TRUTH, Evaluation, Row, markdown, summarise
from vinpaint_cli.evaluate.score import (
    ESTIMATOR,
    FRAME_MEASURES,
    HOLE,
    KID_MEASURES,
    PAIR_MEASURES,
    SHARPNESS_MEASURES,
    SMALLEST_SIDE,
    UNSEEN,
    Extra,
    Realism,
    Truth,
    find_extras,
    find_features,
)
from vinpaint_cli.methods import load_method, method_spec
from vinpaint_cli.metrics.perceptual import Features
from vinpaint_cli.ops.complete import DEFAULT_COMPLETER, open_completer
from vinpaint_cli.pipeline.device import place
from vinpaint_cli.pipeline.options import FitOptions, RemoveOptions, check_fit_options
from vinpaint_cli.pipeline.progress import Listener, SilentListener, advance
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.types import Method, Progress

Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """Options of evaluate.

    methods: names of `vinpaint methods`. weights: for those with a network. masks: kinds of holes, or
    folders of masks. size: ``(width, height)`` that clips are scaled to, None for their own. clips: names,
    all by default. frames: at most so many of each clip. propagate: before all methods but the baselines.
    texture: for what no frame shows, where a method leaves it smooth. complete: name of the completer that
    makes it. fit: for a method whose network is fitted to each clip and hole, unless weights are given.
    """

    methods: tuple[str, ...] = field(default_factory=lambda: (RemoveOptions().method,))
    weights: str | None = None
    masks: tuple[str, ...] = ("stationary",)
    size: tuple[int, int] | None = (432, 240)
    seed: int = 0
    clips: tuple[str, ...] = ()
    frames: int | None = None
    propagate: bool = True
    texture: bool = True
    complete: str = DEFAULT_COMPLETER
    device: str = "auto"
    precision: str = "auto"
    fit: FitOptions = field(default_factory=FitOptions)


def evaluate_methods(
    dataset: str | Path,
    options: EvaluateOptions | None = None,
    *,
    report: str | Path | None = None,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> Evaluation:
    """Fill made holes in clips whose truth is known, and measure what came out.

    dataset: see `find_clips`. report: a folder to write table.md, results.json, index.html and pictures
    to; it appears only when whole. Raises any `VinpaintError`.
    """
    options, listener = options or EvaluateOptions(), listener or SilentListener()
    every = find_clips(dataset)
    chosen = find_clips(dataset, options.clips)
    _check(options, every)
    stages = Stages(texture=options.texture, completer=open_completer(options.complete))
    extras, absent = find_extras()
    features, no_kid = find_features()
    with ReportFolder(report, overwrite) as folder:
        bench = _Bench(options, every, _load(options), stages, extras, features, folder, listener)
        total = sum(count_frames(clip, options.frames) for clip in chosen)
        with listener.stage("evaluate", total * len(options.masks) * len(options.methods)) as progress:
            rows = [row for clip in chosen for row in bench.clip(clip, progress)]
        measures = (
            *FRAME_MEASURES,
            *(extra.name for extra in extras),
            *PAIR_MEASURES,
            *SHARPNESS_MEASURES,
            *(() if features is None else KID_MEASURES),
        )
        setting = _setting(dataset, options, chosen)
        evaluation = Evaluation(setting, tuple(rows), (*no_kid, *absent), measures)
        if folder.wanted:
            folder.publish(markdown(evaluation), evaluation.to_dict(), page(evaluation, folder.strips))
    return evaluation


@dataclass(frozen=True, slots=True)
class _Bench:
    """Everything that is shared by all clips of a run."""

    options: EvaluateOptions
    every: Sequence[ClipEntry]
    methods: Mapping[str, Method]
    stages: Stages
    extras: tuple[Extra, ...]
    features: Features | None
    folder: ReportFolder
    listener: Listener

    def clip(self, clip: ClipEntry, progress: Progress) -> Iterator[Row]:
        """Measure one clip and return its rows; its truth and flow are computed once."""
        pictures = read_clip(clip, self.options.size, self.options.frames)
        if min(pictures.shape[1:3]) < SMALLEST_SIDE:
            raise InputError(f"{clip.path} is too small to be measured; give at least {SMALLEST_SIDE} pixels")
        truth = Truth(pictures, extras=self.extras)
        shots = find_shots(pictures)
        for kind in self.options.masks:
            holes = make_holes(kind, clip, self.every, pictures.shape[:3], self.options.seed)
            yield from self._kind(clip.name, kind, truth, HiddenClip(pictures, holes), shots, progress)

    def _kind(
        self,
        name: str,
        kind: str,
        truth: Truth,
        hidden: HiddenClip,
        shots: Sequence[range],
        progress: Progress,
    ) -> Iterator[Row]:
        results: dict[str, Bytes] = {}
        rows: list[Row] = []
        count = len(hidden.pictures)
        realism = Realism(hidden.pictures, self._parts(hidden, shots), self.features)
        for label, loaded in self.methods.items():
            propagates = self.options.propagate and not loaded.spec.baseline
            method, fitting = self._fitted(loaded, hidden, shots)
            done = hidden.completed(method, propagates, shots, self.stages)
            scores = truth.score(done.frames, hidden.holes)
            shown = np.clip(np.rint(done.frames), 0, 255).astype(np.uint8)
            cost = fitting.plus(done.cost)
            rows.append(
                Row(
                    *(name, kind, label, count, scores.frames),
                    {**scores.values, **realism.sharpness(shown)},
                    *(done.propagated, done.hole_pixels, cost.seconds, cost.memory),
                    realism.described(shown),
                )
            )
            if self.folder.wanted:
                results[label] = shown
            advance(progress, count)
        self.listener.note(f"{name}, {kind}: {_line(rows)}")
        add_strip(self.folder, truth.pictures, hidden.holes, results, rows)
        floor = truth.floor(hidden.holes)
        yield from rows
        yield Row(name, kind, TRUTH, count, rows[0].frames if rows else (), floor.values)

    def _parts(self, hidden: HiddenClip, shots: Sequence[range]) -> dict[str, Bool]:
        """Parts of the hole to measure separately: all, and what no frame showed if a method propagates."""
        if not self.options.propagate or all(method.spec.baseline for method in self.methods.values()):
            return {HOLE: hidden.holes}
        return {HOLE: hidden.holes, UNSEEN: hidden.unseen(shots)}

    def _fitted(self, loaded: Method, hidden: HiddenClip, shots: Sequence[range]) -> tuple[Method, Cost]:
        """The method as it is, or with a network fitted to the clip; what fitting cost."""
        if not loaded.spec.fitted or self.options.weights is not None:
            return loaded, Cost()
        options = self.options
        placement = place(options.device, options.precision, loaded.spec.dtypes)
        return fitted_method(
            loaded.spec.name,
            hidden,
            shots,
            options.fit,
            placement,
            propagates=options.propagate,
            listener=self.listener,
        )


def _check(options: EvaluateOptions, every: Sequence[ClipEntry]) -> None:
    """Refuse what cannot work, before anything is decoded."""
    if not options.methods or len(set(options.methods)) != len(options.methods):
        raise UsageError(f"--method {', '.join(options.methods) or 'without a name'}: give each method once")
    specs = [method_spec(name) for name in options.methods]
    if options.weights is not None and all(spec.weights is None for spec in specs):
        raise UsageError("--weights needs a --method with a network, such as sttn; leave the option out")
    fitted = any(spec.fitted for spec in specs) and options.weights is None
    check_fit_options(options.fit, fitted, ", ".join(options.methods))
    if options.frames is not None and options.frames < 2:
        raise UsageError(f"--frames {options.frames} is no clip; give 2 or more")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed} is negative; give 0 or more")
    check_kinds(options.masks, every)


def _load(options: EvaluateOptions) -> dict[str, Method]:
    """Load the methods with their weights, by name; raises UsageError, WeightsError."""
    loaded = {}
    for name in options.methods:
        spec = method_spec(name)
        placement = place(options.device, "fp32" if spec.weights is None else options.precision, spec.dtypes)
        weights = options.weights if spec.weights is not None else None
        loaded[name] = load_method(name, weights=weights, device=placement.device, dtype=placement.precision)
    return loaded


def _setting(dataset: str | Path, options: EvaluateOptions, clips: Sequence[ClipEntry]) -> dict[str, Any]:
    return {
        "vinpaint": __version__,
        "dataset": Path(dataset).resolve().name,
        **asdict(options),
        "clips": [clip.name for clip in clips],
        "baselines": sorted(name for name in options.methods if method_spec(name).baseline),
        "flow": ESTIMATOR,
        "machine": f"{platform.machine()}, {_cores()} cores, {place(options.device).device}",
    }


def _cores() -> int:
    import torch

    return torch.get_num_threads()


def _line(rows: Sequence[Row]) -> str:
    """``propagate 31.20 dB, telea 28.01 dB``."""
    means = [(row.method, summarise([row], "", "", row.method, ("psnr",)).means["psnr"]) for row in rows]
    return ", ".join(f"{method} {value:.2f} dB" if value is not None else method for method, value in means)
