"""What a person wrote, before it is checked: values with the place each was written at, and mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Given:
    """A value as written.

    where: ``jobs.toml:12``, empty when on the command line. base: the folder that relative paths in it
    count from, empty for the current one.
    """

    value: Any
    where: str = ""
    base: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """One job as written.

    where: ``jobs.toml:10``, empty for a clip that was found or named on the command line. values: its own.
    defaults: those of its file. found: nobody wrote it down, it came out of a folder, a pattern or a list.
    """

    where: str
    values: Mapping[str, Given]
    defaults: Mapping[str, Given] = field(default_factory=dict)
    found: bool = False


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that cannot be; where: as in `Given`."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


class Mistakes:
    """Collects mistakes; what many jobs share (a default, say) is told once."""

    def __init__(self) -> None:
        self._found: dict[Mistake, None] = {}

    def add(self, where: str, text: str) -> None:
        """Take a mistake."""
        self._found.setdefault(Mistake(where, text))

    def __len__(self) -> int:
        return len(self._found)

    def in_order(self) -> tuple[Mistake, ...]:
        """By file in the order met, and by line."""
        files = {name: place for place, name in reversed(list(enumerate(_file(m) for m in self._found)))}
        return tuple(sorted(self._found, key=lambda mistake: (files[_file(mistake)], _line(mistake))))


def _file(mistake: Mistake) -> str:
    return mistake.where.rpartition(":")[0]


def _line(mistake: Mistake) -> int:
    line = mistake.where.rpartition(":")[2]
    return int(line) if line.isdecimal() else 0
