"""Readers of job files in TOML, CSV and JSON lines; every value keeps the line it was written on."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vinpaint_cli.batch.job_spec import Mistakes, RawJob, RawValue
from vinpaint_cli.batch.schema import is_list, unknown_key
from vinpaint_cli.options import job_options
from vinpaint_cli.util.presets import parse_toml

_TABLES = ("defaults", "job")
_AT_LINE = re.compile(r"(.*) \(at line (\d+), column \d+\)", re.DOTALL)
_SEPARATOR = ";"


def read_file(path: Path, mistakes: Mistakes) -> list[RawJob]:
    """Read the jobs of a file, by its suffix; what cannot be read is added to ``mistakes``."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        line = path.read_bytes()[: exc.start].count(b"\n") + 1
        mistakes.add(f"{path}:{line}", "is not UTF-8 text; save the file in that encoding")
        return []
    except OSError as exc:
        mistakes.add("", f"{path} cannot be read ({exc.strerror})")
        return []
    jobs = READERS[path.suffix.lower()](text, str(path), str(path.parent), mistakes)
    if not jobs and not len(mistakes):
        mistakes.add("", f"{path} has no jobs; see `vinpaint batch --help` for what one looks like")
    return jobs


def read_toml(text: str, name: str, base: str, mistakes: Mistakes) -> list[RawJob]:
    """Read the jobs of a TOML text: a ``[[job]]`` table each, and ``[defaults]`` for all."""
    try:
        data = parse_toml(text)
    except ValueError as exc:
        found = _AT_LINE.fullmatch(str(exc))
        line = int(found[2]) if found else text.count("\n") + 1
        mistakes.add(f"{name}:{line}", f"is not TOML: {found[1] if found else exc}")
        return []
    layout = tables(text)
    _check_tables(data, layout, name, mistakes)
    defaults, jobs = data.get("defaults", {}), data.get("job", [])
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        mistakes.add(
            f"{name}:{_line_of('job', layout)}", "job is no list of tables; write [[job]] above each"
        )
        jobs = []
    if not isinstance(defaults, dict):
        mistakes.add(f"{name}:{_line_of('defaults', layout)}", "defaults is no table; write [defaults] above")
        defaults = {}
    place = next((table for table in layout if table.name == "defaults"), TomlTable("defaults", 1))
    shared = _values(defaults, place, name, base, mistakes)
    if "input" in shared:
        mistakes.add(shared["input"].where, "input cannot be a default; write it in each [[job]]")
    places = [table for table in layout if table.name == "job" and table.several]
    if len(places) != len(jobs):  # job = [{…}, {…}]
        places = [TomlTable("job", _line_of("job", layout))] * len(jobs)
    return [
        RawJob(f"{name}:{table.line}", _values(job, table, name, base, mistakes), shared)
        for job, table in zip(jobs, places, strict=True)
    ]


def read_csv(text: str, name: str, base: str, mistakes: Mistakes) -> list[RawJob]:
    """Read the jobs of a CSV text: a header of keys, a row per job.

    Empty cells say nothing; lists repeat a column or use ``;``.
    """
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in head else ",", strict=True)
    keys, found, line = None, [], 1
    try:
        for row in reader:
            if keys is None:
                keys = [cell.strip() for cell in row]
                _check_header(keys, f"{name}:{line}", mistakes)
            elif any(cell.strip() for cell in row):
                values = _cells(keys, row, f"{name}:{line}", base, mistakes)
                found.append(RawJob(f"{name}:{line}", values))
            line = reader.line_num + 1
    except csv.Error as exc:
        mistakes.add(f"{name}:{line}", f"is not CSV: {exc}")
    return found


def read_json_lines(text: str, name: str, base: str, mistakes: Mistakes) -> list[RawJob]:
    """Read the jobs of a JSON-lines text: an object per line; empty lines and null say nothing."""
    lines = enumerate(text.split("\n"), start=1)
    jobs = (read_json_line(line, f"{name}:{n}", base, mistakes) for n, line in lines if line.strip())
    return [job for job in jobs if job is not None]


