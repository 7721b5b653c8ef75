"""Path of the output and its checks; a plain copy for a clip without a hole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from vinpaint_cli.errors import InputError, OutputError, UsageError
from vinpaint_cli.masks.sources.pictures import IMAGE_SUFFIXES
from vinpaint_cli.util import fitting_name, is_pattern
from vinpaint_cli.video.sink.codecs import is_container
from vinpaint_cli.video.sink.publish import publish, reserve, translated
from vinpaint_cli.video.source.read import check_input


def check_output(path: str | Path, output: str | Path | None, overwrite: bool) -> Path:
    """Where the output goes.

    Raises OutputError when it exists or its folder does not, InputError when it is the input itself, and
    UsageError for the name of a single picture.
    """
    check_input(path)
    target = Path(output) if output is not None else default_output(path)
    _check_name(str(target if output is None else output))
    if str(path) == "" or str(output) == "":
        raise UsageError(
            "an empty name was given for the input or the output; check the variable it came from"
        )
    if target.exists() and target.resolve() == Path(path).resolve():
        raise InputError(f"{target} is the input itself; choose another output with -o")
    check_free(target, overwrite)
    folder = target.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} does not exist; make it or choose another -o")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"the folder {folder} cannot be written; choose another -o")
    return target


def check_free(target: Path, overwrite: bool) -> None:
    """Refuse a target that exists, unless it may be overwritten; raises OutputError."""
    if os.path.lexists(target) and not overwrite:
        raise OutputError(f"{target} exists; give -y to overwrite it or another name with -o")


def _check_name(output: str) -> None:
    """Refuse names with which ffmpeg means something else than a file or a folder; raises UsageError."""
    target = Path(output)
    if output == "-" or output.startswith("pipe:"):
        raise UsageError(
            f"{output} is standard output, but an output appears only when it is whole; give a file with -o"
        )
    if is_pattern(output):
        raise UsageError(
            f"{output} is a pattern for numbered pictures; give their folder alone, -o {target.parent}/"
        )
    if target.suffix.lower() in IMAGE_SUFFIXES - {".webp"}:
        raise UsageError(f"{target} is a single picture; give a video, or a folder for pictures")


def default_output(path: str | Path) -> Path:
    """``<stem>.vinpaint<suffix>`` beside the input; for a folder ``<name>.vinpaint``.

    The suffix is ``.mkv`` for a file whose own is that of no container that is written.
    """
    source = Path(path)
    if source.is_dir():
        return named_after(source, ".vinpaint")
    suffix = ".apng" if source.suffix.lower() == ".png" else source.suffix
    readable_only = source.is_file() and not is_container(suffix)
    return named_after(source, f".vinpaint{'.mkv' if readable_only else suffix}")


def named_after(path: str | Path, ending: str) -> Path:
    """A name beside a file, its stem with an ending, or beside a folder, its whole name with an ending."""
    place = Path(path)
    if place.name in ("", ".."):
        place = place.resolve()
    return place.parent / fitting_name(place.name if place.is_dir() else place.stem, ending)


def spelled(target: Path, path: str | Path, output: str | Path | None) -> str:
    """The target, with a trailing slash when it is to be a folder of pictures.

    It is one when it was given so, and for a folder of pictures unless it has the suffix of a container.
    """
    folder = str(output or "").endswith(("/", os.sep))
    folder |= Path(path).is_dir() and not is_container(target.suffix)
    return f"{target}{os.sep}" if folder else str(target)


def copy_as_it_is(
    source: Path,
    temporary: Path,
    target: Path,
    overwrite: bool,
    announce: Callable[[Path], None] | None = None,
) -> None:
    """Copy a file, which appears under its name only when whole; raises OutputError.

    ``announce`` is called with ``temporary`` right before.
    """
    reserve(target, temporary)
    try:
        with translated(target):
            shutil.copyfile(source, temporary)
            publish(temporary, target, overwrite=overwrite, announce=announce)
    finally:
        temporary.unlink(missing_ok=True)
