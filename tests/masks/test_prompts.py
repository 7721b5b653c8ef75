from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.errors import MaskError, UsageError
from vinpaint_cli.masks.grammar import TimePoint
from vinpaint_cli.masks.prompts import (
    Drawing,
    Prompt,
    PromptOptions,
    at_frames,
    drawings,
    fixes,
    frame_of,
    parse_prompts,
)
from vinpaint_cli.types import Box

SIZE = 200, 100
F0, F40 = TimePoint(frame=0), TimePoint(frame=40)
TWENTY_FIVE = [Fraction(i, 25) for i in range(50)]


def click(text: str) -> Prompt:
    (found,) = parse_prompts(PromptOptions(clicks=(text,)), SIZE)
    return found


def box(text: str) -> Prompt:
    (found,) = parse_prompts(PromptOptions(boxes=(text,)), SIZE)
    return found


@pytest.mark.parametrize(
    ("text", "number", "when", "point"),
    [
        ("41,23", 1, F0, (41, 23)),
        ("41,23@f40", 1, F40, (41, 23)),
        ("2:41,23", 2, F0, (41, 23)),
        ("12:41,23@00:01.5", 12, TimePoint(seconds=Fraction(3, 2)), (41, 23)),
        ("41,23@1:02:03", 1, TimePoint(seconds=Fraction(3723)), (41, 23)),
        (" 3: 41 , 23 @ 1.5 ", 3, TimePoint(seconds=Fraction(3, 2)), (41, 23)),
        ("41.5,.25", 1, F0, (41.5, 0.25)),
        ("50%,10px", 1, F0, (100, 10)),
        ("0,0", 1, F0, (0, 0)),
        ("199.9,99.9", 1, F0, (199.9, 99.9)),
    ],
)
def test_a_click_is_read(text: str, number: int, when: TimePoint, point: tuple[float, float]) -> None:
    assert click(text) == Prompt(number, when, (point,), (True,))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10,20,30,40", Prompt(1, F0, box=Box(10, 20, 40, 60))),
        ("2:10%,20%,50%,50%@f40", Prompt(2, F40, box=Box(20, 20, 120, 70))),
        ("1:10%,20,30,50%@1:00", Prompt(1, TimePoint(seconds=Fraction(60)), box=Box(20, 20, 50, 70))),
    ],
)
def test_a_box_is_read(text: str, found: Prompt) -> None:
    assert box(text) == found


@pytest.mark.parametrize(
    "text",
    ["", "41", "41,23,5", "nan,5", "5,inf", "1e2,5", "a,b", "5;6", "41,23@", "41,23@soon", "41,23@nan",
     "41,23@-1", "41,23@f1@f2", "0:41,23", "x:41,23", ":41,23", "٣,5", "41,23@1:75"],
)  # fmt: skip
def test_a_click_that_cannot_be_read_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        click(text)
    assert "\n" not in str(caught.value)
    assert "give" in str(caught.value) or "from 1" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["200,5", "5,100", "-1,5", "5,-0.5", "100%,5", "1e9,5".replace("e9", "0" * 9)]
)
def test_a_click_outside_the_frame_is_refused(text: str) -> None:
    with pytest.raises(MaskError, match=r"outside the 200x100 frame; X must be 0 to 199 and Y 0 to 99"):
        click(text)


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,nan", "1,2,3.5,4", "1,2,3,4@f1-f2", "0:1,2,3,4"])
def test_a_box_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        box(text)


@pytest.mark.parametrize("text", ["1,2,0,4", "300,2,5,5", "-9,2,5,5"])
def test_a_box_that_shows_nothing_is_refused(text: str) -> None:
    with pytest.raises(MaskError):
        box(text)


def test_a_box_partly_outside_is_cut_and_said() -> None:
    warnings: list[str] = []
    (found,) = parse_prompts(PromptOptions(boxes=("2:180,90,50,50@f3",)), SIZE, warnings)
    assert found.box == Box(180, 90, 200, 100)
    assert len(warnings) == 1


def test_prompts_of_one_object_at_one_moment_are_gathered() -> None:
    options = PromptOptions(
        clicks=("10,10@f40", "2:20,20@f40", "30,30@f40", "40,40"),
        excludes=("50,50@f40", "2:60,60@f40"),
        boxes=("1:0,0,90,90@f40",),
    )
    assert parse_prompts(options, SIZE) == (
        Prompt(1, F40, ((10, 10), (30, 30), (50, 50)), (True, True, False), Box(0, 0, 90, 90)),
        Prompt(2, F40, ((20, 20), (60, 60)), (True, False)),
        Prompt(1, F0, ((40, 40),), (True,)),
    )


def test_nothing_is_no_prompt() -> None:
    assert parse_prompts(PromptOptions(), SIZE) == ()
    assert drawings(PromptOptions()) == fixes(PromptOptions()) == ()


