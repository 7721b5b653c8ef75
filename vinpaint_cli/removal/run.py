"""One removal from top to bottom: open, scan, plan, fill, compose, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from vinpaint_cli.errors import Interrupted, VinpaintError
from vinpaint_cli.mask_making.clip import MaskedClip, open_clip
from vinpaint_cli.pipeline.compose import MemoryPatches, composed_frames, in_order
from vinpaint_cli.pipeline.fill import Filled, MemoryFit
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
from vinpaint_cli.pipeline.output import check_free, copy_as_it_is
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.progress import Clock, Listener, SilentListener, advance, expect
from vinpaint_cli.removal.estimate import encode_seconds
from vinpaint_cli.removal.executor import Executor, FillSpec, LocalExecutor
from vinpaint_cli.removal.forecast import ENCODE, Forecast, cost_of
from vinpaint_cli.removal.job import Job, RemoveReport, Tally, check_job, make_report
from vinpaint_cli.resume.fingerprint import marks_of, unchanged
from vinpaint_cli.resume.work import Work, open_work
from vinpaint_cli.types import EncodeOptions, Frame, Patch, Progress, Segment
from vinpaint_cli.video.sink.publish import temporary_name
from vinpaint_cli.video.sink.write import FrameWriter, open_writer
from vinpaint_cli.video.source.read import open_source

LONG = 60.0
"""Seconds of encoding from which on a moment is spent to foretell it."""


def remove(
    path: str | Path,
    output: str | Path | None = None,
    options: RemoveOptions | None = None,
    *,
    overwrite: bool = False,
    listener: Listener | None = None,
    work: WorkOptions | None = None,
    executor: Executor | None = None,
) -> RemoveReport:
    """Remove what the mask covers from one clip.

    path: a video, or a folder of pictures. output: a video or a folder; by default
    ``<stem>.vinpaint<suffix>`` beside the input. It appears under its name only when whole.
    work: keep finished segments in a folder, from which the same call goes on after whatever stopped it;
    None keeps them in memory. executor: fills the segments, by default in this process.

    Raises any `VinpaintError`.
    """
    job = check_job(path, output, options or RemoveOptions(), work, overwrite)
    return run_job(job, listener or SilentListener(), executor)


def run_job(
    job: Job,
    listener: Listener,
    executor: Executor | None = None,
    agree: Callable[[MaskedClip], bool] = lambda clip: True,
) -> RemoveReport:
    """Carry out a job that was checked; executor and errors as of `remove`.

    agree: whether to go on with the mask, asked before anything is filled; Interrupted if not.
    """
    marks = marks_of(job.path, job.options)
    source = open_source(job.path, playlists=job.options.playlists)
    with (
        open_work(job.work, job.target, job.path, job.options, listener) as kept,
        unchanged(marks, job.path, job.options) as check,
    ):
        options = kept.followed(job.options)
        if kept.published:
            clip = open_clip(job.path, options, listener, source=source)
            return _report_published(job, clip, kept, listener)
        check_free(Path(job.target), job.overwrite)
        keep = _after(check, kept.keep_mask)
        clip = open_clip(job.path, options, listener, keep, source=source)
        if not agree(clip):
            raise Interrupted("nothing was removed: the mask was not agreed to")
        writer = open_writer(
            job.target,
            source,
            options.encode,
            overwrite=job.overwrite,
            announce=_after(check, kept.publishing),
            threads=kept.threads,
        )
        removal = Removal(job, clip, kept, listener, executor or LocalExecutor(), check)
        plan, spec = removal.prepare()
        if plan.segments:
            removal.fill(plan, spec, writer)
        else:
            removal.copy(plan, writer)
        return removal.report(plan, spec, writer.warnings)


@dataclass(slots=True)
class Removal:
    """The steps of one removal, with the times, counts and notes that they collect.

    check: raises InputChanged when clip or masks are not what they were when the job began.
    """

    job: Job
    clip: MaskedClip
    kept: Work
    listener: Listener
    executor: Executor
    check: Callable[[], None]
    clock: Clock = field(default_factory=Clock)
    tally: Tally = field(default_factory=Tally)
    notes: list[str] = field(default_factory=list)

    def prepare(self) -> tuple[Plan, FillSpec]:
        """Make the plan or take the kept one, fit the network if the method needs it, and load the method."""
        clip, kept = self.clip, self.kept
        self.clock.add(clip.seconds)
        options, plan = kept.followed(clip.options), None
        if clip.spec.fitted and options.weights is None:
            plan = self._scan()
            options = replace(options, weights=self._fit(plan))
        spec = FillSpec(str(clip.path), options, clip.placement, kept.fit, kept.folder)
        with self.clock.time("load"):
            self.executor.prepare(spec, clip)
        plan = plan or self._scan()
        self.notes = [*clip.notes(), *self._warn_of_weights(plan)]
        self.check()
        kept.keep_plan(plan, list(dict.fromkeys([*kept.notes, *self.notes])))
        return plan, spec

    def _scan(self) -> Plan:
        with self.clock.time("scan"):
            return self.kept.plan or self.clip.plan(self.listener)

    def _fit(self, plan: Plan) -> str | None:
        """The file of a network fitted to this clip, now or by an earlier run; None without a hole."""
        from vinpaint_cli.removal.train_internal import fit_for_job

        if not plan.segments:
            return None
        with self.clock.time("fit"):
            path = fit_for_job(self.clip, plan, self.kept.beside, self.listener)
        self.kept.keep_fitted(path)
        return str(path)

    def _warn_of_weights(self, plan: Plan) -> Iterator[str]:
        """What should be said of weights that were fitted to another clip."""
        clip, weights = self.clip, self.clip.options.weights
        if not clip.spec.fitted or weights is None:
            return
        from vinpaint_cli.removal.fit_file import ClipMark, warn_of_other_clip
        from vinpaint_cli.weights.store import resolve

        mark = ClipMark.of(clip.path, clip.source.info, plan.scan.frames)
        warning = warn_of_other_clip(resolve(weights), mark)
        if warning is not None:
            yield warning

    def fill(self, plan: Plan, spec: FillSpec, writer: FrameWriter) -> None:
        """Fill and compose the whole clip into the writer."""
        segments = in_order(plan.segments)
        missing = self.kept.missing(segments)
        steps = sum(2 * len(segment.frames) - 1 for segment in missing) if spec.options.propagate else 0
        self.kept.begin(writer.temporary)
        with writer, self.listener.stage("fill", steps + plan.scan.frames) as progress:
            forecast = self._forecast(plan, missing, progress)

            def tick() -> None:
                advance(progress)
                forecast.tick()

            fresh = self.executor.fill(spec, plan, missing, tick)
            with _closed(fresh):
                filled = _Patches(self.kept.gathered(segments, self._checked(fresh, forecast)), self)
                frames = composed_frames(self.clip.source, segments, iter(filled), MemoryPatches())
                encoded, start = 0.0, time.perf_counter()
                for frame in frames:
                    writer.write(frame)
                    advance(progress)
                    # What was not waiting for patches was decoding and encoding.
                    before, encoded = encoded, time.perf_counter() - start - filled.waited
                    forecast.wrote(encoded - before)
                self.clock.seconds["encode"] = time.perf_counter() - start - filled.waited

    def _forecast(self, plan: Plan, missing: Sequence[Segment], progress: Progress) -> Forecast:
        options = self.clip.options
        costs = [cost_of(plan, segment, options.propagate, options.texture) for segment in missing]
        frames = plan.scan.frames
        encode = ENCODE * self.clock.seconds.get("scan", 0.0) / max(1, frames)
        if encode * frames > LONG:
            with suppress(VinpaintError):
                encode = encode_seconds(self.clip, self.job.target)
        return Forecast(missing, costs, frames, encode, partial(expect, progress))

    def _checked(self, fresh: Iterator[Filled], forecast: Forecast) -> Iterator[Filled]:
        """Segments whose frames are those of the clip that was planned."""
        for filled in fresh:
            self.check()
            forecast.filled(filled.seconds)
            yield filled

    def copy(self, plan: Plan, writer: FrameWriter) -> None:
        """Nothing to remove: copy the file, or encode it anew when another form was asked for."""
        job, target = self.job, Path(self.job.target)
        self.notes.append("the mask is empty, so nothing is removed")
        same_suffix = target.suffix.lower() == job.path.suffix.lower()
        with self.clock.time("encode"):
            if same_suffix and job.path.is_file() and job.options.encode == EncodeOptions():
                temporary, announce = temporary_name(target), _after(self.check, self.kept.publishing)
                self.kept.begin(temporary)
                copy_as_it_is(job.path, temporary, target, job.overwrite, announce)
                self.notes.append("the clip is copied as it is")
            else:
                self.kept.begin(writer.temporary)
                with writer, self.listener.stage("copy", plan.scan.frames) as progress:
                    _write(self.clip.source.frames(), writer.write, progress)

    def report(self, plan: Plan, spec: FillSpec, warnings: Iterable[str]) -> RemoveReport:
        """The report of this removal."""
        notes = [*self.kept.notes, *self.notes, *warnings]
        report = make_report(self.clip, plan, self.job.target, self.tally, self.clock, notes)
        weights = spec.options.weights or report.weights
        return replace(report, weights=weights, segments_reused=self.kept.reused, work=self.kept.left)


@dataclass(slots=True)
class _Patches:
    """Yields the patches of filled segments, and counts their pixels and times as they pass.

    waited: seconds that were waited for segments so far.
    """

    filled: Iterator[Filled]
    removal: Removal
    waited: float = 0.0

    def __iter__(self) -> Iterator[tuple[Patch, ...]]:
        removal = self.removal
        fit = removal.kept.fit
        start = time.perf_counter()
        for one in self.filled:
            self.waited += time.perf_counter() - start
            removal.tally.add(one)
            removal.clock.add(one.seconds)
            for line in _news(fit, one.fit):
                removal.listener.note(line)
            fit = one.fit if one.fit != MemoryFit() else fit
            yield one.patches
            start = time.perf_counter()


def _after(check: Callable[[], None], work: Callable[..., None]) -> Callable[..., None]:
    """The function, called only when the check raises nothing."""

    def checked(*given: Any) -> None:
        check()
        work(*given)

    return checked


def _write(frames: Iterable[Frame], write: Callable[[Frame], None], progress: Progress) -> None:
    for frame in frames:
        write(frame)
        advance(progress)


def _report_published(job: Job, clip: MaskedClip, kept: Work, listener: Listener) -> RemoveReport:
    """The report for an output that an earlier run had finished when it was killed."""
    assert kept.plan is not None  # or nothing would be known to be published
    listener.note(
        f"{job.target} is whole: the run before was stopped when all was done but removing its work folder"
    )
    notes = [*kept.notes, *clip.notes()]
    report = make_report(clip, kept.plan, job.target, Tally(*kept.pixels), Clock(), notes)
    return replace(report, segments_reused=kept.reused, work=kept.left)


@contextmanager
def _closed(filled: Iterator[Filled]) -> Iterator[None]:
    """Close the iterator at the end, so that whoever works ahead for it stops."""
    try:
        yield
    finally:
        if isinstance(filled, Generator):
            filled.close()


def _news(before: MemoryFit, now: MemoryFit) -> Iterator[str]:
    """Messages about memory limits that were found while filling, each given once."""
    if now.frames is not None and before == MemoryFit():
        yield f"out of memory: segments are filled in pieces of at most {now.frames} frames from here on"
    if now.on_cpu and not before.on_cpu:
        yield "out of memory on the device: the network runs on the CPU from here on"
