from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.errors import MaskError, UsageError
from vinpaint_cli.masks.grammar import TimePoint, parse_box, parse_range, parse_time, time_range
from vinpaint_cli.types import Box


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12.5", Fraction(25, 2)),
        ("0", Fraction(0)),
        (".25", Fraction(1, 4)),
        ("01:30", Fraction(90)),
        ("1:02:03.250", Fraction(14893, 4)),
        ("00:00:00.1", Fraction(1, 10)),
    ],
)
def test_times_are_exact_seconds(text: str, seconds: Fraction) -> None:
    assert parse_time(text) == TimePoint(seconds=seconds)


def test_a_frame_is_a_number() -> None:
    assert parse_time("f300") == parse_time("F300") == TimePoint(frame=300)


@pytest.mark.parametrize(
    "text", ["", "abc", "-3", "1:2:3:4", "f", "f-1", "f1.5", "1e3", "12,5", "1:75", "61:00:00:00"]
)
def test_other_times_are_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(UsageError, match=r"HH:MM:SS\.mmm.*f300") as error:
        parse_time(text)
    assert repr(text) in str(error.value)


def test_ranges_are_half_open() -> None:
    frames = parse_range("f10-f20")
    assert [index for index in range(30) if frames.contains(index, 0.0)] == list(range(10, 20))
    seconds = parse_range("1-00:02")
    shown = [index for index in range(80) if seconds.contains(index, Fraction(index, 25))]
    assert shown == list(range(25, 50))


def test_ranges_may_mix_units_and_stay_open() -> None:
    mixed = parse_range("f30-2.0")
    assert [index for index in range(80) if mixed.contains(index, index / 25)] == list(range(30, 50))
    assert parse_range("-1.5").contains(0, 0)
    assert not parse_range("-1.5").contains(0, 1.5)
    assert parse_range("1.5-").contains(0, 1e9)


@pytest.mark.parametrize("text", ["5", "", "-", "3-2", "f5-f5", "2-2.0", "1-2-3"])
def test_other_ranges_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_range(text)


def test_end_before_start_names_both() -> None:
    with pytest.raises(UsageError, match=r"end 00:05 .* start 12\.5"):
        time_range("12.5", "00:05")


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("10,20,30,40", Box(10, 20, 40, 60)),
        ("10%,80%,25%,12%", Box(128, 576, 448, 662)),
        (" 10 , 50% ,5px, 12.5%", Box(10, 360, 15, 450)),
        ("0,0,100%,100%", Box(0, 0, 1280, 720)),
    ],
)
def test_boxes_in_pixels_and_percents(text: str, box: Box) -> None:
    warnings: list[str] = []
    assert parse_box(text).resolve(1280, 720, warnings) == box
    assert not warnings


@given(st.integers(1, 4000), st.integers(1, 99))
def test_boxes_that_touch_in_percents_touch_in_pixels(width: int, share: int) -> None:
    left = parse_box(f"0,0,{share}%,4").x.pixels(width) + parse_box(f"0,0,{share}%,4").width.pixels(width)
    assert left == parse_box(f"{share}%,0,{100 - share}%,4").x.pixels(width)
    if share * width >= 100 and (100 - share) * width >= 100:
        first = parse_box(f"0,0,{share}%,4").resolve(width, 4)
        second = parse_box(f"{share}%,0,{100 - share}%,4").resolve(width, 4)
        assert (first.x0, first.x1, second.x1) == (0, second.x0, width)


def test_a_box_carries_its_time() -> None:
    box = parse_box("1,2,3,4@f5-f7")
    assert [index for index in range(10) if box.when.contains(index, 0)] == [5, 6]


@pytest.mark.parametrize(
    "text", ["10,20,30", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", "1,2,3,4@", "1,2,3,4@5", "1,2,3,4@a-b"]
)
def test_other_boxes_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_box(text)


@pytest.mark.parametrize("text", ["10,10,0,5", "10,10,-4,5", "5,5,0.1%,10"])
def test_boxes_without_area_are_refused(text: str) -> None:
    with pytest.raises(MaskError, match="no area on a 100x50 frame"):
        parse_box(text).resolve(100, 50)


@pytest.mark.parametrize("text", ["100,0,10,10", "0,50,10,10", "-20,0,20,10"])
def test_boxes_outside_are_refused(text: str) -> None:
    with pytest.raises(MaskError, match="outside the 100x50 frame"):
        parse_box(text).resolve(100, 50)


def test_boxes_partly_outside_are_cut_and_it_is_said() -> None:
    warnings: list[str] = []
    assert parse_box("-10,40,30,30").resolve(100, 50, warnings) == Box(0, 40, 20, 50)
    assert len(warnings) == 1
    assert "20x10 pixels at 0,40" in warnings[0]
