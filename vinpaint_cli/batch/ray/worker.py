"""The worker of a Ray cluster: a process that keeps a method loaded and fills one segment at a time."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinpaint_cli import __version__
from vinpaint_cli.errors import InputError, Interrupted
from vinpaint_cli.methods import method_spec
from vinpaint_cli.pipeline.device import place
from vinpaint_cli.pipeline.fill import Filled
from vinpaint_cli.removal.executor import FillSpec, Worker
from vinpaint_cli.types import Segment

if TYPE_CHECKING:
    from ray import ObjectRef

REPORT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Settings of all workers of a pool.

    make: makes what fills segments. folder: where relative names begin. cpus: threads. gpus: share of a
    GPU; with 0 networks run on the CPU.
    """

    make: Callable[[], Worker]
    folder: str
    cpus: int
    gpus: float


@dataclass(frozen=True, slots=True)
class Greeting:
    """Host and version of a worker."""

    host: str
    version: str


@dataclass(frozen=True, slots=True)
class FillResult:
    """How filling a segment ended: ``error`` is None when it did well, ``trace`` says where it arose.

    An error is carried as a value, since Ray would wrap what is raised. ``ticks`` of progress were made.
    ``filled`` is where the patches lie in the object store, in a tuple so that Ray does not fetch them on
    the way.
    """

    ticks: int
    error: Exception | None = None
    trace: str = ""
    filled: tuple[ObjectRef[Filled | None], ...] = ()


class SegmentWorker:
    """The actor that fills one segment at a time and keeps the method loaded."""

    def __init__(self, config: WorkerConfig, pool: Any) -> None:
        enter(config.folder, config.cpus)
        self._config, self._pool = config, pool
        self._worker = config.make()

    def greet(self) -> Greeting:
        """Return host and version, once the worker is ready."""
        return Greeting(socket.gethostname(), __version__)

    def fill(self, turn: str, spec: FillSpec, segment: Segment | None) -> tuple[FillResult, Filled | None]:
        """Fill a segment of a job, or only load its method."""
        tick = _Reporter(lambda ticks: self._pool.told.remote(turn, segment and segment.index, ticks))
        try:
            if segment is None:
                self._worker.load(self._placed(spec))
                return FillResult(0), None
            check_seen(spec)
            filled = self._worker.fill(self._placed(spec), segment, tick)
        except Exception as exc:
            return FillResult(tick.ticks, exc, traceback.format_exc()), None
        return FillResult(tick.ticks), filled

    def _placed(self, spec: FillSpec) -> FillSpec:
        """The same job on what Ray lends this worker, whatever the machine that planned it has."""
        options = spec.options
        dtypes = method_spec(options.method).dtypes
        device = "cuda" if self._config.gpus else "cpu"
        return replace(spec, placement=place(device, options.precision, dtypes))


class _Reporter:
    """Counts ticks, reports them now and then, and stops the work when its task is cancelled."""

    def __init__(self, report: Callable[[int], object]) -> None:
        self.ticks = 0
        self._report = report
        self._next = time.monotonic() + REPORT_SECONDS

    def __call__(self) -> None:
        self.ticks += 1
        if time.monotonic() < self._next:
            return
        import ray  # which must not be imported before `cluster.import_ray` has set its environment

        if ray.get_runtime_context().is_canceled():
            raise Interrupted("nobody wants this segment any more")
        self._report(self.ticks)
        self._next = time.monotonic() + REPORT_SECONDS


def enter(folder: str, cpus: int) -> None:
    """Change to the folder that relative names begin at, if it exists here, and use ``cpus`` threads."""
    import cv2
    import torch

    with suppress(OSError):
        os.chdir(folder)
    torch.set_num_threads(cpus)
    cv2.setNumThreads(cpus)


def check_seen(spec: FillSpec) -> None:
    """Check that this machine sees the files of a job; raises InputError."""
    for path in (spec.path, *spec.options.mask.masks):
        if not Path(path).exists():
            raise not_seen(path, "worker")


def not_seen(path: str, who: str) -> InputError:
    """Return the error for a file that another machine has and this one lacks."""
    return InputError(
        f"{path} is not seen by the {who} on {socket.gethostname()}; put clips and masks on storage that "
        "every machine of the cluster has under the same name"
    )
