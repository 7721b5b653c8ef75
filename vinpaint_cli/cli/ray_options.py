"""Options of `remove` and `batch` for a Ray cluster, and the executor and runner made from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vinpaint_cli.errors import UsageError
from vinpaint_cli.options import TABLE, Values, build

if TYPE_CHECKING:
    from vinpaint_cli.batch.ray.cluster import RayOptions
    from vinpaint_cli.batch.runner import Runner
    from vinpaint_cli.pipeline.options import RemoveOptions
    from vinpaint_cli.removal.executor import Executor

ENGINES = ("local", "ray")


def ray_options(values: Values) -> RayOptions | None:
    """Ray options from option values; None for the local engine. Raises UsageError."""
    engine = values["engine"]
    if engine not in ENGINES:
        raise UsageError(f"--engine {engine} is not known; use one of {', '.join(ENGINES)}")
    ours = [option for option in TABLE if option.place.startswith("RayOptions.")]
    given = {option: values[option.key] for option in ours if values[option.key] is not None}
    if engine == "local":
        for option in given:
            raise UsageError(f"{option.spellings[0]} goes with --engine ray; add that or leave it out")
        return None
    from vinpaint_cli.batch.ray.cluster import RayOptions

    return build(RayOptions, {option.key: value for option, value in given.items()})


@contextmanager
def executor_for(
    ray: RayOptions | None, options: RemoveOptions
) -> Iterator[tuple[Executor | None, RemoveOptions]]:
    """The executor that fills one clip (None: this process), and the options as its workers take them."""
    if ray is None:
        yield None, options
        return
    from vinpaint_cli.batch.ray.executor import RayExecutor, for_workers, running_pool, sharing_memory

    options = for_workers(options, ray)
    with running_pool(ray) as pool, sharing_memory(pool):
        yield RayExecutor(pool), options


@contextmanager
def ray_runner(ray: RayOptions, composers: int | None, keep_going: bool) -> Iterator[Runner]:
    """The runner of a batch on a cluster; ``composers`` jobs at a time, None: one for each worker."""
    from vinpaint_cli.batch.ray.executor import running_pool
    from vinpaint_cli.batch.ray.runner import RayRunner

    with running_pool(ray) as pool:
        yield RayRunner(pool, ray, composers, keep_going)
