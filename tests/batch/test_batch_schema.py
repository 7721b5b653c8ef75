"""The schema is that of `remove`: no option without a key, no key without an option."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.batch.schema import (
    KEYS,
    NAMES,
    PLACES,
    SECTIONS,
    Wrong,
    as_values,
    build_options,
    build_work,
    kind_of,
    read_value,
    unknown_key,
)
from vinpaint_cli.cli.batch import batch
from vinpaint_cli.cli.remove import remove

OF_THE_RUN = {
    "context", "path", "output", "list_devices", "preview", "dry_run", "as_json", "yes", "no", "quiet",
    "verbose", "engine", "address", "shards", "cpus_per_worker", "gpus_per_worker",
}  # fmt: skip


def parameters(command: object) -> set[str]:
    return {"not" if name == "exclude" else name for name in inspect.signature(command).parameters}  # type: ignore[arg-type]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_of_the_options_has_a_key(section: str) -> None:
    inner = {field.name for field in fields(SECTIONS[section]) if not is_dataclass(field.type)}
    have = {attribute for there, attribute in PLACES.values() if there == section}
    not_said = {"mask", "encode", "fit", "prompts", "tracked", "whole"}  # sections, and the engine's own
    assert have == inner - not_said


def test_keys_are_the_option_names_of_remove() -> None:
    assert set(PLACES) == parameters(remove) - OF_THE_RUN


def test_batch_takes_every_key_as_a_default() -> None:
    assert set(KEYS) - {"input"} <= parameters(batch)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_a_kind(key: str) -> None:
    assert kind_of(key) in ("text", "texts", "whole", "number", "flag")


READ = {
    ("mask", "a.png"): ("a.png",),
    ("mask", ("a.png", "b.png")): ("a.png", "b.png"),
    ("box", ("1,1,2,2",)): ("1,1,2,2",),
    ("feather", 3): 3,
    ("feather", "3"): 3,
    ("dilate", 3.0): 3,
    ("crf", 20): 20.0,
    ("crf", "17.5"): 17.5,
    ("lossless", True): True,
    ("lossless", "no"): False,
    ("start", 12.5): "12.5",
    ("start", "f3"): "f3",
    ("resume", False): False,
}


@pytest.mark.parametrize(("key", "value"), READ)
def test_values_are_read(key: str, value: object) -> None:
    found = read_value(key, list(value) if isinstance(value, tuple) else value)
    assert found == READ[key, value]  # type: ignore[index]
    assert type(found) is type(READ[key, value])  # type: ignore[index]


WRONG = [
    ("mask", 3, "mask holds 3"),
    ("mask", [], "empty list"),
    ("mask", ["a", ""], "mask holds ''"),
    ("box", [[1, 2, 3, 4]], '"4,4,16,12"'),
    ("feather", "wide", "whole number"),
    ("feather", True, "feather is true"),
    ("feather", 1.5, "whole number"),
    ("crf", "nan", "a number"),
    ("crf", [], "a number"),
    ("lossless", 1, "true or false"),
    ("lossless", "maybe", "true or false"),
    ("method", 3.5, ""),
    ("method", {}, "text in quotes"),
    ("output", 3, "text in quotes"),
    ("input", "  ", "empty"),
    ("input", "a\0.mp4", "no name can have"),
    ("output", "\ud800.mp4", "no name can have"),
    ("mask", ["m.png", "n\0.png"], "no name can have"),
]


@pytest.mark.parametrize(("key", "value", "said"), [case for case in WRONG if case[2]])
def test_a_value_of_another_kind_is_refused(key: str, value: object, said: str) -> None:
    with pytest.raises(Wrong, match=key) as caught:
        read_value(key, value)
    assert said in str(caught.value)


def test_the_nearest_key_is_suggested() -> None:
    assert "did you mean 'mask_label'" in unknown_key("mask-label")
    assert "known are input" in unknown_key("xyzzy")
    assert set(NAMES) < set(KEYS)


@given(st.fixed_dictionaries({}, optional={
    "box": st.lists(st.just("1,1,2,2"), min_size=1, max_size=2),
    "dilate": st.integers(0, 9), "feather": st.integers(0, 9), "propagate": st.booleans(),
    "crf": st.floats(0, 50), "lossless": st.booleans(), "method": st.sampled_from(["telea", "sttn"]),
    "click": st.lists(st.just("3,4@f2"), min_size=1), "work_dir": st.just("work"), "start": st.just("f2"),
}))  # fmt: skip
def test_options_and_values_turn_into_each_other(values: dict[str, object]) -> None:
    read = {key: read_value(key, value) for key, value in values.items()}
    again = as_values(build_options(read), build_work(read))
    known = as_values(build_options({}), build_work({}))
    assert known == {}
    assert {key: read_value(key, value) for key, value in again.items()} == {
        key: value for key, value in read.items() if key in again
    }
    assert build_options({key: read_value(key, value) for key, value in again.items()}) == build_options(read)
