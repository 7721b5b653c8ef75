"""One removal as it was asked for, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions, check_options
from vinpaint_cli.pipeline.output import check_free, check_output, spelled
from vinpaint_cli.resume.work import is_whole

MayOverwrite = Callable[[Path | None], bool]
"""Whether a file may be overwritten; asked with None where none needs to be."""


@dataclass(frozen=True, slots=True)
class Job:
    """A removal that may begin; made by `check_job`.

    path: of the clip. target: the output, with a trailing slash when it is a folder of pictures. work: None
    keeps nothing. overwrite: whether an output that is there is replaced.
    """

    path: Path
    target: str
    options: RemoveOptions
    work: WorkOptions | None
    overwrite: bool


def check_job(
    path: str | Path,
    output: str | Path | None,
    options: RemoveOptions,
    work: WorkOptions | None = None,
    overwrite: bool | MayOverwrite = False,
) -> Job:
    """Check options and output; nothing is opened. Arguments as of `remove`.

    Raises UsageError, InputError and OutputError.
    """
    check_options(options)
    target = check_output(path, output, overwrite=True)
    whole = is_whole(work, target)  # then it is not written again
    allowed = overwrite if isinstance(overwrite, bool) else overwrite(None if whole else target)
    if not whole:
        check_free(target, allowed)
    return Job(Path(path), spelled(target, path, output), options, work, allowed)
