"""Choice of device, precision and thread count; free and used memory; out-of-memory errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vinpaint_cli.errors import OutOfMemoryError, UsageError
from vinpaint_cli.ops.parallel import allowed_threads
from vinpaint_cli.plan.memory import default_budget, format_bytes
from vinpaint_cli.types import Box

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
SHARERS = "VINPAINT_SHARERS"
"""Variable of the environment: how many processes that work at the same time divide the free memory."""


WORKING_BYTES_PER_PIXEL = 280
"""Bytes per pixel of the region that the work on one frame takes, however long the segment."""

THREADS_SHARE = 0.1
"""Part of the memory that working on further frames at once may take: long segments are worth more."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where networks run: ``device`` as torch names it, ``precision`` fp32, bf16 or fp16."""

    device: str
    precision: str


def place(device: str = "auto", precision: str = "auto", dtypes: tuple[str, ...] = ("fp32",)) -> Placement:
    """Resolve ``auto`` and check what was asked for against what the machine and the method have.

    ``dtypes`` are those the method supports, best first. Raises UsageError.
    """
    chosen = _device(device)
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} is not known; use one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        half = "bf16" if chosen.startswith("cuda") and "bf16" in dtypes else "fp32"
        return Placement(chosen, half)
    if precision not in dtypes:
        raise UsageError(
            f"this method runs in {', '.join(dtypes)}, not in {precision}; leave --precision out"
        )
    return Placement(chosen, precision)


def _device(device: str) -> str:
    import torch

    kind = device.partition(":")[0]
    if kind not in DEVICES:
        raise UsageError(f"device {device!r} is not known; use one of {', '.join(DEVICES)}")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[kind]:
        have = ", ".join(name for name, present in there.items() if present)
        raise UsageError(f"device {device!r} is not on this machine, which has {have}; use --device auto")
    return device


def describe_devices() -> list[str]:
    """One line per device of this machine: its name for ``--device``, and what it is."""
    import torch

    found = []
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        found.append(f"cuda:{index}  {about.name}, {format_bytes(about.total_memory)}")
    if torch.backends.mps.is_available():
        found.append("mps     Apple GPU")
    free = format_bytes(available_memory())
    return [*found, f"cpu     {torch.get_num_threads()} threads, {free} of memory free"]


def frame_threads(region: Box, memory: int | None = None) -> int:
    """How many frames of a region to process at once, each in a thread.

    memory: the budget in bytes, by default the usual share of what is free.
    """
    budget = default_budget(available_memory()) if memory is None else memory
    spare = int(THREADS_SHARE * budget / (WORKING_BYTES_PER_PIXEL * max(1, region.area)))
    return min(allowed_threads(), 1 + spare)


def available_memory() -> int:
    """Bytes of main memory that can be taken without swapping: this process's part of them, see `SHARERS`."""
    import psutil

    return int(psutil.virtual_memory().available) // int(os.environ.get(SHARERS, "1"))


def resident_memory() -> int:
    """Bytes of main memory that this process holds now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def memory_errors(what: str) -> Iterator[None]:
    """Context manager: out-of-memory errors of numpy, OpenCV and torch become OutOfMemoryError."""
    import cv2
    import torch

    said = f"{what} did not fit into memory; give a smaller --memory, or a smaller hole"
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as exc:
        raise OutOfMemoryError(said) from exc
    except RuntimeError as exc:  # torch's allocator of main memory has no error of its own
        if "can't allocate memory" not in str(exc) and "Storage size" not in str(exc):
            raise
        raise OutOfMemoryError(said) from exc
    except cv2.error as exc:
        if exc.code != cv2.Error.StsNoMem:
            raise
        raise OutOfMemoryError(said) from exc
