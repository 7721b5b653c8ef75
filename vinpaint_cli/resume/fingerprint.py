"""Fingerprint of a job: options and SHA-256 of all files its output depends on; a resumed job must match."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vinpaint_cli import __version__
from vinpaint_cli.errors import InputChanged, InputError, Interrupted, VinpaintError
from vinpaint_cli.masks.prompts import Drawing, PromptOptions, drawings, fixes
from vinpaint_cli.masks.sources.pictures import IMAGE_SUFFIXES
from vinpaint_cli.methods import method_spec, weights_of
from vinpaint_cli.options import placed_values
from vinpaint_cli.pipeline.device import place
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.progress import Listener, advance
from vinpaint_cli.types import MethodSpec
from vinpaint_cli.util.hashing import file_sha256, files_sha256
from vinpaint_cli.video.source.folder import SUFFIXES
from vinpaint_cli.video.source.playlist import files_of
from vinpaint_cli.weights.store import resolve

INPUT = "the input"
NAMED = "what the playlist names"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """``options``: option label → value for JSON. ``contents``: description of an input file → SHA-256."""

    version: str
    options: Mapping[str, Any]
    contents: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"version": self.version, "options": dict(self.options), "contents": dict(self.contents)}


def take_fingerprint(
    path: str | Path, options: RemoveOptions, target: str, listener: Listener
) -> Fingerprint:
    """Hash everything that the output of a job depends on; missing files are left to be reported when opened.

    Raises InputError for a file that cannot be read, WeightsError, UsageError and Interrupted.
    """
    spec = method_spec(options.method)
    placement = place(options.device, options.precision, spec.dtypes)
    files = {INPUT: Path(path), **dict(_files(options, spec))}
    others = [Path(name) for name in files_of(path)] if options.playlists else []
    sizes = sum(_size(name, path) for name, path in files.items()) + sum(
        file.stat().st_size for file in others
    )
    with listener.stage("hash", sizes) as progress:
        contents = {name: _digest(name, path, lambda n: advance(progress, n)) for name, path in files.items()}
        if others:
            contents[NAMED] = files_sha256(others, lambda n: advance(progress, n))
    said = _options(options) | _drawn(options.mask.prompts)
    said |= {
        "--device": placement.device.partition(":")[0],
        "--precision": placement.precision,
        "the kind of output": Path(target).suffix.lower() or "a folder of pictures",
    }
    return Fingerprint(__version__, said, contents)


Marks = Mapping[str, Sequence[tuple[int, int, int]]]
"""By the description of an input, number, size and time of change of each file."""


def marks_of(path: str | Path, options: RemoveOptions) -> Marks:
    """What clip and masks of a job are known by while it runs; no marks for what is not there."""
    given = [(INPUT, Path(path)), *_masks(options)]
    if options.playlists:
        given += [(name, Path(name)) for name in files_of(path)]
    return {name: _marks(name, file) for name, file in given}


@contextmanager
def unchanged(marks: Marks, path: str | Path, options: RemoveOptions) -> Iterator[Callable[[], None]]:
    """Gives a function that raises InputChanged when the files have other marks by now; errors do so too."""

    def check() -> None:
        changed = [name for name, mark in marks_of(path, options).items() if mark != marks.get(name)]
        if changed:
            which = f"{INPUT} {path}" if changed[0] == INPUT else changed[0]
            raise InputChanged(
                f"{which} was written to or replaced during the run; nothing was written; "
                "give the command again when it is whole"
            )

    try:
        yield check
    except (VinpaintError, OSError, ValueError) as exc:
        if not isinstance(exc, Interrupted):
            check()
        raise


def _marks(name: str, path: Path) -> list[tuple[int, int, int]]:
    found = []
    with suppress(OSError):  # which is told when it is opened
        for file in _members(name, path):
            status = file.stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return found


def clip_digest(path: Path) -> str:
    """SHA-256 of a clip: a file, or the pictures of a folder; raises InputError."""
    return _digest(INPUT, path, lambda n: None)


def is_fingerprint(data: object) -> bool:
    """Whether it has the form of `Fingerprint.to_dict`."""
    if not isinstance(data, dict) or not isinstance(data.get("version"), str):
        return False
    options, contents = data.get("options"), data.get("contents")
    if not isinstance(options, dict) or not isinstance(contents, dict):
        return False
    return all(isinstance(digest, str) for digest in contents.values())


def differences(then: Mapping[str, Any], now: Fingerprint) -> list[str]:
    """Phrases that name each change from ``then`` (made by `Fingerprint.to_dict`) to ``now``."""
    found = []
    if then.get("version") != now.version:
        found.append(f"vinpaint was {then.get('version')}, is {now.version}")
    before = _options(RemoveOptions()) | then.get("options", {})  # an older one may lack newer options
    for name in sorted({*before, *now.options}):
        old, new = before.get(name), now.options.get(name)
        if old != new:
            found.append(f"{name} was {_told(old)}, is {_told(new)}")
    before = then.get("contents", {})
    for name in dict.fromkeys([*before, *now.contents]):
        if name not in now.contents:
            found.append(f"{name} was given, is not")
        elif name not in before:
            found.append(f"{name} was not given, is now")
        elif before[name] != now.contents[name]:
            found.append(f"{name} has changed since")
    return found


def _options(options: RemoveOptions) -> dict[str, Any]:
    """Every option by its label, but for those that count by content."""
    return {
        option.fingerprint_label: list(value) if isinstance(value, tuple) else value
        for option, value in placed_values(options)
        if option.fingerprint_label
    }


def _drawn(prompts: PromptOptions) -> dict[str, list[str]]:
    """Of which objects and moments pictures were drawn; the pictures themselves count by content."""
    return {
        "--from-frame": [f"{drawing.object}:@{_moment(drawing)}" for drawing in drawings(prompts)],
        "--fix": [_moment(drawing) for drawing in fixes(prompts)],
    }


def _moment(drawing: Drawing) -> str:
    when = drawing.when
    return f"f{when.frame}" if when.frame is not None else f"{when.seconds}"


def _files(options: RemoveOptions, spec: MethodSpec) -> Iterator[tuple[str, Path]]:
    """Everything beside the input that the output depends on, and what a person calls it."""
    prompts = options.mask.prompts
    yield from _masks(options)
    weights = _weights(options.weights, spec)
    if weights is not None:
        yield "the file of weights", weights
    if prompts.segmenter_weights is not None:
        yield "the segmenter's file of weights", resolve(prompts.segmenter_weights)
    if options.mask.tracked is not None:
        yield "the followed mask", Path(options.mask.tracked)
    if options.mask.whole is not None:
        yield "the whole mask", Path(options.mask.whole)


def _masks(options: RemoveOptions) -> Iterator[tuple[str, Path]]:
    prompts = options.mask.prompts
    for number, name in enumerate(options.mask.masks, 1):
        yield _numbered("the mask", number, len(options.mask.masks)), Path(name)
    drawn = [*drawings(prompts), *fixes(prompts)]
    for number, drawing in enumerate(drawn, 1):
        yield _numbered("the drawn mask", number, len(drawn)), Path(drawing.path)


def _weights(given: str | None, spec: MethodSpec) -> Path | None:
    name = weights_of(spec, given)
    return None if name is None else resolve(name)


def _numbered(name: str, number: int, count: int) -> str:
    return name if count == 1 else f"{name} {number}"


def _told(value: Any) -> str:
    """A value as one would write it."""
    if value is None or value == []:
        return "not given"
    if isinstance(value, bool):
        return "on" if value else "off"
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _members(name: str, path: Path) -> list[Path]:
    """The pictures of a folder by name, which alone are read; or the file itself."""
    if not path.is_dir():
        return [path]
    suffixes = SUFFIXES if name == INPUT else IMAGE_SUFFIXES
    entries = [entry for entry in path.iterdir() if entry.suffix.lower() in suffixes]
    return sorted(entry for entry in entries if entry.is_file() and not entry.name.startswith("."))


def _size(name: str, path: Path) -> int:
    return sum(file.stat().st_size for file in _members(name, path) if file.exists())


def _digest(name: str, path: Path, advance: Callable[[int], None]) -> str:
    """SHA-256 of a file, or of the names and contents of the pictures of a folder."""
    if not path.exists():
        return ""
    try:
        if path.is_dir():
            return files_sha256(_members(name, path), advance)
        return file_sha256(path, advance)
    except OSError as exc:
        raise InputError(f"{path} cannot be read ({exc.strerror}); check it and try again") from exc
