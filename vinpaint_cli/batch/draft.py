"""A job between what was written and what can run: its values merged, typed and located."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vinpaint_cli.batch.paths import locate, mask_in, names_of
from vinpaint_cli.batch.schema import Wrong, read_value
from vinpaint_cli.batch.written import Given, Mistakes, Written
from vinpaint_cli.engine.output import default_output

_RIVALS = {"output": "output_dir", "output_dir": "output", "mask": "mask_dir", "mask_dir": "mask"}


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """One job.

    where: of the job as a whole. input: empty when it has none. output: as given, None for the default.
    target: the file or folder it will write, empty without an input. values: by keys of the schema, masks
    of ``mask_dir`` among ``mask``. given: where each was written. broken: keys whose value cannot be used.
    """

    where: str
    found: bool
    input: str
    output: str | None
    target: str
    values: Mapping[str, Any]
    given: Mapping[str, Given]
    broken: frozenset[str]

    @property
    def name(self) -> str:
        """What to call it."""
        return self.where or self.input

    @property
    def makes_folder(self) -> bool:
        """Whether the folder of its output is made when it is not there."""
        return "output_dir" in self.values and "output" not in self.values

    def where_of(self, *keys: str) -> str:
        """Where the first of these keys that it has was written, else the job itself."""
        return next((self.given[key].where for key in keys if key in self.given), "") or self.where


def draft_of(written: Written, command_line: Mapping[str, Given], mistakes: Mistakes) -> Draft:
    """Merge a job's values over the command line's over its file's defaults, and read them."""
    given = _merged(written, command_line, mistakes)
    typed, broken = _typed(given, mistakes)
    clip = _input(written, typed, given, broken, mistakes)
    values = _located(typed, given, clip, broken, mistakes)
    if "mask_dir" in values and clip:
        _add_mask(values, given, clip, broken, mistakes)
    output = _output(values, clip)
    target = "" if not clip else output or str(default_output(clip))
    return Draft(written.where, written.found, clip, output, target, values, given, frozenset(broken))


def _merged(written: Written, command_line: Mapping[str, Given], mistakes: Mistakes) -> dict[str, Given]:
    """Later levels win, key by key; ``output`` and ``output_dir`` replace each other, masks likewise."""
    values: dict[str, Given] = {}
    for level in (written.defaults, command_line, written.values):
        for key, rival in _RIVALS.items():
            if key in level and rival not in level:
                values.pop(rival, None)
        values.update(level)
        if "output" in level and "output_dir" in level:
            mistakes.add(level["output_dir"].where, "output and output_dir exclude each other; leave one out")
    return values


def _typed(given: Mapping[str, Given], mistakes: Mistakes) -> tuple[dict[str, Any], set[str]]:
    typed: dict[str, Any] = {}
    broken = set()
    for key, one in given.items():
        try:
            typed[key] = read_value(key, one.value)
        except Wrong as exc:
            broken.add(key)
            mistakes.add(one.where, str(exc))
    return typed, broken


def _input(
    written: Written,
    typed: Mapping[str, Any],
    given: Mapping[str, Given],
    broken: set[str],
    mistakes: Mistakes,
) -> str:
    if "input" in typed:
        return str(locate("input", typed["input"], given["input"], ""))
    if "input" not in broken:
        mistakes.add(written.where, "the job has no input; write input = the path of a clip")
    return ""


def _located(
    typed: Mapping[str, Any], given: Mapping[str, Given], clip: str, broken: set[str], mistakes: Mistakes
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in typed.items():
        try:
            values[key] = locate(key, value, given[key], clip) if clip else value
        except Wrong as exc:
            broken.add(key)
            mistakes.add(given[key].where, str(exc))
    return values


def _add_mask(
    values: dict[str, Any], given: Mapping[str, Given], clip: str, broken: set[str], mistakes: Mistakes
) -> None:
    try:
        values["mask"] = (*values.get("mask", ()), mask_in(values["mask_dir"], clip))
    except Wrong as exc:
        broken.add("mask_dir")
        mistakes.add(given["mask_dir"].where, str(exc))


def _output(values: Mapping[str, Any], clip: str) -> str | None:
    """Where it goes: as given, or under the clip's own name in a folder of outputs."""
    if "output" in values:
        return str(values["output"])
    if "output_dir" in values and clip:
        folder = str(values["output_dir"]).rstrip("/") or "/"
        return f"{folder}/{names_of(clip)['name']}"
    return None