def test_two_boxes_for_one_object_are_refused() -> None:
    with pytest.raises(UsageError, match="object 2 has two boxes at f3"):
        parse_prompts(PromptOptions(boxes=("2:0,0,9,9@f3", "2:5,5,9,9@f3")), SIZE)


def test_not_this_alone_is_refused() -> None:
    with pytest.raises(UsageError, match=r"only --not is given for object 1 at 1\.5 s"):
        parse_prompts(PromptOptions(clicks=("5,5",), excludes=("9,9@1.5",)), SIZE)


@pytest.mark.parametrize(
    ("text", "drawing"),
    [
        ("mask.png", Drawing("mask.png", 1, F0)),
        ("mask.png@f40", Drawing("mask.png", 1, F40)),
        ("2:mask.png@1.5", Drawing("mask.png", 2, TimePoint(seconds=Fraction(3, 2)))),
        ("me@home/a:b.png@f40", Drawing("me@home/a:b.png", 1, F40)),
        ("me@home.png", Drawing("me@home.png", 1, F0)),
        ("mask@12.PNG", Drawing("mask@12.PNG", 1, F0)),
        ("C:\\masks\\a.png@00:12", Drawing("C:\\masks\\a.png", 1, TimePoint(seconds=Fraction(12)))),
        ("3:C:\\a.png", Drawing("C:\\a.png", 3, F0)),
        ("./2:a.png", Drawing("./2:a.png", 1, F0)),
        ("folder/mask", Drawing("folder/mask", 1, F0)),
    ],
)
def test_a_drawn_mask_is_read(text: str, drawing: Drawing) -> None:
    assert drawings(PromptOptions(from_frames=(text,))) == (drawing,)


@pytest.mark.parametrize("text", ["", "@f40", "2:", "2:@f1", "0:mask.png", "mask.png@f4o", "mask.png@"])
def test_a_drawn_mask_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        drawings(PromptOptions(from_frames=(text,)))


@pytest.mark.parametrize(
    ("text", "drawing"),
    [
        ("f52=fixed.png", Drawing("fixed.png", None, TimePoint(frame=52))),
        ("1:02=a=b@c.png", Drawing("a=b@c.png", None, TimePoint(seconds=Fraction(62)))),
    ],
)
def test_a_fix_is_read(text: str, drawing: Drawing) -> None:
    assert fixes(PromptOptions(fixes=(text,))) == (drawing,)


@pytest.mark.parametrize("text", ["", "fixed.png", "f52=", "=fixed.png", "52x=fixed.png"])
def test_a_fix_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        fixes(PromptOptions(fixes=(text,)))


@pytest.mark.parametrize(
    ("seconds", "frame"),
    [("0", 0), ("0.039", 0), ("0.04", 1), ("0.079", 1), ("0.0797", 2), ("1.96", 49), ("1.999", 49)],
)
def test_a_time_means_the_frame_then_shown(seconds: str, frame: int) -> None:
    assert frame_of(TimePoint(seconds=Fraction(seconds)), TWENTY_FIVE) == frame


def test_a_time_rounded_to_milliseconds_means_its_own_frame() -> None:
    for rate in (Fraction(24000, 1001), Fraction(30), Fraction(60000, 1001), Fraction(120)):
        times = [i / rate for i in range(400)]
        for index, time in enumerate(times):
            assert frame_of(TimePoint(seconds=Fraction(f"{float(time):.3f}")), times) == index


@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.integers(0, 29))
def test_every_frame_is_found_at_its_start_whatever_the_rate(steps: list[int], index: int) -> None:
    times = [Fraction(sum(steps[:i]), 400) for i in range(len(steps))]
    index = min(index, len(times) - 1)
    assert frame_of(TimePoint(seconds=times[index]), times) == index
    assert frame_of(TimePoint(seconds=times[index]), [float(time) for time in times]) == index


@pytest.mark.parametrize("when", [TimePoint(frame=50), TimePoint(seconds=Fraction("2.01"))])
def test_a_moment_after_the_clip_is_refused(when: TimePoint) -> None:
    with pytest.raises(MaskError, match=r"50 frames, f0 to f49|2\.000 s long"):
        frame_of(when, TWENTY_FIVE)


def test_at_frames_joins_what_was_written_in_two_ways() -> None:
    prompts = parse_prompts(PromptOptions(clicks=("5,5@0.04",), boxes=("0,0,9,9@f1",)), SIZE)
    assert len(prompts) == 2
    assert at_frames(prompts, TWENTY_FIVE) == (
        Prompt(1, TimePoint(frame=1), ((5, 5),), (True,), Box(0, 0, 9, 9)),
    )


def test_at_frames_refuses_two_boxes_for_one_frame() -> None:
    prompts = parse_prompts(PromptOptions(boxes=("0,0,9,9@0.05", "5,5,9,9@f1")), SIZE)
    with pytest.raises(UsageError, match="two boxes at f1"):
        at_frames(prompts, TWENTY_FIVE)
