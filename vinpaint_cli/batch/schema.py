"""What may be said of a job: option names of `remove` with underscores, and where each value belongs.

The kind of a value is read off the options' own dataclasses, so a key is one line of `PLACES`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from vinpaint_cli.masks.prompts import PromptOptions
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.pipeline.options import FitOptions, RemoveOptions, WorkOptions
from vinpaint_cli.types import EncodeOptions
from vinpaint_cli.util.registry import did_you_mean

SECTIONS: dict[str, type] = {
    "remove": RemoveOptions,
    "mask": MaskOptions,
    "prompts": PromptOptions,
    "encode": EncodeOptions,
    "fit": FitOptions,
    "work": WorkOptions,
}

PLACES: dict[str, tuple[str, str]] = {
    "mask": ("mask", "masks"),
    "box": ("mask", "boxes"),
    "click": ("prompts", "clicks"),
    "not": ("prompts", "excludes"),
    "box_prompt": ("prompts", "boxes"),
    "from_frame": ("prompts", "from_frames"),
    "fix": ("prompts", "fixes"),
    "segmenter": ("prompts", "segmenter"),
    "segmenter_weights": ("prompts", "segmenter_weights"),
    "track": ("prompts", "tracker"),
    "invert": ("mask", "invert"),
    "mask_label": ("mask", "label"),
    "mask_hold": ("mask", "hold"),
    "mask_resize": ("mask", "resize"),
    "dilate": ("mask", "dilate"),
    "shadows": ("mask", "shadows"),
    "feather": ("remove", "feather"),
    "start": ("mask", "start"),
    "end": ("mask", "end"),
    "method": ("remove", "method"),
    "weights": ("remove", "weights"),
    "propagate": ("remove", "propagate"),
    "texture": ("remove", "texture"),
    "device": ("remove", "device"),
    "precision": ("remove", "precision"),
    "memory": ("remove", "memory"),
    "minutes": ("fit", "minutes"),
    "steps": ("fit", "steps"),
    "fit_config": ("fit", "config"),
    "fit_seed": ("fit", "seed"),
    "codec": ("encode", "codec"),
    "crf": ("encode", "crf"),
    "preset": ("encode", "preset"),
    "pix_fmt": ("encode", "pix_fmt"),
    "lossless": ("encode", "lossless"),
    "work_dir": ("work", "folder"),
    "keep_work": ("work", "keep"),
    "resume": ("work", "resume"),
}
"""Key to section and attribute."""

NAMES = ("input", "output", "output_dir", "mask_dir")
"""Keys that are no options of the work itself; all of them text."""

KEYS = (*NAMES, *PLACES)


class Wrong(ValueError):
    """A value that is not of its kind; says what was given and what is allowed."""


def kind_of(key: str) -> str:
    """``text``, ``texts``, ``whole``, ``number`` or ``flag``."""
    if key in NAMES:
        return "text"
    section, attribute = PLACES[key]
    hint = _hints(section)[attribute]
    allowed = (
        [kind for kind in get_args(hint) if kind is not NoneType] if NoneType in get_args(hint) else [hint]
    )
    return _KINDS[allowed[0]]


def read_value(key: str, given: Any) -> Any:
    """The value in the type the options want; raises Wrong.

    Text is read too where a figure or true and false are wanted (CSV has nothing else), a single text
    where a list is, and a figure where it stands for a time.
    """
    return _READERS[kind_of(key)](key, given)


def unknown_key(key: str) -> str:
    """What is wrong with a key that is not of the schema."""
    hint = did_you_mean(key.replace("-", "_"), KEYS) or f"known are {', '.join(KEYS)}"
    return f"unknown key {key!r}; {hint}"


def build_options(values: Mapping[str, Any]) -> RemoveOptions:
    """Options from values that `read_value` gave; keys that are no options are left out of account."""
    mask = MaskOptions(**_part("mask", values), prompts=PromptOptions(**_part("prompts", values)))
    return RemoveOptions(
        **_part("remove", values),
        mask=mask,
        fit=FitOptions(**_part("fit", values)),
        encode=EncodeOptions(**_part("encode", values)),
    )


def build_work(values: Mapping[str, Any]) -> WorkOptions:
    """The same for the work folder."""
    return WorkOptions(**_part("work", values))


def as_values(options: RemoveOptions, work: WorkOptions) -> dict[str, Any]:
    """The keys of options that differ from their defaults; the inverse of `build_options`, with lists."""
    mask = options.mask
    objects = {
        "remove": options,
        "mask": mask,
        "prompts": mask.prompts,
        "encode": options.encode,
        "fit": options.fit,
        "work": work,
    }
    found = {}
    for key, (section, attribute) in PLACES.items():
        value = getattr(objects[section], attribute)
        if value != getattr(SECTIONS[section](), attribute):
            found[key] = list(value) if isinstance(value, tuple) else value
    return found


def _part(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of one section among the values."""
    return {name: values[key] for key, (there, name) in PLACES.items() if there == section and key in values}


