"""Path of the output and its checks; a plain copy for a clip without a hole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from vinpaint_cli.errors import InputError, OutputError, UsageError
from vinpaint_cli.masks.sources.pictures import IMAGE_SUFFIXES
from vinpaint_cli.util import fitting_name
from vinpaint_cli.video.sink.codecs import is_video_suffix
from vinpaint_cli.video.sink.publish import publish, reserve, translated


def check_output(path: str | Path, output: str | Path | None, overwrite: bool) -> Path:
    """Where the output goes.

    Raises OutputError when it exists or its folder does not, InputError when it is the input itself, and
    UsageError for the name of a single picture.
    """
    target = Path(output) if output is not None else default_output(path)
    if target.suffix.lower() in IMAGE_SUFFIXES:
        raise UsageError(f"{target} is a single picture; give a video, or a folder for pictures")
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


def default_output(path: str | Path) -> Path:
    """``<stem>.vinpaint<suffix>`` beside the input; for a folder ``<name>.vinpaint``."""
    source = Path(path)
    return source.with_name(fitting_name(source.stem, f".vinpaint{source.suffix}"))


def spelled(target: Path, path: str | Path, output: str | Path | None) -> str:
    """The target, with a trailing slash when it is to be a folder of pictures.

    It is one when it was given so, and for a folder of pictures unless it has the suffix of a video.
    """
    folder = str(output or "").endswith(("/", os.sep))
    folder |= Path(path).is_dir() and not is_video_suffix(target.suffix)
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
