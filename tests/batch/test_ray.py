"""A real Ray cluster on this machine: the same bytes as without, workers killed, segments poisoned."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import scripted
from clip_factory import make_clip
from scripted import POISONED, BrokenWorker, ScriptedWorker, began, told

from vinpaint_cli.batch.ray.cluster import RayOptions, connected, import_ray
from vinpaint_cli.batch.ray.executor import PoolHandle, RayExecutor, for_workers, running_pool
from vinpaint_cli.batch.ray.runner import ComposerConfig, RayRunner, compose_job
from vinpaint_cli.batch.runner import BatchJob
from vinpaint_cli.cli.app import run
from vinpaint_cli.errors import InputError, MaskError, UsageError, WorkerError
from vinpaint_cli.mask_making.clip import open_clip
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.removal.executor import FillSpec
from vinpaint_cli.removal.run import remove

ray = pytest.importorskip("ray", reason="Ray has no wheels for this Python; the engine cannot run here")

OPTIONS = RemoveOptions(mask=MaskOptions(boxes=("20,16,16,12",)))
TWO = RayOptions(workers=2)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A cluster of four CPUs: two for the pool of these tests, two for what they start beside it."""
    with connected(RayOptions("local", workers=4)):
        ray.cloudpickle.register_pickle_by_value(scripted)
        yield


@pytest.fixture(scope="session")
def pool(cluster: None) -> Iterator[PoolHandle]:
    """Two workers on a CPU each."""
    with running_pool(TWO, ScriptedWorker) as handle:
        yield handle


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty frames that make six segments."""
    monkeypatch.setattr("vinpaint_cli.pipeline.plan.LONGEST_SEGMENT", 9)
    return make_clip(tmp_path / "film.mp4", frames=30)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def expected(film: Path) -> str:
    """The output's hash without Ray."""
    target = film.with_name("local.mp4")
    report = remove(film, target, OPTIONS)
    assert report.segments >= 5
    return digest(target)


def by_ray(pool: PoolHandle, film: Path) -> str:
    target = film.with_name("ray.mp4")
    remove(film, target, OPTIONS, executor=RayExecutor(pool))
    return digest(target)


def job_of(path: Path, index: int = 0) -> BatchJob:
    return BatchJob(index, "", str(path), None, OPTIONS, False, WorkOptions())


def planned(film: Path) -> tuple[FillSpec, Plan]:
    job = open_clip(film, OPTIONS)
    return FillSpec(str(film), OPTIONS, job.placement), job.plan(SilentListener())


def until(happens: Callable[[], bool], seconds: float = 20) -> None:
    limit = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_the_output_is_that_of_the_local_engine(pool: PoolHandle, film: Path) -> None:
    assert by_ray(pool, film) == expected(film)
    assert len({pid for pids in began(film.parent).values() for pid in pids}) == 2
    assert all(one == {"torch": 1, "cv2": 1} for one in told(film.parent))


def test_a_worker_that_is_killed_as_it_fills_costs_nothing(pool: PoolHandle, film: Path) -> None:
    hold, killed = film.with_name("hold"), []
    hold.touch()

    def kill() -> None:
        until(lambda: len(began(film.parent)) == 2)
        segment, (victim,) = next(iter(began(film.parent).items()))
        os.kill(victim, signal.SIGKILL)
        killed.append(segment)
        hold.unlink()

    killer = threading.Thread(target=kill)
    killer.start()
    found = by_ray(pool, film)
    killer.join()
    assert {index: len(pids) for index, pids in began(film.parent).items() if len(pids) > 1} == {killed[0]: 2}
    assert found == expected(film)


def test_a_segment_that_kills_every_worker_is_given_up(pool: PoolHandle, film: Path) -> None:
    film.with_name("kill-1").write_text("99")
    with pytest.raises(
        WorkerError, match=r"segment 1 \(frames \d+ to \d+\) was given up: 3 workers"
    ) as caught:
        by_ray(pool, film)
    assert "\n" not in str(caught.value)
    assert len(began(film.parent)[1]) == 3
    assert [path.name for path in film.parent.glob("*ray.mp4*")] == []


def test_an_error_of_a_worker_is_raised_as_it_was(pool: PoolHandle, film: Path) -> None:
    film.with_name("poison-2").touch()
    with pytest.raises(MaskError) as caught:
        by_ray(pool, film)
    assert type(caught.value) is MaskError
    assert str(caught.value) == POISONED


def test_a_poisoned_segment_fails_its_own_job_only(pool: PoolHandle, tmp_path: Path) -> None:
    clips = [make_clip(_made(tmp_path / name) / "clip.mp4", frames=6) for name in ("one", "two", "three")]
    clips[1].with_name("poison-0").touch()
    jobs = [
        BatchJob(index, "", str(path), None, OPTIONS, False, WorkOptions())
        for index, path in enumerate(clips)
    ]
    results = {result.index: result for result in RayRunner(pool, TWO, 2, keep_going=True).run(jobs)}
    assert [results[index].status for index in range(3)] == ["done", "failed", "done"]
    assert (results[1].message, results[1].exit_code) == (POISONED, 3)
    for path in (clips[0], clips[2]):
        remove(path, path.with_name("local.mp4"), OPTIONS)
        assert digest(path.with_name("clip.vinpaint.mp4")) == digest(path.with_name("local.mp4"))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_no_more_segments_are_asked_for_than_the_bound(pool: PoolHandle, film: Path) -> None:
    from vinpaint_cli.batch.ray.pool import AHEAD

    job, plan = planned(film)
    most = pool.workers + AHEAD
    assert len(plan.segments) > most
    filled = RayExecutor(pool).fill(job, plan, plan.segments, lambda: None)
    next(filled)
    until(lambda: len(began(film.parent)) == most)
    time.sleep(0.5)
    assert len(began(film.parent)) == most
    next(filled)
    assert len(list(filled)) == len(plan.segments) - 2


