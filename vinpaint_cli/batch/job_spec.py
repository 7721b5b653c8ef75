"""Job specs: the options of each job, merged and parsed, with the line of every value and mistake."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vinpaint_cli.batch.schema import Wrong, read_value
from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.prompts import PromptOptions, drawings, fixes
from vinpaint_cli.masks.sources.pictures import IMAGE_SUFFIXES
from vinpaint_cli.pipeline.output import default_output
from vinpaint_cli.util import fitting_name
from vinpaint_cli.util.registry import did_you_mean
from vinpaint_cli.video.sink.codecs import is_video_suffix
from vinpaint_cli.weights import registry


@dataclass(frozen=True, slots=True)
class RawValue:
    """A value as it was written, before it is read.

    where: ``jobs.toml:12``, empty when on the command line. base: the folder that relative paths in it
    count from, empty for the current one.
    """

    value: Any
    where: str = ""
    base: str = ""


@dataclass(frozen=True, slots=True)
class RawJob:
    """The values of one job as they were written, before they are merged and read.

    where: ``jobs.toml:10``, empty for a clip that was found or named on the command line. values: its own.
    defaults: those of its file. found: nobody wrote it down, it came out of a folder, a pattern or a list.
    """

    where: str
    values: Mapping[str, RawValue]
    defaults: Mapping[str, RawValue] = field(default_factory=dict)
    found: bool = False


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that is wrong with a job; where: as in `RawValue`."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


class Mistakes:
    """Collects mistakes; one that many jobs share (in a default, say) is kept once."""

    def __init__(self) -> None:
        self._found: dict[Mistake, None] = {}

    def add(self, where: str, text: str) -> None:
        """Add a mistake."""
        self._found.setdefault(Mistake(where, text))

    def __len__(self) -> int:
        return len(self._found)

    def in_order(self) -> tuple[Mistake, ...]:
        """All mistakes by file, in the order in which the files were met, and by line."""
        files = {name: place for place, name in reversed(list(enumerate(_file(m) for m in self._found)))}
        return tuple(sorted(self._found, key=lambda mistake: (files[_file(mistake)], _line(mistake))))


def _file(mistake: Mistake) -> str:
    return mistake.where.rpartition(":")[0]


def _line(mistake: Mistake) -> int:
    line = mistake.where.rpartition(":")[2]
    return int(line) if line.isdecimal() else 0


_RIVALS = {"output": "output_dir", "output_dir": "output", "mask": "mask_dir", "mask_dir": "mask"}


@dataclass(frozen=True, slots=True, eq=False)
class JobSpec:
    """One job, merged and read, but not yet checked.

    where: of the job as a whole. input: empty when it has none. output: as given, None for the default.
    target: the file or folder it will write, empty without an input. values: by keys of the schema, masks
    of ``mask_dir`` among ``mask``. given: the raw values. broken: keys whose value cannot be used.
    """

    where: str
    found: bool
    input: str
    output: str | None
    target: str
    values: Mapping[str, Any]
    given: Mapping[str, RawValue]
    broken: frozenset[str]

    @property
    def name(self) -> str:
        """Name of the job in messages: file and line, or its input."""
        return self.where or self.input

    @property
    def makes_folder(self) -> bool:
        """Whether the folder of its output is made when it is not there."""
        return "output_dir" in self.values and "output" not in self.values

    def where_of(self, *keys: str) -> str:
        """Where the first of these keys that it has was written, else the job itself."""
        return next((self.given[key].where for key in keys if key in self.given), "") or self.where


def parse_job(raw: RawJob, command_line: Mapping[str, RawValue], mistakes: Mistakes) -> JobSpec:
    """Merge a job's values over the command line's over its file's defaults, and read them."""
    given = _merged(raw, command_line, mistakes)
    broken: set[str] = set()

    def usable(read: Callable[..., Any], values: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
        """What ``read`` makes of the values of each key; where it raises Wrong that is a mistake."""
        found = {}
        for key, arguments in values.items():
            try:
                found[key] = read(*arguments)
            except Wrong as exc:
                broken.add(key)
                mistakes.add(given[key].where, str(exc))
        return found

    values = usable(read_value, {key: (key, one.value) for key, one in given.items()})
    clip = str(locate("input", values["input"], given["input"], "")) if "input" in values else ""
    if clip:
        values = usable(locate, {key: (key, value, given[key], clip) for key, value in values.items()})
    elif "input" not in broken:
        mistakes.add(raw.where, "the job has no input; write input = the path of a clip")
    if clip and "mask_dir" in values:
        masks = usable(mask_in, {"mask_dir": (values["mask_dir"], clip)}).values()
        values["mask"] = (*values.get("mask", ()), *masks)
    output = _output(values, clip)
    target = "" if not clip else output or str(default_output(clip))
    return JobSpec(raw.where, raw.found, clip, output, target, values, given, frozenset(broken))


def _merged(raw: RawJob, command_line: Mapping[str, RawValue], mistakes: Mistakes) -> dict[str, RawValue]:
    """Later levels win, key by key; ``output`` and ``output_dir`` replace each other, masks likewise."""
    values: dict[str, RawValue] = {}
    for level in (raw.defaults, command_line, raw.values):
        for key, rival in _RIVALS.items():
            if key in level and rival not in level:
                values.pop(rival, None)
        values.update(level)
        if "output" in level and "output_dir" in level:
            mistakes.add(level["output_dir"].where, "output and output_dir exclude each other; leave one out")
    return values


def _output(values: Mapping[str, Any], clip: str) -> str | None:
    """Where it goes: as given, or under the clip's own name in a folder of outputs."""
    if "output" in values:
        return str(values["output"])
    if "output_dir" in values and clip:
        folder = str(values["output_dir"]).rstrip("/") or "/"
        return f"{folder}/{names_of(clip)['name']}"
    return None


_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PATHS = ("input", "output", "output_dir", "mask_dir", "mask", "work_dir")
_WEIGHTS = ("weights", "segmenter_weights")


def locate(key: str, value: object, given: RawValue, clip: str) -> object:
    """The value with its paths as this process must open them; other values as they are.

    clip: the job's input, for the placeholders. Raises Wrong for a placeholder that does not exist.
    """
    if isinstance(value, tuple):
        return tuple(str(locate(key, item, given, clip)) for item in value)
    if not isinstance(value, str):
        return value
    if key in _PATHS:
        path = value if key == "input" else filled_in(value, clip)
        if key == "output" and path != value:
            folder, name = os.path.split(path)
            path = os.path.join(folder, fitting_name(*os.path.splitext(name)))
        return based(path, given.base)
    if key in _WEIGHTS:
        return value if _is_name(value) else based(value, given.base)
    if key in ("from_frame", "fix"):
        return _drawing(key, filled_in(value, clip), given.base)
    return value


def based(path: str, base: str) -> str:
    """A path of a job file as seen from the current folder; a slash at its end stays."""
    if not base:
        return path
    return os.path.join("" if base == "." else base, os.path.expanduser(path))


def filled_in(pattern: str, clip: str) -> str:
    """``{stem}`` and ``{name}`` as those of the clip, without and with its suffix."""
    names = names_of(clip)
    unknown = [name for name in _PLACEHOLDER.findall(pattern) if name not in names]
    if unknown and not os.path.exists(pattern):
        hint = did_you_mean(unknown[0], names, quoted="{{{}}}") or "known are {stem} and {name}"
        raise Wrong(f"{pattern!r} has the placeholder {{{unknown[0]}}}; {hint}")
    return _PLACEHOLDER.sub(lambda found: names.get(found[1], found[0]), pattern)


def names_of(clip: str) -> Mapping[str, str]:
    """Values of the placeholders ``stem`` and ``name``."""
    path = Path(clip)
    return {"stem": path.stem if not path.is_dir() else path.name, "name": path.name}


def mask_in(folder: str, clip: str) -> str:
    """The mask of a clip in a folder of masks: a file or folder with the clip's name, whatever its suffix.

    Raises Wrong when there is none, or more than one.
    """
    names = names_of(clip)
    try:
        entries = sorted(Path(folder).iterdir())
    except OSError as exc:
        raise Wrong(f"the folder of masks {folder} cannot be read ({exc.strerror}); check the path") from exc
    found = [entry for entry in entries if _belongs(entry, names)]
    if len(found) == 1:
        return str(found[0])
    if not found:
        raise Wrong(
            f"{folder} has no mask for {clip}; name it {names['stem']}.png, or {names['stem']}/ for a folder"
        )
    raise Wrong(
        f"{folder} has {len(found)} masks for {clip} ({', '.join(path.name for path in found)}); keep one"
    )


def _belongs(entry: Path, names: Mapping[str, str]) -> bool:
    if entry.is_dir():
        return entry.name in names.values()
    suffix = entry.suffix.lower()
    return entry.stem in names.values() and (suffix in IMAGE_SUFFIXES or is_video_suffix(suffix))


def _is_name(weights: str) -> bool:
    return any(entry.name == weights for entry in registry.entries())


def _drawing(key: str, text: str, base: str) -> str:
    """The text of a drawn mask with its path seen from the current folder; left alone when unreadable."""
    try:
        (drawn,) = (
            fixes(PromptOptions(fixes=(text,)))
            if key == "fix"
            else drawings(PromptOptions(from_frames=(text,)))
        )
    except UsageError:
        return text
    return based(drawn.path, base).join(text.rsplit(drawn.path, 1))
