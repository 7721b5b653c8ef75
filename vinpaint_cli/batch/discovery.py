"""Job discovery: the folders, patterns, clips, job files or list on standard input that JOBS names."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vinpaint_cli.batch.job_files import READERS, read_file, read_json_line
from vinpaint_cli.batch.job_spec import Mistakes, RawJob, RawValue
from vinpaint_cli.video.sink.codecs import is_video_suffix
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