def read_json_line(line: str, where: str, base: str, mistakes: Mistakes) -> RawJob | None:
    """Read one job from a line of JSON; None when it cannot be read."""
    twice: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        twice.extend(sorted({key for key in keys if keys.count(key) > 1}))
        return dict(items)

    try:
        data = json.loads(line, object_pairs_hook=pairs)
    except ValueError as exc:
        mistakes.add(where, f"is not JSON: {exc}; write one object per line")
        return None
    except RecursionError:
        mistakes.add(where, "is not a job: nested too deeply; write one flat object per line")
        return None
    if not isinstance(data, dict):
        mistakes.add(where, 'is no JSON object; write one per line, such as {"input": "clip.mp4"}')
        return None
    for key in twice:
        mistakes.add(where, f"{key} is there twice; leave one out")
    given = {key: value for key, value in data.items() if value is not None}
    return RawJob(where, _known(given, lambda key: where, base, mistakes))


READERS: Mapping[str, Callable[[str, str, str, Mistakes], list[RawJob]]] = {
    ".toml": read_toml,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
}
"""Suffix to reader: text, name for messages, folder that paths count from, mistakes."""


def _known(
    data: Mapping[str, Any], where: Callable[[str], str], base: str, mistakes: Mistakes
) -> dict[str, RawValue]:
    """The values whose keys are of the schema; the others are mistakes."""
    for key in data.keys() - job_options().keys():
        mistakes.add(where(key), unknown_key(key))
    return {key: RawValue(value, where(key), base) for key, value in data.items() if key in job_options()}


def _values(
    data: Mapping[str, Any], table: TomlTable, name: str, base: str, mistakes: Mistakes
) -> dict[str, RawValue]:
    return _known(data, lambda key: f"{name}:{table.keys.get(key, table.line)}", base, mistakes)


def _check_tables(data: Mapping[str, Any], layout: list[TomlTable], name: str, mistakes: Mistakes) -> None:
    for key in data.keys() - set(_TABLES):
        hint = "write [[job]] above each job's keys and [defaults] above those of all"
        mistakes.add(f"{name}:{_line_of(key, layout)}", f"{key!r} stands outside of a job; {hint}")


def _line_of(key: str, layout: list[TomlTable]) -> int:
    """Line of a key or table of the whole file."""
    headers = {table.name.partition(".")[0]: table.line for table in reversed(layout) if table.name}
    return layout[0].keys.get(key) or headers.get(key, 1)


def _check_header(keys: list[str], where: str, mistakes: Mistakes) -> None:
    for key in keys:
        if key and key not in job_options():
            mistakes.add(where, unknown_key(key))
        elif key and keys.count(key) > 1 and not is_list(key):
            mistakes.add(where, f"{key} is there twice; leave one out")


def _cells(keys: list[str], row: list[str], where: str, base: str, mistakes: Mistakes) -> dict[str, RawValue]:
    """A row's values; those of unknown columns are left to the header's mistake."""
    if any(cell.strip() for cell in row[len(keys) :]):
        mistakes.add(
            where, f"{len(row)} cells, but the header has {len(keys)}; put text with commas in quotes"
        )
    values: dict[str, Any] = {}
    for key, cell in _filled(keys, row):
        if is_list(key):
            parts = [part.strip() for part in cell.split(_SEPARATOR) if part.strip()]
            values[key] = [*values.get(key, []), *parts]
        else:
            values[key] = cell
    return {key: RawValue(value, where, base) for key, value in values.items()}


def _filled(keys: list[str], row: list[str]) -> Iterator[tuple[str, str]]:
    # strict=False: short rows leave their last columns out, long ones are a mistake already told
    return (
        (key, cell) for key, cell in zip(keys, row, strict=False) if key in job_options() and cell.strip()
    )


_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|\n|[\[\]{}=]|[^\[\]{}=\n\#'\"]+",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class TomlTable:
    """A table as written: its header's name (empty before the first), line, and the lines of its keys.

    ``several`` says that the header was ``[[name]]``. Lines count from 1.
    """

    name: str
    line: int
    several: bool = False
    keys: dict[str, int] = field(default_factory=dict)


def tables(text: str) -> list[TomlTable]:
    """The tables of a text that `tomllib` reads without error, in order; the first has no header."""
    found = [TomlTable("", 1)]
    for line, head in _statements(text):
        if head.startswith("["):
            found.append(TomlTable(_name(head.strip("[] \t")), line, head.startswith("[[")))
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
