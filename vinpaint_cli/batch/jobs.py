"""What a person wrote becomes jobs: levels merged, names located, everything checked before any work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from vinpaint_cli.batch.discovery import find_written
from vinpaint_cli.batch.job_spec import Draft, Given, Mistake, Mistakes, draft_of
from vinpaint_cli.batch.runner import BatchJob, is_there
from vinpaint_cli.errors import VinpaintError
from vinpaint_cli.masks.grammar import parse_box, time_range
from vinpaint_cli.masks.prompts import PromptOptions, drawings, fixes, parse_prompts
from vinpaint_cli.methods import method_spec, weights_of
from vinpaint_cli.options import build
from vinpaint_cli.pipeline.device import place
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions, check_options
from vinpaint_cli.pipeline.output import check_output
from vinpaint_cli.plan.memory import parse_memory
from vinpaint_cli.video.sink.codecs import Source, choose, is_video_suffix, muxer_of


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

    names: as `discovery.find_written` takes them. stdin: what stood on standard input, read when ``-``
    is named.
    """
    mistakes = Mistakes()
    defaults = {key: Given(value) for key, value in options.given.items()}
    drafts = [draft_of(written, defaults, mistakes) for written in find_written(names, stdin, mistakes)]
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
        build(RemoveOptions, draft.values),
        options.overwrite,
        build(WorkOptions, draft.values),
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


_ANY_SIZE = (1_000_000, 1_000_000)
_SOMEWHERE = {"box": ("0,0,1,1",)}
_HOLE = ("mask", "mask_dir", "box", "click", "not", "box_prompt", "from_frame", "fix", "mask_label")
_GROUPS = (("feather",), ("dilate",), ("method", "weights", "propagate"), _HOLE)
"""Options that can contradict each other; groups are checked apart, so that each tells its mistake."""

_ENCODE = ("codec", "crf", "preset", "pix_fmt", "lossless")
_TEXTS: dict[str, Callable[[str], object]] = {
    "box": parse_box,
    "click": lambda text: parse_prompts(PromptOptions(clicks=(text,)), _ANY_SIZE),
    "not": lambda text: parse_prompts(PromptOptions(clicks=(text,)), _ANY_SIZE),
    "box_prompt": lambda text: parse_prompts(PromptOptions(boxes=(text,)), _ANY_SIZE),
    "from_frame": lambda text: drawings(PromptOptions(from_frames=(text,))),
    "fix": lambda text: fixes(PromptOptions(fixes=(text,))),
}


def check_draft(draft: Draft, options: BatchOptions, mistakes: Mistakes) -> None:
    """Tell ``mistakes`` what is wrong with a job by itself."""
    for check in (_texts, _groups, _files, _engine):
        for key, text in check(draft):
            mistakes.add(draft.where_of(key), text)
    if draft.input and not {"output", "output_dir"} & draft.broken:
        for key, text in _output(draft, options):
            mistakes.add(draft.where_of(key, "output_dir"), text if draft.where else _of(draft, text))


def _of(draft: Draft, text: str) -> str:
    """A mistake that names its clip when nothing else does."""
    return text if draft.input in text or draft.target in text else f"{draft.input}: {text}"


def _texts(draft: Draft) -> Iterator[tuple[str, str]]:
    """Boxes, clicks and times that cannot be read."""
    for key, read in _TEXTS.items():
        for text in draft.values.get(key, ()):
            yield from _told(key, read, text)
    yield from _told(
        "end" if "end" in draft.values else "start", time_range, *map(draft.values.get, ("start", "end"))
    )


def _groups(draft: Draft) -> Iterator[tuple[str, str]]:
    """Options that contradict each other."""
    for group in _GROUPS:
        if draft.broken & {*group}:
            continue
        part = {key: draft.values[key] for key in group if key in draft.values}
        if group is _HOLE:
            yield from _told(_first(part), check_options, build(RemoveOptions, part))
        elif part:
            yield from _told(_first(part), check_options, build(RemoveOptions, {**_SOMEWHERE, **part}))


