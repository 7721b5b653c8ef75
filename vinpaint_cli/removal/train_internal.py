"""`train_internal`: fits a network to one clip, for a file of its own or as the first step of a removal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vinpaint_cli.errors import Interrupted, OutputError, UsageError
from vinpaint_cli.mask_making.clip import MaskedClip, open_clip
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.masks.sources.shapes import NoHole
from vinpaint_cli.methods import fitted_methods
from vinpaint_cli.ops.flow import DEFAULT_FLOW, open_flow
from vinpaint_cli.pipeline.options import FitOptions, RemoveOptions, check_fit_options, check_options
from vinpaint_cli.pipeline.output import named_after
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.progress import Listener, SilentListener
from vinpaint_cli.pipeline.reader import SegmentReader
from vinpaint_cli.pipeline.scan import Scan, scan
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.removal.fit_file import (
    SUFFIX,
    ClipMark,
    drop_state,
    is_for,
    key_of,
    read_state,
    state_path,
    write_state,
)
from vinpaint_cli.types import Box, FrameSource, Segment
from vinpaint_cli.util import fitting_name
from vinpaint_cli.video.source.read import open_source

if TYPE_CHECKING:
    from vinpaint_cli.methods.fitting import ClipFit, FitStatus
    from vinpaint_cli.removal.fitting import FrameRun

MOST_PIXELS = 48_000_000
"""Pixels of all frames together that a network is fitted to: about 60 bytes of memory are held for each."""
RUN = 40
"""Frames of a run, where not all frames can be had."""
LEAST = 8
"""Frames of a run at the least."""
PATHS = ("input", "output")
"""Parts of a report that are not written into the file, which may move."""


@dataclass(frozen=True, slots=True)
class TrainInternalOptions:
    """What may be chosen for a fit; device, propagate and flow as in `RemoveOptions`.

    mask: None fits with object-shaped holes, so that the file serves any mask later.
    """

    mask: MaskOptions | None = None
    fit: FitOptions = field(default_factory=FitOptions)
    device: str = "auto"
    propagate: bool = True
    flow: str = DEFAULT_FLOW


@dataclass(frozen=True, slots=True)
class TrainInternalReport:
    """The result of a fit.

    psnr, smooth: in dB of the pixels kept aside, at the last scale: fitted, and of what it starts from.
    ``scales``: sizes of the pictures in units of the clip's; ``used``: for each whether its network gained
    enough to be used; where none is, holes are filled smoothly. ``finished``: whether it ran to its end.
    ``seconds``: of fitting alone.
    """

    input: str
    output: str
    frames: int
    frames_seen: int
    steps: int
    seconds: float
    psnr: float
    smooth: float
    scales: tuple[float, ...]
    used: tuple[bool, ...]
    finished: bool
    warnings: tuple[str, ...] = ()


def default_fit_output(path: str | Path) -> Path:
    """``<stem>.internal.safetensors`` beside the clip."""
    return named_after(path, SUFFIX)


def train_internal(
    path: str | Path,
    output: str | Path | None = None,
    options: TrainInternalOptions | None = None,
    *,
    overwrite: bool = False,
    resume: bool | None = None,
    listener: Listener | None = None,
) -> TrainInternalReport:
    """Fit a network to one clip and write its weights, for ``remove --method internal --weights``.

    path: a video, or a folder of pictures. output: by default `default_fit_output`. resume: None goes on
    with a fit of the same that was stopped, if there is one, True demands that there is, False starts afresh.

    Raises any `VinpaintError`; after Interrupted the file holds the best weights so far.
    """
    options, listener = options or TrainInternalOptions(), listener or SilentListener()
    check_fit_options(options.fit, fitted=True)
    target = Path(output) if output is not None else default_fit_output(path)
    if target.suffix != ".safetensors":
        raise UsageError(f"{target} must end in .safetensors; give --out {target.name}.safetensors")
    may_write = overwrite or resume is True or not target.exists()
    if not may_write and not is_begun(target):
        raise _already_there(target)
    clip = _open(Path(path), options, listener)
    fitting = _Fitting(clip, target, options, listener, resume)
    if not may_write and not fitting.goes_on:
        raise _already_there(target)
    return fitting.report()


def is_begun(target: Path) -> bool:
    """Whether the file holds a fit that was stopped and can be resumed."""
    return state_path(target).is_file()


def _already_there(target: Path) -> OutputError:
    return OutputError(f"{target} is there already; give -y to replace it, or another --out")


def fit_for_job(masked: MaskedClip, plan: Plan, folder: Path, listener: Listener) -> Path:
    """The file of a network fitted to a clip and its hole, in ``folder``; fitted now unless it is there.

    Raises any `VinpaintError`.
    """
    options = masked.options
    fit_options = TrainInternalOptions(
        options.mask, options.fit, masked.placement.device, options.propagate, options.flow
    )
    mark = ClipMark.of(masked.path, masked.source.info, plan.scan.frames)
    clip = _Clip(masked.path, masked.source, plan.scan, plan.segments, masked, mark)
    target = folder / fitting_name(masked.path.stem, f".{clip.key(fit_options)[:8]}{SUFFIX}")
    fitting = _Fitting(clip, target, fit_options, listener, None)
    if fitting.is_there:
        listener.note(f"using {target}, which was fitted to this clip before")
    else:
        listener.note(f"fitting a network to the clip first, {_length(options.fit)}; it is kept in {target}")
        report = fitting.report()
        if not any(report.used):
            listener.note(
                "the fit took too few steps or gained too little to be used, so the hole is filled without "
                "it; more --minutes may help"
            )
    return target


def _length(options: FitOptions) -> str:
    from vinpaint_cli.pipeline.options import MINUTES

    if options.steps is not None:
        return f"{options.steps} step{'' if options.steps == 1 else 's'}"
    minutes = MINUTES if options.minutes is None else options.minutes
    return f"for {minutes:g} minute{'' if minutes == 1 else 's'} (--minutes)"


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip as a fit sees it; ``masked`` None: without a hole."""

    path: Path
    source: FrameSource
    scan: Scan
    segments: Sequence[Segment]
    masked: MaskedClip | None
    mark: ClipMark

    def key(self, options: TrainInternalOptions) -> str:
        scanned = None if self.masked is None else self.scan
        return key_of(self.mark, scanned, options.fit, options.propagate, options.flow)

    def runs(self) -> Iterator[FrameRun]:
        """The runs of frames that are fitted to, read one after the other."""
        from vinpaint_cli.removal.fitting import FrameRun

        whole = SegmentReader(self.source, NoHole(self.source.info), 0)
        reader = whole if self.masked is None else self.masked.reader()
        for segment in choose_runs(self.segments):
            pictures, alphas = reader.read(segment)
            yield FrameRun(pictures, np.stack([alpha > 0 for alpha in alphas]), reader.height)