@cache
def _hints(section: str) -> dict[str, Any]:
    return get_type_hints(SECTIONS[section])


def _check_letters(key: str, text: str) -> None:
    """Refuse what the file system cannot even be asked for: NUL, and half a character of two."""
    try:
        known = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        known = False
    if not known:
        raise Wrong(f"{key} is {text!r}, which holds a character that no name can have; take it out")


def _text(key: str, given: Any) -> str:
    if isinstance(given, int | float) and not isinstance(given, bool) and key not in NAMES:
        return str(given)  # start = 12.5
    if not isinstance(given, str):
        raise Wrong(f"{key} is {_said(given)}; give text in quotes")
    if not given.strip():
        raise Wrong(f"{key} is empty; give a value or leave the key out")
    _check_letters(key, given)
    return given


def _texts(key: str, given: Any) -> tuple[str, ...]:
    items = list(given) if isinstance(given, list | tuple) else [given]
    if not items:
        raise Wrong(f"{key} is an empty list; give text, a list of texts, or leave the key out")
    for item in items:
        if isinstance(item, str):
            _check_letters(key, item)
        if not isinstance(item, str) or not item.strip():
            example = _EXAMPLES.get(key, "mask.png")
            raise Wrong(f'{key} holds {_said(item)}; give text or a list of texts, such as "{example}"')
    return tuple(items)


def _whole(key: str, given: Any) -> int:
    number = _number(key, given, "a whole number")
    if number != int(number):
        raise Wrong(f"{key} is {_said(given)}; give a whole number")
    return int(number)


def _number(key: str, given: Any, wanted: str = "a number") -> float:
    try:
        if isinstance(given, bool) or not isinstance(given, int | float | str):
            raise ValueError
        number = float(given)
        if number - number != 0:  # infinite, or not a number
            raise ValueError
    except ValueError:
        raise Wrong(f"{key} is {_said(given)}; give {wanted}") from None
    return number


def _flag(key: str, given: Any) -> bool:
    if isinstance(given, bool):
        return given
    if isinstance(given, str) and given.strip().lower() in _WORDS:
        return _WORDS[given.strip().lower()]
    raise Wrong(f"{key} is {_said(given)}; give true or false")


def _said(given: Any) -> str:
    """A value as a person wrote it, more or less."""
    if isinstance(given, bool):
        return str(given).lower()
    if given is None:
        return "null"
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."


_EXAMPLES = {
    "box": "4,4,16,12",
    "box_prompt": "4,4,16,12",
    "click": "12,30@f40",
    "not": "12,30@f40",
    "from_frame": "mask.png@f40",
    "fix": "f52=fixed.png",
}
_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_KINDS: dict[Any, str] = {
    str: "text",
    tuple[str, ...]: "texts",
    int: "whole",
    float: "number",
    bool: "flag",
}
_READERS: dict[str, Callable[[str, Any], Any]] = {
    "text": _text,
    "texts": _texts,
    "whole": _whole,
    "number": _number,
    "flag": _flag,
}
