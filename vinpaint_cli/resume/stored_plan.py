"""A plan as JSON and back, so that a resumed run need not scan again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from vinpaint_cli.pipeline.device import Placement
from vinpaint_cli.pipeline.plan import Plan
from vinpaint_cli.pipeline.scan import Scan
from vinpaint_cli.types import Box, MethodSpec, Segment
from vinpaint_cli.util.atomic_write import atomic_write
from vinpaint_cli.video.sink.publish import translated


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same data with a SHA-256 checksum of it added."""
    return {**data, "sha256": _digest(data)}


def read_sealed(path: Path) -> dict[str, Any]:
    """Read data that `sealed` added a checksum to; raises OSError, and ValueError if it does not match."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
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
        "holes": [None if box is None else astuple(box) for box in found.holes],
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
            tuple(None if box is None else Box(*box) for box in data["holes"]),
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
    )
