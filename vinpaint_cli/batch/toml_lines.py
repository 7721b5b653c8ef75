"""On which line each table and key of a TOML text stands; `tomllib` does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|\n|[\[\]{}=]|[^\[\]{}=\n\#'\"]+",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table as written: its header's name (empty before the first), line, and the lines of its keys.

    ``several`` says that the header was ``[[name]]``. Lines count from 1.
    """

    name: str
    line: int
    several: bool = False
    keys: dict[str, int] = field(default_factory=dict)


def tables(text: str) -> list[Table]:
    """The tables of a text that `tomllib` reads without error, in order; the first has no header."""
    found = [Table("", 1)]
    for line, head in _statements(text):
        if head.startswith("["):
            found.append(Table(_name(head.strip("[] \t")), line, head.startswith("[[")))
        else:
            found[-1].keys.setdefault(_name(head), line)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Line and beginning of each header and each ``key = value``, the value left out."""
    line, begun, depth, head, is_value = 1, 0, 0, "", False
    for token in _TOKEN.findall(text + "\n"):
        if token == "\n" and not depth:
            if head.strip():
                yield begun, head.strip()
            head, is_value = "", False
        elif token == "=" and not depth:
            is_value = True
        elif token[0] != "#" and not is_value:
            begun = begun if head.strip() else line
            head += token
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        line += token.count("\n")


def _name(text: str) -> str:
    """A key without its quotes."""
    return text.strip().strip("\"'")
