"""Files of fitted networks: which clip they were fitted to, and the state that a stopped fit resumes from."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vinpaint_cli.errors import OutputError, WeightsError, reason
from vinpaint_cli.ops.flow import DEFAULT_FLOW
from vinpaint_cli.pipeline.options import FitOptions
from vinpaint_cli.pipeline.scan import Scan
from vinpaint_cli.resume.fingerprint import clip_digest
from vinpaint_cli.types import VideoInfo
from vinpaint_cli.util import fitting_name
from vinpaint_cli.util.atomic_write import atomic_write

SUFFIX = ".internal.safetensors"
STATE = ".state"
"""What is added to a file's name for the state of a fit that is not finished."""


@dataclass(frozen=True, slots=True)
class ClipMark:
    """Identity of a clip: the SHA-256 of its content, its name and size."""

    sha256: str
    name: str
    width: int
    height: int
    frames: int

    @classmethod
    def of(cls, path: Path, info: VideoInfo, frames: int) -> ClipMark:
        """Hash a clip; raises InputError."""
        return cls(clip_digest(path), path.name, info.width, info.height, frames)


def key_of(clip: ClipMark, scan: Scan | None, options: FitOptions, propagates: bool, flow: str) -> str:
    """Digest that identifies a fit: it differs wherever clip, hole or options differ."""
    holes = [] if scan is None else [asdict(box) if box else None for box in scan.holes]
    pixels = (scan.hole_pixels, scan.covered_pixels) if scan else 0
    told = [asdict(clip), holes, pixels, asdict(options), propagates, *({flow} - {DEFAULT_FLOW})]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def write_state(path: Path, key: str, state: Mapping[str, Any]) -> None:
    """Write the state of a fit beside the file it will be; it appears only when whole. Raises OutputError."""
    import torch

    place = state_path(path)
    try:
        with atomic_write(place) as temporary, temporary.open("wb") as file:
            torch.save({"key": key, **state}, file)
    except (OSError, RuntimeError) as exc:
        raise OutputError(
            f"cannot write {place}: {reason(exc)}; make room, or choose another folder"
        ) from exc


def read_state(path: Path, key: str) -> dict[str, Any] | None:
    """The saved state of the fit with this key; None when there is none, or it is of another or damaged."""
    import torch

    try:
        state = torch.load(state_path(path), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        return None
    return state if isinstance(state, dict) and state.pop("key", None) == key else None


def state_path(path: Path) -> Path:
    """Where the state of a fit is kept."""
    return path.with_name(fitting_name(path.name, STATE))


def drop_state(path: Path) -> None:
    """Remove the state of a fit that is finished."""
    with suppress(OSError):
        state_path(path).unlink()


def read_mark(path: Path | str) -> dict[str, Any] | None:
    """The identity of the clip a file was fitted to, as the file stores it; None when there is none.

    Raises WeightsError.
    """
    from vinpaint_cli.weights.state import read_metadata

    clip = read_metadata(path).get("clip")
    return dict(clip) if isinstance(clip, Mapping) else None


def is_for(path: Path, key: str) -> bool:
    """Whether ``path`` is a whole file of the fit with this key."""
    from vinpaint_cli.weights.state import read_metadata

    try:
        return path.is_file() and read_metadata(path).get("key") == key
    except WeightsError:
        return False


def warn_of_other_clip(weights: str | Path, clip: ClipMark) -> str | None:
    """A warning if a file was fitted to another clip than this one, else None."""
    mark = read_mark(weights)
    if mark is None or mark.get("sha256") == clip.sha256:
        return None
    size = f"{mark.get('width')}x{mark.get('height')}"
    return (
        f"{weights} was fitted to another clip, {mark.get('name')} ({size}, "
        f"{mark.get('frames')} frames), and fills this one with what it learned there; leave --weights "
        "out to fit a network to this clip"
    )
