"""Connects to a Ray cluster, or starts one on this machine and stops it at the end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vinpaint_cli.errors import UsageError

LOCAL = "local"
AUTO = "auto"
CLIENT = "ray"
CLIENT_PORT = 10001
REACH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Address of the cluster, number of workers, and what each of them takes.

    address: ``auto`` (the cluster that runs on this machine or is named by RAY_ADDRESS), ``local`` (start
    one here and stop it at the end), ``HOST:PORT`` or ``ray://HOST:PORT``. workers: how many; None: as
    many as the cluster has room for. cpus: whole ones per worker, which are its threads too. gpus: per
    worker; 0.5 lets two workers share one.

    Raises UsageError.
    """

    address: str = AUTO
    workers: int | None = None
    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--shards {self.workers} is not a number of workers; give 1 or more")
        if self.cpus < 1:
            raise UsageError(f"--cpus-per-worker {self.cpus} is too few; give 1 or more")
        if self.gpus < 0 or (self.gpus > 1 and self.gpus % 1):
            raise UsageError(
                f"--gpus-per-worker {self.gpus:g} is not a share; give 0 to 1, such as 0.5, or a whole number"
            )


@contextmanager
def connected(options: RayOptions) -> Iterator[None]:
    """Connect for the block; in a program that has called ``ray.init`` itself, use that connection.

    Raises UsageError when Ray is not installed or nothing answers at the address.
    """
    ray = import_ray()
    _knock(options.address)
    if ray.is_initialized():
        yield
        return
    with _signals_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _init(ray, options)
    try:
        yield
    finally:
        ray.shutdown()


def import_ray() -> Any:
    """Import Ray so that it prints nothing: stdout is for data.

    Raises UsageError when it is not installed.
    """
    if "ray" not in sys.modules:  # whoever has imported it is past what it reads then
        for name, value in _environment():
            os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as exc:
        raise UsageError("--engine ray needs the extra: pip install 'vinpaint[ray]'") from exc
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray


def _environment() -> Iterator[tuple[str, str]]:
    """What Ray reads as it is imported, and what a person has not set otherwise."""
    yield "RAY_DEDUP_LOGS_SKIP_REGEX", "."
    yield "RAY_USAGE_STATS_ENABLED", "0"
    # Of a cluster started here: as urgent as this process, which Ray would put far before its workers.
    yield "RAY_worker_niceness", "0"
    # Ray takes the token of this machine by itself for some kinds of address only.
    token = os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")
    if Path(token).expanduser().exists():
        yield "RAY_AUTH_MODE", "token"


def room_for(options: RayOptions) -> int:
    """Return how many workers to start; raises UsageError when the cluster has no room for one."""
    have = import_ray().cluster_resources()
    rooms = int(have.get("CPU", 0)) // options.cpus
    if options.gpus:
        rooms = min(rooms, int(have.get("GPU", 0) / options.gpus))
    if not rooms:
        raise UsageError(
            f"a worker takes {options.cpus} CPU(s) and {options.gpus:g} GPU(s), but the whole cluster has "
            f"{have.get('CPU', 0):g} and {have.get('GPU', 0):g}; give less to --cpus-per-worker or "
            "--gpus-per-worker"
        )
    return min(rooms, options.workers or rooms)


def last_line(exc: Exception) -> str:
    """Return the last line of a message of Ray, which is the one that matters."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return (lines or [type(exc).__name__])[-1].rstrip(".")


def _init(ray: Any, options: RayOptions) -> None:
    chosen: dict[str, Any] = {}
    if options.address == LOCAL:
        cpus = options.cpus * options.workers if options.workers else None
        chosen = {"num_cpus": cpus, "include_dashboard": False}
    try:
        ray.init(options.address, logging_level=logging.CRITICAL, log_to_driver=False, **chosen)
    except (ConnectionError, ValueError, RuntimeError) as exc:
        ray.shutdown()
        raise UsageError(_unreachable(options.address, exc)) from exc


def _unreachable(address: str, exc: Exception) -> str:
    """One line for what Ray says over many."""
    if address == AUTO and isinstance(exc, ConnectionError):
        return (
            "no Ray cluster runs on this machine; start one with `ray start --head`, name another with "
            "--address HOST:PORT, or give --address local"
        )
    return f"no Ray cluster can be used at --address {address}: {last_line(exc)}"


def _knock(address: str) -> None:
    """Refuse at once an address where nothing listens: Ray itself would try for minutes.

    Raises UsageError.
    """
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS", AUTO)
    if address in (AUTO, LOCAL):
        return
    parts = urlsplit(address if "://" in address else f"gcs://{address}")
    try:
        host, port = parts.hostname, parts.port or (CLIENT_PORT if parts.scheme == CLIENT else None)
    except ValueError:
        host, port = None, None
    if not host or port is None or parts.scheme not in ("gcs", CLIENT):
        raise UsageError(f"--address {address} is none of auto, local, HOST:PORT and ray://HOST:PORT")
    try:
        socket.create_connection((host, port), REACH_SECONDS).close()
    except OSError as exc:
        raise UsageError(
            f"nothing answers at --address {address} ({exc.strerror or exc}); see `ray status` on the head "
            "machine, or give --address local"
        ) from exc


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts its own handler of SIGTERM in the place of ours; put ours back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, ours)
