"""Everything that can go wrong, as one tree.

::

    VinpaintError                 1    base class; never raised itself
    ├── UsageError                2    options that contradict each other or cannot be read
    ├── InputError                3    something a person gave us cannot be used
    │   ├── VideoError            3    missing, not a video, no decodable frame …
    │   ├── InputChanged          3    a file is another one than when the run began
    │   └── MaskError             3    wrong size, wrong count, outside the frame, no area …
    ├── WeightsError              4    weights that are missing, unknown, corrupt or of another network
    ├── OutOfMemoryError          5    the smallest plan still does not fit the device
    ├── OutputError               6    the output cannot be written: disk full, no permission, codec cannot …
    ├── WorkerError               1    a worker of a cluster does not start, or died too often
    ├── BatchFailed               7    some jobs of a batch failed; each has an exit code of its own
    └── Interrupted             130    stopped by the user (Ctrl-C) or by SIGTERM

The figure is the exit code of the process. A message is one line that says what was given, what is
allowed, and what to do next. Errors of other libraries are translated where they arise, ``from exc``.
"""

from __future__ import annotations

import errno


class VinpaintError(Exception):
    """Base of all errors a caller is expected to catch; carries the process exit code."""

    exit_code: int = 1


class UsageError(VinpaintError):
    """Options that contradict each other, or a value that cannot be read."""

    exit_code = 2


class InputError(VinpaintError):
    """A file or value that a person gave cannot be used."""

    exit_code = 3


class VideoError(InputError):
    """A clip cannot be opened or decoded, or is of a kind we refuse."""


class MaskError(InputError):
    """A hole cannot be read, or does not fit the clip."""


class InputChanged(InputError):
    """The clip or a mask was written or replaced while a run was reading it."""


class WeightsError(VinpaintError):
    """Weights are missing, unknown, corrupt, or belong to another network."""

    exit_code = 4


class OutOfMemoryError(VinpaintError):
    """Even the smallest plan does not fit into the memory allowed."""

    exit_code = 5


class OutputError(VinpaintError):
    """The output cannot be written."""

    exit_code = 6


class WorkerError(VinpaintError):
    """Workers of a cluster do not start, or were lost too often over the same segment."""


class BatchFailed(VinpaintError):
    """Some jobs of a batch failed; the others are done."""

    exit_code = 7


class Interrupted(VinpaintError):
    """Stopped by the user (Ctrl-C) or the system (SIGTERM)."""

    exit_code = 130


def explain(error: BaseException, less: str = "a smaller hole", verbose: str = "-v") -> tuple[int, str]:
    """Exit code and one-line message for an error, with the notes on it and on the errors that caused it.

    less: what to try besides a smaller --memory. verbose: the option that shows the details to report.
    """
    text = _text_of(error)
    if isinstance(error, VinpaintError):
        code, line = error.exit_code, text
    elif _is_of_memory(error, text):
        code, line = OutOfMemoryError.exit_code, f"not enough memory; give a smaller --memory, or {less}"
    elif isinstance(error, OSError) and error.errno in _SYSTEM:
        kind, advice = _SYSTEM[error.errno]
        where = "" if error.filename is None else f"{error.filename}: "
        code, line = kind.exit_code, f"{where}{advice}"
    else:
        line = f"internal error ({type(error).__name__}: {text}); please report it with what {verbose} adds"
        code = VinpaintError.exit_code
    return code, "; ".join([line, *notes_of(error)])


_SYSTEM: dict[int | None, tuple[type[VinpaintError], str]] = {
    errno.ENAMETOOLONG: (UsageError, "the name is longer than the file system allows; give a shorter one"),
    errno.ENOENT: (InputError, "no such file; it may have gone during the run"),
    errno.ENOTDIR: (InputError, "no such file, since a part of its path is no folder"),
    errno.EISDIR: (InputError, "is a folder; give a file"),
    errno.EACCES: (InputError, "permission denied"),
    errno.EPERM: (InputError, "permission denied"),
    errno.ELOOP: (InputError, "a link that leads nowhere; give the file itself"),
    errno.EIO: (InputError, "the disk cannot be read or written there; copy the file elsewhere"),
    errno.ENOSPC: (OutputError, "the disk is full; free some space"),
    errno.EROFS: (OutputError, "the file system is read-only; choose another folder"),
}
"""What the system says where nothing translated it, with the class whose exit code fits."""
_OF_MEMORY = (
    "can't allocate memory",
    "annot allocate memory",
    "failed to map segment",
    "can't start new thread",
)
"""What torch, the loader of libraries and threading say when memory is short."""


def _is_of_memory(error: BaseException, text: str) -> bool:
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not loaded here
        return True
    return isinstance(error, (RuntimeError, ImportError, OSError)) and any(
        sign in text for sign in _OF_MEMORY
    )


def _text_of(error: BaseException) -> str:
    """What an error says; some classes cannot say it when they were made with too little."""
    try:
        return str(error)
    except Exception:
        return "no message"


def reason(error: BaseException) -> str:
    """What went wrong, without the number that the system or FFmpeg has for it."""
    return getattr(error, "strerror", None) or str(error)


def notes_of(error: BaseException | None) -> list[str]:
    """Notes (PEP 678) on an error and on the errors that caused it, each line once."""
    found: list[str] = []
    while error is not None:
        found += getattr(error, "__notes__", ())
        error = error.__cause__ or error.__context__
    return list(dict.fromkeys(found))
