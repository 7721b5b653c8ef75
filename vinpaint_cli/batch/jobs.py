"""What a person wrote becomes jobs: levels merged, names located, everything checked before any work."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vinpaint_cli.batch.checks import check_draft
from vinpaint_cli.batch.draft import Draft, draft_of
from vinpaint_cli.batch.runner import BatchJob
from vinpaint_cli.batch.schema import build_options, build_work
from vinpaint_cli.batch.sources import gather
from vinpaint_cli.batch.written import Given, Mistake, Mistakes


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What holds for all jobs.

    given: values of the command line by keys of the schema, the defaults of every job. overwrite: replace
    outputs that are there. skip_existing: leave out jobs whose output is there.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    skip_existing: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs ready to run, unless there are mistakes.

    folders: those that are to be made for outputs. notes: what a person should be told.
    """

    jobs: tuple[BatchJob, ...]
    mistakes: tuple[Mistake, ...]
    folders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_jobs(names: Sequence[str], options: BatchOptions, stdin: bytes = b"") -> Batch:
    """The jobs of JOBS; decodes nothing, and collects every mistake instead of raising the first.

    names: as `sources.gather` takes them. stdin: what stood on standard input, read when ``-`` is named.
    """
    mistakes = Mistakes()
    defaults = {key: Given(value) for key, value in options.given.items()}
    drafts = [draft_of(written, defaults, mistakes) for written in gather(names, stdin, mistakes)]
    drafts, notes = _without_outputs(drafts)
    for draft in drafts:
        check_draft(draft, options, mistakes)
    _check_each_other(drafts, mistakes)
    if mistakes:
        return Batch((), mistakes.in_order(), notes=notes)
    folders = {os.path.dirname(draft.target): None for draft in drafts if draft.makes_folder}
    jobs = [_job(index, draft, options) for index, draft in enumerate(drafts)]
    return Batch(tuple(jobs), (), tuple(folder for folder in folders if folder), notes)


def _job(index: int, draft: Draft, options: BatchOptions) -> BatchJob:
    return BatchJob(
        index,
        draft.where,
        draft.input,
        draft.output,
        build_options(draft.values),
        options.overwrite,
        build_work(draft.values),
    )


def _without_outputs(drafts: list[Draft]) -> tuple[list[Draft], tuple[str, ...]]:
    """Leave out clips that were found, not written down, and are what another job of the batch writes."""
    writers = {_same(draft.target): draft for draft in drafts if _same(draft.target) != _same(draft.input)}
    left_out = [draft for draft in drafts if draft.found and _same(draft.input) in writers]
    kept = [draft for draft in drafts if draft not in left_out]
    notes = [
        f"{draft.input} is left out: {writers[_same(draft.input)].input} is written to it"
        for draft in left_out
    ]
    return kept, tuple(notes)


def _check_each_other(drafts: Sequence[Draft], mistakes: Mistakes) -> None:
    """Two jobs with one output, and outputs that some job reads."""
    writers: dict[str, Draft] = {}
    readers: dict[str, tuple[str, Draft]] = {}
    for draft in drafts:
        readers.setdefault(_same(draft.input), ("input", draft))
        for mask in draft.values.get("mask", ()):
            readers.setdefault(_same(mask), ("mask", draft))
    for draft in drafts:
        if not draft.target:
            continue
        first = writers.setdefault(_same(draft.target), draft)
        if first is not draft:
            text = f"writes {draft.target}, as {first.name} does; give each job an output of its own"
            mistakes.add(draft.where_of("output"), text if draft.where else f"{draft.input} {text}")
        kind, reader = readers.get(_same(draft.target), ("", draft))
        if kind and (reader is not draft or kind == "mask"):
            text = f"writes {draft.target}, which is the {kind} of {reader.name}; choose another output"
            mistakes.add(draft.where_of("output"), text if draft.where else f"{draft.input} {text}")


def _same(path: str) -> str:
    """One spelling for all names of a file."""
    return os.path.normcase(os.path.realpath(path)) if path else ""
