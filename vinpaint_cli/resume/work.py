"""The work of a run that can be resumed: the protocol of its store, and finding and opening work folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.sources.shapes import HoleSource
from vinpaint_cli.pipeline.fill import Filled, MemoryFit
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.progress import Listener
from vinpaint_cli.resume.fingerprint import take_fingerprint
from vinpaint_cli.resume.journal import is_published, read_journal, segment_entries
from vinpaint_cli.resume.stored import read_sealed
from vinpaint_cli.resume.work_folder import (
    JOURNAL,
    PLAN,
    WorkFolder,
    begin_afresh,
    check_begun,
    discard,
    is_begun,
    locked,
)
from vinpaint_cli.types import FrameSource, Segment
from vinpaint_cli.util import fitting_name
from vinpaint_cli.video.sink.encoder import thread_count


class Work(Protocol):
    """Store of the finished segments, masks and plan of one run."""

    plan: Plan | None
    """Of the run before."""
    fit: MemoryFit
    """What the run before found to fit into memory."""
    reused: int
    """Segments that were there."""
    threads: int
    """Of the encoder, those of the run before where there was one, since bytes may depend on them."""
    published: bool
    """Whether the run before was killed when its output was whole and in its place."""
    folder: str | None
    """Where parts of segments are kept; None for nowhere."""

    @property
    def pixels(self) -> tuple[int, float]:
        """Of the hole, in the segments that were there, and those of them that propagation filled."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Warnings of earlier runs about the clip and the mask."""
        ...

    @property
    def left(self) -> str | None:
        """The folder that is kept after a success; None when it is removed."""
        ...

    def followed(self, options: RemoveOptions) -> RemoveOptions:
        """The options, with the tracked mask of an earlier run if there is one."""
        ...

    def keep_mask(self, source: FrameSource, masks: HoleSource, whole: bool) -> None:
        """Keep a mask that was followed, or the ``whole`` hole with the shadows that were found."""
        ...

    @property
    def beside(self) -> Path:
        """The folder in which this place is, where a network fitted to the clip is kept too."""
        ...

    def keep_fitted(self, path: Path) -> None:
        """Note which network was fitted to the clip; what another one filled is dropped."""
        ...

    def keep_plan(self, plan: Plan, notes: Sequence[str]) -> None:
        """Keep the plan."""
        ...

    def begin(self, temporary: Path) -> None:
        """Record the hidden output, so that a later run can remove it if this one is killed."""
        ...

    def publishing(self, temporary: Path) -> None:
        """Record that the hidden output is complete and about to be renamed."""
        ...

    def missing(self, segments: Sequence[Segment]) -> list[Segment]:
        """The segments that are still to be filled."""
        ...

    def gathered(self, segments: Sequence[Segment], fresh: Iterator[Filled]) -> Iterator[Filled]:
        """All in the order given, ``fresh`` being those that were missing, each kept as it comes."""
        ...


class NoWork:
    """Keeps nothing: the run cannot be resumed. ``target``: the output."""

    def __init__(self, target: str) -> None:
        self.beside = Path(os.path.abspath(target)).parent
        self.plan: Plan | None = None
        self.fit = MemoryFit()
        self.reused = 0
        self.notes: Sequence[str] = ()
        self.left: str | None = None
        self.threads = thread_count()
        self.published = False
        self.folder: str | None = None
        self.pixels = (0, 0.0)

    def followed(self, options: RemoveOptions) -> RemoveOptions:
        """The options, unchanged."""
        return options

    def keep_mask(self, source: FrameSource, masks: HoleSource, whole: bool) -> None:
        """Keep nothing."""

    def keep_fitted(self, path: Path) -> None:
        """Keep nothing."""

    def keep_plan(self, plan: Plan, notes: Sequence[str]) -> None:
        """Keep nothing."""

    def begin(self, temporary: Path) -> None:
        """Keep nothing."""

    def publishing(self, temporary: Path) -> None:
        """Keep nothing."""

    def missing(self, segments: Sequence[Segment]) -> list[Segment]:
        """All segments."""
        return list(segments)

    def gathered(self, segments: Sequence[Segment], fresh: Iterator[Filled]) -> Iterator[Filled]:
        """The segments as they come."""
        return fresh


@contextmanager
def open_work(
    work: WorkOptions | None, target: str, path: str | Path, options: RemoveOptions, listener: Listener
) -> Iterator[Work]:
    """The place for the finished segments of a job; tidied up when the block ends.

    After a success the folder goes unless it is to be kept; after an error it stays if anything was
    finished, and the error carries a note of it. target: the output. path, options: of the job.

    Raises OutputError (the folder cannot be made, or another process is in it), UsageError (it is of a
    different job, or is not there and has to be) and what `take_fingerprint` raises.
    """
    if work is None:
        yield NoWork(target)
        return
    folder = folder_of(work, target)
    if work.resume and not is_begun(folder):
        raise UsageError(f"there is nothing to go on with in {folder}; leave out --resume to start")
    with locked(folder):
        begun = work.resume is not False and is_begun(folder)
        try:
            now = take_fingerprint(path, options, target, listener)
            if begun:
                check_begun(folder, now)
            else:
                begin_afresh(folder, Path(target), now)
        except BaseException:
            if not begun and not is_begun(folder):
                discard(folder)
            raise
        kept = WorkFolder(folder, work.keep)
        kept.read(Path(target), options)
        with kept:
            if begun and kept.plan is not None and not kept.published:
                listener.note(f"going on: {kept.finished(kept.plan)} are there, from {folder}")
            yield kept


def folder_of(options: WorkOptions, target: str) -> Path:
    """The work folder of an output: hidden beside it, or in a folder for all, named by its whole path.

    Raises UsageError for an empty name.
    """
    if options.folder == "":
        raise UsageError("an empty name was given for --work-dir; check the variable it came from")
    output = Path(os.path.abspath(target))
    if options.folder is None:
        return output.with_name(fitting_name(f".{output.name}", ".work"))
    digest = hashlib.sha256(os.fsencode(output)).hexdigest()[:8]
    return Path(options.folder) / fitting_name(output.name, f".{digest}.work")


@dataclass(frozen=True, slots=True)
class Kept:
    """State of a work folder: number of finished segments, and of all segments."""

    folder: Path
    finished: int
    segments: int


def find_kept(options: WorkOptions, target: str) -> Kept | None:
    """Finished segments that a run would find, without changing anything; None without a work folder."""
    folder = folder_of(options, target)
    try:
        segments = read_sealed(folder / PLAN)["segments"]
        entries = read_journal(folder / JOURNAL, repairs=False).entries
    except (OSError, ValueError):
        return None
    finished = segment_entries(entries).keys() & {segment["index"] for segment in segments}
    return Kept(folder, len(finished), len(segments))


def is_whole(options: WorkOptions | None, target: str | Path) -> bool:
    """Whether the output is there, whole, from a run that was killed before it could remove its folder.

    It may be of another job: a run finds out, and takes it for its own or not. Raises UsageError.
    """
    if options is None or options.resume is False:
        return False
    try:
        entries = read_journal(folder_of(options, str(target)) / JOURNAL, repairs=False).entries
    except OSError:
        return False
    return is_published(entries, Path(target))
