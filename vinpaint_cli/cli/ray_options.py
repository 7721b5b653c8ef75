"""Options of filling on the workers of a Ray cluster, for `remove` and `batch`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from vinpaint_cli.errors import UsageError

if TYPE_CHECKING:
    from vinpaint_cli.batch.ray.cluster import RayOptions
    from vinpaint_cli.batch.runner import Runner
    from vinpaint_cli.pipeline.options import RemoveOptions
    from vinpaint_cli.removal.executor import Crew

_RAY = "Over machines"
ENGINES = ("local", "ray")

Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="local|ray",
        help="Who fills: this machine, or workers of a Ray cluster (needs the extra `ray`).",
        rich_help_panel=_RAY,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="auto|local|HOST:PORT|ray://HOST:PORT",
        help="The cluster (default: auto, the one that runs on this machine or is named by RAY_ADDRESS). "
        "local starts workers here and stops them at the end.",
        rich_help_panel=_RAY,
    ),
]
Shards = Annotated[
    int | None,
    typer.Option(
        "--shards",
        metavar="N",
        help="Workers that fill at the same time (default: as many as the cluster has room for).",
        rich_help_panel=_RAY,
    ),
]
CpusPerWorker = Annotated[
    int | None,
    typer.Option(
        "--cpus-per-worker",
        metavar="N",
        help="CPUs, and threads, of each worker (default: 1).",
        rich_help_panel=_RAY,
    ),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker",
        metavar="F",
        help="GPUs of each worker; 0.5 lets two share one (default: 0, networks run on the CPU).",
        rich_help_panel=_RAY,
    ),
]


def ray_options(
    engine: str, address: str | None, shards: int | None, cpus: int | None, gpus: float | None
) -> RayOptions | None:
    """What was said of the cluster; None for the local engine. Raises UsageError."""
    given = {"--address": address, "--shards": shards, "--cpus-per-worker": cpus, "--gpus-per-worker": gpus}
    if engine not in ENGINES:
        raise UsageError(f"--engine {engine} is not known; use one of {', '.join(ENGINES)}")
    if engine == "local":
        if names := [name for name, value in given.items() if value is not None]:
            raise UsageError(f"{names[0]} goes with --engine ray; add that or leave it out")
        return None
    from vinpaint_cli.batch.ray.cluster import AUTO, RayOptions

    return RayOptions(
        AUTO if address is None else address,
        shards,
        1 if cpus is None else cpus,
        0.0 if gpus is None else gpus,
    )


@contextmanager
def crew_for(ray: RayOptions | None, options: RemoveOptions) -> Iterator[tuple[Crew | None, RemoveOptions]]:
    """Who fills one clip (None: this process), and the options as they will be followed there."""
    if ray is None:
        yield None, options
        return
    from vinpaint_cli.batch.ray.executor import RayCrew, for_workers, running_pool, sharing_memory

    options = for_workers(options, ray)
    with running_pool(ray) as pool, sharing_memory(pool):
        yield RayCrew(pool), options


@contextmanager
def ray_runner(ray: RayOptions, composers: int | None, keep_going: bool) -> Iterator[Runner]:
    """Who does the jobs of a batch on a cluster; ``composers`` at a time, None: one for each worker."""
    from vinpaint_cli.batch.ray.executor import running_pool
    from vinpaint_cli.batch.ray.runner import RayRunner

    with running_pool(ray) as pool:
        yield RayRunner(pool, ray, composers, keep_going)
