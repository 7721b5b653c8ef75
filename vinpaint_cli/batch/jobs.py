"""Makes the jobs of a batch: finds the clips and job files that JOBS names, and checks all together."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from vinpaint_cli.batch.job_files import READERS, read_file, read_json_line
from vinpaint_cli.batch.job_spec import JobSpec, Mistake, Mistakes, RawJob, RawValue, parse_job
from vinpaint_cli.batch.runner import BatchJob, is_there
from vinpaint_cli.errors import VinpaintError
from vinpaint_cli.masks.grammar import parse_box, time_range
from vinpaint_cli.masks.prompts import PromptOptions, drawings, fixes, parse_prompts
from vinpaint_cli.methods import method_spec, weights_of
from vinpaint_cli.ops.complete import COMPLETERS, open_completer
from vinpaint_cli.options import build
from vinpaint_cli.pipeline.device import place
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions, check_options
from vinpaint_cli.pipeline.output import check_output, spelled
from vinpaint_cli.plan.memory import parse_memory
from vinpaint_cli.video.sink.codecs import Source, choose, is_video_suffix, muxer_of
from vinpaint_cli.video.sink.write import is_folder_path
from vinpaint_cli.video.source.folder import SUFFIXES as PICTURES
from vinpaint_cli.video.source.folder import natural_key

STDIN = "-"
_NO_JOB_FILES = (".json", ".txt", ".yaml", ".yml", ".list")


def discover_jobs(names: Sequence[str], stdin: bytes, mistakes: Mistakes) -> list[RawJob]:
    """Find all jobs of the names given, in that order; what cannot be read is added to ``mistakes``.

    names: each a folder with videos (or of pictures), a pattern, a job file, a clip, or ``-`` for stdin.
    """
    return [job for name in names for job in _jobs(name, stdin, mistakes)]


def _jobs(name: str, stdin: bytes, mistakes: Mistakes) -> Iterable[RawJob]:
    path = Path(name)
    if name == STDIN:
        return _listed(stdin, mistakes)
    if not name:
        mistakes.add("", "an empty name was given for JOBS; check the variable it came from")
        return ()
    if path.is_dir():
        return _in_folder(path, mistakes)
    if not os.path.lexists(path) and glob.has_magic(name):
        return _matching(name, mistakes)
    if path.suffix.lower() in READERS:
        return read_file(path, mistakes)
    if path.suffix.lower() in _NO_JOB_FILES:
        mistakes.add(
            "",
            f"{name} is no job file; write one as .toml, .csv or .jsonl, "
            "or give a list of paths on standard input (vinpaint batch - < list.txt)",
        )
        return ()
    return [_clip(name)]


def _clip(path: str, where: str = "") -> RawJob:
    return RawJob(where, {"input": RawValue(path, where)}, found=True)


def _in_folder(folder: Path, mistakes: Mistakes) -> list[RawJob]:
    """The videos of a folder in natural order; a folder of pictures is a clip itself."""
    try:
        files = [entry for entry in sorted(folder.iterdir(), key=_order) if not entry.name.startswith(".")]
    except OSError as exc:
        mistakes.add("", f"the folder {folder} cannot be read ({exc.strerror})")
        return []
    videos = [str(path) for path in files if path.is_file() and is_video_suffix(path.suffix)]
    if videos:
        return [_clip(path) for path in without_results(videos)]
    if any(path.suffix.lower() in PICTURES for path in files):
        return [_clip(str(folder))]
    mistakes.add(
        "", f"the folder {folder} has no videos; for those in folders below give '{folder}/**/*.mp4'"
    )
    return []


def _matching(pattern: str, mistakes: Mistakes) -> list[RawJob]:
    """Paths that match a pattern: all files if it has a suffix, else videos and folders of pictures."""
    matches = sorted((Path(path) for path in glob.glob(pattern, recursive=True)), key=_order)
    named = Path(pattern).suffix and not glob.has_magic(Path(pattern).suffix)
    clips = [str(path) for path in matches if _is_clip(path, bool(named))]
    if not clips:
        mistakes.add("", f"no clip matches {pattern!r}; put the pattern in quotes and check it")
    return [_clip(path) for path in without_results(clips)]


def _is_clip(path: Path, named: bool) -> bool:
    if path.is_dir():
        return any(entry.suffix.lower() in PICTURES for entry in path.iterdir())
    return named or is_video_suffix(path.suffix)


def _listed(data: bytes, mistakes: Mistakes) -> Iterator[RawJob]:
    """Standard input: a path or a JSON object per line, or paths that end in NUL (find -print0)."""
    if b"\0" in data:
        yield from (_clip(os.fsdecode(part)) for part in data.split(b"\0") if part)
        return
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not data.strip():
        mistakes.add("", "standard input has no jobs; give a path or a JSON object per line")
    for number, line in enumerate(lines, start=1):
        text, where = os.fsdecode(line.removesuffix(b"\r")), f"stdin:{number}"
        if text.lstrip().startswith("{"):
            job = read_json_line(text, where, "", mistakes)
            if job is not None:
                yield job
        elif text.strip():
            yield _clip(text, where)


def without_results(paths: Sequence[str]) -> list[str]:
    """The paths without ``NAME.vinpaint.mp4`` where NAME.mp4 is among them: what an earlier run wrote."""
    there = set(paths)
    return [path for path in paths if _origin(path) not in there]


def _origin(path: str) -> str | None:
    """The clip that a name by default says it was made from."""
    stem, suffix = os.path.splitext(path)
    return f"{stem.removesuffix('.vinpaint')}{suffix}" if stem.endswith(".vinpaint") else None


def _order(path: Path) -> tuple[str, list[tuple[int, int | str]], str]:
    return str(path.parent), natural_key(path.name), path.name


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Options that hold for all jobs of a batch.

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
    """Find, read and check the jobs that the command-line argument JOBS names.

    Decodes nothing, and collects every mistake instead of raising the first.

    names: as `discovery.discover_jobs` takes them. stdin: what stood on standard input, read when ``-``
    is named.
    """
    mistakes = Mistakes()
    defaults = {key: RawValue(value) for key, value in options.given.items()}
    specs = [parse_job(raw, defaults, mistakes) for raw in discover_jobs(names, stdin, mistakes)]
    specs, notes = _without_outputs(specs)
    for spec in specs:
        check_job(spec, options, mistakes)
    _check_each_other(specs, mistakes)
    if mistakes:
        return Batch((), mistakes.in_order(), notes=notes)
    folders = {os.path.dirname(spec.target): None for spec in specs if spec.makes_folder}
    jobs = [_job(index, spec, options) for index, spec in enumerate(specs)]
    return Batch(tuple(jobs), (), tuple(folder for folder in folders if folder), notes)


def _job(index: int, spec: JobSpec, options: BatchOptions) -> BatchJob:
    return BatchJob(
        index,
        spec.where,
        spec.input,
        spec.output,
        build(RemoveOptions, spec.values),
        options.overwrite,
        build(WorkOptions, spec.values),
    )


def _without_outputs(specs: list[JobSpec]) -> tuple[list[JobSpec], tuple[str, ...]]:
    """Leave out clips that were found, not written down, and are what another job of the batch writes."""
    writers = {_same(spec.target): spec for spec in specs if _same(spec.target) != _same(spec.input)}
    left_out = [spec for spec in specs if spec.found and _same(spec.input) in writers]
    kept = [spec for spec in specs if spec not in left_out]
    notes = [
        f"{spec.input} is left out: {writers[_same(spec.input)].input} is written to it" for spec in left_out
    ]
    return kept, tuple(notes)


def _check_each_other(specs: Sequence[JobSpec], mistakes: Mistakes) -> None:
    """Two jobs with one output, and outputs that some job reads."""
    writers: dict[str, JobSpec] = {}
    readers: dict[str, tuple[str, JobSpec]] = {}
    for spec in specs:
        readers.setdefault(_same(spec.input), ("input", spec))
        for mask in spec.values.get("mask", ()):
            readers.setdefault(_same(mask), ("mask", spec))
    for spec in specs:
        if not spec.target:
            continue
        first = writers.setdefault(_same(spec.target), spec)
        if first is not spec:
            text = f"writes {spec.target}, as {first.name} does; give each job an output of its own"
            mistakes.add(spec.where_of("output"), text if spec.where else f"{spec.input} {text}")
        kind, reader = readers.get(_same(spec.target), ("", spec))
        if kind and (reader is not spec or kind == "mask"):
            text = f"writes {spec.target}, which is the {kind} of {reader.name}; choose another output"
            mistakes.add(spec.where_of("output"), text if spec.where else f"{spec.input} {text}")


def _same(path: str) -> str:
    """One spelling for all names of a file."""
    return os.path.normcase(os.path.realpath(path)) if path else ""


_ANY_SIZE = (1_000_000, 1_000_000)
_SOMEWHERE = {"box": ("0,0,1,1",)}
_HOLE = ("mask", "mask_dir", "box", "click", "not", "box_prompt", "from_frame", "fix", "mask_label")
_GROUPS = (("feather",), ("dilate",), ("method", "weights", "propagate"), ("texture", "complete"), _HOLE)
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


def check_job(spec: JobSpec, options: BatchOptions, mistakes: Mistakes) -> None:
    """Add what is wrong with a job by itself to ``mistakes``."""
    for check in (_texts, _groups, _files, _engine):
        for key, text in check(spec):
            mistakes.add(spec.where_of(key), text)
    if spec.input and not {"output", "output_dir"} & spec.broken:
        for key, text in _output(spec, options):
            mistakes.add(spec.where_of(key, "output_dir"), text if spec.where else _of(spec, text))


def _of(spec: JobSpec, text: str) -> str:
    """A mistake that names its clip when nothing else does."""
    return text if spec.input in text or spec.target in text else f"{spec.input}: {text}"


def _texts(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """Boxes, clicks and times that cannot be read."""
    for key, read in _TEXTS.items():
        for text in spec.values.get(key, ()):
            yield from _told(key, read, text)
    yield from _told(
        "end" if "end" in spec.values else "start", time_range, *map(spec.values.get, ("start", "end"))
    )


def _groups(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """Options that contradict each other."""
    for group in _GROUPS:
        if spec.broken & {*group}:
            continue
        given = [key for key in group if key in spec.values]
        if given or group is _HOLE:
            options = _build(spec, *given, **({} if group is _HOLE else _SOMEWHERE))
            yield from _told(_first(given), check_options, options)


def _build(spec: JobSpec, *keys: str, **values: Any) -> RemoveOptions:
    """Options of which only some keys of a job, and further values, are set."""
    return build(RemoveOptions, values | {key: spec.values[key] for key in keys if key in spec.values})


def _first(keys: Sequence[str]) -> str:
    """The key to report for a contradiction: one that limits other options, else the first."""
    limits = [key for key in ("mask_label", "fix", "weights", "propagate") if key in keys]
    return [*limits, *keys, ""][0]


def _files(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """Inputs and masks that are not there."""
    if spec.input and not os.path.exists(spec.input):
        yield "input", f"{spec.input}: no such file; give a video or a folder of png or jpg pictures"
    for path in spec.values.get("mask", ()):
        if not os.path.exists(path):
            yield "mask", f"mask {path} does not exist; check the path"
    prompts = _build(spec, "from_frame", "fix").mask.prompts
    for key, read in (("from_frame", drawings), ("fix", fixes)):
        if not list(_told(key, read, prompts)):
            for drawn in read(prompts):
                if not os.path.exists(drawn.path):
                    yield key, f"mask {drawn.path} does not exist; check the path"


def _engine(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """Devices, weights and memory that are not there."""
    values = spec.values
    method = _build(spec, "method").method
    if list(_told("method", method_spec, method)):
        return  # told with its group
    if "device" in values or "precision" in values:
        placed = (method, values.get("device", "auto"), values.get("precision", "auto"))
        yield from _told("precision" if "precision" in values else "device", _place, *placed)
    if "memory" in values:
        yield from _told("memory", parse_memory, values["memory"], 1 << 40)
    if values.get("complete") in COMPLETERS.names:
        yield from _told("complete", _open_completer, values["complete"])
    if method_spec(method).weights is not None:
        key = "weights" if "weights" in values else "method"
        yield from _told(key, _resolve, method, values.get("weights"))


@cache
def _place(method: str, device: str, precision: str) -> None:
    place(device, precision, method_spec(method).dtypes)


@cache
def _open_completer(name: str) -> None:
    open_completer(name)


@cache
def _resolve(method: str, given: str | None) -> None:
    from vinpaint_cli.weights.store import resolve

    resolve(weights_of(method_spec(method), given) or "")


def _output(spec: JobSpec, options: BatchOptions) -> Iterator[tuple[str, str]]:
    """An output that cannot be written, or is there and may not be."""
    if not (spec.makes_folder and not os.path.lexists(os.path.dirname(spec.target) or ".")):
        found = list(_told("output", check_output, spec.input, spec.output, True))
        if found:
            yield from found
            return
    elif not _can_make(Path(spec.target).parent):
        yield "output", f"the folder {Path(spec.target).parent} cannot be made; choose another output_dir"
    if is_there(spec.target) and not (options.overwrite or options.skip_existing):
        advice = "give -y to overwrite it, or --skip-existing to leave its job out"
        yield "output", f"{spec.target} exists; {advice}"
    if not _is_folder(spec):
        suffix = Path(spec.target).suffix
        unknown = list(_told("output", muxer_of, suffix))
        yield from unknown or _told("codec", _encoder, spec, suffix)


def _can_make(folder: Path) -> bool:
    there = next((parent for parent in folder.absolute().parents if parent.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK)


def _is_folder(spec: JobSpec) -> bool:
    """Whether pictures are written."""
    return is_folder_path(spelled(Path(spec.target), spec.input, spec.output))


def _encoder(spec: JobSpec, suffix: str) -> None:
    """Refuse a codec that does not exist, or does not fit the container."""
    encode = _build(spec, *_ENCODE).encode
    if encode.codec is not None:
        choose(encode, Source("h264", "yuv420p", (64, 64)), muxer_of(suffix))


def _told(key: str, check: Callable[..., object], *values: Any) -> Iterator[tuple[str, str]]:
    """The key and what a check says of these values, if anything."""
    try:
        check(*values)
    except VinpaintError as exc:
        yield key, str(exc)