def _open(path: Path, options: TrainInternalOptions, listener: Listener) -> _Clip:
    if options.mask is not None:
        removal = RemoveOptions(
            mask=options.mask, method=fitted_methods()[0], device=options.device, fit=options.fit
        )
        check_options(removal)
        masked = open_clip(path, removal, listener)
        plan = masked.plan(listener)
        if not plan.segments:
            raise UsageError(
                "the mask is empty, so there is no hole to fit around; leave it out to fit to all"
            )
        mark = ClipMark.of(path, masked.source.info, plan.scan.frames)
        return _Clip(path, masked.source, plan.scan, plan.segments, masked, mark)
    source = open_source(path)
    info = source.info
    found = scan(source, NoHole(info), 0, listener)
    whole = Box(0, 0, info.width, info.height)
    shots = [shot for shot in found.shots if len(shot) > 1] or list(found.shots)
    segments = [Segment(n, shot, shot, whole, (info.width, info.height)) for n, shot in enumerate(shots)]
    return _Clip(path, source, found, segments, None, ClipMark.of(path, info, found.frames))


def choose_runs(segments: Sequence[Segment], most: int = MOST_PIXELS) -> list[Segment]:
    """Segments that together have at most about ``most`` pixels, shortened and spread over the clip."""
    if sum(len(segment.frames) * segment.roi.area for segment in segments) <= most:
        return list(segments)
    area = max(segment.roi.area for segment in segments)
    count = max(1, min(len(segments), most // (RUN * area)))
    length = max(LEAST, most // (count * area))
    chosen = [segments[place * len(segments) // count] for place in range(count)]
    return [_shortened(segment, length) for segment in chosen]


def _shortened(segment: Segment, length: int) -> Segment:
    """The middle of a segment."""
    frames = segment.frames
    if len(frames) <= length:
        return segment
    start = frames.start + (len(frames) - length) // 2
    part = range(start, start + length)
    return replace(segment, frames=part, core=part, lead=0, trail=0)


class _Fitting:
    """One fit and the file that it is written to."""

    def __init__(
        self,
        clip: _Clip,
        target: Path,
        options: TrainInternalOptions,
        listener: Listener,
        resume: bool | None,
    ) -> None:
        self._clip, self._target, self._options, self._listener = clip, target, options, listener
        self._key = clip.key(options)
        self._state = None if resume is False else read_state(target, self._key)
        if resume and self._state is None and not self.is_there:
            raise UsageError(
                f"there is no fit of this clip, hole and options to go on with at {state_path(target)}; "
                "leave out --resume to start"
            )

    @property
    def goes_on(self) -> bool:
        """Whether a stopped fit of the same clip, hole and options is resumed."""
        return self._state is not None

    @property
    def is_there(self) -> bool:
        """Whether the finished file is there."""
        return self._state is None and is_for(self._target, self._key)

    def report(self) -> TrainInternalReport:
        """Fit, write the file, and say how it went."""
        from vinpaint_cli.methods import start_fit
        from vinpaint_cli.pipeline.device import place
        from vinpaint_cli.removal.fitting import FitSettings, fit_clip

        if self._state is not None:
            self._listener.note(f"going on with the fit in {state_path(self._target)}")
        options, info = self._options, self._clip.source.info
        device = place(options.device).device
        masked = self._clip.masked
        fit = start_fit(
            fitted_methods()[0] if masked is None else masked.spec.name,
            (info.width, info.height),
            config=options.fit.config,
            seed=options.fit.seed,
            device=device,
            state=self._state,
        )
        runs = list(self._clip.runs())
        seen = sum(len(run.holes) for run in runs)
        stages = Stages(options.propagate, estimator=open_flow(options.flow, device))
        settings = FitSettings(options.fit, self._listener, stages, self._state is not None)
        try:
            fit_clip(fit, runs, settings, lambda state: write_state(self._target, self._key, state))
        except Interrupted as exc:
            if fit.status is None:
                raise Interrupted("stopped before there was anything to keep") from exc
            self._write(fit, fit.status, seen, finished=False)
            raise Interrupted(
                f"stopped; the best weights so far are in {self._target}, and the same command goes on"
            ) from exc
        assert fit.status is not None
        report = self._write(fit, fit.status, seen, finished=True)
        drop_state(self._target)
        return report

    def _write(self, fit: ClipFit, status: FitStatus, seen: int, *, finished: bool) -> TrainInternalReport:
        report = TrainInternalReport(
            input=str(self._clip.path),
            output=str(self._target),
            frames=self._clip.scan.frames,
            frames_seen=seen,
            steps=status.step,
            seconds=round(status.seconds, 2),
            psnr=round(status.best, 3),
            smooth=round(status.smooth, 3),
            scales=fit.scales,
            used=tuple(status.used),
            finished=finished,
            warnings=tuple(fit.notes),
        )
        metadata: dict[str, Any] = {
            "clip": asdict(self._clip.mark),
            "report": {name: value for name, value in asdict(report).items() if name not in PATHS},
        }
        if finished:
            metadata["key"] = self._key
        fit.write(self._target, metadata)
        return report
