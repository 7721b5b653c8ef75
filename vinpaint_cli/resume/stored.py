"""What a work folder stores: plans as JSON, patches of finished segments as ``.npz``, and mask videos."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.mask_making.tracking import write_masks
from vinpaint_cli.pipeline.device import Placement
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.scan import Scan
from vinpaint_cli.resume.lock import open_private
from vinpaint_cli.types import Box, MethodSpec, Patch, Segment
from vinpaint_cli.util.atomic_write import atomic_write
from vinpaint_cli.util.hashing import file_sha256
from vinpaint_cli.video.sink.publish import translated

if TYPE_CHECKING:
    from vinpaint_cli.masks.sources.shapes import HoleSource
    from vinpaint_cli.types import FrameSource


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same data with a SHA-256 checksum of it added."""
    return {**data, "sha256": _digest(data)}


def read_sealed(path: Path) -> dict[str, Any]:
    """Read data that `sealed` added a checksum to; raises OSError, and ValueError if it does not match."""
    try:
        with open(path, encoding="utf-8", opener=open_private) as file:
            data = json.load(file)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    if not isinstance(data, dict) or data.pop("sha256", None) != _digest(data):
        raise ValueError("not what was written")
    return data


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a file that is whole or absent; raises OutputError."""
    with translated(path), atomic_write(path) as temporary:
        temporary.write_text(json.dumps(data), encoding="utf-8")


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """All of a plan but its method; ranges are ``[start, stop]``, boxes ``[x0, y0, x1, y1]``."""
    found = plan.scan
    return {
        "frames": found.frames,
        "shots": [_pair(shot) for shot in found.shots],
        "boxes": [[astuple(box) for box in boxes] for boxes in found.boxes],
        "hole_pixels": found.hole_pixels,
        "covered_pixels": found.covered_pixels,
        "segments": [_segment_to_dict(segment) for segment in plan.segments],
        "memory": plan.memory,
        "feather": plan.feather,
        "placement": astuple(plan.placement),
    }


def plan_from_dict(data: dict[str, Any], spec: MethodSpec) -> Plan:
    """The plan again; raises KeyError, TypeError or ValueError for what is none."""
    return Plan(
        Scan(
            data["frames"],
            tuple(range(*shot) for shot in data["shots"]),
            tuple(tuple(Box(*box) for box in boxes) for boxes in data["boxes"]),
            data["hole_pixels"],
            data["covered_pixels"],
        ),
        tuple(_segment_from_dict(segment) for segment in data["segments"]),
        data["memory"],
        data["feather"],
        Placement(*data["placement"]),
        spec,
    )


def _pair(frames: range) -> list[int]:
    return [frames.start, frames.stop]


def _segment_to_dict(segment: Segment) -> dict[str, Any]:
    return {
        "index": segment.index,
        "core": _pair(segment.core),
        "frames": _pair(segment.frames),
        "roi": astuple(segment.roi),
        "size": segment.size,
        "lead": segment.lead,
        "trail": segment.trail,
        "own": None if segment.own is None else astuple(segment.own),
    }


def _segment_from_dict(data: dict[str, Any]) -> Segment:
    width, height = data["size"]
    return Segment(
        data["index"],
        range(*data["core"]),
        range(*data["frames"]),
        Box(*data["roi"]),
        (width, height),
        data["lead"],
        data["trail"],
        None if data["own"] is None else Box(*data["own"]),
    )


LEVEL = 1
"""Of deflate: alphas shrink to nothing at any level, pictures hardly more at a higher one."""


def write_patches(path: Path, patches: Sequence[Patch]) -> str:
    """Write patches and wait until they are on the disk; returns the file's SHA-256.

    Arrays: ``table`` int64 ``(n, 5)`` of frame and box x0 y0 x1 y1, ``weights`` float64 ``(n,)``, and for
    patch i ``rgb-i`` and ``alpha-i`` as they are.

    Raises OSError, after which nothing is left of it.
    """
    with atomic_write(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as file:
            boxes = [(p.index, p.roi.x0, p.roi.y0, p.roi.x1, p.roi.y1) for p in patches]
            _put(file, "table", np.array(boxes, np.int64).reshape(-1, 5))
            _put(file, "weights", np.array([patch.weight for patch in patches], np.float64))
            for number, patch in enumerate(patches):
                _put(file, f"rgb-{number}", patch.rgb)
                _put(file, f"alpha-{number}", patch.alpha)
        return file_sha256(temporary)


def read_patches(path: Path, segment: Segment) -> tuple[Patch, ...]:
    """The patches of a segment as they were written; raises ValueError for anything else."""
    try:
        with open(path, "rb", opener=open_private) as file, np.load(file, allow_pickle=False) as arrays:
            table, weights = arrays["table"].tolist(), arrays["weights"].tolist()
            return tuple(
                _checked(
                    segment,
                    Patch(index, Box(*box), arrays[f"rgb-{number}"], arrays[f"alpha-{number}"], weight),
                )
                for number, ((index, *box), weight) in enumerate(zip(table, weights, strict=True))
            )
    except Exception as exc:  # whatever numpy, zipfile and zlib make of bytes that are none of theirs
        raise ValueError(f"no patches ({type(exc).__name__})") from exc


def _checked(segment: Segment, patch: Patch) -> Patch:
    """The patch, if it may be one of the segment."""
    roi, whole = patch.roi, segment.roi
    inside = whole.x0 <= roi.x0 < roi.x1 <= whole.x1 and whole.y0 <= roi.y0 < roi.y1 <= whole.y1
    size = (roi.y1 - roi.y0, roi.x1 - roi.x0)
    fits = patch.rgb.shape == (*size, 3) and patch.alpha.shape == size and patch.alpha.dtype == np.float32
    if not (inside and fits and patch.index in segment.shown and patch.rgb.dtype in (np.uint8, np.uint16)):
        raise ValueError("not a patch of the segment")
    if not (0 <= patch.alpha.min() <= patch.alpha.max() <= 1 and 0 <= patch.weight <= 1):
        raise ValueError("weights that are none")
    return patch


def _put(file: zipfile.ZipFile, name: str, array: npt.NDArray[np.generic]) -> None:
    with file.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
        np.lib.format.write_array(entry, array, allow_pickle=False)


@dataclass(slots=True)
class KeptMask:
    """The mask video ``path``; once `read` it counts only if it is what the JSON file beside it says.

    The seal comes last, so that what hangs on the mask before can go first.
    """

    path: Path
    is_whole: bool = False
    _notes: tuple[str, ...] = ()

    def read(self) -> None:
        """Find out whether the mask is there and whole."""
        self.is_whole = self.path.is_file() and self._is_sealed()

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings that came with the masks when they were tracked."""
        return self._notes if self.is_whole else ()

    def write(self, source: FrameSource, masks: HoleSource) -> bool:
        """Write the masks of a clip; whether they are what was sealed before. Raises OutputError."""
        write_masks(source, masks, self.path)
        with translated(self.path):
            self.is_whole = self._is_sealed()
        self._notes = masks.warnings
        return self.is_whole

    def seal(self) -> None:
        """Let what was written count; raises OutputError."""
        with translated(self.path):
            digest = self._digest()
        write_json(self.path.with_suffix(".json"), sealed({**digest, "notes": list(self._notes)}))
        self.is_whole = True

    def _digest(self) -> dict[str, Any]:
        return {"size": self.path.stat().st_size, "of": file_sha256(self.path)}

    def _is_sealed(self) -> bool:
        """Whether the mask is what it was when it was whole; takes its notes."""
        try:
            told = read_sealed(self.path.with_suffix(".json"))
            self._notes = tuple(str(line) for line in told.pop("notes"))
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return told == self._digest()
