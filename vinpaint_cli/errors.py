"""Everything that can go wrong, as one tree.

::

    VinpaintError                 1    base class; never raised itself
    ├── UsageError                2    options that contradict each other or cannot be read
    ├── InputError                3    something a person gave us cannot be used
    │   ├── VideoError            3    missing, not a video, no decodable frame, interlaced …
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
    """A clip cannot be opened or decoded, or is of a kind we refuse (interlaced)."""


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
    if isinstance(error, VinpaintError):
        code, line = error.exit_code, str(error)
    elif isinstance(error, MemoryError):
        code, line = OutOfMemoryError.exit_code, f"not enough memory; give a smaller --memory, or {less}"
    else:
        line = f"internal error ({type(error).__name__}: {error}); please report it with what {verbose} adds"
        code = VinpaintError.exit_code
    return code, "; ".join([line, *notes_of(error)])


def notes_of(error: BaseException | None) -> list[str]:
    """Notes (PEP 678) on an error and on the errors that caused it, each line once."""
    found: list[str] = []
    while error is not None:
        found += getattr(error, "__notes__", ())
        error = error.__cause__ or error.__context__
    return list(dict.fromkeys(found))
