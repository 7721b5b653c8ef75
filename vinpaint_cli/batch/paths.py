"""Names in a job: where relative ones count from, what placeholders stand for, which mask is a clip's."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from vinpaint_cli.batch.schema import Wrong
from vinpaint_cli.batch.written import Given
from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.pictures import IMAGE_SUFFIXES
from vinpaint_cli.masks.prompts import PromptOptions, drawings, fixes
from vinpaint_cli.video.codecs import is_video_suffix
from vinpaint_cli.weights import registry

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PATHS = ("input", "output", "output_dir", "mask_dir", "mask", "work_dir")
_WEIGHTS = ("weights", "segmenter_weights")


def locate(key: str, value: object, given: Given, clip: str) -> object:
    """The value with its paths as this process must open them; other values as they are.

    clip: the job's input, for the placeholders. Raises Wrong for a placeholder that does not exist.
    """
    if isinstance(value, tuple):
        return tuple(str(locate(key, item, given, clip)) for item in value)
    if not isinstance(value, str):
        return value
    if key in _PATHS:
        return based(value if key == "input" else filled_in(value, clip), given.base)
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
        near = difflib.get_close_matches(unknown[0], names, n=1)
        hint = f"did you mean {{{near[0]}}}?" if near else "known are {stem} and {name}"
        raise Wrong(f"{pattern!r} has the placeholder {{{unknown[0]}}}; {hint}")
    return _PLACEHOLDER.sub(lambda found: names.get(found[1], found[0]), pattern)


def names_of(clip: str) -> Mapping[str, str]:
    """What the placeholders stand for."""
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