def _first(part: dict[str, Any]) -> str:
    """The key to blame: one that limits others before those that say what is there."""
    return next(
        (key for key in ("mask_label", "fix", "weights", "propagate") if key in part), next(iter(part), "")
    )


def _files(draft: Draft) -> Iterator[tuple[str, str]]:
    """Inputs and masks that are not there."""
    if draft.input and not os.path.exists(draft.input):
        yield "input", f"{draft.input}: no such file; give a video or a folder of png or jpg pictures"
    for path in draft.values.get("mask", ()):
        if not os.path.exists(path):
            yield "mask", f"mask {path} does not exist; check the path"
    options = build(
        RemoveOptions, {key: draft.values[key] for key in ("from_frame", "fix") if key in draft.values}
    )
    for key, read in (("from_frame", drawings), ("fix", fixes)):
        if not list(_told(key, read, options.mask.prompts)):
            for drawn in read(options.mask.prompts):
                if not os.path.exists(drawn.path):
                    yield key, f"mask {drawn.path} does not exist; check the path"


def _engine(draft: Draft) -> Iterator[tuple[str, str]]:
    """Devices, weights and memory that are not there."""
    values = draft.values
    method = values.get("method", "propagate")
    if list(_told("method", method_spec, method)):
        return  # told with its group
    if "device" in values or "precision" in values:
        placed = (method, values.get("device", "auto"), values.get("precision", "auto"))
        yield from _told("precision" if "precision" in values else "device", _place, *placed)
    if "memory" in values:
        yield from _told("memory", parse_memory, values["memory"], 1 << 40)
    if method_spec(method).weights is not None:
        key = "weights" if "weights" in values else "method"
        yield from _told(key, _resolve, method, values.get("weights"))


@cache
def _place(method: str, device: str, precision: str) -> None:
    place(device, precision, method_spec(method).dtypes)


@cache
def _resolve(method: str, given: str | None) -> None:
    from vinpaint_cli.weights.store import resolve

    resolve(weights_of(method_spec(method), given) or "")


def _output(draft: Draft, options: BatchOptions) -> Iterator[tuple[str, str]]:
    """An output that cannot be written, or is there and may not be."""
    if not (draft.makes_folder and not os.path.lexists(os.path.dirname(draft.target) or ".")):
        found = list(_told("output", check_output, draft.input, draft.output, True))
        if found:
            yield from found
            return
    elif not _can_make(Path(draft.target).parent):
        yield "output", f"the folder {Path(draft.target).parent} cannot be made; choose another output_dir"
    if is_there(draft.target) and not (options.overwrite or options.skip_existing):
        advice = "give -y to overwrite it, or --skip-existing to leave its job out"
        yield "output", f"{draft.target} exists; {advice}"
    if not _is_folder(draft):
        suffix = Path(draft.target).suffix
        unknown = list(_told("output", muxer_of, suffix))
        yield from unknown or _told("codec", _encoder, draft, suffix)


def _can_make(folder: Path) -> bool:
    there = next((parent for parent in folder.absolute().parents if parent.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK)


def _is_folder(draft: Draft) -> bool:
    """Whether pictures are written."""
    return draft.target.endswith(("/", os.sep)) or (
        os.path.isdir(draft.input) and not is_video_suffix(Path(draft.target).suffix)
    )


def _encoder(draft: Draft, suffix: str) -> None:
    """Refuse a codec that does not exist, or does not fit the container."""
    encode = build(RemoveOptions, {key: draft.values[key] for key in _ENCODE if key in draft.values}).encode
    if encode.codec is not None:
        choose(encode, Source("h264", "yuv420p", (64, 64)), muxer_of(suffix))


def _told(key: str, check: Callable[..., object], *values: Any) -> Iterator[tuple[str, str]]:
    """The key and what a check says of these values, if anything."""
    try:
        check(*values)
    except VinpaintError as exc:
        yield key, str(exc)
