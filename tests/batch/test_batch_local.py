"""Jobs on this machine: order, what a failure stops, processes that die, and the progress pipe."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import pytest

from vinpaint_cli.batch import local
from vinpaint_cli.batch.local import LocalRunner, PipeReceiver, PipeReporter, ended
from vinpaint_cli.batch.runner import BatchJob, JobResult, do_job, run_batch
from vinpaint_cli.errors import OutputError, explain
from vinpaint_cli.pipeline.device import SHARERS, available_memory
from vinpaint_cli.removal.executor import LocalExecutor

Jobs = tuple[BatchJob, ...]


def test_jobs_are_done_and_the_method_is_loaded_once(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    from vinpaint_cli.removal import executor

    load = executor.load_method
    monkeypatch.setattr(executor, "load_method", lambda *a, **k: loaded.append(a) or load(*a, **k))
    outcome = run_batch(jobs, LocalRunner())
    assert [result.status for result in outcome.results] == ["done"] * 3
    assert len(loaded) == 1
    for result in outcome.results:
        assert result.report is not None
        assert result.report["frames"] == 3
        assert Path(result.output).is_file()
    assert outcome.counts == {"done": 3, "failed": 0, "skipped": 0, "not run": 0}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, BaseException | str]], None]:
    """Lets jobs end as told: an error to raise, or a status."""

    def script(ends: dict[int, BaseException | str]) -> None:
        def do(job: BatchJob, executor: object, listener: object = None) -> JobResult:
            end = ends.get(job.index, "done")
            if isinstance(end, BaseException):
                raise end
            return JobResult(job.index, job.input, job.target, end, 3 * (end == "failed"), "", 0.1)  # type: ignore[arg-type]

        monkeypatch.setattr(local, "do_job", do)

    return script


@pytest.mark.parametrize(("keep_going", "last"), [(True, "done"), (False, "not run")])
def test_a_failure(jobs: Jobs, scripted: Callable[..., None], keep_going: bool, last: str) -> None:
    scripted({1: "failed"})
    told: list[JobResult] = []
    outcome = run_batch(jobs, LocalRunner(keep_going=keep_going), told.append)
    assert [result.status for result in outcome.results] == ["done", "failed", last]
    assert [result.index for result in told] == [0, 1, 2]


def test_ctrl_c(jobs: Jobs, scripted: Callable[..., None]) -> None:
    scripted({1: KeyboardInterrupt()})
    outcome = run_batch(jobs, LocalRunner(keep_going=True))
    assert outcome.interrupted
    assert [result.status for result in outcome.results] == ["done", "not run", "not run"]


def test_what_is_there_is_skipped(jobs: Jobs, scripted: Callable[..., None]) -> None:
    scripted({})
    Path(jobs[1].target).touch()
    outcome = run_batch(jobs, LocalRunner(), skip_existing=True)
    assert [result.status for result in outcome.results] == ["done", "skipped", "done"]


def test_an_iterator_that_is_left_is_closed(jobs: Jobs) -> None:
    closed = []

    class Endless:
        def run(self, jobs: object) -> Iterator[JobResult]:
            try:
                while True:
                    yield JobResult(0, "", "", "done", 0, "", 0.0)
            finally:
                closed.append(True)

    def stop(result: JobResult) -> None:
        raise OutputError("the disk is full")

    with pytest.raises(OutputError):
        run_batch(jobs, Endless(), stop)
    assert closed


def test_errors_become_results(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(jobs[0].input).write_bytes(b"")
    result = do_job(jobs[0], LocalExecutor())
    assert (result.status, result.exit_code) == ("failed", 3)
    assert result.message.startswith("one.mp4: ")
    assert "\n" not in result.message
    assert explain(MemoryError())[0] == 5
    assert explain(ZeroDivisionError("two"))[1].startswith("internal error (ZeroDivisionError: two)")
    noted = OutputError("full")
    noted.add_note("give the same command again")
    assert explain(noted) == (6, "full; give the same command again")


def test_how_a_process_ended() -> None:
    code, line = ended(-signal.SIGKILL)
    assert code == 137
    assert "SIGKILL, perhaps for want of memory" in line
    assert ended(-signal.SIGSEGV)[0] == 139
    assert "SIGSEGV; run the batch again" in ended(-signal.SIGSEGV)[1]
    assert "by itself with code 3" in ended(3)[1]


def test_a_process_that_is_killed_fails_its_job_alone_and_is_replaced(jobs: Jobs, folder: Path) -> None:
    more = [replace(job, index=3 + job.index, output=f"{job.index}.mkv") for job in jobs]
    before = {child.pid for child in multiprocessing.active_children()}

    def kill_one() -> None:
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            ours = [child.pid for child in multiprocessing.active_children() if child.pid not in before]
            if len(ours) == 2 and ours[0] is not None:
                os.kill(ours[0], signal.SIGKILL)
                return
            time.sleep(0.01)

    threading.Thread(target=kill_one, daemon=True).start()
    outcome = run_batch([*jobs, *more], LocalRunner(2, keep_going=True))
    failed = [result for result in outcome.results if result.status == "failed"]
    assert [result.exit_code for result in failed] == [137]
    assert "SIGKILL" in failed[0].message
    assert outcome.counts["done"] == 5
    assert {child.pid for child in multiprocessing.active_children()} <= before


def test_leaving_the_loop_ends_the_processes(jobs: Jobs) -> None:
    results = LocalRunner(2, keep_going=True).run(jobs)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert time.monotonic() - start < 0.3 + local.SECONDS_TO_TIDY + 20  # the machine may be busy
    limit = time.monotonic() + 20
    while ours := [c for c in multiprocessing.active_children() if c.name.startswith("SpawnProcess")]:
        assert time.monotonic() < limit, ours
        time.sleep(0.05)


class Log:
    """A listener and a stage that write down what they are told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Log]:
        self.lines.append(f"begin {name} {total}")
        yield self
        self.lines.append(f"end {name}")

    def advance(self, n: int = 1) -> bool:
        self.lines.append(f"advance {n}")
        return True

    def expect(self, seconds: float) -> None:
        self.lines.append(f"expect {seconds:g}")

    def note(self, text: str) -> None:
        self.lines.append(f"note {text}")


