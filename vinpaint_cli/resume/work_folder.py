"""The work folder on disk: stores what a run has finished, so that the next run resumes there.

::

    .out.mp4.work/
      lock                  held by the run
      fingerprint.json      what the output depends on
      tracked.mkv           the mask of an object that was followed
      shaded.mkv            the whole hole, with its shadows
      *.json                size and SHA-256 of either
      plan.json             the scan and the segments
      journal.jsonl         a line for each finished segment, each temporary output, and its publishing
      segment-000000.npz    patches
      part-000000-*.npz     steps of a segment that is not finished

Every file but the journal appears under its name only when whole, so whatever stops a run (a kill, a full
disk, a power cut) costs the steps in flight at most.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vinpaint_cli.errors import InputChanged, OutputError, UsageError
from vinpaint_cli.masks.sources.shapes import HoleSource
from vinpaint_cli.methods import method_spec
from vinpaint_cli.pipeline.fill import Filled, MemoryFit
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.resume.checkpoints import SECONDS, remove_parts
from vinpaint_cli.resume.fingerprint import Fingerprint, differences, is_fingerprint
from vinpaint_cli.resume.journal import (
    Journal,
    fitted_digest,
    hidden_names,
    is_published,
    read_journal,
    segment_entries,
)
from vinpaint_cli.resume.lock import NAME as LOCK
from vinpaint_cli.resume.lock import lock_folder
from vinpaint_cli.resume.stored import (
    KeptMask,
    plan_from_dict,
    plan_to_dict,
    read_patches,
    read_sealed,
    sealed,
    write_json,
    write_patches,
)
from vinpaint_cli.types import FrameSource, Segment
from vinpaint_cli.util.hashing import file_sha256
from vinpaint_cli.video.sink.encoder import thread_count
from vinpaint_cli.video.sink.publish import mark_of, remove_temporary, translated

FINGERPRINT, PLAN, JOURNAL = "fingerprint.json", "plan.json", "journal.jsonl"
TRACKED, SHADED = "tracked.mkv", "shaded.mkv"
MASKS = TRACKED, "tracked.json", SHADED, "shaded.json"
_OURS = re.compile(
    r"(?P<hidden>\.)?((fingerprint|plan|tracked|shaded)\.json|(segment-\d+|part-[\d-]+)\.npz)(?(hidden)\.\d+\.part)"
    r"|journal\.jsonl|(\.(tracked|shaded)\.[0-9a-f]+\.part|tracked|shaded)\.mkv|\.[^.]+\.owner"
)


class WorkFolder:
    """The work folder of one job; the module lists its files, and `Work` documents the methods."""

    def __init__(self, folder: Path, keep: bool) -> None:
        """``folder`` has a fingerprint and is locked; nothing of it is known until `read`."""
        self._folder, self._keep = folder, keep
        self.folder: str | None = str(folder)
        self._begun = time.monotonic()
        self.plan: Plan | None = None
        self._planned: Sequence[str] = ()
        self.threads = thread_count()
        self._journal = Journal(folder / JOURNAL)
        self._finished: dict[int, Mapping[str, Any]] = {}
        self._tracked, self._shaded = (KeptMask(folder / name) for name in (TRACKED, SHADED))
        self.published = False
        self.reused = 0
        self.fit = MemoryFit()

    def read(self, target: Path, options: RemoveOptions) -> None:
        """Take what the run before has left for the same output and options; raises OutputError."""
        with translated(self._folder):
            _remove_parts(self._folder, target)
            self._tracked.read()
            self._shaded.read()
            self._read_plan(options)
            self._journal = read_journal(self._folder / JOURNAL)
            self._finished = dict(self._whole_segments())
            self.published = self.plan is not None and is_published(self._journal.entries, target)
        self.reused = len(self._finished)
        last = list(self._finished.values())[-1:]
        self.fit = MemoryFit(**last[0]["fit"]) if last else MemoryFit()

    @property
    def notes(self) -> Sequence[str]:
        """Warnings of earlier runs about the clip and the mask."""
        return [*self._planned, *self._tracked.notes, *self._shaded.notes]

    @property
    def left(self) -> str | None:
        """Where the patches still are after a success; None when they go."""
        return str(self._folder) if self._keep else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, InputChanged):  # what a segment in progress has seen may be of another file
            with translated(self._folder):
                remove_parts(self._folder)
        if not (self._keep or (error is not None and self._worth_keeping())):
            discard(self._folder)
        elif error is None:
            with translated(self._folder):
                self._journal.append(published=True)
        else:
            kept = "the mask is"
            if self.plan is not None:
                kept = f"{self.finished(self.plan)} are"
            then = ", if the files are again what they were" if isinstance(error, InputChanged) else ""
            error.add_note(f"{kept} kept in {self._folder}; the same command goes on from there{then}")

    def finished(self, plan: Plan) -> str:
        """How much of a plan is there."""
        parts = " and a part of another" if self._has_parts() else ""
        return f"{len(self._finished)} of {len(plan.segments)} segments{parts}"

    def _worth_keeping(self) -> bool:
        planned = self.plan is not None and time.monotonic() - self._begun > SECONDS
        return (
            planned
            or bool(self._finished)
            or self._has_parts()
            or self._tracked.is_whole
            or self._shaded.is_whole
        )

    def _has_parts(self) -> bool:
        return any(self._folder.glob("part-*.npz"))

    def followed(self, options: RemoveOptions) -> RemoveOptions:
        """The options, with the masks that were found before, if they are what was written."""
        mask = options.mask
        if self._tracked.is_whole:
            mask = replace(mask, tracked=str(self._tracked.path))
        if self._shaded.is_whole:
            mask = replace(mask, whole=str(self._shaded.path))
        return replace(options, mask=mask)

    def keep_mask(self, source: FrameSource, masks: HoleSource, whole: bool) -> None:
        """Write a mask that was followed, or the ``whole`` hole with its shadows; raises OutputError.

        One that differs from what a plan was made for costs the plan and all that hangs on it.
        """
        kept = self._shaded if whole else self._tracked
        if not kept.write(source, masks):
            if self.plan is not None:
                self._forget()
            kept.seal()

    @property
    def beside(self) -> Path:
        """The folder in which the work folder is."""
        return self._folder.parent

    def keep_fitted(self, path: Path) -> None:
        """Note which network was fitted to the clip; raises OutputError.

        One that differs from what the run before had costs the plan and all that hangs on it.
        """
        with translated(self._folder):
            now, before = file_sha256(path), fitted_digest(self._journal.entries)
            if before is not None and before != now:
                self._forget()
            if before != now:
                self._journal.append(fitted=now)

    def keep_plan(self, plan: Plan, notes: Sequence[str]) -> None:
        """Write the plan, unless it is the one that was read; raises OutputError."""
        if plan is not self.plan:
            self.plan = plan
            rest = {"notes": list(notes), "threads": self.threads}
            write_json(self._folder / PLAN, sealed(plan_to_dict(plan) | rest))

    def begin(self, temporary: Path) -> None:
        """Note the name of the hidden output before it is there; raises OutputError."""
        with translated(self._folder):
            self._journal.append(part=temporary.name)

    def publishing(self, temporary: Path) -> None:
        """Note what the whole output is known by before it gets its name; raises OSError."""
        self._journal.append(publishing=mark_of(temporary))

    @property
    def pixels(self) -> tuple[int, float]:
        """Of the hole, in finished segments, and those of them that propagation filled."""
        entries = self._finished.values()
        return sum(entry["hole_pixels"] for entry in entries), sum(e["propagated_pixels"] for e in entries)

    def missing(self, segments: Sequence[Segment]) -> list[Segment]:
        """The segments whose patches are not stored here."""
        return [segment for segment in segments if segment.index not in self._finished]

    def gathered(self, segments: Sequence[Segment], fresh: Iterator[Filled]) -> Iterator[Filled]:
        """All in the order given, ``fresh`` being those that were missing, each written as it comes.

        Raises OutputError.
        """
        for segment in segments:
            if segment.index in self._finished:
                yield self._read(segment)
            else:
                filled = next(fresh)
                self._write(segment, filled)
                yield filled

    def _write(self, segment: Segment, filled: Filled) -> None:
        path = self._path(segment.index)
        with translated(path):
            digest = write_patches(path, filled.patches)
            entry = {
                "segment": segment.index,
                "sha256": digest,
                "hole_pixels": filled.hole_pixels,
                "propagated_pixels": filled.propagated_pixels,
                "fit": asdict(filled.fit),
            }
            self._journal.append(**entry)
            remove_parts(self._folder, f"{segment.index:06d}-")
        self._finished[segment.index] = entry

    def _read(self, segment: Segment) -> Filled:
        entry, path = self._finished[segment.index], self._path(segment.index)
        try:
            patches = read_patches(path, segment)
        except ValueError as exc:
            path.unlink(missing_ok=True)  # or the same command would end here again
            raise OutputError(f"{path} was damaged and is removed; give the same command again") from exc
        return Filled(
            patches, entry["hole_pixels"], entry["propagated_pixels"], fit=MemoryFit(**entry["fit"])
        )

    def _read_plan(self, options: RemoveOptions) -> None:
        """Take the plan of the run before; without a whole one, what hangs on it is nothing worth."""
        try:
            data = read_sealed(self._folder / PLAN)
            plan = plan_from_dict(data, method_spec(options.method))
            self._planned, self.threads, self.plan = data["notes"], data["threads"], plan
        except (OSError, ValueError, KeyError, TypeError):
            _clear(self._folder, but=(FINGERPRINT, *MASKS))

    def _forget(self) -> None:
        """Drop the plan and the segments, which are of another mask."""
        _clear(self._folder, but=(FINGERPRINT, *MASKS))
        self.plan, self._planned, self.reused, self.fit = None, (), 0, MemoryFit()
        self._finished = {}
        self._journal = read_journal(self._folder / JOURNAL)

    def _whole_segments(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Finished segments whose files are what they were."""
        planned = {segment.index for segment in self.plan.segments} if self.plan else set()
        for index, entry in segment_entries(self._journal.entries).items():
            with suppress(OSError):
                if index in planned and file_sha256(self._path(index)) == entry["sha256"]:
                    yield index, entry

    def _path(self, index: int) -> Path:
        return self._folder / f"segment-{index:06d}.npz"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and keep others out of it; raises OutputError."""
    try:
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise OutputError(
            f"the work folder {folder} cannot be made ({exc.strerror}); "
            "give --work-dir a folder that can be written, or whose own folder is there"
        ) from exc
    with translated(folder):
        lock = lock_folder(folder, check_ours)
    try:
        yield
    finally:
        lock.release()
        if os.name == "nt" and not is_begun(folder):
            discard(folder)  # only now, since an open file cannot be removed there


def check_ours(folder: Path) -> None:
    """Refuse a folder that another user has made, or has laid links or files into; raises OutputError.

    Whose files are ours tells a file that is made for it: some file systems have owners of their own.
    """
    with translated(folder):
        handle, name = tempfile.mkstemp(prefix=".", suffix=".owner", dir=folder)
        ours = os.fstat(handle).st_uid
        os.close(handle)
        os.unlink(name)
        strange = [file for file in folder.iterdir() if _is_ours(file.name) and not _is_plain(file, ours)]
        if strange or folder.lstat().st_uid != ours:
            what = strange[0].name if strange else "itself"
            raise OutputError(
                f"{folder} is not safe to use ({what} is a link or of another user); give another --work-dir"
            )


def _is_plain(file: Path, owner: int) -> bool:
    status = file.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == owner


def _is_ours(name: str) -> bool:
    return name == LOCK or _OURS.fullmatch(name) is not None


def is_begun(folder: Path) -> bool:
    """Whether a run has been here."""
    return (folder / FINGERPRINT).exists()


def begin_afresh(folder: Path, target: Path, now: Fingerprint) -> None:
    """Begin a folder that is new, or is to be; raises OutputError."""
    with translated(folder):
        _remove_parts(folder, target)
    _clear(folder)
    write_json(folder / FINGERPRINT, now.to_dict())


def check_begun(folder: Path, now: Fingerprint) -> None:
    """Refuse the folder of another job; raises UsageError, and OutputError when it is damaged."""
    try:
        then = json.loads((folder / FINGERPRINT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise OutputError(f"{folder} is damaged; give --no-resume to start afresh") from exc
    if not is_fingerprint(then):
        raise OutputError(f"{folder} is damaged; give --no-resume to start afresh")
    changed = differences(then, now)
    if changed:
        raise UsageError(
            f"{folder} was begun for something else: {'; '.join(changed)}; "
            "give the same options and files, or --no-resume to start afresh"
        )


def _remove_parts(folder: Path, target: Path) -> None:
    """Remove the hidden outputs of runs that were killed, and the hidden files that they left here.

    Where the journal was lost, they are known by their names.
    """
    names = list(hidden_names(read_journal(folder / JOURNAL).entries))
    if not names and is_begun(folder):
        names = [entry.name for entry in target.absolute().parent.iterdir()]
    for name in names:
        remove_temporary(name, target.absolute())
    for file in list(folder.glob(".*")):
        if _OURS.fullmatch(file.name):
            file.unlink()


def _clear(folder: Path, but: Sequence[str] = ()) -> None:
    """Remove what a run wrote, and refuse a folder that holds anything else."""
    with translated(folder):
        files = [file for file in folder.iterdir() if file.name not in (LOCK, *but)]
        strange = [file.name for file in files if not _OURS.fullmatch(file.name)]
        if strange:
            raise OutputError(f"{folder} holds files of others ({strange[0]}); choose another --work-dir")
        for file in files:
            file.unlink()


def discard(folder: Path) -> None:
    """Remove the folder, but nothing in it that is not ours."""
    with suppress(OSError):
        for file in folder.iterdir():
            if _is_ours(file.name):
                with suppress(PermissionError):
                    file.unlink()
        folder.rmdir()
