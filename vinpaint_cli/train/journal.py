"""Logs of a training run: numbers as CSV, pictures as PNG."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from vinpaint_cli.errors import OutputError

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
        """The means so far; the next observation starts anew."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return means


def write_png(path: Path, picture: Tensor) -> None:
    """``(3, h, w)`` in [0, 1] as an 8-bit PNG; OutputError when it cannot be written."""
    from PIL import Image

    pixels = picture.mul(255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    with _writing(path):
        Image.fromarray(pixels).save(path, "PNG")


def write_json(path: Path, value: object) -> None:
    """A small file a person can read; OutputError when it cannot be written."""
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
