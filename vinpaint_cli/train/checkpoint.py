"""The files of a training run: checkpoints to resume from, logs (CSV, PNG), and export of the weights."""

from __future__ import annotations

import copy
import csv
import json
import math
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vinpaint_cli.errors import InputError, OutputError, reason
from vinpaint_cli.train.recipes import recipe_of
from vinpaint_cli.util.atomic_write import atomic_write
from vinpaint_cli.weights.state import save_checkpoint

NAME = "last.pt"


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint that appears only when whole; OutputError when there is no room for it."""
    try:
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as exc:
        raise OutputError(
            f"cannot write the checkpoint {path}: {reason(exc)}; the one before it is intact"
        ) from exc


def read(folder: str | Path) -> dict[str, Any]:
    """Checkpoint of a run's folder, or of the file given; tensors on the CPU, never code.

    Raises InputError when there is none or it is damaged.
    """
    path = Path(folder)
    path = path / NAME if path.is_dir() else path
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as exc:
        reason = str(exc).splitlines()[0][:160] if str(exc) else type(exc).__name__
        raise InputError(f"no checkpoint to go on from at {path}: {reason}") from exc
    if not isinstance(state, dict) or not {"config", "step", "modules", "ema"} <= set(state):
        raise InputError(f"{path} is not a checkpoint of `vinpaint train`; give the folder of a run")
    return state


def random_state() -> dict[str, torch.Tensor]:
    """State of torch's generators; the data needs none, it is a function of seed and step."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random(state: dict[str, torch.Tensor]) -> None:
    """Inverse of :func:`random_state`, as far as this machine has the device."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def export(
    run: str | Path,
    out: str | Path | None,
    licence: str,
    metrics: Mapping[str, Any] | None = None,
    precision: torch.dtype = torch.float16,
) -> Path:
    """Write the averaged weights of a run as safetensors; the file alone rebuilds the network.

    ``out`` None is ``METHOD.safetensors`` in the working directory. The file's metadata hold ``config`` (the
    network's), ``training`` (the run's), ``data`` (sources with their licences), ``licence``, ``metrics``,
    ``step`` and ``seconds``. Raises InputError, OutputError.
    """
    state = read(run)
    method = str(state.get("method"))
    network = recipe_of(method).build(state["network"])
    network.load_state_dict(state["ema"])
    half = copy.deepcopy(network).to(precision)
    if not all(tensor.isfinite().all() for tensor in half.state_dict().values()):
        raise InputError(f"weights of {run} do not fit into {precision}; train on with a smaller rate")
    metadata = {
        "config": state["network"],
        "training": state["config"],
        "data": state["sources"],
        "licence": licence,
        "metrics": {**state["metrics"], **(metrics or {})},
        "step": state["step"],
        "seconds": round(float(state["seconds"])),
    }
    path = Path(out or f"{method}.safetensors")
    save_checkpoint(path, half, metadata)
    return path


LOG = "log.csv"
VALIDATION = "validation.csv"


class Table:
    """A CSV file that grows; rows that an earlier attempt wrote after ``step`` are cut off."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self._columns: list[str] = []
        rows: list[dict[str, str]] = []
        if path.is_file():
            rows = [row for row in self._rows() if row.get("step", "").isdigit() and int(row["step"]) <= step]
        if rows:
            self._write(rows, "w", header=True)
        else:
            self._columns = []

    def add(self, row: Mapping[str, float]) -> None:
        """Append one row; it may lack columns of earlier ones, and bring new ones."""
        new = [key for key in row if key not in self._columns]
        before = self._rows() if new and self._columns else []
        self._columns += new
        values = {key: _text(value) for key, value in row.items()}
        self._write([*before, values], "w" if new else "a", header=bool(new))

    def _rows(self) -> list[dict[str, str]]:
        """What the file holds; its columns become the table's."""
        with self.path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            self._columns = list(reader.fieldnames or [])
        return rows

    def _write(self, rows: list[dict[str, str]], mode: str, header: bool) -> None:
        with _writing(self.path), self.path.open(mode, newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            if header:
                writer.writeheader()
            writer.writerows(rows)


class Means:
    """Running means of named numbers."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, numbers: Mapping[str, float]) -> None:
        """Count one observation."""
        for name, value in numbers.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + value, count + 1

    def take(self) -> dict[str, float]:
        """Return the means so far and start again."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return means


def write_png(path: Path, picture: Tensor) -> None:
    """Write a picture ``(3, h, w)`` in [0, 1] as an 8-bit PNG; OutputError when it cannot be written."""
    from PIL import Image

    pixels = picture.mul(255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    with _writing(path):
        Image.fromarray(pixels).save(path, "PNG")


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON; OutputError when it cannot be written."""
    with _writing(path):
        path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OutputError(f"cannot write {path}: {exc.strerror or exc}; make room") from exc


def _text(value: float) -> str:
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    return f"{value:.6g}"
