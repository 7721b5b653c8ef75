"""The main job: plan → fill → compose, and the file that comes out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vinpaint_cli.mask_making.clip import MaskedClip, check_readable
from vinpaint_cli.pipeline.compose import MemoryPatches, composed_frames, in_order
from vinpaint_cli.pipeline.fill import Filled, MemoryFit
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions, check_options
from vinpaint_cli.pipeline.output import check_output, copy_as_it_is, spelled
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.progress import Clock, Listener, SilentListener, advance
from vinpaint_cli.removal.executor import Executor, FillSpec, LocalExecutor
from vinpaint_cli.removal.report import RemoveReport, Tally, make_report
from vinpaint_cli.resume.work import Work, is_whole, open_work
from vinpaint_cli.types import EncodeOptions, Frame, Patch, Progress
from vinpaint_cli.video.sink.publish import temporary_name
from vinpaint_cli.video.sink.write import FrameWriter, open_writer


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
    options, listener = options or RemoveOptions(), listener or SilentListener()
    place = check_output(path, output, overwrite=True)
    if not is_whole(work, place):
        check_output(path, output, overwrite)
    target = spelled(place, path, output)
    check_options(options)
    check_readable(path)
    with open_work(work, target, path, options, listener) as kept:
        if kept.published:
            return _found_whole(MaskedClip(path, kept.followed(options), listener), target, kept, listener)
        check_output(path, output, overwrite)
        job = MaskedClip(path, kept.followed(options), listener, kept.keep_mask)
        writer = open_writer(
            target,
            job.source,
            options.encode,
            overwrite=overwrite,
            announce=kept.publishing,
            threads=kept.threads,
        )
        run = Removal(job, target, overwrite, listener, kept, executor or LocalExecutor())
        return run.fill(writer) if run.plan.segments else run.copy(writer)


class Removal:
    """One run of one job: its plan made or found, then either filled or, without a hole, copied."""

    def __init__(
        self,
        job: MaskedClip,
        target: str,
        overwrite: bool,
        listener: Listener,
        kept: Work,
        executor: Executor,
    ) -> None:
        self._job, self._target, self._overwrite = job, target, overwrite
        self._listener, self._kept, self._executor = listener, kept, executor
        self._clock, self._tally, self._fit = Clock(), Tally(), kept.fit
        self._waited = 0.0
        self._clock.add(job.seconds)
        options = kept.followed(job.options)
        found = None
        if job.spec.fitted and options.weights is None:
            found = self._planned()
            options = replace(options, weights=self._fitted(found))
        self._spec = FillSpec(str(job.path), options, job.placement, kept.fit)
        with self._clock.time("load"):
            executor.prepare(self._spec, job)
        self.plan: Plan = found or self._planned()
        self._of_weights = tuple(self._other_clip())
        notes = dict.fromkeys([*kept.notes, *job.notes(), *self._of_weights])
        kept.keep_plan(self.plan, list(notes))

    def _planned(self) -> Plan:
        with self._clock.time("scan"):
            return self._kept.plan or self._job.plan(self._listener)

    def _fitted(self, plan: Plan) -> str | None:
        """The file of a network fitted to this clip, by now or before; None without a hole."""
        from vinpaint_cli.removal.train_internal import fit_for_job

        if not plan.segments:
            return None
        with self._clock.time("fit"):
            path = fit_for_job(self._job, plan, self._kept.beside, self._listener)
        self._kept.keep_fitted(path)
        return str(path)

    def _other_clip(self) -> Iterator[str]:
        """What should be said of weights that were fitted to another clip."""
        weights = self._job.options.weights
        if not self._job.spec.fitted or weights is None:
            return
        from vinpaint_cli.removal.fit_file import ClipMark, warn_of_other_clip
        from vinpaint_cli.weights.store import resolve

        mark = ClipMark.of(self._job.path, self._job.source.info, self.plan.scan.frames)
        warning = warn_of_other_clip(resolve(weights), mark)
        if warning is not None:
            yield warning

    def fill(self, writer: FrameWriter) -> RemoveReport:
        """Fill and compose the whole clip into the writer."""
        segments, plan = in_order(self.plan.segments), self.plan
        missing = self._kept.missing(segments)
        steps = sum(2 * len(segment.frames) - 1 for segment in missing) if self._job.options.propagate else 0
        self._kept.begin(writer.temporary)
        with writer, self._listener.stage("fill", steps + plan.scan.frames) as progress:
            fresh = self._executor.fill(self._spec, plan, missing, lambda: advance(progress))
            with _closed(fresh):
                filled = self._told(self._kept.gathered(segments, fresh))
                frames = composed_frames(self._job.source, segments, filled, MemoryPatches())
                self._encode(frames, writer.write, progress)
        return self._report(writer.warnings)

    def _encode(self, frames: Iterable[Frame], write: Callable[[Frame], None], progress: Progress) -> None:
        """Pull frames through the pipeline; what is not waiting for patches is decoding and encoding."""
        start = time.perf_counter()
        for frame in frames:
            write(frame)
            advance(progress)
        self._clock.seconds["encode"] = time.perf_counter() - start - self._waited

    def _told(self, filled: Iterator[Filled]) -> Iterator[tuple[Patch, ...]]:
        """Patches only; what else is known of a segment is counted, or said, on the way."""
        start = time.perf_counter()
        for one in filled:
            self._waited += time.perf_counter() - start
            self._tally.add(one)
            self._clock.add(one.seconds)
            for line in _news(self._fit, one.fit):
                self._listener.note(line)
            self._fit = one.fit if one.fit != MemoryFit() else self._fit
            yield one.patches
            start = time.perf_counter()

    def copy(self, writer: FrameWriter) -> RemoveReport:
        """Nothing to remove: copy the file, or encode it anew when another form was asked for."""
        job, target = self._job, Path(self._target)
        notes = ["the mask is empty, so nothing is removed"]
        same_suffix = target.suffix.lower() == job.path.suffix.lower()
        with self._clock.time("encode"):
            if same_suffix and job.path.is_file() and job.options.encode == EncodeOptions():
                temporary = temporary_name(target)
                self._kept.begin(temporary)
                copy_as_it_is(job.path, temporary, target, self._overwrite, self._kept.publishing)
                notes.append("the clip is copied as it is")
            else:
                self._kept.begin(writer.temporary)
                self._copy_frames(writer)
        return self._report([*notes, *writer.warnings])

    def _copy_frames(self, writer: FrameWriter) -> None:
        with writer, self._listener.stage("copy", self.plan.scan.frames) as progress:
            for frame in self._job.source.frames():
                writer.write(frame)
                advance(progress)

    def _report(self, warnings: Iterable[str]) -> RemoveReport:
        kept = self._kept
        notes = [*kept.notes, *self._job.notes(), *self._of_weights, *warnings]
        report = make_report(self._job, self.plan, self._target, self._tally, self._clock, notes)
        weights = self._spec.options.weights or report.weights
        return replace(report, weights=weights, segments_reused=kept.reused, work=kept.left)


def _found_whole(job: MaskedClip, target: str, kept: Work, listener: Listener) -> RemoveReport:
    """What there is to say of an output that the run before had finished when it was killed."""
    assert kept.plan is not None  # or nothing would be known to be published
    listener.note(
        f"{target} is whole: the run before was stopped when all was done but removing its work folder"
    )
    report = make_report(job, kept.plan, target, Tally(*kept.pixels), Clock(), [*kept.notes, *job.notes()])
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
    """What a person should know when less fits than was planned, said the first time only."""
    if now.frames is not None and before == MemoryFit():
        yield f"out of memory: segments are filled in pieces of at most {now.frames} frames from here on"
    if now.on_cpu and not before.on_cpu:
        yield "out of memory on the device: the network runs on the CPU from here on"
