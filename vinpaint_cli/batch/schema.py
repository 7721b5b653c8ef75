"""Values in job files: which keys there are, and how each value is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import chain
from typing import Any

from vinpaint_cli.options import job_options, placed_values
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions
from vinpaint_cli.util.registry import did_you_mean


class Wrong(ValueError):
    """A value that cannot be parsed; the message says what was given and what is allowed."""


def is_list(key: str) -> bool:
    """Whether a key takes several texts."""
    return job_options()[key].kind is tuple


def read_value(key: str, given: Any) -> Any:
    """The value in the type the options want; raises Wrong.

    Text is read too where a figure or true and false are wanted (CSV has nothing else), a single text
    where a list is, and a figure where it stands for a time.
    """
    return _READERS[job_options()[key].kind](key, given)


def unknown_key(key: str) -> str:
    """Message for a key that is no option."""
    known = job_options()
    hint = did_you_mean(key.replace("-", "_"), known) or f"known are {', '.join(known)}"
    return f"unknown key {key!r}; {hint}"


def as_values(options: RemoveOptions, work: WorkOptions) -> dict[str, Any]:
    """The keys of options that differ from their defaults, in the order of the help; tuples as lists."""
    found = {
        option.key: list(value) if isinstance(value, tuple) else value
        for option, value in chain(placed_values(options), placed_values(work))
        if value not in (option.default, ())
    }
    return {key: found[key] for key in job_options() if key in found}


def _check_letters(key: str, text: str) -> None:
    """Refuse what the file system cannot even be asked for: NUL, and half a character of two."""
    try:
        known = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        known = False
    if not known:
        raise Wrong(f"{key} is {text!r}, which holds a character that no name can have; take it out")


def _text(key: str, given: Any) -> str:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if is_number and not job_options()[key].place.startswith("Job."):
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
_READERS: dict[type, Callable[[str, Any], Any]] = {
    str: _text,
    tuple: _texts,
    int: _whole,
    float: _number,
    bool: _flag,
}