def test_the_time_that_is_left_is_passed_on() -> None:
    log = Log()
    here, there = Pipe()
    with here, there:
        with PipeReporter(there).stage("fill", 9) as stage:
            stage.expect(31.0)
            stage.advance(4)
            stage.expect(12.5)
        shown = PipeReceiver(log)
        while here.poll():
            shown.take(here.recv())
    assert log.lines == ["begin fill 9", "advance 4", "expect 12.5", "end fill"]


def passed_on(log: Log) -> PipeReceiver:
    """What a job tells through a pipe, shown to the log; its last stage breaks off."""
    here, there = Pipe()
    shown = PipeReceiver(log)
    with here, there:
        listener = PipeReporter(there)
        with listener.stage("scan", None) as stage:
            for _ in range(5):
                assert stage.advance()
        listener.note("look")
        with pytest.raises(ValueError, match="torn"), listener.stage("fill", 9):
            raise ValueError("torn")
        while here.poll():
            shown.take(here.recv())
    return shown


def test_stages_notes_and_counts_arrive() -> None:
    log = Log()
    shown = passed_on(log)
    assert log.lines == ["begin scan None", "advance 5", "end scan", "note look", "begin fill 9"]
    shown.close()
    assert log.lines[-1] == "end fill"


def test_a_stage_is_told_of_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "SECONDS_BETWEEN", -1.0)
    log = Log()
    passed_on(log).close()
    assert log.lines.count("advance 1") == 5


def test_free_memory_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARERS, raising=False)
    whole = available_memory()
    monkeypatch.setenv(SHARERS, "4")
    assert available_memory() < 0.5 * whole
