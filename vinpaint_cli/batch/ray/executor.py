"""Fills the segments of a job on the workers of a Ray cluster."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from vinpaint_cli.batch.ray.cluster import RayOptions, connected, last_line, room_for
from vinpaint_cli.errors import UsageError, VinpaintError, WorkerError
from vinpaint_cli.ops.complete import DEFAULT_COMPLETER
from vinpaint_cli.pipeline.device import SHARERS
from vinpaint_cli.pipeline.fill import Filled
from vinpaint_cli.removal.executor import FillSpec, Worker
from vinpaint_cli.types import Segment

if TYPE_CHECKING:
    from vinpaint_cli.batch.ray.worker import FillResult
    from vinpaint_cli.mask_making.clip import MaskedClip
    from vinpaint_cli.pipeline.options import RemoveOptions
    from vinpaint_cli.pipeline.plan import Plan

LOOK_SECONDS = 0.5
FETCHES = 3


class RemoteTrace(Exception):
    """The traceback of an error on a worker, as text; shown with -v."""


@dataclass(frozen=True, slots=True)
class PoolHandle:
    """A handle of a running pool, for any process of the cluster; ``hosts``: the host of each worker."""

    actor: Any
    hosts: tuple[str, ...]

    @property
    def workers(self) -> int:
        """Number of workers that were ready at the start."""
        return len(self.hosts)


@contextmanager
def running_pool(options: RayOptions, make: Callable[[], Worker] = Worker) -> Iterator[PoolHandle]:
    """Connect to or start a cluster, and run workers on it until the end of the block.

    ``make`` makes what fills segments, on each worker.

    Raises UsageError when the cluster cannot be used or has no room, WorkerError when no worker starts.
    """
    with connected(options):
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from vinpaint_cli.batch.ray.pool import Pool
        from vinpaint_cli.batch.ray.worker import WorkerConfig

        config = WorkerConfig(make, os.getcwd(), options.cpus, options.gpus)
        # The pool is to live as long as this process does, so it stays on this machine if it can.
        near = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        maker: Any = ray.remote(Pool).options(num_cpus=0, scheduling_strategy=near)
        actor = maker.remote(config, room_for(options))
        try:
            yield PoolHandle(actor, _begun(actor.start.remote()))
        finally:
            ray.kill(actor)


def _begun(ref: Any) -> tuple[str, ...]:
    import ray
    from ray.exceptions import RayTaskError

    try:
        hosts: list[str] = ray.get(ref)
    except RayTaskError as exc:
        cause = exc.cause
        raise cause if isinstance(cause, VinpaintError) else exc from None
    return tuple(hosts)


def for_workers(options: RemoveOptions, ray: RayOptions) -> RemoveOptions:
    """Return the options for workers, whose networks run on the GPUs that Ray lends, or on the CPU.

    Raises UsageError when ``device`` asks for anything else.
    """
    allowed = ("auto", "cuda") if ray.gpus else ("auto", "cpu")
    if options.device not in allowed:
        raise UsageError(
            f"--device {options.device} does not go with --gpus-per-worker {ray.gpus:g}; on a cluster "
            "networks run on the GPUs that Ray lends, or on the CPU with 0: leave --device out"
        )
    return replace(options, device="auto" if ray.gpus else "cpu")


@contextmanager
def sharing_memory(pool: PoolHandle) -> Iterator[None]:
    """Let plans within the block divide a machine's memory between the workers on it."""
    before = os.environ.get(SHARERS)
    os.environ[SHARERS] = str(max(Counter(pool.hosts).values()))
    try:
        yield
    finally:
        if before is None:
            del os.environ[SHARERS]
        else:
            os.environ[SHARERS] = before


class RayExecutor:
    """Sends segments to the workers of a pool and gives their patches back in order.

    Few segments more than there are workers are asked for and not yet taken (`Pool.room`), which bounds
    what lies in the object store however long the clip is and however slow the composer.
    """

    def __init__(self, pool: PoolHandle, job: str = "job") -> None:
        """``job`` tells this composer from others that use the same pool."""
        self._pool, self._job = pool, job

    def prepare(self, job: FillSpec, opened: MaskedClip) -> None:
        """Load the networks on a worker, so that a bad file of weights is known before the scan."""
        import ray

        if opened.spec.weights is not None or job.options.complete != DEFAULT_COMPLETER:
            _raise(ray.get(self._pool.actor.fill.remote(self._job, job)))

    def fill(
        self, job: FillSpec, plan: Plan, segments: Sequence[Segment], tick: Callable[[], None]
    ) -> Iterator[Filled]:
        """Fill segments, results in the order given."""
        import ray

        actor = self._pool.actor
        turn: str = ray.get(actor.begin.remote(self._job))
        progress = _Progress(actor, turn, tick)
        todo, asked = deque(segments), deque[tuple[Segment, Any]]()
        try:
            while todo or asked:
                for _ in range(min(len(todo), ray.get(actor.room.remote()) - len(asked))):
                    segment = todo.popleft()
                    asked.append((segment, actor.fill.remote(turn, job, segment)))
                segment, ref = asked.popleft()
                yield _received(partial(actor.fill.remote, turn, job, segment), ref, progress)
        finally:
            actor.end.remote(turn)


def _received(again: Callable[[], Any], ref: Any, progress: _Progress) -> Filled:
    """The patches of a segment, which is filled ``again`` when the machine that held them is gone."""
    import ray
    from ray.exceptions import ObjectLostError

    for _ in range(FETCHES):
        outcome = progress.wait(ref)
        _raise(outcome)
        try:
            filled: Any = ray.get(outcome.filled[0])
        except ObjectLostError:
            ref = again()
        else:
            progress.done(outcome.ticks)
            return cast("Filled", filled)
    raise WorkerError(f"the patches of a segment were lost {FETCHES} times on their way; run again to go on")


class _Progress:
    """Waits for segments, and passes on the ticks of the workers."""

    def __init__(self, actor: Any, job: str, tick: Callable[[], None]) -> None:
        self._actor, self._job, self._tick = actor, job, tick
        self._done, self._shown = 0, 0

    def wait(self, ref: Any) -> FillResult:
        """Return the pool's answer; waits in short steps, so that Ctrl-C is heard."""
        import ray
        from ray.exceptions import RayActorError

        try:
            while not ray.wait([ref], timeout=LOOK_SECONDS)[0]:
                self._show(self._done + ray.get(self._actor.ticks.remote(self._job)))
            outcome: FillResult = ray.get(ref)
        except RayActorError as exc:
            raise WorkerError(f"the workers are gone ({last_line(exc)}); run again to go on") from exc
        return outcome

    def done(self, ticks: int) -> None:
        """Count the ticks of a segment that has come."""
        self._done += ticks
        self._show(self._done)

    def _show(self, ticks: int) -> None:
        while self._shown < ticks:
            self._shown += 1
            self._tick()


def _raise(outcome: FillResult) -> None:
    """Raise the error of a worker as if it had arisen here."""
    if outcome.error is not None:
        raise outcome.error from RemoteTrace(outcome.trace)