def test_results_come_in_order_and_tick(pool: PoolHandle, film: Path) -> None:
    job, plan = planned(film)
    ticks: list[int] = []
    filled = RayExecutor(pool).fill(job, plan, plan.segments, lambda: ticks.append(1))
    first = [one.patches[0].index for one in filled]
    assert first == [segment.shown.start for segment in plan.segments]
    assert len(ticks) == sum(2 * len(segment.frames) - 1 for segment in plan.segments)


def test_segments_that_nobody_wants_are_let_go(pool: PoolHandle, film: Path) -> None:
    film.with_name("hold").touch()
    job, plan = planned(film)

    class Enough(Exception):
        pass

    def tick() -> None:
        raise Enough

    with pytest.raises(Enough):
        list(RayExecutor(pool).fill(job, plan, plan.segments, tick))
    begun = began(film.parent)
    assert len(begun) == 2
    other = make_clip(_made(film.with_name("other")) / "clip.mp4", frames=6)
    job, plan = planned(other)
    assert len(list(RayExecutor(pool).fill(job, plan, plan.segments, lambda: None))) == len(plan.segments)
    assert began(film.parent) == begun


def test_a_clip_that_a_worker_does_not_see_is_named(pool: PoolHandle, film: Path) -> None:
    job, plan = planned(film)
    film.unlink()
    with pytest.raises(InputError, match=r"film.mp4 is not seen by the worker on \S+; put clips"):
        list(RayExecutor(pool).fill(job, plan, plan.segments, lambda: None))


def test_a_composer_that_is_killed_is_started_again(
    pool: PoolHandle, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # composers are processes of their own, which plan as always
    hold = film.with_name("hold")
    hold.touch()

    def kill() -> None:
        until(lambda: bool(began(film.parent)))
        for process in psutil.Process().children(recursive=True):
            if process.cmdline()[:1] == ["ray::compose_job"]:
                process.kill()
        hold.unlink()

    killer = threading.Thread(target=kill)
    killer.start()
    (result,) = RayRunner(pool, TWO).run([job_of(film)])
    killer.join()
    assert result.message == ""
    remove(film, film.with_name("local.mp4"), OPTIONS)
    assert digest(film.with_name("film.vinpaint.mp4")) == digest(film.with_name("local.mp4"))


def test_a_composer_that_does_not_see_the_clip_says_so(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vinpaint_cli.batch.ray.runner.enter", lambda folder, threads: None)
    config = ComposerConfig(PoolHandle(None, ("here",)), str(tmp_path), 1, (str(film),))
    film.unlink()
    result = compose_job(job_of(film), config)
    assert (result.status, result.exit_code) == ("failed", 3)
    assert "film.mp4 is not seen by the composer on" in result.message


def test_the_command_line_does_the_same(
    cluster: None, film: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["remove", "film.mp4", "--box", "20,16,16,12", "-o", "ray.mp4", "--json"]
    monkeypatch.chdir(film.parent)
    assert run([*arguments, "--engine", "ray", "--shards", "1"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["output"] == "ray.mp4"
    assert [line for line in err.splitlines() if line] == [err.strip()]
    assert digest(film.with_name("ray.mp4")) == expected(film)


def test_workers_that_do_not_start_are_told_in_one_line(cluster: None) -> None:
    with (
        pytest.raises(
            WorkerError, match=r"a worker could not start \(RuntimeError: no such library\)"
        ) as caught,
        running_pool(RayOptions(workers=1), BrokenWorker),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"--engine ray needs the extra: pip install 'vinpaint\[ray\]'"):
        import_ray()


def test_options_of_the_cluster_need_the_engine(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given in (["--shards", "2"], ["--address", "auto"], ["--engine", "spark"]):
        assert run(["remove", str(film), "--box", "20,16,16,12", *given]) == 2
        assert "--engine" in capsys.readouterr().err


def test_stopping_a_batch_stops_its_composers(pool: PoolHandle, film: Path) -> None:
    film.with_name("hold").touch()
    quick = make_clip(_made(film.with_name("quick")) / "clip.mp4", frames=6)
    results = RayRunner(pool, TWO, 2).run([job_of(quick, 1), job_of(film)])
    assert next(results).index == 1
    until(lambda: bool(began(film.parent)))
    start = time.monotonic()
    results.close()  # type: ignore[attr-defined]  # it is a generator
    assert time.monotonic() - start < 2
    until(lambda: not [path for path in film.parent.iterdir() if path.name.endswith(".part.mp4")])


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    start = time.monotonic()
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        with (
            pytest.raises(UsageError, match="nothing answers at --address") as caught,
            connected(RayOptions(address)),
        ):
            pass
        assert "\n" not in str(caught.value)
    for address in ("nonsense", "http://here:1", "ray://", "ray://h:x"):
        with pytest.raises(UsageError, match="is none of auto, local"), connected(RayOptions(address)):
            pass
    assert time.monotonic() - start < 5


def test_networks_run_on_what_ray_lends() -> None:
    assert for_workers(RemoveOptions(), RayOptions()).device == "cpu"
    assert for_workers(RemoveOptions(device="cuda"), RayOptions(gpus=0.5)).device == "auto"
    with pytest.raises(UsageError, match="--device cuda does not go with --gpus-per-worker 0"):
        for_workers(RemoveOptions(device="cuda"), RayOptions())


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"cpus": 0}, {"gpus": -1.0}, {"gpus": 1.5}])
def test_options_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="give"):
        RayOptions(**wrong)  # type: ignore[arg-type]  # passed through
