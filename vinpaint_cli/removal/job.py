"""One removal: as it was asked for, checked before anything is opened, and the report of what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from vinpaint_cli.mask_making.clip import MaskedClip
from vinpaint_cli.pipeline.device import peak_memory
from vinpaint_cli.pipeline.fill import Filled
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions, check_options
from vinpaint_cli.pipeline.output import check_free, check_output, spelled
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.progress import Clock
from vinpaint_cli.resume.work import is_whole

MayOverwrite = Callable[[Path | None], bool]
"""Whether a file may be overwritten; asked with None where none needs to be."""


@dataclass(frozen=True, slots=True)
class Job:
    """A removal that may begin; made by `check_job`.

    path: of the clip. target: the output, with a trailing slash when it is a folder of pictures. work: None
    keeps nothing. overwrite: whether an output that is there is replaced.
    """

    path: Path
    target: str
    options: RemoveOptions
    work: WorkOptions | None
    overwrite: bool


def check_job(
    path: str | Path,
    output: str | Path | None,
    options: RemoveOptions,
    work: WorkOptions | None = None,
    overwrite: bool | MayOverwrite = False,
) -> Job:
    """Check options and output; nothing is opened. Arguments as of `remove`.

    Raises UsageError, InputError and OutputError.
    """
    check_options(options)
    target = check_output(path, output, overwrite=True)
    whole = is_whole(work, target)  # then it is not written again
    allowed = overwrite if isinstance(overwrite, bool) else overwrite(None if whole else target)
    if not whole:
        check_free(target, allowed)
    return Job(Path(path), spelled(target, path, output), options, work, allowed)


@dataclass(frozen=True, slots=True)
class RemoveReport:
    """What a removal did, and what it took.

    ``hole_pixels`` is the sum over all frames; ``by_propagation`` and ``by_method`` are shares of it that
    sum to one (both 0 without a hole). ``seconds`` per stage; ``peak_memory`` bytes of this process.
    ``segments_reused`` of ``segments`` were there from an earlier run; ``work`` is the folder where they
    still are, None when there is none.
    """

    input: str
    output: str
    frames: int
    hole_frames: int
    hole_pixels: int
    by_propagation: float
    by_method: float
    method: str
    weights: str | None
    device: str
    precision: str
    shots: int
    segments: int
    seconds: dict[str, float]
    peak_memory: int
    warnings: tuple[str, ...]
    segments_reused: int = 0
    work: str | None = None


@dataclass(slots=True)
class Tally:
    """Counts of hole pixels: all that were filled so far, and those that propagation filled."""

    hole: int = 0
    propagated: float = 0.0

    def add(self, filled: Filled) -> None:
        """Count a segment."""
        self.hole += filled.hole_pixels
        self.propagated += filled.propagated_pixels

    @property
    def by_propagation(self) -> float:
        """Share of the pixels that other frames show, 0 without a hole."""
        return round(self.propagated / self.hole, 4) if self.hole else 0.0


def make_report(
    job: MaskedClip, plan: Plan, target: str, tally: Tally, clock: Clock, warnings: Iterable[str]
) -> RemoveReport:
    """The report of a removal, from its plan, counts and times."""
    by_propagation = tally.by_propagation
    return RemoveReport(
        input=str(job.path),
        output=target,
        frames=plan.scan.frames,
        hole_frames=sum(box is not None for box in plan.scan.holes),
        hole_pixels=plan.scan.hole_pixels,
        by_propagation=by_propagation,
        by_method=round(1 - by_propagation, 4) if tally.hole else 0.0,
        method=plan.spec.name,
        weights=(job.options.weights or plan.spec.weights) if plan.segments else None,
        device=plan.placement.device,
        precision=plan.placement.precision,
        shots=len(plan.scan.shots),
        segments=len(plan.segments),
        seconds={name: round(value, 3) for name, value in clock.seconds.items()},
        peak_memory=peak_memory(),
        warnings=tuple(dict.fromkeys(warnings)),
    )
