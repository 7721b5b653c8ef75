"""What can be known to be wrong with a job before a frame of it is decoded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinpaint_cli.batch.draft import Draft
from vinpaint_cli.batch.schema import build_options
from vinpaint_cli.batch.written import Mistakes
from vinpaint_cli.engine.device import place
from vinpaint_cli.engine.job import check_options
from vinpaint_cli.engine.output import check_output
from vinpaint_cli.errors import VinpaintError
from vinpaint_cli.masks.grammar import parse_box, time_range
from vinpaint_cli.masks.prompts import PromptOptions, drawings, fixes, gather
from vinpaint_cli.methods import method_spec, weights_of
from vinpaint_cli.plan.memory import parse_memory
from vinpaint_cli.video.codecs import Source, choose, is_video_suffix, muxer_of

if TYPE_CHECKING:
    from vinpaint_cli.batch.jobs import BatchOptions

_ANY_SIZE = (1_000_000, 1_000_000)
_SOMEWHERE = {"box": ("0,0,1,1",)}
_HOLE = ("mask", "mask_dir", "box", "click", "not", "box_prompt", "from_frame", "fix", "mask_label")
_GROUPS = (("feather",), ("dilate",), ("method", "weights", "propagate"), _HOLE)
"""Options that can contradict each other; groups are checked apart, so that each tells its mistake."""

_ENCODE = ("codec", "crf", "preset", "pix_fmt", "lossless")
_TEXTS: dict[str, Callable[[str], object]] = {
    "box": parse_box,
    "click": lambda text: gather(PromptOptions(clicks=(text,)), _ANY_SIZE),
    "not": lambda text: gather(PromptOptions(clicks=(text,)), _ANY_SIZE),
    "box_prompt": lambda text: gather(PromptOptions(boxes=(text,)), _ANY_SIZE),
    "from_frame": lambda text: drawings(PromptOptions(from_frames=(text,))),
    "fix": lambda text: fixes(PromptOptions(fixes=(text,))),
}


def check_draft(draft: Draft, options: BatchOptions, mistakes: Mistakes) -> None:
    """Tell ``mistakes`` what is wrong with a job by itself."""
    for check in (_texts, _groups, _files, _engine):
        for key, text in check(draft):
            mistakes.add(draft.where_of(key), text)
    if draft.input and not {"output", "output_dir"} & draft.broken:
        for key, text in _output(draft, options):
            mistakes.add(draft.where_of(key, "output_dir"), text if draft.where else _of(draft, text))


def is_there(target: str) -> bool:
    """Whether an output exists: a file, or a folder with something in it."""
    if os.path.isdir(target):
        return bool(os.listdir(target))
    return os.path.lexists(target)


def _of(draft: Draft, text: str) -> str:
    """A mistake that names its clip when nothing else does."""
    return text if draft.input in text or draft.target in text else f"{draft.input}: {text}"


def _texts(draft: Draft) -> Iterator[tuple[str, str]]:
    """Boxes, clicks and times that cannot be read."""
    for key, read in _TEXTS.items():
        for text in draft.values.get(key, ()):
            yield from _told(key, read, text)
    yield from _told(
        "end" if "end" in draft.values else "start", time_range, *map(draft.values.get, ("start", "end"))
    )


def _groups(draft: Draft) -> Iterator[tuple[str, str]]:
    """Options that contradict each other."""
    for group in _GROUPS:
        if draft.broken & {*group}:
            continue
        part = {key: draft.values[key] for key in group if key in draft.values}
        if group is _HOLE:
            yield from _told(_first(part), check_options, build_options(part))
        elif part:
            yield from _told(_first(part), check_options, build_options({**_SOMEWHERE, **part}))


def _first(part: dict[str, Any]) -> str:
    """The key to blame: one that limits others before those that say what is there."""
    return next(
        (key for key in ("mask_label", "fix", "weights", "propagate") if key in part), next(iter(part), "")
    )


def _files(draft: Draft) -> Iterator[tuple[str, str]]:
    """Inputs and masks that are not there."""
    if draft.input and not os.path.exists(draft.input):
        yield "input", f"{draft.input}: no such file; give a video or a folder of png or jpg pictures"
    for path in draft.values.get("mask", ()):
        if not os.path.exists(path):
            yield "mask", f"mask {path} does not exist; check the path"
    options = build_options({key: draft.values[key] for key in ("from_frame", "fix") if key in draft.values})
    for key, read in (("from_frame", drawings), ("fix", fixes)):
        if not list(_told(key, read, options.mask.prompts)):
            for drawn in read(options.mask.prompts):
                if not os.path.exists(drawn.path):
                    yield key, f"mask {drawn.path} does not exist; check the path"


def _engine(draft: Draft) -> Iterator[tuple[str, str]]:
    """Devices, weights and memory that are not there."""
    values = draft.values
    method = values.get("method", "propagate")
    if list(_told("method", method_spec, method)):
        return  # told with its group
    if "device" in values or "precision" in values:
        placed = (method, values.get("device", "auto"), values.get("precision", "auto"))
        yield from _told("precision" if "precision" in values else "device", _place, *placed)
    if "memory" in values:
        yield from _told("memory", parse_memory, values["memory"], 1 << 40)
    if method_spec(method).weights is not None:
        key = "weights" if "weights" in values else "method"
        yield from _told(key, _resolve, method, values.get("weights"))


@cache
def _place(method: str, device: str, precision: str) -> None:
    place(device, precision, method_spec(method).dtypes)


@cache
def _resolve(method: str, given: str | None) -> None:
    from vinpaint_cli.weights.store import resolve

    resolve(weights_of(method_spec(method), given) or "")


def _output(draft: Draft, options: BatchOptions) -> Iterator[tuple[str, str]]:
    """An output that cannot be written, or is there and may not be."""
    if not (draft.makes_folder and not os.path.lexists(os.path.dirname(draft.target) or ".")):
        found = list(_told("output", check_output, draft.input, draft.output, True))
        if found:
            yield from found
            return
    elif not _can_make(Path(draft.target).parent):
        yield "output", f"the folder {Path(draft.target).parent} cannot be made; choose another output_dir"
    if is_there(draft.target) and not (options.overwrite or options.skip_existing):
        advice = "give -y to overwrite it, or --skip-existing to leave its job out"
        yield "output", f"{draft.target} exists; {advice}"
    if not _is_folder(draft):
        suffix = Path(draft.target).suffix
        unknown = list(_told("output", muxer_of, suffix))
        yield from unknown or _told("codec", _encoder, draft, suffix)


def _can_make(folder: Path) -> bool:
    there = next((parent for parent in folder.absolute().parents if parent.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK)


def _is_folder(draft: Draft) -> bool:
    """Whether pictures are written."""
    return draft.target.endswith(("/", os.sep)) or (
        os.path.isdir(draft.input) and not is_video_suffix(Path(draft.target).suffix)
    )


def _encoder(draft: Draft, suffix: str) -> None:
    """Refuse a codec that does not exist, or does not fit the container."""
    encode = build_options({key: draft.values[key] for key in _ENCODE if key in draft.values}).encode
    if encode.codec is not None:
        choose(encode, Source("h264", "yuv420p", (64, 64)), muxer_of(suffix))


def _told(key: str, check: Callable[..., object], *values: Any) -> Iterator[tuple[str, str]]:
    """The key and what a check says of these values, if anything."""
    try:
        check(*values)
    except VinpaintError as exc:
        yield key, str(exc)
