"""Values of job files are read by the kind of their option, and turn back into what was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.batch.schema import Wrong, as_values, read_value, unknown_key
from vinpaint_cli.options import build, job_options
from vinpaint_cli.pipeline.options import RemoveOptions, WorkOptions

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
    assert {"input", "output", "output_dir", "mask_dir"} < job_options().keys()


@given(st.fixed_dictionaries({}, optional={
    "box": st.lists(st.just("1,1,2,2"), min_size=1, max_size=2),
    "dilate": st.integers(0, 9), "feather": st.integers(0, 9), "propagate": st.booleans(),
    "crf": st.floats(0, 50), "lossless": st.booleans(), "method": st.sampled_from(["telea", "sttn"]),
    "click": st.lists(st.just("3,4@f2"), min_size=1), "work_dir": st.just("work"), "start": st.just("f2"),
}))  # fmt: skip
def test_options_and_values_turn_into_each_other(values: dict[str, object]) -> None:
    read = {key: read_value(key, value) for key, value in values.items()}
    again = as_values(build(RemoveOptions, read), build(WorkOptions, read))
    known = as_values(build(RemoveOptions, {}), build(WorkOptions, {}))
    assert known == {}
    assert {key: read_value(key, value) for key, value in again.items()} == {
        key: value for key, value in read.items() if key in again
    }
    assert build(RemoveOptions, {key: read_value(key, value) for key, value in again.items()}) == build(
        RemoveOptions, read
    )
