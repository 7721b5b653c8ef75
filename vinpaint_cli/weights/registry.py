"""The registry of weights: the entries of weights.toml, with the source and SHA-256 of each file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.types import WeightEntry
from vinpaint_cli.util.presets import parse_toml
from vinpaint_cli.util.registry import did_you_mean

FORMATS = ("pth", "safetensors", "onnx")
_SOURCE = re.compile(r"bundled|hub:[\w.-]+/[\w.-]+|torchvision:\w+\.\w+")
_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_TEXTS = ("method", "format", "source", "file", "revision", "sha256", "licence")


def entries() -> tuple[WeightEntry, ...]:
    """All entries in the order of weights.toml; WeightsError when that file is missing or wrong."""
    path = registry_path()
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as exc:
        raise WeightsError(f"cannot read {path}: {exc.strerror}; install vinpaint again") from exc


def weight_names() -> list[str]:
    """Names of all entries, in the order of weights.toml."""
    return [item.name for item in entries()]


def entry(name: str) -> WeightEntry:
    """The entry of that name; WeightsError with the nearest names when there is none."""
    known = {item.name: item for item in entries()}
    if name in known:
        return known[name]
    hint = did_you_mean(name, known, count=3, quoted="{}")
    raise WeightsError(
        f"there are no weights {name!r}; {hint and f'{hint} '}known are {', '.join(known)}, or give a file"
    )


def registry_path() -> Path:
    """weights.toml inside the installed package, else at the root of the checkout."""
    packaged = Path(str(resources.files("vinpaint_cli.weights") / "weights.toml"))
    if packaged.is_file():
        return packaged
    return Path(str(resources.files("vinpaint_cli"))).parent / "weights.toml"


def parse(text: str, origin: str = "weights.toml") -> tuple[WeightEntry, ...]:
    """Entries of a text in the format that weights.toml explains; WeightsError names what is wrong."""
    try:
        tables = parse_toml(text)
    except ValueError as exc:
        raise WeightsError(f"{origin} is not TOML: {exc}; correct it") from exc
    return tuple(_entry(name, table, origin) for name, table in tables.items())


def _entry(name: str, table: Any, origin: str) -> WeightEntry:
    if not isinstance(table, Mapping):
        raise WeightsError(f"{origin}: {name!r} stands outside an entry; put it under a [name]")
    wrong = _faults(table)
    if wrong:
        raise WeightsError(f"{origin}, entry {name!r}: {'; '.join(wrong)}")
    texts = {key: str(table[key]) for key in _TEXTS}
    return WeightEntry(
        name=name, size_bytes=table["size_bytes"], bundled=texts["source"] == "bundled", **texts
    )


def _faults(table: Mapping[str, Any]) -> list[str]:
    known = {*_TEXTS, "size_bytes"}
    faults = [f"{key} is missing" for key in (*_TEXTS, "size_bytes") if key not in table]
    faults += [f"{key} is not a key of an entry" for key in table if key not in known]
    faults += [f"{key} must be text" for key in _TEXTS if not isinstance(table.get(key, ""), str)]
    return faults or _bad_values(table)


def _bad_values(table: Mapping[str, Any]) -> list[str]:
    size = table["size_bytes"]
    checks = (
        (table["format"] in FORMATS, f"format must be one of {', '.join(FORMATS)}"),
        (
            _SOURCE.fullmatch(table["source"]),
            "source must be bundled, hub:OWNER/REPOSITORY or torchvision:X.Y",
        ),
        (_DIGEST.fullmatch(table["sha256"]), "sha256 must be 8 to 64 lower-case hex digits"),
        (_is_inside(table["file"]), "file must be a relative path"),
        (type(size) is int and size >= 0, "size_bytes must be a whole number, 0 when unknown"),
    )
    return [fault for good, fault in checks if not good]


def _is_inside(file: str) -> bool:
    return bool(file) and not Path(file).is_absolute() and ".." not in Path(file).parts and "\\" not in file
