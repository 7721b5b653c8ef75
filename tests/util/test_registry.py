from __future__ import annotations

import pathlib

import pytest

from vinpaint_cli.errors import InputError, UsageError
from vinpaint_cli.util.registry import Registry, did_you_mean

PATHS = Registry("path", {"posix": "pathlib:PurePosixPath", "windows": "pathlib:PureWindowsPath"}, ("auto",))


def test_an_implementation_is_loaded_by_its_name() -> None:
    assert PATHS.load("posix") is pathlib.PurePosixPath
    assert PATHS.module("windows") == "pathlib"
    assert PATHS.names == ("auto", "posix", "windows")


def test_an_unknown_name_is_told_what_is_near_and_known() -> None:
    known = "choose one of auto, posix, windows"
    with pytest.raises(UsageError, match=f"there is no path 'posx'; did you mean 'posix'\\? {known}$"):
        PATHS.load("posx")
    with pytest.raises(InputError, match=f"there is no path 'q'; {known}$"):
        Registry("path", PATHS.targets, PATHS.also, InputError).module("q")


def test_did_you_mean() -> None:
    assert did_you_mean("bax", ["box", "bar", "mask"], count=2) == "did you mean 'box' or 'bar'?"
    assert did_you_mean("stm", ["stem"], quoted="{{{}}}") == "did you mean {stem}?"
    assert did_you_mean("q", ["stem"]) == ""
