"""Settings from TOML: presets bundled with the package, and user files that override a preset."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vinpaint_cli.errors import UsageError, reason

_LONGEST, _DEEPEST = 1 << 24, 100
_DOTTED = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){{{_DEEPEST}}}")


def read_settings(
    name: str, folder: Path, names: Sequence[str], default: str | None = None
) -> dict[str, Any]:
    """Tables and values of the preset ``name``, or of a TOML file of that path.

    folder: holds the presets as ``NAME.toml``, and ``names`` are those to choose from. A file may name one
    under ``preset`` and change some of its values, also single ones of its tables; without that it changes
    the ``default`` preset, None for an empty one. Raises UsageError for a file that cannot be read, or a
    preset that is not there.
    """
    if name in names:
        return _read(folder / f"{name}.toml")
    known = ", ".join(names)
    try:
        changes = _read(Path(name))
    except (OSError, ValueError) as exc:
        raise UsageError(
            f"cannot read the configuration {name}: {reason(exc)}; give {known} or a TOML file"
        ) from exc
    preset = changes.pop("preset", default)
    if preset is not None and preset not in names:
        raise UsageError(f"{name}: there is no preset {preset!r}; choose one of {known}")
    settings = {} if preset is None else _read(folder / f"{preset}.toml")
    for key, value in changes.items():
        settings[key] = {**settings.get(key, {}), **value} if isinstance(value, dict) else value
    return settings


def parse_toml(text: str) -> dict[str, Any]:
    """Tables and values of a TOML text; ValueError for any other, and for one that would take all memory."""
    if len(text) > _LONGEST:
        raise ValueError(f"more than {_LONGEST} characters")
    bomb = _DOTTED.search(text)
    if bomb:
        line = text.count("\n", 0, bomb.start()) + 1
        raise ValueError(f"A key of more than {_DEEPEST} parts (at line {line}, column 1)")
    try:
        return tomllib.loads(text)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def _read(path: Path) -> dict[str, Any]:
    return parse_toml(path.read_text(encoding="utf-8"))
